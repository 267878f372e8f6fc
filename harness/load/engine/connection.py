"""One keep-alive HTTP/1.1 connection: one request at a time, four timestamps each, no object a request.

Times are CLOCK_MONOTONIC nanoseconds. ``sent`` is taken before the request is given to the socket (it leaves at the end of the same
turn of the loop), ``first byte`` when the first data of the answer came, ``done`` when its last body byte was parsed.
This is the hot path: what looks like a lookup saved here is one, tens of thousands of times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import httptools

from harness.load.engine.verify import Prepared

if TYPE_CHECKING:
    from harness.load.engine.lane import Lane

now_ns = time.monotonic_ns
FINAL = 200  # answers below are informational
NOTHING = -1  # index of an idle connection
MAX_BODY_BYTES = 64 << 20
Write = Callable[[bytes], Any]


class Connection(asyncio.Protocol):
    """``send`` may be called when ``open`` and ``index`` is NOTHING; the lane hears of the end of each exchange."""

    __slots__ = (
        "_feed",
        "_keep_alive",
        "_lane",
        "_parser",
        "_parts",
        "_status",
        "_transport",
        "_write",
        "first_data",
        "first_ns",
        "index",
        "length",
        "open",
        "request",
        "sent_ns",
        "used",
    )

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._parser: Any = httptools.HttpResponseParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self._status: Callable[[], int] = self._parser.get_status_code
        self._keep_alive: Callable[[], bool] = self._parser.should_keep_alive
        self._parts: list[bytes] = []
        self.first_data = b""  # of the answer at work
        self._transport: asyncio.Transport | None = None
        self._write: Write = _not_connected
        self.request: Prepared | None = None
        self.index = NOTHING
        self.sent_ns = self.first_ns = self.length = 0
        self.open = self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, which is no subclass
        self._write = self._transport.write
        self.open = True

    def send(self, index: int, request: Prepared, sent_ns: int = 0) -> None:
        """Write the arrival ``index``. ``sent_ns``: when its connect was issued, where it had to wait for that (the server's time)."""
        self.index = index
        self.request = request
        self.first_ns = self.length = 0
        self.first_data = b""
        payload = request.before + request.identify(index) + request.after if request.identify is not None else request.payload
        self.sent_ns = sent_ns or now_ns()
        self._write(payload)

    def data_received(self, data: bytes) -> None:
        if not self.first_data:
            self.first_ns = now_ns()
            self.first_data = data
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.close()  # what was asked is reported broken when the connection is gone

    def on_body(self, body: bytes) -> None:
        self.length += len(body)
        request = self.request
        if request is not None and request.reads_body:
            self._parts.append(body)
            if self.length > MAX_BODY_BYTES:
                self.close()

    def on_message_complete(self) -> None:
        status = self._status()
        index, request = self.index, self.request
        if status < FINAL:  # 100 Continue, 103 Early Hints: the answer is still to come
            return
        if index < 0 or request is None:  # an answer nobody asked for, e.g. 408 on an idle connection
            self.close()
            return
        done_ns = now_ns()
        self.index = NOTHING
        self.used = True
        lane = self._lane
        if request.reads_body:
            body, self._parts = b"".join(self._parts), []
            lane.read(self, index, done_ns, status, body)
        elif status == request.expect_status and (request.any_length or self.length == request.expect_bytes):
            lane.record(index, self.sent_ns, self.first_ns, done_ns, self.length, status, 0)
        else:
            outcome = request.outcome(status, self.length)
            lane.record(index, self.sent_ns, self.first_ns, done_ns, self.length, status, outcome)
            lane.failed(request, outcome, status, self.first_data, "")
        if self._keep_alive() and self.open:
            lane.free(self)
        else:
            self.close()

    def eof_received(self) -> None:
        self.open = False

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if error is None and self.index >= 0 and self.first_data and self._ends_with_the_connection():
            self.on_message_complete()
        self._lane.gone(self)
        del self._parser, self._feed, self._status, self._keep_alive  # each holds the connection: no work for the collector

    def _ends_with_the_connection(self) -> bool:
        """An answer without a length ends where the connection ends; one with a length is broken there."""
        head, whole, _ = self.first_data.lower().partition(b"\r\n\r\n")
        return bool(whole) and not any(name in head for name in (b"\r\ncontent-length:", b"\r\ntransfer-encoding:"))

    def close(self) -> None:
        """Give the connection up. Under a request it is reset: what is still to be written must not hold it open."""
        self.open = False
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.abort if self.index >= 0 else self._transport.close)()


def _not_connected(_payload: bytes) -> None:
    raise AssertionError("send before the connection was made")
