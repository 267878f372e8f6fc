"""One stream of arrivals to one address: its connections, what waits for one, and what becomes of each arrival.

An arrival goes out at once on an idle connection, else on a new one: it never waits for another's answer, unless the number of
connections reaches its cap, which is counted and makes the figures INCONCLUSIVE. One that becomes idle meanwhile takes the oldest
waiting arrival. What an arrival waits for its connection is the server's time: it counts as sent when the engine had done its part.
Time-outs are looked for a few dozen times a second over all connections: nothing is set up or torn down a request.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from harness.load.engine.connection import NOTHING, Connection, now_ns
from harness.load.engine.verify import CENSORED, CONNECTION_ERROR, TIMEOUT, UNSENT, Prepared

Record = Callable[[int, int, int, int, int, int, int], None]  # index, sent, first byte, done, length, status, outcome
Read = Callable[[Connection, int, int, int, bytes], None]  # connection, index, done, status, body
Failed = Callable[[Prepared, int, int, bytes, str], None]  # request, outcome, status, the answer's first data, cause
CONNECT_AT_ONCE = 32  # connections being made at a time: what is freed meanwhile serves as well

CLOSE_NS = 1_000_000_000  # for connections to be closed at the end


CLOSED = "the connection was closed under the request"


def _said(error: OSError) -> str:
    """The reason of a failed connect in the system's words; those of several addresses tried are alike."""
    return os.strerror(error.errno) if error.errno else type(error).__name__


class LaneLike(Protocol):
    """What an engine process needs of a lane, whatever it speaks."""

    @property
    def connections_most(self) -> int: ...
    @property
    def capped(self) -> int: ...
    @property
    def busy(self) -> int: ...
    async def open_ahead(self, count: int) -> None: ...
    def arrive(self, index: int) -> None: ...
    def sweep(self) -> None: ...
    async def end(self) -> None: ...


