"""Is the loop alive? First "not ready", then a new client, then the process ends. Not here: what the loop does."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError

from services.runtime.clock import monotonic, now
from services.runtime.health import Health, State
from services.runtime.metrics import CONSUMER_IDLE, CONSUMER_LAG
from services.streams.admin import members
from services.streams.assignment import Assignment
from services.streams.errors import DoubtError, RoomStoppedError
from services.streams.session import Room, Session

CHECK: Final = "consume_loop"
LOOK_SECONDS: Final = 1.0
LAG_SECONDS: Final = 5.0
NOT_READY_SECONDS: Final = 60.0  # above drain + session + a broker's usual restart
REBUILD_SECONDS: Final = 120.0
EXIT_SECONDS: Final = 300.0


class Signs(NamedTuple):
    """Ages in seconds: of the loop's last turn, the last good fetch, the last step of the work that rests longest."""

    turned: float
    fetched: float
    worked: float


def judge(signs: Signs) -> tuple[State, str]:
    """Say how the loop is; a fetch that is old while the loop turns means that the broker is away."""
    if max(signs.turned, signs.worked) >= NOT_READY_SECONDS:
        return "down", f"no progress for {max(signs.turned, signs.worked):.0f} s"
    if signs.fetched >= NOT_READY_SECONDS:
        return "down", f"nothing could be fetched for {signs.fetched:.0f} s"
    return "ok", ""


def remedy(signs: Signs) -> Exception | None:
    """Choose the cure: a new client for stale fetching, the end of the process for work that never returns."""
    if signs.worked >= EXIT_SECONDS:
        return RoomStoppedError(f"work has not moved for {signs.worked:.0f} s: restart the room")
    if max(signs.fetched, signs.turned) >= REBUILD_SECONDS:
        return DoubtError("fetching stands still")
    return None


async def left_out(room: Room, session: Session) -> bool:
    """Whether a member that holds no partition should hold one: the group is no larger than a topic."""
    names = [room.topics.full(topic) for topic in room.subscribed]
    most = max(len(session.client.partitions_for_topic(name) or ()) for name in names)
    count = await members(room.settings.kafka_bootstrap_servers, room.topics.group(room.group))
    return 0 < count <= most


class Watchdog:
    """Looks once a second; the answer to a health question is computed when it is asked, even if the loop is stuck."""

    def __init__(self, room: Room, health: Health, session: Callable[[], Session | None]) -> None:
        self._room = room
        self._session = session
        self._lag_at = 0.0
        self._asked_at = 0.0
        self._seen: tuple[Signs, float] | None = None
        health.probe(CHECK, self._answer)
        CONSUMER_IDLE.set_function(lambda: self._aged().turned)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            session = self._session()
            if session is None or session.assignment is None:
                self._seen = None
                continue
            signs = self._look(session, session.assignment)
            self._seen = signs, monotonic()
            cure = remedy(signs)
            if cure is not None:
                session.fail(cure)
            if monotonic() - self._lag_at >= LAG_SECONDS:
                self._lag_at = monotonic()
                self._measure_lag(session)
            await self._ask_for_partitions(session, session.assignment)

    async def _ask_for_partitions(self, session: Session, assignment: Assignment) -> None:
        """A copy more than there are partitions holds none and is well; one that was left out joins anew (§6.3)."""
        since = max(assignment.since, self._asked_at)
        if assignment.partitions or assignment.over or monotonic() - since < NOT_READY_SECONDS:
            return
        self._asked_at = monotonic()
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            if await left_out(self._room, session):
                session.fail(DoubtError("the group has partitions and gave none to this copy"))

    def _answer(self) -> tuple[State, str]:
        """Called from the thread that answers health questions: it reads what was last seen, and adds its age."""
        if self._seen is None:
            return "down", "not joined to the group yet"
        state, detail = judge(self._aged())
        session = self._session()
        if state == "ok" and session is not None and session.is_commit_stuck:
            return "degraded", "a commit has no answer"
        return state, detail

    def _aged(self) -> Signs:
        if self._seen is None:
            return Signs(0.0, 0.0, 0.0)
        signs, at = self._seen
        age = max(0.0, monotonic() - at - LOOK_SECONDS)  # it stands still only while the event loop does
        return Signs(signs.turned + age, signs.fetched, signs.worked)

    def _look(self, session: Session, assignment: Assignment) -> Signs:
        at = monotonic()
        oldest = min((work.moved_at for work in assignment.running.values()), default=at)
        return Signs(at - session.turned_at, self._fetch_age(session, assignment), at - oldest)

    @staticmethod
    def _fetch_age(session: Session, assignment: Assignment) -> float:
        """Age of the freshest good answer to a fetch, also an empty one; 0 while nothing is asked for."""
        held = assignment.partitions & session.client.assignment()
        if not held or session.client.paused():
            return 0.0
        stamps = [session.client.last_poll_timestamp(tp) or 0 for tp in held]
        since_assigned = monotonic() - assignment.since
        if not any(stamps):
            return since_assigned
        return min(since_assigned, max(0.0, now().timestamp() - max(stamps) / 1000))

    def _measure_lag(self, session: Session) -> None:
        """Records between what is settled and the end, by topic; no request is made for it."""
        assignment = session.assignment
        if assignment is None or assignment.over or not assignment.checked.is_set():
            return
        lag = dict.fromkeys(self._room.subscribed, 0)
        for tp in assignment.partitions & session.client.assignment():
            topic = self._room.topics.logical(tp.topic)
            end = session.client.highwater(tp) or assignment.end_offsets.get(tp, 0)
            lag[topic] += max(0, end - assignment.offsets.position((topic, tp.partition)))
        for topic, records in lag.items():
            CONSUMER_LAG.labels(self._room.name, topic).set(records)
