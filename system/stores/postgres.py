"""Bounded PostgreSQL connections: fail fast while the server is away, serve again as soon as it is back.

Not ``psycopg_pool``: its reconnect attempts back off in the background (up to tens of seconds after a kill -9), and a
server that is paused (SIGSTOP) would block its callers, because PostgreSQL's own time-outs stop with it. Here every
wait has a client-side bound, a dead connection is noticed before it is lent, and a new one is opened on demand.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import selectors
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import errors as pg

from system.platform.errors import BadInput, Unavailable

CONNECT_S = 2
ATTEMPTS = 3  # of a transaction that lost a deadlock or a serialization race
_GRACE_S = 1.0  # how much longer than the server's own statement time-out the client waits

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]


class _BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which no wait lasts longer than ``bound_s`` seconds, whatever the server does."""

    bound_s = 11.0

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, self.bound_s if timeout is None else timeout)
        except pg._WaitTimeout:  # noqa: SLF001 - psycopg has no other name for it
            self.close()  # an answer may still come: nothing else may be asked on this connection
            raise


class Database:
    """At most ``size`` connections to one database, lent to one transaction at a time.

    ``service`` names the server in :class:`Unavailable`. ``statement_s`` bounds each statement; a lost connection, a
    time-out and an exhausted pool all raise :class:`Unavailable`.
    """

    def __init__(self, service: str, url: str, password: str, *, size: int = 8, statement_s: float = 10.0, options: str = "") -> None:
        self.service = service
        self._url = url
        self._password = password
        self._statement_s = statement_s
        self._options = f"-c statement_timeout={int(statement_s * 1000)} -c lock_timeout={int(statement_s * 1000)} {options}".strip()
        self._slots = threading.BoundedSemaphore(size)
        self._idle: list[_BoundedConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """``work(connection)`` in one transaction, committed when it returns; repeated when it lost a race."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._translating(), self._lend() as connection, connection.transaction():
                    return work(connection)
            except (pg.SerializationFailure, pg.DeadlockDetected) as error:
                if attempt == ATTEMPTS:
                    raise Unavailable(self.service, f"lost {ATTEMPTS} races: {_line(error)}") from error
        raise AssertionError("unreachable: the loop returns or raises")

    def execute(self, work: Callable[[Connection], T]) -> T:
        """``work(connection)`` outside any transaction block: for single reads and for VACUUM."""
        with self._translating(), self._lend() as connection:
            return work(connection)

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (pg.SerializationFailure, pg.DeadlockDetected):
            raise  # for ``run`` to repeat
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(self.service, _line(error)) from error
        except psycopg.DataError as error:
            place, remedy = f"a value given to {self.service}", "send text without NUL characters and numbers in range"
            raise BadInput(_line(error), place, remedy) from error

    def close(self) -> None:
        """Close the idle connections; lent ones are closed when they come back."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def _lend(self) -> Iterator[_BoundedConnection]:
        if not self._slots.acquire(timeout=self._statement_s):
            raise Unavailable(self.service, f"no connection became free within {self._statement_s:g} s")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give(connection)
        finally:
            self._slots.release()

    def _take(self) -> _BoundedConnection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            if _alive(connection):
                return connection
            connection.close()

    def _connect(self) -> _BoundedConnection:
        connection = _BoundedConnection.connect(
            self._url, password=self._password, connect_timeout=CONNECT_S, options=self._options, autocommit=True
        )
        connection.bound_s = self._statement_s + _GRACE_S
        return connection

    def _give(self, connection: _BoundedConnection) -> None:
        idle = psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            if not self._closed and not connection.closed and connection.info.transaction_status == idle:
                self._idle.append(connection)
                return
        connection.close()


def _alive(connection: _BoundedConnection) -> bool:
    """An idle connection has nothing to say; if its socket is readable the server has hung up (or is saying so)."""
    if connection.closed:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return not selector.select(0)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def statement(text: str) -> LiteralString:
    """Marks SQL put together from constants of this package only, never from input."""
    return text


def create_schema(database: Database, resource: str, lock: int, deadline_s: float = 0.0) -> None:
    """Run an idempotent schema file of this package, one process at a time; waits for a server that is starting."""
    script = importlib.resources.files("system.stores").joinpath(resource).read_text(encoding="utf-8")
    end = time.monotonic() + deadline_s
    while True:
        try:
            database.run(lambda connection: _apply(connection, script, lock))
            return
        except Unavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _apply(connection: Connection, script: str, lock: int) -> None:
    """Once a script: repeating even idempotent DDL would lock tables that others are writing to."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
    connection.execute("CREATE TABLE IF NOT EXISTS applied_schemas (sha256 text PRIMARY KEY, applied_at timestamptz DEFAULT now())")
    digest = hashlib.sha256(script.encode()).hexdigest()
    if connection.execute("INSERT INTO applied_schemas (sha256) VALUES (%s) ON CONFLICT DO NOTHING", (digest,)).rowcount:
        connection.execute(statement(script))
