"""One health check: a command that exits 0, or an HTTP address that answers 2xx. The answer is "" or why not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from harness.topology.model import HealthCheck
from harness.topology.processes import Children, kill_group, spawn


class Silence(str):
    """A problem of its own kind: nothing was answered at all."""

    __slots__ = ()


async def ask_http(address: str, timeout_s: float) -> str:
    url = urlsplit(address)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode("ascii"))
            await writer.drain()
            status = (await reader.readline()).decode("latin-1").strip()
    except TimeoutError:
        return Silence(f"{address} did not answer within {timeout_s:g} s")
    except (OSError, ValueError) as error:
        return f"{address}: {error}"
    finally:
        if writer is not None:
            writer.transport.abort()
    words = status.split()
    return "" if len(words) > 1 and words[1].startswith("2") else f"{address} answered {status or 'nothing'!r}"


async def ask_port(port: int, timeout_s: float) -> str:
    """Does anybody listen? Costs nothing, says little."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError) as error:
        return f"nobody listens on port {port}: {error}"
    writer.transport.abort()
    return ""


async def ask_command(check: HealthCheck, environment: Mapping[str, str], folder: Path, log: Path, children: Children) -> str:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        pid = spawn(check.command, environment, folder, descriptor)
    except OSError as error:
        return f"the health command cannot be started: {error}"
    finally:
        os.close(descriptor)
    children.watch(pid, lambda code: None if ended.done() else ended.set_result(code))
    try:
        async with asyncio.timeout(check.timeout_s):
            code = await ended
    except TimeoutError:
        return Silence(f"the health command did not end within {check.timeout_s:g} s")
    finally:
        if not ended.done() or ended.cancelled():
            kill_group(pid)
    return "" if code == 0 else f"the health command exited with {code}: {last_words(log, 1)}"


def last_words(log: Path, lines: int) -> str:
    """The last lines of a log, read from its end only."""
    with contextlib.suppress(OSError), log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 16_384))
        return "\n".join(stream.read().decode("utf-8", "replace").strip().splitlines()[-lines:])
    return ""
