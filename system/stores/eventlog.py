"""The event log port on Valkey Streams: at least once, in order within a key, one leased consumer a partition.

A group's position in a partition is a key of its own (prefix commit), not a consumer group of the stream: reading again
after a crash gives everything that is not committed, in order. A lease carries a fencing token; the commit script refuses
every token but the newest, so that a consumer that was paused past its lease cannot move the position any more.
Run the server with ``appendonly yes`` and ``appendfsync always``: an append is durable when it is answered.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import redis

from system.platform.errors import Conflict, Unavailable
from system.platform.ports import LogEntry, OutboxEvent
from system.platform.settings import Settings
from system.stores.valkey import client

PARTITIONS = 4
TIMEOUT_S = 2.0
MAX_WAIT_S = 5.0  # of one blocking read; longer waits are made of several
RETENTION_S = 14 * 24 * 3600.0  # ingest topics (DESIGN §10)
START = "0-0"

_event = msgspec.json.Decoder(OutboxEvent)

# KEYS: lease, token counter. ARGV: owner, time to live in ms. Returns the new token, or nothing while another holds it.
_ACQUIRE = """
local holder = redis.call('HGET', KEYS[1], 'owner')
if holder and holder ~= ARGV[1] then return false end
local token = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', token)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token
"""
# KEYS: lease. ARGV: owner, token, time to live in ms (0 releases). Returns 1 if the lease was this owner's.
_RENEW = """
local lease = redis.call('HMGET', KEYS[1], 'owner', 'token')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then return 0 end
if ARGV[3] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""
# KEYS: token counter, position. ARGV: token, position. Never moves back; refuses every token but the newest.
_COMMIT = """
local function parts(position)
  local left, right = string.match(position, '^(%d+)-(%d+)$')
  return tonumber(left), tonumber(right)
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now = redis.call('GET', KEYS[2])
if now then
  local a, b = parts(now)
  local c, d = parts(ARGV[2])
  if c < a or (c == a and d <= b) then return 1 end
end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""


class ValkeyEventLog:
    """Implements :class:`system.platform.ports.EventLog`."""

    partitions = PARTITIONS

    def __init__(self, connection: redis.Redis, waiting: redis.Redis, prefix: str) -> None:
        """``waiting`` is a client whose time-out outlasts a blocking read."""
        self._connection = connection
        self._waiting = waiting
        self._prefix = prefix
        self._acquire = connection.register_script(_ACQUIRE)
        self._renew = connection.register_script(_RENEW)
        self._commit = connection.register_script(_COMMIT)

    @classmethod
    def connect(cls, settings: Settings) -> ValkeyEventLog:
        """The event log of this stack; connects on first use."""
        url, password = settings.events_url, settings.secret("events_password")
        return cls(client(url, password, TIMEOUT_S), client(url, password, MAX_WAIT_S + TIMEOUT_S), f"{settings.stack_id}:log")

    def close(self) -> None:
        self._connection.close()
        self._waiting.close()

    def ping(self) -> None:
        """A real query; raises ``Unavailable``."""
        with _reachable():
            self._connection.xlen(self._stream(0))

    def partition_of(self, key: str) -> int:
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % self.partitions

    def append(self, events: Sequence[OutboxEvent]) -> None:
        """All events in one server transaction; a repeat after a lost answer appends them again."""
        if not events:
            return
        oldest = int((time.time() - RETENTION_S) * 1000)
        with _reachable(), self._connection.pipeline(transaction=True) as batch:
            for event in events:
                fields: dict[Any, Any] = {b"e": msgspec.json.encode(event)}
                batch.xadd(self._stream(self.partition_of(event.key)), fields, minid=oldest, approximate=True)
            batch.execute()

    def acquire(self, group: str, partition: int, owner: str, ttl_s: float) -> int | None:
        """A fencing token, newer than every earlier one, or None while somebody else holds the lease."""
        with _reachable():
            token = self._acquire(keys=[self._lease(group, partition), self._token(group, partition)], args=[owner, int(ttl_s * 1000)])
        return None if token is None else int(token)

    def renew(self, group: str, partition: int, owner: str, token: int, ttl_s: float) -> bool:
        """False when the lease was lost: stop working on the partition."""
        return self._hold(group, partition, owner, token, max(1, int(ttl_s * 1000)))

    def release(self, group: str, partition: int, owner: str, token: int) -> None:
        self._hold(group, partition, owner, token, 0)

    def read(self, group: str, partition: int, limit: int, wait_s: float) -> Sequence[LogEntry]:
        """Up to ``limit`` entries behind the committed position; waits up to ``wait_s`` (at most 5 s) for the first."""
        stream = self._stream(partition)
        block = {"block": max(1, int(min(wait_s, MAX_WAIT_S) * 1000))} if wait_s > 0 else {}
        with _reachable():
            answer: Any = self._waiting.xread({stream: self.position(group, partition)}, count=limit, **block)
        streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or ()]
        return tuple(entry for entries in streams for entry in _entries(partition, entries))

    def commit(self, group: str, partition: int, position: str, token: int) -> None:
        """Everything up to ``position`` is done. Raises ``Conflict`` for a token that is not the newest."""
        with _reachable():
            done = self._commit(keys=[self._token(group, partition), self._position(group, partition)], args=[token, position])
        if not done:
            raise Conflict(f"the lease of {group} on partition {partition} has passed on: token {token} is stale")

    def position(self, group: str, partition: int) -> str:
        """The committed position of a group; ``0-0`` before the first commit."""
        with _reachable():
            found: Any = self._connection.get(self._position(group, partition))
        return found.decode() if found else START

    def lag(self, group: str, limit: int = 10_000) -> int:
        """How many entries the group has not committed, over all partitions; counting stops at ``limit`` a partition."""
        total = 0
        for partition in range(self.partitions):
            with _reachable():
                behind: Any = self._connection.xrange(self._stream(partition), f"({self.position(group, partition)}", "+", count=limit)
            total += len(behind)
        return total

    def _hold(self, group: str, partition: int, owner: str, token: int, ttl_ms: int) -> bool:
        with _reachable():
            return bool(self._renew(keys=[self._lease(group, partition)], args=[owner, token, ttl_ms]))

    def _stream(self, partition: int) -> str:
        if not 0 <= partition < self.partitions:
            raise ValueError(f"partition {partition} is not one of 0..{self.partitions - 1}")
        return f"{self._prefix}:{partition}"

    def _lease(self, group: str, partition: int) -> str:
        return f"{self._stream(partition)}:{group}:lease"

    def _token(self, group: str, partition: int) -> str:
        return f"{self._stream(partition)}:{group}:token"

    def _position(self, group: str, partition: int) -> str:
        return f"{self._stream(partition)}:{group}:position"


def _entries(partition: int, entries: Any) -> Iterator[LogEntry]:
    """Entries of an XREAD reply (a list in RESP2, a list in a list in RESP3)."""
    for entry in entries[0] if entries and isinstance(entries[0], list) else entries:
        position, fields = entry
        yield LogEntry(partition, position.decode(), _event.decode(fields[b"e"]))


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise Unavailable("events", " ".join(str(error).split()) or type(error).__name__) from error
