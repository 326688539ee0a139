"""What a demonstration found, and how a person reads it. Pure. Not here: finding it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.devstack.demo_bodies import Json
from services.devstack.demo_post import Answered, Posted
from services.ledger.books import Book
from services.ledger.report import balances, lines, pending

_KIND_WIDTH: Final = 34
_SHOWN: Final = 5


class Verdict(msgspec.Struct, frozen=True):
    """`wrong`: what speaks against it, each by its id."""

    claim: str
    detail: str
    wrong: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.wrong


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that went out and came back, for whoever wants to check for himself."""

    posted: list[Posted]
    answered: list[Answered]
    graph_calls: list[Json]
    arrivals: list[Json]
    stored_before: set[str]
    """Event ids that were there before."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    messages: int
    run: str
    seconds: float
    restarted: bool
    checks: list[Verdict]
    provocations: list[Verdict]
    books: list[Book]
    curls: list[str]
    places: list[str]
    evidence: Evidence

    @property
    def good(self) -> bool:
        """Everything balances, nothing is under way any more, and no verdict speaks against it."""
        verdicts = (*self.checks, *self.provocations)
        return balances(self.books) and not pending(self.books) and all(verdict.good for verdict in verdicts)

    def to_json(self) -> bytes:
        """Without bodies, numbers and tokens."""
        shown: dict[str, Any] = {
            "balanced": self.good,
            "seed": self.seed,
            "messages": self.messages,
            "run": self.run,
            "seconds": round(self.seconds, 1),
            "normaliser_restarted": self.restarted,
            "webhooks": dict(Counter(posted.kind for posted in self.evidence.posted)),
            "answers": {str(status): n for status, n in Counter(a.status for a in self.evidence.answered).items()},
            "checks": [_verdict(verdict) for verdict in self.checks],
            "provocations": [_verdict(verdict) for verdict in self.provocations],
            "books": self.books,
        }
        return msgspec.json.format(msgspec.json.encode(shown), indent=2)


def text(report: Report) -> str:
    """The whole report as it is printed."""
    parts = [
        _title(f"seed {report.seed} · run {report.run} · {report.seconds:.1f} s"),
        *_webhooks(report.evidence.posted),
        *_commands(report.evidence.answered),
        _title("what came of them"),
        *_verdicts(report.checks),
        _title("three provocations"),
        *_verdicts(report.provocations),
        _title("the ledger"),
        *lines(report.books),
        _title("try it yourself"),
        *report.curls,
        _title("where everything is"),
        *report.places,
        "",
        "BALANCED" if report.good else "NOT BALANCED: see ✗ and `under way` above",
    ]
    return "\n".join(parts)


def _title(words: str) -> str:
    return f"\n── {words} " + "─" * max(4, 76 - len(words))


def _webhooks(posted: Sequence[Posted]) -> list[str]:
    kinds: dict[str, list[Posted]] = {}
    for each in posted:
        kinds.setdefault(each.kind, []).append(each)
    rows = [f"  {'webhooks':{_KIND_WIDTH}}{'posted':>8}{'repeated':>10}  answers"]
    for kind, of_kind in sorted(kinds.items(), key=lambda item: -len(item[1])):
        rows.append(_row(kind, [one.status for one in of_kind], sum(one.tries for one in of_kind)))
    return [*rows, _row("all", [one.status for one in posted], sum(one.tries for one in posted))]


def _commands(answered: Sequence[Answered]) -> list[str]:
    return [_row("commands", [one.status for one in answered], sum(one.tries for one in answered))]


def _row(name: str, statuses: Sequence[int], repeated: int) -> str:
    answers = " ".join(f"{status}×{number}" for status, number in sorted(Counter(statuses).items()))
    return f"  {name:{_KIND_WIDTH}}{len(statuses):>8}{repeated:>10}  {answers}"


def _verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    rows = []
    for verdict in verdicts:
        rows.append(f"{'✓' if verdict.good else '✗'} {verdict.claim}: {verdict.detail}")
        rows += [f"    {one}" for one in verdict.wrong[:_SHOWN]]
        if len(verdict.wrong) > _SHOWN:
            rows.append(f"    … and {len(verdict.wrong) - _SHOWN} more")
    return rows


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"claim": verdict.claim, "good": verdict.good, "detail": verdict.detail, "wrong": verdict.wrong}


def curls(demo: Json, message_id: str, recipient: str) -> list[str]:
    """Six lines that work as they are printed, on this stack."""
    api, tenant = demo["ingress"], demo["tenants"][0]
    line = tenant["accounts"][0]
    bearer = f"-H 'Authorization: Bearer {tenant['agent_token']}'"
    content_type = "-H 'Content-Type: application/json'"
    command = msgspec.json.encode(
        {"account_id": line["account_id"], "phone_number": recipient, "type": "text", "content": "Hola"}
    ).decode()
    written = msgspec.json.encode(
        {
            "phone_number_id": line["phone_number_id"],
            "from": recipient.removeprefix("+"),
            "type": "text",
            "text": "Hola",
        }
    ).decode()
    verify = f"hub.mode=subscribe&hub.verify_token={demo['verify_token']}&hub.challenge=42"
    return [
        f"curl -sS {bearer} {content_type} -d '{command}' {api}/api/messages",
        f"curl -sS {bearer} {api}/api/messages/{message_id}",
        f"curl -sS {bearer} {api}/api/messages/{message_id}/timeline",
        f"curl -sS {bearer} '{api}/api/conversations?limit=2'",
        f"curl -sS {content_type} -d '{written}' {demo['graph']}/control/inbound",
        f"curl -sS '{api}/webhook?{verify}'",
    ]


def places(demo: Json) -> list[str]:
    """Where to look, and with what."""
    rows = (
        ("API, its documentation", f"{demo['ingress']}/docs"),
        ("what WhatsApp received", f"{demo['graph']}/control/received"),
        ("what the company received", f"{demo['orchestrator']}/control/received"),
        ("rooms", "  ".join(f"{room} {copy.get('metrics', '-')}" for room, copy in demo["rooms"].items())),
        ("Kafka, Memcached", f"{demo['kafka']}  {demo['memcached'] or 'none'}"),
        ("PostgreSQL, read only", "psql with `database` of demo.json"),
    )
    return [f"  {name:28}{place}" for name, place in rows]
