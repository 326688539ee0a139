"""An independent reading of what went in: which rows and events must come of it. Plain dictionaries and json.

Rule: nothing here is imported from the product's domain, providers or rooms; that is its whole worth.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Key = tuple[str, str]  # account id, WhatsApp's id

RANK = {"sent": 1, "delivered": 2, "read": 3, "played": 4}
PROMISED = ("sent", "delivered", "read")
"""What the Graph simulator's script lets follow every send that it accepted."""


@dataclass(frozen=True)
class Inbound:
    """The row of a user's message, and the kind of the one event that announces it."""

    phone: str | None
    user_id: str | None
    type: str
    content: str
    event: str


@dataclass
class Prediction:
    inbound: dict[Key, Inbound] = field(default_factory=dict)
    statuses: set[tuple[str, str, str]] = field(default_factory=set)
    outbound: dict[str, str | None] = field(default_factory=dict)
    """Our message id → its last state; None when nothing says that WhatsApp ever had it."""
    outbound_wamids: dict[str, set[Key]] = field(default_factory=dict)
    account_events: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0


@dataclass(frozen=True)
class Number:
    account_id: str
    phone: str
    app: str | None


class Reader:
    """Reads raw bodies for the numbers of one demonstration."""

    def __init__(self, demo: Json) -> None:
        self.by_number: dict[str, Number] = {}
        self.by_waba: dict[str, list[Number]] = {}
        for tenant in demo["tenants"]:
            app = tenant["app"]["id"] if tenant["app"] else None
            for account in tenant["accounts"]:
                number = Number(account["account_id"], account["phone_number"], app)
                self.by_number[account["phone_number_id"]] = number
                self.by_waba.setdefault(account["waba_id"], []).append(number)
        self.found = Prediction()
        self._seen_changes: set[str] = set()

    def webhook(self, body: bytes, app: str | None) -> None:
        """Take a webhook that was rightly signed and answered with 200."""
        for entry in json.loads(body)["entry"]:
            for change in entry["changes"]:
                if change["field"] == "messages":
                    self._messages(change["value"], app)
                else:
                    self._other(entry, change, app)

    def _messages(self, value: Json, app: str | None) -> None:
        number = self.by_number.get(value["metadata"]["phone_number_id"])
        items = [*value.get("messages", []), *value.get("statuses", [])]
        if number is None or number.app != app:
            self.found.quarantined += len(items)
            return
        for message in value.get("messages", []):
            self.found.inbound.setdefault((number.account_id, message["id"]), read_message(message))
        for status in value.get("statuses", []):
            self.found.statuses.add((number.account_id, status["id"], status["status"]))

    def _other(self, entry: Json, change: Json, app: str | None) -> None:
        """A management field concerns the number that it names, else every number of its WABA; the same one once."""
        value = change["value"]
        named = value.get("metadata", {}).get("phone_number_id")
        shown = value.get("display_phone_number")
        owners = [self.by_number[named]] if named else self.by_waba[entry["id"]]
        owners = [one for one in owners if shown and one.phone == f"+{shown}"] or owners
        name = json.dumps([change["field"], entry["id"], entry.get("time"), value], sort_keys=True)
        if any(owner.app != app for owner in owners):
            self.found.quarantined += 1
        elif name not in self._seen_changes:
            self._seen_changes.add(name)
            self.found.account_events.update(owner.account_id for owner in owners)

    def command(self, message_id: str) -> None:
        """Take a command that was answered with an id of ours."""
        self.found.outbound.setdefault(message_id, None)

    def send(self, path: str, body: str, answer: str | None) -> None:
        """Take a call that the Graph API received, with what it answered (also when the caller never learnt it)."""
        asked, told = json.loads(body), json.loads(answer or "{}")
        if "messages" not in told:
            return
        _, message_id, _ = asked["biz_opaque_callback_data"].split(".")
        account = self.by_number[path.split("/")[-2]].account_id
        key = (account, told["messages"][0]["id"])
        self.found.outbound_wamids.setdefault(message_id, set()).add(key)
        self.found.statuses |= {(*key, word) for word in PROMISED}

    def prediction(self) -> Prediction:
        """Settle the outbound messages: the furthest status of any of their calls."""
        words: dict[Key, set[str]] = {}
        for account, wamid, word in self.found.statuses:
            words.setdefault((account, wamid), set()).add(word)
        for message_id, keys in self.found.outbound_wamids.items():
            told = {word for key in keys for word in words[key] if word in RANK}
            self.found.outbound[message_id] = max(told, key=RANK.__getitem__)
        return self.found


def read_message(message: Json) -> Inbound:
    kind = message["type"]
    phone = f"+{message['from']}" if message.get("from") else None
    event = "reaction_received" if kind == "reaction" else "message_received"
    return Inbound(phone, message.get("from_user_id"), kind, content_of(kind, message.get(kind)), event)


def content_of(kind: str, part: Any) -> str:
    """What a person would read (api.md §8)."""
    if kind == "text":
        return str(part["body"])
    if kind in {"image", "video", "document"}:
        return str(part.get("caption", ""))
    if kind == "location":
        return str(part.get("name", ""))
    if kind == "contacts":
        return str(part[0]["name"]["formatted_name"])
    if kind == "reaction":
        return str(part.get("emoji", ""))
    if kind == "interactive":
        return str(part[part["type"]]["title"])
    return str(part["text"]) if kind in {"button", "order"} else ""


def events_of_outbound(last: str | None) -> dict[str, tuple[int, int]]:
    """How often each event of an outbound message may be announced, at least and at most.

    `sent` is implied by whatever comes first and said once; a `delivered` that a `read` has overtaken is not said.
    """
    if last is None:
        return {"message_sent": (0, 0), "message_delivered": (0, 0), "message_read": (0, 0)}
    return {
        "message_sent": (1, 1),
        "message_delivered": (1, 1) if last == "delivered" else (0, 1 if RANK[last] >= RANK["read"] else 0),
        "message_read": (1, 1) if last == "read" else (0, 0),
    }


def read_evidence(demo: Json, evidence: Any) -> Prediction:
    """Read everything that one demonstration sent and that the Graph simulator received."""
    reader = Reader(demo)
    for posted in evidence.posted:
        if posted.right_signature and posted.status == 200:
            reader.webhook(posted.body, posted.app)
    for answered in evidence.answered:
        reader.command(answered.message_id)
    for call in evidence.graph_calls:
        reader.send(call["path"], call["body"], call["answer"]["body"])
    return reader.prediction()
