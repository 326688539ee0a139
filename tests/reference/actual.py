"""What really came of it, read straight from PostgreSQL and from what the company received; and where it disagrees."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from tests.reference.model import Inbound, Json, Key, Prediction, events_of_outbound

_MESSAGES = """SELECT id, account_id, direction, status, wamid, phone_number, user_id, message_type, content
    FROM {s}.messages"""


@dataclass
class Actual:
    inbound: dict[Key, Inbound] = field(default_factory=dict)
    message_of: dict[Key, str] = field(default_factory=dict)
    outbound: dict[str, str] = field(default_factory=dict)
    statuses: set[tuple[str, str, str]] = field(default_factory=set)
    stored: dict[str, Counter[str]] = field(default_factory=dict)
    """Message id → its stored events by type."""
    pushed: dict[str, Counter[str]] = field(default_factory=dict)
    """Message id → different events at the company by type."""
    stored_for_accounts: Counter[str] = field(default_factory=Counter)
    pushed_for_accounts: Counter[str] = field(default_factory=Counter)


def read_actual(demo: Json, evidence: Any) -> Actual:
    """Everything of the demonstration's tenants; events that were stored before it are left out."""
    actual = Actual()
    with psycopg.connect(demo["database"]) as connection:
        wanted = [tenant["company_id"] for tenant in demo["tenants"]]
        query = "SELECT no FROM recado_directory.tenants WHERE company_id = ANY(%s)"
        for (no,) in connection.execute(query, (wanted,)).fetchall():
            _read_tenant(connection, sql.Identifier(f"t_{no:05d}"), actual, evidence.stored_before)
    for event in _arrived(evidence.arrivals):
        if event["data"]["message_id"]:
            actual.pushed.setdefault(event["data"]["message_id"], Counter())[event["event_type"]] += 1
        else:
            actual.pushed_for_accounts[event["data"]["account_id"]] += 1
    return actual


def _read_tenant(connection: psycopg.Connection, schema: sql.Identifier, actual: Actual, before: set[str]) -> None:
    def rows(query: str) -> list[Any]:
        return connection.execute(sql.SQL(query).format(s=schema)).fetchall()

    events: dict[str | None, Counter[str]] = {}
    for event_id, message_id, account_id, event_type in rows(
        "SELECT event_id::text, message_id, account_id, event_type FROM {s}.events"
    ):
        if event_id in before:
            continue
        events.setdefault(message_id, Counter())[event_type] += 1
        if message_id is None:
            actual.stored_for_accounts[account_id] += 1
    for message_id, account_id, direction, status, wamid, phone, user_id, kind, content in rows(_MESSAGES):
        actual.stored[message_id] = events.get(message_id, Counter())
        if direction == "outbound":
            actual.outbound[message_id] = status
            continue
        actual.message_of[account_id, wamid] = message_id
        announced = next(iter(actual.stored[message_id]), "nothing")
        actual.inbound[account_id, wamid] = Inbound(phone, user_id, kind, content, announced)
    actual.statuses |= set(rows("SELECT account_id, wamid, status FROM {s}.message_statuses"))


def _arrived(arrivals: list[Json]) -> list[Json]:
    """Each event once, however often it was pushed."""
    found = {arrival["headers"]["webhook-id"]: json.loads(arrival["body"]) for arrival in arrivals}
    return list(found.values())


def disagreements(predicted: Prediction, actual: Actual) -> list[str]:
    """Every place where the product and the model say different things."""
    return [
        *_inbound(predicted, actual),
        *_outbound(predicted, actual),
        *(f"status {key} was posted and is not kept" for key in sorted(predicted.statuses - actual.statuses)),
        *_account_events(predicted, actual),
    ]


def _inbound(predicted: Prediction, actual: Actual) -> list[str]:
    found = []
    for key, row in predicted.inbound.items():
        if key not in actual.inbound:
            found.append(f"{key} was written and has no row")
            continue
        if actual.inbound[key] != row:
            found.append(f"{key}: {actual.inbound[key]}, and {row} was expected")
        message_id = actual.message_of[key]
        found += [
            f"{key}: {row.event} once was expected, not {where.get(message_id)}"
            for where in (actual.stored, actual.pushed)
            if where.get(message_id, Counter()) != Counter({row.event: 1})
        ]
    return found


def _outbound(predicted: Prediction, actual: Actual) -> list[str]:
    found = []
    for message_id, last in predicted.outbound.items():
        state = actual.outbound.get(message_id)
        if state is None or (last is not None and state != last) or (last is None and state in {"sent", "read"}):
            found.append(f"{message_id} is {state}, and {last} was expected")
        for event, (least, most) in events_of_outbound(last).items():
            for where in (actual.stored, actual.pushed):
                number = where.get(message_id, Counter())[event]
                if not least <= number <= most:
                    found.append(f"{message_id}: {event} {number} times, {least} to {most} were expected")
    return found


def _account_events(predicted: Prediction, actual: Actual) -> list[str]:
    found = []
    for name, counted in (("stored", actual.stored_for_accounts), ("pushed", actual.pushed_for_accounts)):
        if counted != predicted.account_events:
            found.append(f"events of accounts {name}: {dict(counted)}, expected {dict(predicted.account_events)}")
    return found
