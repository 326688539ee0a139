"""What a demonstration can see and set from outside: the simulators' control API, the operator's database, the ledger.

Everything by what demo.json says. Not here: judgement (demo_proof.py).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import msgspec

from services.devstack.demo_bodies import Json
from services.devstack.stack import StackError
from services.ledger.books import Facts
from services.ledger.check import read_patiently, read_when_settled
from services.ledger.read import Source
from services.ledger.rows import Rows, snapshot
from services.runtime import clock
from services.runtime.http import Session
from services.streams.topics import Topics

LIVELY: Final[Json] = {
    "sequence": ["sent", "delivered", "read"], "delay_ms": [50, 500], "duplicate": 0.1, "reorder": 0.1, "batch": 20,
    "before_answer": 0.3,
}  # fmt: skip
"""Statuses as Meta sends them on a bad day; before our own answer in 3 of 10 sends."""
LATE: Final[Json] = {"sequence": ["sent", "delivered", "read"], "delay_ms": [1500, 2000]}
CALM: Final[Json] = {}
_AGAIN_SECONDS: Final = 0.2


class Marks(msgspec.Struct, frozen=True):
    """Numbers of the last calls that the simulators had received when a demonstration began."""

    graph: int
    orchestrator: int


class World:
    def __init__(self, demo: Json, session: Session, topics: Topics) -> None:
        self.demo = demo
        self._session = session
        self.source = Source(bootstrap=demo["kafka"], database=demo["database"], topics=topics)

    async def register(self) -> None:
        """Tell the Graph simulator of numbers that it does not know; without tokens, for demo.json has none."""
        state = await self._get(f"{self.demo['graph']}/control/state")
        known = {number["phone_number_id"] for number in state["numbers"]}
        missing = [number for number in graph_numbers(self.demo) if number["phone_number_id"] not in known]
        if missing:
            await self._post(f"{self.demo['graph']}/control/numbers", {"numbers": missing})

    async def marks(self) -> Marks:
        graph = await self._get(f"{self.demo['graph']}/control/state")
        orchestrator = await self._get(f"{self.demo['orchestrator']}/control/state")
        return Marks(graph["received"]["last"], orchestrator["received"]["last"])

    async def script(self, script: Json) -> None:
        """How statuses follow a send from now on."""
        await self._post(f"{self.demo['graph']}/control/statuses", script)

    async def fault(self, body_contains: str, kind: str) -> None:
        """Let one call of the Graph API that contains this text end badly."""
        fault = {"match": {"body_contains": body_contains}, "action": {"kind": kind}, "times": 1}
        await self._post(f"{self.demo['graph']}/control/faults", fault)

    async def graph_calls(self, after: int, match: str = "/messages") -> list[Json]:
        """Sends that the Graph simulator received behind number `after`."""
        return await self._received(self.demo["graph"], after, match)

    async def arrivals(self, after: int, match: str = "") -> list[Json]:
        return await self._received(self.demo["orchestrator"], after, match)

    async def statuses_are_out(self, limit_seconds: float) -> bool:
        """Wait until no status webhook is on its way any more."""

        async def none_pending() -> bool:
            state = await self._get(f"{self.demo['graph']}/control/state")
            return not state["statuses"]["pending"]

        return await until(none_pending, limit_seconds)

    async def facts(self) -> Facts:
        return await read_patiently(self.source)

    async def settled(self, limit_seconds: float) -> Facts:
        """Wait until statuses are out and no book has anything under way; return that reading, or the last one."""
        await self.statuses_are_out(limit_seconds)
        return await read_when_settled(self.source, limit_seconds)

    async def rows(self, company_id: str) -> dict[str, Rows]:
        """A tenant's own rows, as the ledger reads them."""
        async with snapshot(self.source.database) as found:
            tenant = found.book.of_company(company_id)
            return (await found.own(tenant.no) if tenant else None) or {}

    async def _received(self, base: str, after: int, match: str) -> list[Json]:
        found: list[Json] = []
        while True:
            page = await self._get(f"{base}/control/received", after=str(after), match=match)
            found += page["items"]
            if page["next"] == after:
                return found
            after = page["next"]

    async def _get(self, url: str, **parameters: str) -> Json:
        return await self._control("GET", url, params=parameters)

    async def _post(self, url: str, body: Json) -> Json:
        return await self._control("POST", url, json=body)

    async def _control(self, method: str, url: str, **more: Any) -> Json:
        """Raises StackError when the simulator does not answer as it should."""
        try:
            async with self._session.request(method, url, **more) as response:
                response.raise_for_status()
                return _read(await response.read())
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise StackError(f"{url} does not answer ({problem}): is the stack up?") from None


def graph_numbers(demo: Json) -> list[Json]:
    return [
        {
            "phone_number_id": account["phone_number_id"],
            "display_phone_number": account["phone_number"],
            "waba_id": account["waba_id"],
            "app_secret": tenant["app"]["secret"] if tenant["app"] else demo["app_secret"],
            "webhook_url": f"{demo['ingress']}/webhook" + (f"/{tenant['app']['id']}" if tenant["app"] else ""),
        }
        for tenant in demo["tenants"]
        for account in tenant["accounts"]
    ]


async def until(true: Callable[[], Awaitable[bool]], limit_seconds: float) -> bool:
    """Ask until it is so, at most so long; return whether it became so."""
    end = clock.monotonic() + limit_seconds
    while not await true():
        if clock.monotonic() >= end:
            return False
        await asyncio.sleep(_AGAIN_SECONDS)
    return True


def _read(text: bytes) -> Json:
    found: Any = msgspec.json.decode(text)
    return found if isinstance(found, dict) else {}
