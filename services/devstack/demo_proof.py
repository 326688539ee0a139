"""Whether everything that went in came out right: answers, WhatsApp's side, the company's side. Pure.

Not here: the ledger's books, gathering the evidence.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from services.devstack.demo_bodies import Json
from services.devstack.demo_post import Answered, Posted
from services.devstack.demo_report import Evidence, Verdict
from services.ledger.books import Facts

_TAKEN: Final = frozenset({201, 202})
_REFUSED: Final = 401
_OK: Final = 200
_CALLBACK: Final = "r1."
WRONG_APP: Final = "wrong_app"


def verdicts(demo: Json, evidence: Evidence, facts: Facts, dead_before: Collection[str]) -> list[Verdict]:
    """Every cross-check of a demonstration beside the books."""
    return [
        webhooks_answered(evidence.posted),
        foreign_quarantined(evidence.posted, facts, dead_before),
        commands_answered(evidence.answered),
        commands_recorded(evidence.answered, facts),
        attempts_called(evidence, facts),
        events_arrived(demo, evidence, facts),
    ]


def webhooks_answered(posted: Sequence[Posted]) -> Verdict:
    wrong = tuple(f"{one.kind}: {one.status} instead of {one.expected}" for one in posted if one.status != one.expected)
    refused = sum(one.status == _REFUSED for one in posted)
    return Verdict("every webhook answered as it should", f"{len(posted) - refused} taken, {refused} refused", wrong)


def foreign_quarantined(posted: Sequence[Posted], facts: Facts, dead_before: Collection[str]) -> Verdict:
    """A house number at another tenant's app is taken, set aside, and has no effect.

    A POST that was repeated because its answer was lost may lie there once for every time it came.
    """
    foreign = [one for one in posted if one.right_signature and one.kind == "a house number at another app"]
    sent, most = len(foreign), sum(1 + one.tries for one in foreign)
    found = [base for base, reason in facts.dead.items() if reason == WRONG_APP and base not in dead_before]
    wrong = () if sent <= len(found) <= most else (f"{sent} were posted, {len(found)} set aside as {WRONG_APP}",)
    return Verdict("a number at another tenant's app is quarantined", f"{sent} posted, {len(found)} set aside", wrong)


def commands_answered(answered: Sequence[Answered]) -> Verdict:
    wrong = tuple(
        f"{one.command.key}: {one.status} {one.answer.get('code', '')}" for one in answered if one.status not in _TAKEN
    )
    sent = sum(one.status == min(_TAKEN) for one in answered)
    return Verdict("every command taken", f"{sent} sent at once (201), {len(answered) - sent} later (202)", wrong)


def commands_recorded(answered: Sequence[Answered], facts: Facts) -> Verdict:
    """An id that was answered is a row; and one key has one message, however often it was sent."""
    ids = [one.message_id for one in answered]
    wrong = tuple(f"{message_id or 'an answer without an id'}: no row" for message_id in ids
                  if message_id not in facts.messages)  # fmt: skip
    doubled = () if len(set(ids)) == len(ids) else (f"{len(ids) - len(set(ids))} ids were answered twice",)
    return Verdict("every answered id has its row", f"{len(set(ids))} ids", wrong + doubled)


def heard(graph_calls: Sequence[Json]) -> list[tuple[str, int]]:
    """Message and attempt of every send that WhatsApp's side received, from what rides in it."""
    found = []
    for call in graph_calls:
        callback = str(_object(call["body"]).get("biz_opaque_callback_data", ""))
        if callback.startswith(_CALLBACK):
            _, message_id, attempt = callback.split(".")
            found.append((message_id, int(attempt)))
    return found


def attempts_called(evidence: Evidence, facts: Facts) -> Verdict:
    """An attempt that was answered was a call; calls without an attempt are the ledger's matter."""
    calls = set(heard(evidence.graph_calls))
    ours = {one.message_id for one in evidence.answered}
    answered = {
        (message_id, attempt)
        for message_id in ours for attempt, outcome in facts.attempts.get(message_id, {}).items()
        if outcome in {"sent", "refused"}
    }  # fmt: skip
    wrong = tuple(f"{message_id} attempt {attempt}: never called" for message_id, attempt in sorted(answered - calls))
    return Verdict("every answered attempt was one call", f"{len(calls)} calls, {len(answered)} answered", wrong)


def events_arrived(demo: Json, evidence: Evidence, facts: Facts) -> Verdict:
    """Each event that was stored meanwhile reached its company: with the stored bytes, each time, rightly signed."""
    secrets = {tenant["company_id"]: tenant["orchestrator_secret"] for tenant in demo["tenants"]}
    wanted = facts.announced.keys() - evidence.stored_before
    seen: set[str] = set()
    wrong: list[str] = []
    for arrival in evidence.arrivals:
        event, company, body = _read(arrival)
        if event not in facts.announced or company not in secrets:
            wrong.append(f"{event}: nobody's event")
        elif hashlib.sha256(body).hexdigest() != facts.announced[event]:
            wrong.append(f"{event}: other bytes than are stored")
        elif not signed(secrets[company], arrival["headers"], body):
            wrong.append(f"{event}: the signature is wrong")
        elif arrival["answer"]["status"] == _OK:
            seen.add(event)
    wrong += [f"{event}: never arrived" for event in sorted(wanted - seen)]
    detail = f"{len(wanted)} events, {len(evidence.arrivals)} arrivals"
    return Verdict("every event reached its company, byte for byte", detail, tuple(wrong))


def signed(secret: str, headers: Json, body: bytes) -> bool:
    """Standard Webhooks, checked as a receiver would."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return right in str(headers.get("webhook-signature", "")).split()


def _read(arrival: Json) -> tuple[str, str, bytes]:
    body = str(arrival["body"]).encode()
    found = _object(arrival["body"])
    return str(arrival["headers"].get("webhook-id")), str(_inner(found).get("company_id", "")), body


def _inner(found: Json) -> Json:
    data = found.get("data")
    return data if isinstance(data, dict) else {}


def _object(text: str) -> Json:
    try:
        found: Any = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
