"""Which events the code can announce, read from the code itself; and the schemas that say what they look like."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from services.domain.delivery import MOVES
from services.providers.cloud.content import EVENTS

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "schemas" / "events"
EXAMPLES = ROOT / "schemas" / "examples"
ANNOUNCERS = {"message_event": 0, "account_event": 0, "outbound_event": 0, "inbound_event": 0, "News": 0, "_says": 0,
              "_account_event": 1, "EVENTS.get": 1}  # fmt: skip
"""Calls that name an event, and the place at which they do."""


def schema_files() -> list[Path]:
    return sorted(SCHEMAS.glob("*.schema.json"))


def type_of(schema_file: Path) -> str:
    return schema_file.name.removesuffix(".v1.schema.json")


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def schema_of(event_type: str) -> dict[str, Any]:
    return read(SCHEMAS / f"{event_type}.v1.schema.json")


def validator_of(event_type: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(event_type), format_checker=jsonschema.FormatChecker())


def examples_of(event_type: str) -> list[Path]:
    return sorted((EXAMPLES / event_type).glob("*.json"))


def announced_types() -> set[str]:
    """Every event type that the code can announce: from its tables, and from the calls that name one."""
    moved = {event_type for move in MOVES.values() for event_type in move.announce}
    folders = ("domain", "normaliser", "sender", "notifier", "scheduler", "providers/cloud")
    files = (file for folder in folders for file in (ROOT / "services" / folder).glob("*.py"))
    return moved | set(EVENTS.values()) | {name for file in files for name in _named_in(file)}


def _named_in(file: Path) -> Iterator[str]:
    for call in (node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        named = [key.value for key in call.keywords if key.arg == "event_type"]
        place = ANNOUNCERS.get(ast.unparse(call.func))
        if place is not None:
            named += call.args[place : place + 1]
        yield from (node.value for node in named if isinstance(node, ast.Constant) and isinstance(node.value, str))
