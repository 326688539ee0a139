"""`python -m services.replay deadletters list|show|redrive|discard`: a dry run unless --really is given.

Not here: what a command does (run.py).
"""

import argparse
import asyncio
import getpass
import re
import sys
from datetime import timedelta
from typing import Final

from services.domain.errors import WorkError
from services.replay.run import Asked, run
from services.replay.select import Wanted
from services.runtime import clock
from services.runtime.crypto import SealError
from services.runtime.settings import Settings, SettingsError, load

FAILED: Final = 2
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ROOMS: Final = ("normaliser", "sender", "notifier")


def main(arguments: list[str]) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    asked = _asked(given)
    if asked.verb in {"redrive", "discard"} and asked.wanted.is_everything and not (asked.company or asked.registered):
        parser.error(f"{asked.verb} needs an id or a filter: all dead letters at once are nobody's intention")
    try:
        answer = asyncio.run(run(_complete(load()), asked))
    except (SettingsError, SealError, WorkError) as problem:
        print(problem, file=sys.stderr)
        return FAILED
    print("\n".join(answer.lines))
    return answer.code


def _complete(settings: Settings) -> Settings:
    missing = [
        name for name, value in (
            ("RECADO_KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers),
            ("RECADO_DATABASE_URL", settings.database_url),
        ) if not value
    ]  # fmt: skip
    if missing:
        raise SettingsError(f"{' and '.join(missing)} must be as a room has them (its login, not the operator's)")
    return settings


def _asked(given: argparse.Namespace) -> Asked:
    now = clock.now()
    wanted = Wanted(
        ids=frozenset(given.ids), room=given.room, reasons=frozenset(given.reason or ()),
        before=now - given.older_than if given.older_than else None,
        after=now - given.newer_than if given.newer_than else None,
    )  # fmt: skip
    own = {name: value for name, value in vars(given).items() if name in Asked.__struct_fields__}
    return Asked(wanted=wanted, company=given.tenant, actor=given.by or getpass.getuser(), **own)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.replay", description="Look at what rooms set aside, and give it back or discard it.",
        epilog="ends with 0: done · 1: no such thing · 2: Kafka, PostgreSQL or settings · 3: some were not discarded",
    )  # fmt: skip
    subjects = parser.add_subparsers(dest="subject", required=True)
    verbs = subjects.add_parser("deadletters", help="records that a room set aside").add_subparsers(
        dest="verb", required=True
    )
    listing = _verb(verbs, "list", "ids, rooms, reasons and tenants; no text and no number")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="letters shown (default 50)")
    listing.add_argument("--all", dest="everything", action="store_true", help="also what was redriven or discarded")
    show = _verb(verbs, "show", "one letter, without its key and value")
    show.add_argument("--personal-data", dest="personal", action="store_true", help="also key and value; audited")
    redrive = _verb(verbs, "redrive", "back to where they were read, under their names")
    redrive.add_argument("--registered", action="store_true", help="quarantined webhooks that would be taken now")
    redrive.add_argument("--rate", dest="per_second", type=_rate, default=50.0, metavar="N", help="a second (50)")
    discard = _verb(verbs, "discard", "for good: what waits is cancelled, with an event")
    for verb in (redrive, discard):
        verb.add_argument("--really", action="store_true", help="do it; without this it is only said")
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text)
    verb.add_argument("ids", nargs="+" if name == "show" else "*", metavar="ID", help="dead_…, as list shows them")
    verb.add_argument("--room", choices=_ROOMS)
    verb.add_argument("--reason", action="append", metavar="REASON", help="may be given several times")
    verb.add_argument("--tenant", metavar="COMPANY_ID")
    verb.add_argument("--older-than", type=_age, metavar="AGE", help="30s, 15m, 2h, 3d")
    verb.add_argument("--newer-than", type=_age, metavar="AGE")
    verb.add_argument("--by", metavar="NAME", help="who is named in the audit (default: the user of this shell)")
    return verb


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no age: write 30s, 15m, 2h or 3d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError("a rate is a number above 0")
    return rate


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
