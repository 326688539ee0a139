"""Memcached may be down, flushed, slow or lying: the cache then knows nothing, and costs no more than its budget."""

import time

import pytest
from pymemcache.exceptions import MemcacheServerError

from services.runtime import cache as module
from services.runtime.cache import Cache

KEY = b"k" * 32


class Server:
    """A memcached that does what a test tells it."""

    def __init__(self):
        self.kept = {}
        self.asked = 0
        self.fault = None

    def get(self, key):
        self._maybe_fail()
        return self.kept.get(key)

    def set(self, key, value, expire=0, noreply=None):  # noqa: ARG002 - the real one's signature
        self._maybe_fail()
        self.kept[key] = value

    def _maybe_fail(self):
        self.asked += 1
        if self.fault:
            raise self.fault


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def cache(server):
    return Cache([server], KEY)


async def test_what_was_kept_is_given_back(cache):
    await cache.put("message|1|a", b"value", 60)
    assert await cache.get("message|1|a", 60) == b"value"
    assert await cache.get("message|1|b", 60) is None


async def test_an_odd_key_is_a_key(cache):
    await cache.put("ñ " * 500 + "\n", b"value", 60)
    assert await cache.get("ñ " * 500 + "\n", 60) == b"value"


LIES = {
    "another value": lambda kept, _: kept[:40] + b"forged",
    "another time": lambda kept, _: kept[:32] + bytes(8) + kept[40:],
    "another mac": lambda kept, _: bytes(32) + kept[32:],
    "another key's value": lambda _, other: other,
    "a part": lambda kept, _: kept[:35],
    "nothing": lambda _kept, _other: b"",
    "a text": lambda _kept, _other: "value",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_value_that_does_not_prove_itself_is_a_miss(cache, server, lie):
    await cache.put("a", b"value", 60)
    await cache.put("b", b"other", 60)
    first, second = server.kept
    server.kept[first] = lie(server.kept[first], server.kept[second])
    assert await cache.get("a", 60) is None


async def test_a_value_of_another_secret_is_a_miss(cache, server):
    await Cache([server], b"x" * 32).put("a", b"value", 60)
    assert await cache.get("a", 60) is None


async def test_an_old_value_is_a_miss_however_long_the_server_keeps_it(cache):
    await cache.put("a", b"value", 60)
    assert await cache.get("a", -1) is None


@pytest.mark.parametrize("fault", [ConnectionRefusedError(), TimeoutError(), MemcacheServerError("busy")])
async def test_a_server_that_fails_is_a_miss_and_soon_left_alone(cache, server, fault):
    server.fault = fault
    for _ in range(10):
        assert await cache.get("a", 60) is None
        await cache.put("a", b"value", 60)
    assert server.asked == module.BREAK_AFTER
    assert not cache.available


async def test_a_server_is_asked_again_after_the_break(cache, server, monkeypatch):
    monkeypatch.setattr(module, "BREAK_SECONDS", 0.0)
    server.fault = ConnectionRefusedError()
    for _ in range(module.BREAK_AFTER):
        await cache.get("a", 60)
    server.fault = None
    await cache.put("a", b"value", 60)
    assert await cache.get("a", 60) == b"value"


async def test_a_slow_server_is_a_miss_and_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(server, "get", lambda _key: time.sleep(0.2))
    cache = Cache([server], KEY)
    assert await cache.get("a", 60) is None
    assert cache._failures == 1


async def test_a_bug_is_no_miss(cache, server):
    server.fault = KeyError("bug")
    with pytest.raises(KeyError):
        await cache.get("a", 60)


async def test_without_a_server_nothing_is_kept_and_nothing_fails():
    cache = Cache(module.servers(""), KEY)
    await cache.put("a", b"value", 60)
    assert await cache.get("a", 60) is None
    assert not cache.available


async def test_a_value_too_large_for_memcached_is_not_sent(cache, server):
    await cache.put("a", bytes(1024 * 1024), 60)
    assert server.asked == 0
