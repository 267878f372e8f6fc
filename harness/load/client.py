"""A keep-alive HTTP/1.1 client for measuring: one request at a time a connection, four timestamps each, nothing hidden.

Times are CLOCK_MONOTONIC nanoseconds. A response counts as done when its last body byte was parsed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, cast

import httptools

now_ns = time.monotonic_ns
MAX_BODY_BYTES = 64 << 20


class Exchange:
    """One request and what became of it; filled by the connection that carries it."""

    __slots__ = (
        "body",
        "connection",
        "done_ns",
        "first_byte_ns",
        "index",
        "intended_ns",
        "length",
        "outcome",
        "payload",
        "request_id",
        "retried",
        "sent_ns",
        "status",
        "timer",
    )

    def __init__(self, index: int, intended_ns: int, payload: bytes, request_id: str) -> None:
        self.index = index
        self.intended_ns = intended_ns
        self.payload = payload
        self.request_id = request_id
        self.sent_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.done_ns: int | None = None
        self.status = 0
        self.length = 0
        self.body = b""
        self.outcome = ""
        self.retried = False
        self.timer: asyncio.TimerHandle | None = None
        self.connection: Connection | None = None  # that carries it now


class Pool(Protocol):
    """Who owns connections: told when one is free, gone, or has finished an exchange."""

    def idle(self, connection: Connection) -> None: ...
    def gone(self, connection: Connection) -> None: ...
    def finished(self, exchange: Exchange) -> None: ...
    def broken(self, exchange: Exchange, *, before_answer: bool) -> None: ...


class Connection(asyncio.Protocol):
    """One TCP connection; ``send`` may be called when it is idle."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self._parts: list[bytes] = []
        self._header: Callable[[bytes, bytes], None] | None = None
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, which is no subclass

    def send(self, exchange: Exchange) -> None:
        """Write the request; its send time is taken just before."""
        assert self._transport is not None
        assert self.exchange is None
        self.exchange, exchange.connection = exchange, self
        exchange.sent_ns = now_ns()
        self._transport.write(exchange.payload)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is not None and exchange.first_byte_ns is None:
            exchange.first_byte_ns = now_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.connection = None
        parts, self._parts = self._parts, []
        keep_alive = self._parser.should_keep_alive()
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        if exchange is not None:
            exchange.done_ns = now_ns()
            exchange.status = status
            exchange.body = b"".join(parts)
            exchange.length = len(exchange.body)
        self.used = True
        if keep_alive:
            self._pool.idle(self)
        else:
            self.close()
        if exchange is not None:
            self._pool.finished(exchange)

    def connection_lost(self, _error: Exception | None) -> None:
        exchange, self.exchange = self.exchange, None
        self._pool.gone(self)
        if exchange is not None:
            exchange.connection = None
            self._pool.broken(exchange, before_answer=self.used and exchange.first_byte_ns is None)

    def abandon(self) -> None:
        """Give up on the exchange at work (it timed out): the connection cannot be used again."""
        self.exchange = None
        self.close()

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self.exchange is None
