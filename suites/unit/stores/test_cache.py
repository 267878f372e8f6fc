"""The cache on a real Valkey."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from system.platform.errors import Unavailable
from system.platform.settings import Settings
from system.stores.cache import ValkeyCache


@pytest.fixture
def cache(cache_engine, make_settings: Callable[..., Settings]) -> Iterator[ValkeyCache]:
    store = ValkeyCache.connect(make_settings(cache_url=f"redis://127.0.0.1:{cache_engine.port}/0"))
    yield store
    store.close()


def test_a_value_lives_for_its_time(cache: ValkeyCache) -> None:
    """What was put is found, until its time is over; what was not put is a miss."""
    cache.put("a", b"\x00\xff", 30)
    assert cache.get("a") == b"\x00\xff"
    assert cache.get("b") is None
    cache.put("a", b"new", 0.01)
    end = time.monotonic() + 5
    while cache.get("a") is not None:
        assert time.monotonic() < end


def test_a_cache_that_is_away_looks_like_a_miss(cache: ValkeyCache, cache_engine) -> None:
    """A killed server costs nothing but the misses, and its return is noticed after the pause."""
    now = [0.0]
    cache._clock = lambda: now[0]
    cache_engine.kill()
    try:
        cache.put("a", b"1", 30)
        assert cache.get("a") is None
        with pytest.raises(Unavailable, match="cache is unavailable"):
            cache.ping()
    finally:
        cache_engine.start()
    assert cache.get("a") is None
    now[0] += 1.1
    cache.put("a", b"1", 30)
    assert cache.get("a") == b"1"


def test_a_paused_cache_costs_one_short_wait(cache: ValkeyCache, cache_engine) -> None:
    """The first caller waits 200 ms, the next ones not at all."""
    cache_engine.pause()
    try:
        begin = time.monotonic()
        assert cache.get("a") is None
        assert time.monotonic() - begin < 1.5
        begin = time.monotonic()
        for _ in range(50):
            assert cache.get("a") is None
        assert time.monotonic() - begin < 0.5
    finally:
        cache_engine.resume()
