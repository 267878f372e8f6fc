"""The control socket of a supervisor: one JSON line asks, one JSON line answers. Only the stack's user can open it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from harness.topology.errors import StackGone, TopologyError
from harness.topology.wire import decode, encode

_LONGEST_REQUEST = 1 << 16
_LONGEST_ANSWER = 1 << 26


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """``op`` and what it acts on: a service, a signal's name, or the sequence number after which events are wanted."""

    op: str
    service: str = ""
    signal: str = ""
    after: int = 0


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """``result`` is JSON of the type that the operation promises; ``error``, ``place``, ``remedy`` where it was refused."""

    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    place: str = ""
    remedy: str = ""


async def serve(path: Path, handle: Callable[[Request], Awaitable[object]]) -> asyncio.Server:
    """Listen on ``path`` (mode 0600) and answer each request with what ``handle`` returns or raises."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                line = await reader.readline()
            if line:
                writer.write(encode(await _answer(line, handle)) + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # the asker went away or sent no line: nothing to tell anybody
        finally:
            writer.close()

    before = os.umask(0o177)  # the socket must never be open to others, not even between bind and chmod
    try:
        return await asyncio.start_unix_server(connected, path, limit=_LONGEST_REQUEST)
    finally:
        os.umask(before)


async def _answer(line: bytes, handle: Callable[[Request], Awaitable[object]]) -> Answer:
    try:
        result = await handle(decode(line, Request))
    except TopologyError as error:
        return Answer(ok=False, error=error.error, place=error.place, remedy=error.remedy)
    except msgspec.MsgspecError as error:
        return Answer(ok=False, error=f"not a request: {error}", place="control socket", remedy="send one JSON object with 'op'")
    return Answer(ok=True, result=msgspec.Raw(encode(result)))


def ask(path: Path, request: Request, timeout_s: float = 10.0) -> bytes:
    """Send one request and return the JSON of its result; raises ``StackGone`` or what the supervisor answered."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(timeout_s)
            wire.connect(os.fspath(path))
            wire.sendall(encode(request) + b"\n")
            line = _line(wire)
    except OSError as error:
        raise StackGone(f"the supervisor does not answer: {error}", str(path), "start a new stack") from error
    answer = decode(line, Answer)
    if not answer.ok:
        raise TopologyError(answer.error, answer.place, answer.remedy)
    return bytes(answer.result)


def _line(wire: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        part = wire.recv(65_536)
        if not part or len(received) > _LONGEST_ANSWER:
            raise ConnectionResetError("the answer was cut off")
        received += part
    return bytes(received)
