"""Stored rows as the API shows them: every attribute of the plan's entities, under its name. Pure; secrets never come
here (the reads do not select them)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from services.domain.delivery import ENDED, Status
from services.domain.events import rfc3339

Row = dict[str, Any]

_HIGH_THROUGHPUT_MPS: Final = 1000  # facts: after THROUGHPUT_UPGRADE; before it Meta says nothing
_FINAL: Final = frozenset({Status.READ, Status.PLAYED})
_ASKED_FOR: Final = frozenset({"message_cancelled", "message_superseded"})
_REPORTED: Final = frozenset({"message_delivered", "message_read", "message_played", "message_received",
                              "message_edited", "message_revoked", "reaction_received"})  # fmt: skip
_ENDED_FOR_SECONDS: Final = 60.0  # evidence that overtakes a failure or an expiry comes within that


def moment(value: datetime | None) -> str | None:
    return rfc3339(value) if value else None


def message_view(row: Row) -> Row:
    return {
        "id": row["id"], "conversation_id": row["conversation_id"], "message_type": row["message_type"],
        "direction": row["direction"], "content": row["content"], "media_url": None, "status": row["status"],
        "whatsapp_message_id": row["wamid"], "metadata": row["metadata"], "sent_at": moment(row["sent_at"]),
        "delivered_at": moment(row["delivered_at"]), "read_at": moment(row["read_at"]),
        "created_at": moment(row["created_at"]), "updated_at": moment(row["updated_at"]),
        "account_id": row["account_id"], "phone_number": row["phone_number"], "recipient": row["user_id"],
        "type": row["message_type"], "template_id": row["template_id"], "variables": row["variables"],
        "reply_to": row["reply_to"], "priority": row["lane"], "error": row["error"],
        "media": row["detail"].get("media"), "pricing": row["pricing"], "failed_at": moment(row["failed_at"]),
        "played_at": moment(row["played_at"]),
    }  # fmt: skip


def is_finished(row: Row, now: datetime) -> bool:
    """Whether nothing more is expected to happen to an outbound message (voice may still be played)."""
    status = Status(row["status"])
    if row["direction"] != "outbound":
        return False
    settled = (now - row["updated_at"]).total_seconds() >= _ENDED_FOR_SECONDS
    return (status in _FINAL and row["message_type"] != "audio") or (status in ENDED and settled)


def conversation_view(row: Row, merged_from: str | None = None) -> Row:
    names = row["identities"] or {}
    last = {"id": row["last_id"], "direction": row["last_direction"], "type": row["last_type"],
            "content": row["last_content"]} if row["last_id"] else None  # fmt: skip
    shown = {
        "id": row["id"], "account_id": row["account_id"], "contact_phone": row["contact_phone"],
        "contact_name": row["contact_name"], "status": row["status"],
        "last_message_at": moment(row["last_message_at"]), "metadata": row["metadata"],
        "created_at": moment(row["created_at"]), "updated_at": moment(row["updated_at"]),
        "contact": {"id": row["contact_id"], "bsuid": names.get("bsuid"), "username": row["username"],
                    "lid": names.get("lid"), "wa_id": names.get("wa_id")},
        "window_expires_at": moment(row["window_expires_at"]), "unread_count": row["unread_count"],
        "assigned_to": None, "handler": "ai", "tags": [], "last_message": last,
    }  # fmt: skip
    return shown | ({"merged_from": merged_from} if merged_from else {})


def account_view(row: Row, company_id: str, said: Row) -> Row:
    """`said`: what Meta reported of the account, by field."""
    secrets = {
        "api_key": {"set": row["api_key_last4"] is not None, "last4": row["api_key_last4"], "expires_at": None},
        "webhook_secret": {"set": row["webhook_secret_set"]},
    }
    return {
        "id": row["id"], "company_id": company_id, "business_id": row["business_id"],
        "phone_number": row["phone_number"], "waba_id": row["waba_id"], "account_type": row["account_type"],
        "status": row["status"], "created_at": moment(row["created_at"]), "updated_at": moment(row["updated_at"]),
        "phone_number_id": row["phone_number_id"], "name": row["name"], "app_id": row["app_id"],
        "settings": row["settings"], "quality_rating": said.get("quality_rating"),
        "messaging_limit": said.get("messaging_limit"),
        "throughput_mps": _HIGH_THROUGHPUT_MPS if said.get("throughput") == "HIGH" else None,
        "transports": [row["account_type"]], "secrets": secrets, "meta_door": None, "check": {"ok": None},
    }  # fmt: skip


def timeline_view(events: Sequence[Row], statuses: Iterable[Row]) -> list[Row]:
    """Weave what was announced and what WhatsApp reported, oldest first; a report that was announced is one line."""
    left, lines = list(events), []
    for row in statuses:
        event_type = f"message_{row['status']}"
        event = next((event for event in left if event["event_type"] == event_type and not row["late"]), None)
        if event:
            left.remove(event)
        lines.append(
            _line(row["status_at"], event_type, event, row["status"], row["attempt"], "status", late=row["late"])
        )
    for event in left:
        kind = event["event_type"]
        source = "api" if kind in _ASKED_FOR else "status" if kind in _REPORTED else "sender"
        lines.append(_line(event["at"], kind, event, kind.removeprefix("message_"), None, source, late=False))
    return sorted(lines, key=lambda line: str(line["at"]))


def _line(at: datetime, event_type: str, event: Row | None, status: str, attempt: int | None, source: str, *,
          late: bool) -> Row:  # fmt: skip
    return {"at": rfc3339(at), "event_type": event_type, "event_id": str(event["event_id"]) if event else None,
            "status": status, "attempt": attempt, "source": source, "late": late}  # fmt: skip
