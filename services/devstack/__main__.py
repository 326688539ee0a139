"""`python -m services.devstack VERB`: the local stack's command line. Each verb is a function elsewhere."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from services.devstack import lifecycle, progress, status
from services.devstack.ports import PortBaseError
from services.devstack.seed import FORMAT
from services.devstack.stack import Stack, StackError
from services.runtime.settings import SettingsError, load

INTERRUPTED = 130  # what a shell gives for a command ended by Ctrl-C


def main(arguments: list[str]) -> int:
    wanted = _parser().parse_args(arguments)
    try:
        stack = Stack.of(load())
        if wanted.verb == "logs":
            _follow(stack, wanted.room)
        with progress.interruptible():
            return _carry_out(stack, wanted)
    except (StackError, SettingsError, PortBaseError) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except (progress.InterruptedStackError, KeyboardInterrupt):
        return INTERRUPTED


def _carry_out(stack: Stack, wanted: argparse.Namespace) -> int:
    if wanted.verb == "run":
        return lifecycle.run(stack)
    if wanted.verb == "seed":
        from services.devstack import prepare  # noqa: PLC0415 - brings Alembic; the other verbs shall be quick

        prepare.seed(stack, wanted.file)
        return 0
    {"up": lifecycle.up, "down": lifecycle.down, "clean": lifecycle.clean, "status": status.show}[wanted.verb](stack)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.devstack", description="The local stack of Recado.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start everything in the background; ends when every /health is good")
    verbs.add_parser("down", help="stop everything")
    verbs.add_parser("run", help="up and the demonstration; stays until Ctrl-C")
    verbs.add_parser("status", help="what runs, and how it does")
    verbs.add_parser("clean", help="down, and remove data outside the state folder")
    verbs.add_parser("logs", help="follow a log").add_argument("room", nargs="?", default="")
    seed = verbs.add_parser(
        "seed", help="make tenants, accounts and endpoints", epilog=FORMAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    seed.add_argument("file", type=Path)
    return parser


def _follow(stack: Stack, room: str) -> NoReturn:
    """Become `tail -F` of every copy of a room, or of a part such as kafka."""
    logs = sorted(stack.logs_dir.glob("*.log"))
    chosen = [log for log in logs if room in {log.stem, log.stem.rpartition("-")[0]} - {""}]
    if not chosen:
        known = ", ".join(sorted({log.stem.removesuffix("-1") for log in logs})) or "none yet: type `make up` first"
        raise StackError(f"ROOM={room}: no log of that name. There are: {known}" if room else f"ROOM=… of: {known}")
    os.execvp("tail", ["tail", "-n", "100", "-F", *map(str, chosen)])  # noqa: S606 - Ctrl-C shall reach tail alone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
