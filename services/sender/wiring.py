"""Builds the sender's real things and runs its loop. Not here: what a command means."""

import asyncio
from datetime import timedelta

from services.domain.retry import RetryPolicy
from services.providers.registry import cloud_provider
from services.runtime import crypto, health
from services.runtime.crash import CrashPoints
from services.runtime.lifecycle import freeze_garbage
from services.runtime.settings import Settings
from services.sender.handle import Deps, handle
from services.store.directory import Directory
from services.store.pools import Pools
from services.store.unavailable import Unavailable
from services.streams.codec import Record
from services.streams.consumer import Consumer
from services.streams.flow import Flow, Slots
from services.streams.producer import Producer
from services.streams.topics import LANE_TOPICS, Topics
