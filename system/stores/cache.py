"""The cache port on Valkey. It never raises: a miss and a server that is away look alike, and so does a full one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import redis

from system.platform.errors import Unavailable
from system.platform.settings import Settings
from system.stores.valkey import client

TIMEOUT_S = 0.2
PAUSE_S = 1.0  # after a failure nobody waits for the server again for this long


class ValkeyCache:
    """Implements :class:`system.platform.ports.Cache`. ``clock`` gives monotonic seconds."""

    def __init__(self, connection: redis.Redis, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._prefix = prefix
        self._clock = clock
        self._quiet_until = 0.0
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, settings: Settings) -> ValkeyCache:
        """A cache of this stack; connects on first use."""
        return cls(client(settings.cache_url, settings.secret("cache_password"), TIMEOUT_S), f"{settings.stack_id}:")

    def get(self, key: str) -> bytes | None:
        found = self._attempt(lambda: self._connection.get(self._prefix + key))
        return found if isinstance(found, bytes) else None

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._attempt(lambda: self._connection.set(self._prefix + key, value, px=max(1, int(ttl_s * 1000))))

    def close(self) -> None:
        self._connection.close()

    def ping(self) -> None:
        """A real call, without the pause of the others, which would hide the recovery; raises ``Unavailable``."""
        try:
            self._connection.ping()
        except (redis.RedisError, OSError) as error:
            raise Unavailable("cache", f"{type(error).__name__}: {error}") from error

    def _attempt(self, work: Callable[[], object]) -> object:
        if self._clock() < self._quiet_until:
            return None
        try:
            return work()
        except (redis.RedisError, OSError):
            with self._lock:
                self._quiet_until = self._clock() + PAUSE_S
            return None