class Lane:
    """HTTP/1.1 connections to one address. ``intended_ns(index)`` and ``choices`` are the plan's."""

    def __init__(
        self,
        address: tuple[str, int],
        requests: Sequence[Prepared],
        choices: Sequence[int],
        intended_ns: Callable[[int], int],
        *,
        timeout_s: float,
        connections_max: int,
        record: Record,
        read: Read,
        make: Callable[[Lane], Connection] = Connection,
        failed: Failed = lambda *_: None,
    ) -> None:
        self._address = address
        self._requests, self._choices = requests, choices
        self._intended_ns = intended_ns
        self._timeout_ns = round(timeout_s * 1e9)
        self._connections_max = connections_max
        self._make = make
        self.record, self.read, self.failed = record, read, failed
        self._idle: list[Connection] = []
        self._connections: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[int, int]] = deque()  # index, since when it waits for a connection (0: at the cap, for our own sake)
        self._retried: set[int] = set()
        self._ahead = 0  # connections still to be made before the first arrival
        self._ended = False
        self.connections_most = self.capped = 0

    @property
    def busy(self) -> int:
        """Arrivals without an end."""
        return len(self._waiting) + sum(connection.index >= 0 for connection in self._connections)

    def arrive(self, index: int) -> None:
        """An arrival of the plan is due."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.open:
                connection.send(index, self._requests[self._choices[index]])
                return
        self._wait(index)

    def free(self, connection: Connection) -> None:
        """A connection can take the next request."""
        waiting = self._waiting
        if waiting:
            index, since_ns = waiting.popleft()
            connection.send(index, self._requests[self._choices[index]], since_ns)
        else:
            self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        """A connection ended; under a request, that request ends with it."""
        self._connections.discard(connection)
        index, connection.index = connection.index, NOTHING
        if index >= 0:
            self._broken(connection, index)
        self._grow()

    def _wait(self, index: int) -> None:
        room = len(self._connections) + len(self._opening) < self._connections_max
        self.capped += not room
        self._waiting.append((index, now_ns() if room else 0))
        self._grow()

    def _grow(self) -> None:
        """As many connections in the making as there are arrivals waiting, within bounds."""
        if self._ended:
            return
        loop = asyncio.get_running_loop()
        wanted = min(len(self._waiting) + self._ahead, CONNECT_AT_ONCE, self._connections_max - len(self._connections))
        while len(self._opening) < wanted:
            task = loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._ahead = max(self._ahead - 1, 0)
        self._grow()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_ns / 1e9):
                _, connection = await loop.create_connection(lambda: self._make(self), *self._address)
        except TimeoutError:
            return  # those that waited for it have timed out too
        except OSError as error:
            if self._waiting:  # the oldest has waited for this
                self._end(self._waiting.popleft()[0], CONNECTION_ERROR, _said(error))
            return
        self._connections.add(connection)
        self.connections_most = max(self.connections_most, len(self._connections))
        if connection.open:
            self.free(connection)

    async def open_ahead(self, count: int) -> None:
        """Make connections before the first arrival; a server that refuses them will be seen by the arrivals."""
        self._ahead = min(count, self._connections_max)
        self._grow()
        deadline = now_ns() + self._timeout_ns
        while self._opening and now_ns() < deadline:
            await asyncio.wait(self._opening, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)

    def _broken(self, connection: Connection, index: int) -> None:
        """An idle connection closed by the server just then says nothing about the request: once more, where that is allowed."""
        request = self._requests[self._choices[index]]
        if connection.used and not connection.first_data and request.replayable and index not in self._retried:
            self._retried.add(index)
            self.arrive(index)
        else:
            self.record(index, connection.sent_ns, connection.first_ns, 0, connection.length, 0, CONNECTION_ERROR)
            self.failed(request, CONNECTION_ERROR, 0, connection.first_data, CLOSED)

    def _end(self, index: int, outcome: int, cause: str = "") -> None:
        self.record(index, 0, 0, 0, 0, 0, outcome)
        self.failed(self._requests[self._choices[index % len(self._choices)]], outcome, 0, b"", cause)

    def sweep(self) -> None:
        """End what has been unanswered for too long. Its connection is given up, or a dead server would use them all up."""
        before = now_ns() - self._timeout_ns
        intended_ns = self._intended_ns
        for connection in [c for c in self._connections if c.index >= 0 and intended_ns(c.index) <= before]:
            self._give_up(connection, TIMEOUT)
        while self._waiting and intended_ns(self._waiting[0][0]) <= before:
            index, since_ns = self._waiting.popleft()
            self._end(index, TIMEOUT if since_ns else UNSENT)

    def _give_up(self, connection: Connection, outcome: int) -> None:
        index = connection.index
        self.record(index, connection.sent_ns, connection.first_ns, 0, connection.length, 0, outcome)
        if connection.request is not None:
            self.failed(connection.request, outcome, 0, connection.first_data, "")
        connection.close()
        connection.index = NOTHING

    async def end(self) -> None:
        """What is still unanswered is censored: it is a row, and never a good one. Connections are closed."""
        self._ended = True
        for connection in [c for c in self._connections if c.index >= 0]:
            self._give_up(connection, CENSORED)
        while self._waiting:
            self._end(self._waiting.popleft()[0], UNSENT)
        for task in self._opening:
            task.cancel()
        for connection in self._connections:
            connection.close()
        deadline = now_ns() + CLOSE_NS
        while self._connections and now_ns() < deadline:  # noqa: ASYNC110 - bounded, for many connections
            await asyncio.sleep(0)


class ClosedLane(Lane):
    """The closed mode: a fixed number of connections, each asks again as soon as it is answered. For comparison, never the default."""

    _next = 0
    _until_ns = 0

    def begin(self, until_ns: int) -> None:
        """Let every idle connection ask, until ``until_ns``."""
        self._until_ns = until_ns
        idle, self._idle = self._idle, []
        for connection in idle:
            self.free(connection)

    def free(self, connection: Connection) -> None:
        if now_ns() >= self._until_ns:
            self._idle.append(connection)
            return
        index = self._next
        self._next = index + 1
        choices = self._choices
        connection.send(index, self._requests[choices[index % len(choices)]])

    def gone(self, connection: Connection) -> None:
        self._ahead += now_ns() < self._until_ns  # another in its place
        super().gone(connection)

    def sweep(self) -> None:
        before = now_ns() - self._timeout_ns
        for connection in [c for c in self._connections if c.index >= 0 and c.sent_ns <= before]:
            self._give_up(connection, TIMEOUT)

    def _broken(self, connection: Connection, index: int) -> None:
        self.record(index, connection.sent_ns, connection.first_ns, 0, connection.length, 0, CONNECTION_ERROR)
        if connection.request is not None:
            self.failed(connection.request, CONNECTION_ERROR, 0, connection.first_data, CLOSED)

    @property
    def asked(self) -> int:
        """How many requests were begun."""
        return self._next
