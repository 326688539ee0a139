"""Command line of the simulators: `graph` and `orchestrator`. Not here: what they do."""

import argparse
import asyncio
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from services.runtime.lifecycle import freeze_garbage, run_room
from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.simulator.graph import graph_simulator
from services.simulator.numbers import read_numbers
from services.simulator.orchestrator import orchestrator_simulator


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services.simulator", description="Stand-ins for what Recado talks to.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    graph = kinds.add_parser("graph", help="WhatsApp's Graph API: takes sends, posts statuses and inbound messages")
    graph.add_argument("--webhook-url", default="", help="where webhooks of numbers without their own URL go")
    graph.add_argument("--config", type=Path, help="JSON file of numbers, as POST /control/numbers takes them")
    orchestrator = kinds.add_parser("orchestrator", help="a company's endpoint: takes pushes and acknowledges")
    for parser_of_kind in (graph, orchestrator):
        parser_of_kind.add_argument("--port", type=int, required=True)
    return parser.parse_args()


def _simulator(asked: argparse.Namespace) -> AbstractAsyncContextManager[str]:
    if asked.kind == "orchestrator":
        return orchestrator_simulator(port=asked.port)
    numbers = read_numbers(asked.config.read_bytes()) if asked.config else []
    return graph_simulator(port=asked.port, webhook_url=asked.webhook_url, numbers=numbers)


def main() -> None:
    asked = _arguments()

    async def room(_settings: Settings, stop: asyncio.Event) -> None:
        async with _simulator(asked) as url:
            freeze_garbage()
            get_logger().info("simulator_started", kind=asked.kind, url=url)
            await stop.wait()
        get_logger().info("simulator_stopped", kind=asked.kind)

    try:
        run_room(f"{asked.kind}-simulator", room)
    except (OSError, msgspec.MsgspecError) as problem:
        sys.exit(f"the {asked.kind} simulator cannot start: {problem}")


if __name__ == "__main__":
    main()
