"""Server-sent events over the HTTP/1.1 connection: when each event came. First byte = first event, done = end of the stream.

A stream that does not end by itself is done after ``expect.events`` events; its connection is then given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httptools

from harness.load.engine.connection import NOTHING, Connection, now_ns
from harness.load.engine.recorder import SideStreams
from harness.load.engine.verify import BAD_BODY, Identify, Prepared

if TYPE_CHECKING:
    from harness.load.engine.lane import Lane

MAX_LINE_BYTES = 1 << 20


class EventScanner:
    """Counts the events in a stream of bytes: blocks with a ``data`` line, ended by an empty line (WHATWG HTML, 9.2.6)."""

    def __init__(self) -> None:
        self._rest = b""
        self._has_data = False
        self._skip_newline = False

    def feed(self, data: bytes) -> int:
        """How many events ended in this piece. Raises ``ValueError`` for a line without an end."""
        if self._skip_newline and data[:1] == b"\n":  # CR and LF came in two pieces
            data = data[1:]
        self._skip_newline = data.endswith(b"\r")
        lines = (self._rest + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            raise ValueError(f"a line of more than {MAX_LINE_BYTES} bytes")
        ended = 0
        for line in lines:
            if line:
                self._has_data |= line.startswith(b"data:") or line == b"data"
            elif self._has_data:
                ended += 1
                self._has_data = False
        return ended


class SseConnection(Connection):
    """As ``Connection``; answers of SSE kinds are followed event by event."""

    __slots__ = ("_at_ns", "_identify", "_scanner", "_side")

    def __init__(self, lane: Lane, side: SideStreams, identify: Identify) -> None:
        super().__init__(lane)
        self._side, self._identify = side, identify
        self._at_ns: list[int] = []
        self._scanner = EventScanner()

    def send(self, index: int, request: Prepared, sent_ns: int = 0) -> None:
        self._at_ns, self._scanner = [], EventScanner()
        super().send(index, request, sent_ns)

    def data_received(self, data: bytes) -> None:
        if self.request is None or self.request.kind.protocol != "sse":
            super().data_received(data)
            return
        self.first_data = self.first_data or data
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        request = self.request
        if request is None or request.kind.protocol != "sse" or self.index < 0:
            return
        now = now_ns()
        try:
            ended = self._scanner.feed(body)
        except ValueError:
            self.close()
            return
        self._at_ns += [now] * ended
        self.first_ns = self.first_ns or (now if ended else 0)
        if 0 < request.kind.expect.events <= len(self._at_ns):
            self._finish(now, self._status(), request)
            self.close()

    def on_message_complete(self) -> None:
        request = self.request
        if request is None or request.kind.protocol != "sse" or self.index < 0 or self._status() != request.expect_status:
            super().on_message_complete()
            return
        self._finish(now_ns(), self._status(), request)
        if self._keep_alive() and self.open:
            self._lane.free(self)
        else:
            self.close()

    def _finish(self, done_ns: int, status: int, request: Prepared) -> None:
        index, self.index = self.index, NOTHING
        self.used = True
        body, self._parts = b"".join(self._parts), []
        if self._at_ns and request.reads_body:
            self._lane.read(self, index, done_ns, status, body)
        else:
            outcome = request.outcome(status, self.length) if self._at_ns else BAD_BODY
            self._lane.record(index, self.sent_ns, self.first_ns, done_ns, self.length, status, outcome)
            if outcome:
                self._lane.failed(request, outcome, status, self.first_data, "")
        self._side.events(request.kind.op, self._identify(index).decode(), self._at_ns)


def sse_connections(side: SideStreams, identify: Identify) -> Callable[[Lane], Connection]:
    """What a lane makes its connections with when its plan has SSE kinds."""
    return lambda lane: SseConnection(lane, side, identify)
