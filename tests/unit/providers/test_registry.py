import pytest

from services.providers.cloud.client import CloudClient
from services.providers.registry import open_provider
from services.runtime.settings import Settings


async def test_a_cloud_account_is_served_by_the_cloud_api():
    provider = open_provider("cloud_api", Settings(graph_url="http://127.0.0.1:8090"))
    assert isinstance(provider, CloudClient)
    await provider.close()


def test_an_account_type_without_a_provider_is_an_error():
    with pytest.raises(KeyError):
        open_provider("carrier_pigeon", Settings())
