"""The demonstration: everything that Recado promises, driven from outside by what demo.json says, and proved.

`python -m services.devstack.demo [--seed n] [--messages n]`; ends with 0 only when everything balances. Not here: what
is sent (demo_traffic.py), what counts as right (demo_proof.py, services/ledger).
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec

from services.devstack import demo_file, demo_proof, demo_report, rooms
from services.devstack.demo_bodies import Json
from services.devstack.demo_post import Answered, Client, ImpatientError, Poster
from services.devstack.demo_provoke import provoke
from services.devstack.demo_report import Evidence, Report
from services.devstack.demo_traffic import Traffic, traffic
from services.devstack.demo_world import CALM, LIVELY, World, until
from services.devstack.progress import say
from services.devstack.stack import Stack, StackError
from services.domain.errors import DependencyAwayError
from services.ledger.books import balance, calls
from services.runtime import clock, http
from services.runtime.settings import SettingsError, load
from services.streams.topics import Topics

MESSAGES: Final = 300
FEWEST: Final = 30
PATIENCE_SECONDS: Final = 120.0
REPORT_NAME: Final = "demo-report.json"
_CONNECTIONS: Final = 64
_TIMEOUT_SECONDS: Final = 30.0

Restart = Callable[[], Awaitable[None]]
Say = Callable[[str], None]


async def demonstrate(
    demo: Json,
    *,
    seed: int = 1,
    messages: int = MESSAGES,
    restart: Restart | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    topics: Topics | None = None,
    say_so: Say = lambda _: None,
) -> Report:
    """Send everything, wait until it is settled, prove it.

    `restart` restarts the normaliser half-way. `patience_seconds`: how long one webhook or command is repeated, and how
    long everything may take to settle. Raises ImpatientError when ingress does not take something.
    """
    began = clock.monotonic()
    now = int(clock.now().timestamp())
    run = f"{seed}-{now:x}"
    async with http.session(timeout_seconds=_TIMEOUT_SECONDS, limit=_CONNECTIONS) as session:
        world = World(demo, session, topics or Topics("", "local"))
        await world.register()
        marks = await world.marks()  # first: what is stored after `before` must have arrived behind them
        before = await world.facts()
        await world.script(LIVELY)
        drawn = traffic(demo, seed=seed, messages=messages, run=run, now=now)
        poster = Poster(demo, session, patience_seconds=patience_seconds, seed=seed)
        client = Client(demo, session, patience_seconds=patience_seconds, seed=seed)
        say_so(f"{messages} webhooks and {len(drawn.commands)} commands, shuffled by seed {seed}")
        await _send_everything(poster, client, drawn, restart, patience_seconds)
        say_so(f"everything is taken after {clock.monotonic() - began:.1f} s; settling, then three provocations")
        await world.settled(patience_seconds)
        provocations = await provoke(world, poster, client, run)
        await world.settled(patience_seconds)
        evidence = Evidence(
            posted=poster.posted, answered=client.answered, graph_calls=await world.graph_calls(marks.graph),
            arrivals=await world.arrivals(marks.orchestrator), stored_before=set(before.announced),
        )  # fmt: skip
        facts = await world.settled(patience_seconds)
        await world.script(CALM)
    heard = demo_proof.heard(evidence.graph_calls)
    books = [calls(facts, heard) if book.name == calls(facts).name else book for book in balance(facts)]
    return Report(
        seed=seed, messages=messages, run=run, seconds=clock.monotonic() - began, restarted=restart is not None,
        checks=demo_proof.verdicts(demo, evidence, facts, before.dead.keys()), provocations=provocations, books=books,
        curls=demo_report.curls(demo, *_an_example(client.answered)), places=demo_report.places(demo),
        evidence=evidence,
    )  # fmt: skip


async def _send_everything(
    poster: Poster, client: Client, drawn: Traffic, restart: Restart | None, patience_seconds: float
) -> None:
    await _together(
        poster.post_all(drawn.posts, client.ours),
        client.send_all(drawn.commands),
        _restart_midway(poster, len(drawn.posts) // 2, restart, patience_seconds),
    )
    await poster.post_all(drawn.again, client.ours)


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """All at once; one that fails ends the others, and its own error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except* ImpatientError as impatience:
        raise _first(impatience) from None


def _first(group: BaseExceptionGroup[ImpatientError]) -> ImpatientError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


async def _restart_midway(poster: Poster, posted: int, restart: Restart | None, patience_seconds: float) -> None:
    async def half_is_out() -> bool:
        return len(poster.posted) >= posted

    if restart is not None and await until(half_is_out, patience_seconds):
        await restart()


def _an_example(answered: list[Answered]) -> tuple[str, str]:
    """A message of the first tenant and its recipient, for the lines that a person may type."""
    found = next(one for one in answered if one.command.key.startswith("lost-"))
    return found.message_id, str(found.command.body["phone_number"])


def restarting(stack: Stack, room: str, demo: Json) -> Restart:
    """A restart of a room's first copy, after which demo.json is right again."""

    async def restart() -> None:
        await asyncio.to_thread(rooms.restart_room, stack, room)
        demo_file.write(stack, {name: part for name, part in demo.items() if name not in {"rooms", "memcached"}})

    return restart


def main(arguments: list[str]) -> int:
    asked = _parser().parse_args(arguments)
    try:
        stack = Stack.of(load())
        demo = _read(demo_file.path(stack))
        report = asyncio.run(
            demonstrate(
                demo, seed=asked.seed, messages=asked.messages, restart=restarting(stack, "normaliser", demo),
                topics=Topics(stack.settings.topic_prefix, stack.settings.profile),
                say_so=lambda words: say("demo", words),
            )
        )  # fmt: skip
    except (StackError, SettingsError, ImpatientError, DependencyAwayError) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    print(demo_report.text(report), flush=True)
    (stack.state_dir / REPORT_NAME).write_bytes(report.to_json())
    return 0 if report.good else 1


def _read(path: Path) -> Json:
    try:
        found: Json = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise StackError(f"{path} is not there: type `make up` first") from None
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.devstack.demo", description="Demonstrate a stack that is up, and prove the result."
    )
    parser.add_argument("--seed", type=int, default=1, help="shuffles and draws everything")
    parser.add_argument(
        "--messages", type=_number, default=MESSAGES, help=f"webhooks, and as many commands ({MESSAGES})"
    )
    return parser


def _number(text: str) -> int:
    if int(text) < FEWEST:
        raise argparse.ArgumentTypeError(f"at least {FEWEST}, so that every kind comes once")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
