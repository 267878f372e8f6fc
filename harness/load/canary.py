"""The canary's server, a process of its own: answers after a known delay and says how long it really held each request.

``python -m harness.load.canary --delay-ms 5`` prints its port. The body of an answer is the hold in nanoseconds, measured
by the server from the request's arrival to just before the answer is written: truth = what this server says.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import cast

import uvloop

MAX_REQUEST_BYTES = 1 << 16
EARLY_MAX_S = 0.0001


class Echo(asyncio.Protocol):
    """Answers every request after the delay. Requests of one connection come one at a time."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, which is no subclass

    def data_received(self, data: bytes) -> None:
        arrived_ns = time.monotonic_ns()
        self._buffer += data
        if len(self._buffer) > MAX_REQUEST_BYTES and self._transport is not None:
            self._transport.close()
        while b"\r\n\r\n" in self._buffer:
            _, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            asyncio.get_running_loop().call_later(self._delay_s, self._answer, arrived_ns)

    def _answer(self, arrived_ns: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        early_s = self._delay_s - (time.monotonic_ns() - arrived_ns) / 1e9
        if early_s > EARLY_MAX_S:  # the loop's clock is that of its last turn: its timers may come too soon
            asyncio.get_running_loop().call_later(early_s, self._answer, arrived_ns)
            return
        held = str(time.monotonic_ns() - arrived_ns).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(held), held))


async def serve(delay_s: float) -> None:
    """Listen on a free loopback port until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Echo(delay_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.load.canary")
    parser.add_argument("--delay-ms", type=float, default=5.0)
    uvloop.run(serve(parser.parse_args().delay_ms / 1000))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
