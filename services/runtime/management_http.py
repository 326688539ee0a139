"""The only maker of HTTP clients of what is not hot: control, management, checks. httpx, so not for rooms' hot ways."""

import httpx

ManagementClient = httpx.AsyncClient


def management_client(*, timeout_seconds: float) -> ManagementClient:
    """Make a client that follows no redirects and asks the environment for no proxies."""
    return httpx.AsyncClient(timeout=timeout_seconds, follow_redirects=False, trust_env=False)
