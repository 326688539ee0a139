"""`python -m services.ledger check`: do the books balance? Ends with 0 if they do. Not here: how they are kept."""

import argparse
import asyncio
import sys
from typing import Final

from services.domain.errors import DependencyAwayError
from services.ledger.check import check_when_settled
from services.ledger.read import Source
from services.ledger.report import balances, lines, pending
from services.runtime.settings import Settings, SettingsError, load
from services.streams.topics import Topics

BALANCED: Final = 0
DIFFERS: Final = 1
UNREADABLE: Final = 2
UNDER_WAY: Final = 3


def main(arguments: list[str]) -> int:
    asked = _parser().parse_args(arguments)
    try:
        settings = load()
        books = asyncio.run(check_when_settled(_source(settings, asked.tenant), asked.wait))
    except (SettingsError, DependencyAwayError) as problem:
        print(problem, file=sys.stderr)
        return UNREADABLE
    print("\n".join(lines(books, shown=asked.show)))
    if not balances(books):
        print("the books differ")
        return DIFFERS
    if asked.wait and pending(books):
        print(f"the books balance, and {pending(books)} are still under way after {asked.wait:g} s")
        return UNDER_WAY
    print("the books balance")
    return BALANCED


def _source(settings: Settings, company: str | None) -> Source:
    missing = [
        name for name, value in (
            ("RECADO_KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers),
            ("RECADO_DATABASE_URL", settings.database_url),
        ) if not value
    ]  # fmt: skip
    if missing:
        raise SettingsError(f"{' and '.join(missing)} must say where to read (.local/demo.json has both)")
    return Source(
        bootstrap=settings.kafka_bootstrap_servers, database=settings.database_url,
        topics=Topics(settings.topic_prefix, settings.profile), company=company,
        default_endpoint=bool(settings.orchestrator_url),
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.ledger", description="Compare the books of Kafka and PostgreSQL, as sets of ids.",
        epilog="ends with 0: balanced · 1: differs · 2: cannot read · 3: balanced, and still under way after --wait",
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="read both sides of every book and name what differs")
    check.add_argument("--tenant", metavar="COMPANY_ID", help="only the books of this tenant")
    check.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="until nothing is under way")
    check.add_argument("--show", type=int, default=20, metavar="N", help="differences shown of each book")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
