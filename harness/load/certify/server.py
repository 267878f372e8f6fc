"""The reference server, a process of its own: ``python -m harness.load.certify.server SCRIPT.json LOG.tsv.gz``.

It answers every GET after its base service time, or does what the script says to that request id; during a stall its only thread
sleeps, so that clients see exactly what a stopped process shows: the kernel accepts connections and bytes, nothing is read. Every
request leaves one line in the log. Answers are written to the socket at once (the event loop would collect them until the end
of its turn), with a clock reading before and after.

Its first line of output is its port. ``end`` on its input makes it write the log and say so; the end of its input ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import heapq
import os
import re
import resource
import socket
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from harness.load.certify.script import ServerScript
from harness.load.certify.timer import Alarm, make_alarm

now_ns = time.monotonic_ns
REQUEST_MAX_BYTES = 1 << 16
LOG_MAX = 5_000_000
BACKLOG = 65_535
WHO = b"/reference"  # asked by the lying engines before they send anything: they work against this server only
_ID = re.compile(rb"\r\nx-request-id: *([^\r\n]{1,200})\r\n", re.IGNORECASE)
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time: closing sends a reset
BODY = b'{"results": ["reference"]}'
ANSWERS = {
    200: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    429: b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}",
}
OK, RATE_LIMITED, RESET, ABANDONED = 200, 429, 0, -1
Entry = tuple[str, int, int, int, int, int]


class Decision:
    """What happens to a request id: a pure function of script, seed and id."""

    def __init__(self, script: ServerScript) -> None:
        self._plain = not (script.tail_share or script.reset_share or script.limit_share)
        self._base_ns = round(script.base_ms * 1e6)
        self._tail_ns = round(script.tail_ms * 1e6)
        self._script = script
        self._seed = script.seed & 0xFFFFFFFF

    def of(self, request_id: bytes) -> tuple[int, int]:
        """(hold in ns, status)."""
        if self._plain:
            return self._base_ns, OK
        script = self._script
        draw = zlib.crc32(request_id, self._seed) * 0x9E3779B1 % (1 << 32) / (1 << 32)
        for share, found in (
            (script.reset_share, (self._base_ns, RESET)),
            (script.limit_share, (self._base_ns, RATE_LIMITED)),
            (script.tail_share, (self._base_ns + self._tail_ns, OK)),
        ):
            if draw < share:
                return found
            draw -= share
        return self._base_ns, OK


class ReferenceServer:
    """Keeps what is due in order of time and answers it then; one alarm for all."""

    def __init__(self, script: ServerScript, token: bytes) -> None:
        self.token = token
        self.log: list[Entry] = []
        self.stalls: list[tuple[int, int]] = []
        self.decision = Decision(script)
        self._script = script
        self._due: list[tuple[int, int, Connection, bytes, int, int, int]] = []
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._alarm: Alarm = make_alarm(self._loop, self._answer_due)

    def arrived(self, connection: Connection, request_id: bytes, arrival_ns: int) -> None:
        """A request was read; the first one of all starts the clock of the stalls."""
        if not self._number:
            for stall in self._script.stalls:
                self._loop.call_later(stall.after_s, self._stall, stall.length_s)
        self._number += 1
        hold_ns, status = self.decision.of(request_id)
        entry = (arrival_ns + hold_ns, self._number, connection, request_id, arrival_ns, hold_ns, status)
        heapq.heappush(self._due, entry)
        if self._due[0] is entry:
            self._alarm.set(entry[0])

    def _answer_due(self) -> None:
        due = self._due
        while due and due[0][0] <= now_ns():
            _, _, connection, request_id, arrival_ns, hold_ns, status = heapq.heappop(due)
            status, answer_ns, written_ns = connection.answer(status)
            if len(self.log) < LOG_MAX:
                self.log.append((request_id.decode("latin-1"), arrival_ns, hold_ns, answer_ns, written_ns, status))
        if due:
            self._alarm.set(due[0][0])

    def _stall(self, length_s: float) -> None:
        """The one thread stands still: nothing is accepted, read or answered."""
        begin_ns = now_ns()
        time.sleep(length_s)
        self.stalls.append((begin_ns, now_ns()))

    def encoded_log(self) -> bytes:
        """The log as gzip: id, arrival, hold, answer, written (ns), status; comments with ``#``."""
        if len(self.log) >= LOG_MAX:
            raise MemoryError(f"more than {LOG_MAX} requests: the log is not whole")
        lines = ["#reference-server\t1", *(f"#stall\t{begin}\t{end}" for begin, end in self.stalls)]
        lines.append("#id\tarrival_ns\thold_ns\tanswer_ns\twritten_ns\tstatus")
        lines += ["\t".join(map(str, entry)) for entry in self.log]
        return gzip.compress("\n".join(lines).encode() + b"\n", compresslevel=3, mtime=0)


