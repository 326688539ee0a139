"""The business numbers that the Graph simulator knows: their tokens, and where and how their webhooks go.

Not here: what is sent over them.
"""

from typing import Annotated

import msgspec

Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,36}$")]


class App(msgspec.Struct, frozen=True):
    """The Meta app that hears of a number: every webhook is signed with its secret."""

    webhook_url: str
    secret: str


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`token` absent: any token will do. Without `app_secret` no webhook can be signed, so none is posted."""

    phone_number_id: Digits
    display_phone_number: str = ""
    waba_id: str = ""
    token: str = ""
    app_secret: str = ""
    webhook_url: str = ""

    @property
    def app(self) -> App | None:
        return App(self.webhook_url, self.app_secret) if self.webhook_url and self.app_secret else None


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    numbers: list[Number]


class Numbers:
    """Registered numbers. As long as there is none, every number exists and every token is good."""

    def __init__(self, webhook_url: str = "") -> None:
        self._webhook_url = webhook_url
        self._known: dict[str, Number] = {}

    def register(self, number: Number) -> None:
        """Add a number or replace it; without a webhook URL of its own it gets the simulator's."""
        if not number.webhook_url:
            number = msgspec.structs.replace(number, webhook_url=self._webhook_url)
        self._known[number.phone_number_id] = number

    def find(self, phone_number_id: str) -> Number | None:
        number = self._known.get(phone_number_id)
        if number is None and not self._known and phone_number_id.isascii() and phone_number_id.isdigit():
            return Number(phone_number_id, webhook_url=self._webhook_url)
        return number

    def of_waba(self, waba_id: str) -> Number | None:
        return next((number for number in self._known.values() if number.waba_id == waba_id), None)

    def knows_token(self, token: str) -> bool:
        """Whether some number answers to this token."""
        return not self._known or any(number.token in {"", token} for number in self._known.values())

    def shown(self) -> list[dict[str, str]]:
        """Without secrets."""
        open_fields = ("phone_number_id", "display_phone_number", "waba_id", "webhook_url")
        return [{field: getattr(number, field) for field in open_fields} for number in self._known.values()]


def read_numbers(body: bytes) -> list[Number]:
    """One number, a list of them, or {"numbers": […]}; raises msgspec.ValidationError."""
    value = msgspec.json.decode(body)
    if isinstance(value, dict) and "numbers" in value:
        return msgspec.convert(value, Listing).numbers
    return msgspec.convert(value if isinstance(value, list) else [value], list[Number])
