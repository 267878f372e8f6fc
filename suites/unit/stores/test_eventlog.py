"""The event log on a real Valkey."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from system.platform.errors import Conflict, Unavailable
from system.platform.ports import OutboxEvent
from system.platform.settings import Settings
from system.stores.eventlog import START, ValkeyEventLog


@pytest.fixture
def log(events_engine, make_settings: Callable[..., Settings]) -> Iterator[ValkeyEventLog]:
    url = f"redis://127.0.0.1:{events_engine.port}/0"
    store = ValkeyEventLog.connect(make_settings(events_url=url, stack_id=secrets.token_hex(4)))
    yield store
    store.close()


def events(key: str, *names: str) -> list[OutboxEvent]:
    return [OutboxEvent(name, "topic", key, {"n": name, "é": "\0"}) for name in names]


def names(log: ValkeyEventLog, partition: int, group: str = "g") -> list[str]:
    return [entry.event.event_id for entry in log.read(group, partition, 100, 0)]


def test_events_of_a_key_stay_in_order(log: ValkeyEventLog) -> None:
    """All events of a key are in one partition, in the order of appending, equal to what was appended."""
    for key in ("a", "b", "c", "d", "e"):
        log.append(events(key, *(f"{key}{n}" for n in range(5))))
    for key in ("a", "b", "c", "d", "e"):
        entries = log.read("g", log.partition_of(key), 100, 0)
        assert [entry.event for entry in entries if entry.event.key == key] == events(key, *(f"{key}{n}" for n in range(5)))
    assert sum(len(log.read("g", partition, 100, 0)) for partition in range(log.partitions)) == 25
    assert log.lag("g") == 25


def test_what_is_not_committed_is_read_again(log: ValkeyEventLog) -> None:
    """A group reads from its committed position; other groups have their own."""
    log.append(events("k", "1", "2", "3", "4"))
    partition = log.partition_of("k")
    token = log.acquire("g", partition, "me", 30)
    assert token is not None
    second = log.read("g", partition, 2, 0)[1]
    assert names(log, partition) == ["1", "2", "3", "4"]
    log.commit("g", partition, second.position, token)
    assert names(log, partition) == ["3", "4"]
    assert names(log, partition, "other") == ["1", "2", "3", "4"]


def test_the_position_never_moves_back(log: ValkeyEventLog) -> None:
    """A commit of an earlier position is done already."""
    log.append(events("k", *map(str, range(12))))
    partition = log.partition_of("k")
    token = log.acquire("g", partition, "me", 30)
    assert token is not None
    positions = [entry.position for entry in log.read("g", partition, 100, 0)]
    for position in (positions[10], positions[2], positions[9]):
        log.commit("g", partition, position, token)
    assert log.position("g", partition) == positions[10]


def test_one_consumer_holds_a_partition(log: ValkeyEventLog) -> None:
    """A lease excludes others until released; tokens only grow; partitions and groups are leased apart."""
    first = log.acquire("g", 0, "a", 30)
    assert first is not None
    assert log.acquire("g", 0, "b", 30) is None
    assert log.acquire("g", 1, "b", 30) is not None
    assert log.acquire("other", 0, "b", 30) is not None
    log.release("g", 0, "b", first)
    assert log.acquire("g", 0, "b", 30) is None
    log.release("g", 0, "a", first)
    second = log.acquire("g", 0, "b", 30)
    assert second is not None
    assert second > first
    assert not log.renew("g", 0, "a", first, 30)
    assert log.renew("g", 0, "b", second, 30)


def test_a_stale_token_cannot_commit(log: ValkeyEventLog) -> None:
    """A consumer that slept past its lease is refused once somebody else holds it; the newer one is not disturbed."""
    log.append(events("k", "1", "2"))
    partition = log.partition_of("k")
    stale = log.acquire("g", partition, "slow", 0.05)
    assert stale is not None
    end = time.monotonic() + 5
    while (fresh := log.acquire("g", partition, "quick", 30)) is None:
        assert time.monotonic() < end
    first, second = log.read("g", partition, 2, 0)
    log.commit("g", partition, first.position, fresh)
    with pytest.raises(Conflict, match="stale"):
        log.commit("g", partition, second.position, stale)
    assert log.position("g", partition) == first.position
    assert names(log, partition) == ["2"]


def test_nobody_commits_without_a_lease(log: ValkeyEventLog) -> None:
    """A made-up token is refused."""
    with pytest.raises(Conflict):
        log.commit("g", 0, "5-0", 1)
    assert log.position("g", 0) == START
    with pytest.raises(ValueError, match="partition"):
        log.read("g", 9, 1, 0)


def test_a_read_waits_for_the_first_entry(log: ValkeyEventLog) -> None:
    """A blocked reader wakes up when an event arrives, and gives up after its time."""
    partition = log.partition_of("k")
    begin = time.monotonic()
    assert log.read("g", partition, 10, 0.05) == ()
    assert 0.04 <= time.monotonic() - begin < 2
    writer = threading.Timer(0.05, lambda: log.append(events("k", "1")))
    writer.start()
    begin = time.monotonic()
    found = log.read("g", partition, 10, 5)
    writer.join()
    assert [entry.event.event_id for entry in found] == ["1"]
    assert time.monotonic() - begin < 3


def test_what_was_appended_survives_kill_9(log: ValkeyEventLog, events_engine) -> None:
    """Events, positions and tokens are there after the server was killed; while it is away every call says so."""
    log.append(events("k", "1", "2", "3"))
    partition = log.partition_of("k")
    token = log.acquire("g", partition, "me", 30)
    assert token is not None
    log.commit("g", partition, log.read("g", partition, 1, 0)[0].position, token)
    events_engine.kill()
    for call in (lambda: log.append(events("k", "4")), lambda: log.read("g", partition, 1, 0), log.ping):
        with pytest.raises(Unavailable, match="events"):
            call()
    events_engine.start()
    assert names(log, partition) == ["2", "3"]
    assert log.renew("g", partition, "me", token, 30)
    log.append([])