class Connection(asyncio.Protocol):
    """One client connection; requests on it come one at a time, or pipelined."""

    __slots__ = ("_buffer", "_descriptor", "_server", "_transport")

    def __init__(self, server: ReferenceServer) -> None:
        self._server = server
        self._buffer = b""
        self._descriptor = -1
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, which is no subclass
        self._descriptor = transport.get_extra_info("socket").fileno()

    def connection_lost(self, _error: Exception | None) -> None:
        self._descriptor = -1

    def data_received(self, data: bytes) -> None:
        arrival_ns = now_ns()
        if self._buffer:
            data = self._buffer + data
        while (end := data.find(b"\r\n\r\n") + 4) > 3:
            self._request(data[:end], arrival_ns)
            data = data[end:]
        self._buffer = data
        if len(data) > REQUEST_MAX_BYTES:
            self._close(b"HTTP/1.1 431 X\r\nContent-Length: 0\r\n\r\n")

    def _request(self, head: bytes, arrival_ns: int) -> None:
        if not head.startswith(b"GET "):
            self._close(b"HTTP/1.1 405 X\r\nContent-Length: 0\r\n\r\n")
            return
        path = head[4 : head.find(b" ", 4)]
        if path == WHO:
            self._send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(self._server.token), self._server.token))
            return
        found = _ID.search(head)
        if found is None:
            self._close(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")
            return
        self._server.arrived(self, found[1], arrival_ns)

    def answer(self, status: int) -> tuple[int, int, int]:
        """Do what was decided; (what became of it, ns just before, ns just after)."""
        answer_ns = now_ns()
        if self._descriptor < 0 or self._transport is None or self._transport.is_closing():
            return ABANDONED, answer_ns, answer_ns
        if status == RESET:
            sock = socket.socket(fileno=os.dup(self._descriptor))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()  # the copy only
            self._transport.abort()
            return RESET, answer_ns, now_ns()
        if not self._send(ANSWERS[status]):
            return ABANDONED, answer_ns, now_ns()
        return status, answer_ns, now_ns()

    def _send(self, content: bytes) -> bool:
        """Write to the socket now; what does not fit goes by the event loop. False when the client has gone."""
        assert self._transport is not None
        try:
            written = os.write(self._descriptor, content)
        except BlockingIOError:
            written = 0
        except OSError:
            return False
        if written < len(content):
            self._transport.write(content[written:])
        return True

    def _close(self, content: bytes) -> None:
        self._send(content)
        if self._transport is not None:
            self._transport.close()


async def serve(script: ServerScript, token: bytes) -> ReferenceServer | None:
    """Listen on a free loopback port until told to end; None when nobody is left who could tell."""
    loop = asyncio.get_running_loop()
    reference = ReferenceServer(script, token)
    server = await loop.create_server(lambda: Connection(reference), "127.0.0.1", 0, backlog=BACKLOG)
    told: asyncio.Future[bytes] = loop.create_future()
    loop.add_reader(sys.stdin.fileno(), lambda: None if told.done() else told.set_result(os.read(sys.stdin.fileno(), 100)))
    print(server.sockets[0].getsockname()[1], flush=True)
    said = await told
    server.close()
    return reference if said.startswith(b"end") else None


def raise_descriptor_limit() -> None:
    """As many connections as the machine allows this user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft != resource.RLIM_INFINITY else soft, hard))


def main() -> int:
    script = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ServerScript)
    raise_descriptor_limit()
    gc.collect()
    gc.freeze()
    gc.disable()  # a log of millions of tuples and no cycles: collecting would show in the figures
    reference = uvloop.run(serve(script, os.environ.get("EH_REFERENCE_TOKEN", "").encode()))
    if reference is not None:
        Path(sys.argv[2]).write_bytes(reference.encoded_log())
        print(f"written {len(reference.log)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
