"""Which provider serves which kind of account. Only wiring imports this; rooms see contract.Provider."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from services.providers.cloud.client import open_client
from services.providers.contract import Provider
from services.runtime.settings import Settings


def _cloud(settings: Settings, base_url: str) -> Provider:
    return open_client(
        base_url=base_url,
        version=settings.graph_version,
        timeout_seconds=settings.send_timeout_seconds,
        limit=settings.send_slots,
    )


OPENERS: Final[Mapping[str, Callable[[Settings, str], Provider]]] = MappingProxyType({"cloud_api": _cloud})


def open_provider(account_type: str, settings: Settings, *, base_url: str | None = None) -> Provider:
    """Open the provider of an account type inside a running event loop; KeyError when there is none.

    `base_url` stands in for RECADO_GRAPH_URL where the local simulator is the default.
    """
    return OPENERS[account_type](settings, base_url or settings.graph_url)
