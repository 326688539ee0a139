"""Posts webhooks as Meta does: signed, concurrently, and again with growing waits until the answer is 200.

Not here: what the bodies say.
"""

import asyncio
from collections import Counter
from typing import Any, Final

import aiohttp
import msgspec

from services.runtime.http import Session
from services.simulator.envelope import render, sign, status_envelope
from services.simulator.numbers import App
from services.simulator.statuses import Update

POST_SECONDS: Final = 10.0  # Meta's own patience is not documented
IN_FLIGHT: Final = 64
BATCH_WAIT_SECONDS: Final = 0.2  # how long an unfilled batch is kept
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 10.0
ATTEMPTS: Final = 200  # Meta goes on for 7 days; half an hour is for ever to a simulator


class Reply(msgspec.Struct, frozen=True):
    """How our webhook was answered; `status` is None when there was no HTTP answer, `text` then says why."""

    status: int | None
    text: str


def wait_before(attempt: int) -> float:
    """Seconds between attempt `attempt` (from 1) and the one before it; none before the first."""
    return 0.0 if attempt == 1 else min(FIRST_WAIT_SECONDS * 2.0 ** (attempt - 2), LONGEST_WAIT_SECONDS)


class Outbox:
    """Webhooks on their way. One per simulator; the session belongs to whoever made it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._waiting: dict[App, list[Update]] = {}
        self._timers: dict[App, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._answers: Counter[str] = Counter()
        self._given_up = 0

    def put(self, app: App, update: Update, batch: int) -> None:
        """Post a status soon, together with up to `batch - 1` others of the same app."""
        waiting = self._waiting.setdefault(app, [])
        waiting.append(update)
        if len(waiting) >= batch:
            self._flush(app)
        elif app not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[app] = loop.call_later(BATCH_WAIT_SECONDS, self._flush, app)

    def _flush(self, app: App) -> None:
        timer = self._timers.pop(app, None)
        if timer is not None:
            timer.cancel()
        updates = self._waiting.pop(app, [])
        if updates:
            self.deliver(app, render(status_envelope(updates)), len(updates))

    def deliver(self, app: App, body: bytes, updates: int = 1) -> asyncio.Task[None]:
        """Post a body until it is answered with 200; give up after ATTEMPTS."""
        task = asyncio.get_running_loop().create_task(self._deliver(app, body, updates))
        self._tasks.add(task)
        self._under_way += updates
        task.add_done_callback(lambda ended: self._arrived(ended, updates))
        return task

    def _arrived(self, task: asyncio.Task[None], updates: int) -> None:
        self._tasks.discard(task)
        self._under_way -= updates

    async def _deliver(self, app: App, body: bytes, updates: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            await asyncio.sleep(wait_before(attempt))
            if (await self.post(app, body)).status == 200:  # noqa: PLR2004 - the only success Meta knows
                return
        self._given_up += updates

    async def post(self, app: App, body: bytes) -> Reply:
        """One attempt."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": sign(app.secret, body),
        }
        try:
            async with self._slots, self._session.post(app.webhook_url, data=body, headers=headers) as response:
                reply = Reply(response.status, (await response.read()).decode(errors="replace"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reply = Reply(None, f"{type(error).__name__}: {error}")
        self._answers["none" if reply.status is None else str(reply.status)] += 1
        return reply

    @property
    def pending(self) -> int:
        """Updates not yet answered with 200."""
        return self._under_way + sum(map(len, self._waiting.values()))

    def shown(self) -> dict[str, Any]:
        return {"pending": self.pending, "given_up": self._given_up, "answers": dict(self._answers)}

    def forget(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._answers.clear()
        self._given_up = 0

    async def close(self) -> None:
        """Drop what is on its way; afterwards the session may be closed."""
        tasks = list(self._tasks)
        self.forget()
        await asyncio.gather(*tasks, return_exceptions=True)
