"""Meta's errors as the Graph API speaks them (facts §3). Not here: when which of them is due."""

from types import MappingProxyType
from typing import Any, Final

from services.simulator.calls import Answer, json_answer
from services.simulator.identities import trace_id

# code → title; 33 is a subcode of 100 in Meta's answers
TITLES: Final = MappingProxyType({
    100: "Invalid parameter",
    104: "An access token is required to request this resource.",
    190: "Invalid OAuth access token - Cannot parse access token",
    2500: "Unknown path components",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131021: "Recipient cannot be sender",
    131051: "Unsupported message type",
})  # fmt: skip
_PLAIN: Final = frozenset({104, 190, 2500})  # Meta puts "(#code)" before the titles of all others


class MetaError(Exception):
    """What the simulated Meta refuses a call with."""

    def __init__(self, code: int, details: str, *, status: int = 400, subcode: int | None = None) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.status = status
        self.subcode = subcode

    def answer(self) -> Answer:
        title = TITLES[self.code]
        error: dict[str, Any] = {
            "message": title if self.code in _PLAIN else f"(#{self.code}) {title}",
            "type": "OAuthException",
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": self.details},
            "fbtrace_id": trace_id(),
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        return json_answer({"error": error}, self.status)


def invalid(details: str) -> MetaError:
    return MetaError(100, details)


def missing(name: str) -> MetaError:
    return MetaError(131008, f"Parameter {name} is required")


def bad_value(details: str) -> MetaError:
    return MetaError(131009, details)
