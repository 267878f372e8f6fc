"""Request data: ``[requests.NAME]`` of ``harness.toml``, made into bytes once, before the first arrival."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from harness.core.errors import Blocked, UsageError, listing, nearest_word

MAX_POOL = 100_000
ID_LENGTH = 24  # every request id has this length, so that it can be written into prepared bytes
ID_PLACEHOLDER = b"#" * ID_LENGTH


class RequestKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one kind of request is. ``pool`` is a JSON Lines file of bodies, relative to the project."""

    op: str
    path: str
    method: str = "POST"
    key: str = ""  # role whose API key is sent; empty for none
    pool: str = ""
    expect_status: int = 200
    expect_nonempty: str = ""  # member of the JSON answer that must be a non-empty list
    replayable: bool = False  # reads may be sent again when an idle connection was closed under them


class Address(msgspec.Struct, frozen=True):
    """Where requests go: ``prefix`` is the path of the base URL, without a slash at its end."""

    host: str
    port: int
    prefix: str


def local_address(base_url: str) -> Address:
    """The address of a target on this machine; ``Blocked`` for any other and for TLS, ``UsageError`` for what is no URL."""
    try:
        url = urlsplit(base_url)
        host, port = url.hostname or "", url.port or 80
    except ValueError as error:
        raise UsageError(f"{base_url!r} is no address: {error}", file="harness.toml", place="[target] base_url") from None
    if url.scheme not in {"http", "https"} or not host:
        remedy = "write it like http://127.0.0.1:8000"
        raise UsageError(f"{base_url!r} is no address", file="harness.toml", place="[target] base_url", remedy=remedy)
    if not _loopback(host):
        raise Blocked(f"{host} is not on this machine: load goes to loopback addresses only")
    if url.scheme == "https":
        raise Blocked("the load engine speaks http only, not https")
    return Address(host, port, url.path.rstrip("/"))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def request_kind(configuration: Mapping[str, Any], name: str) -> RequestKind:
    """``[requests.NAME]``; an unknown name lists the known ones."""
    table = configuration.get("requests", {})
    if name not in table:
        raise UsageError(
            f"there is no request kind {name!r}",
            file="harness.toml",
            place="[requests]",
            nearest=nearest_word(name, table),
            remedy=f"known: {listing(table)}; add a table [requests.{name}]",
        )
    try:
        return msgspec.convert(table[name], RequestKind)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), file="harness.toml", place=f"[requests.{name}]") from None


def bodies(kind: RequestKind, project: Path) -> list[bytes]:
    """The bodies of the pool, each checked to be JSON; one empty body when the kind has no pool."""
    if not kind.pool:
        return [b""]
    path = project / kind.pool
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(
            f"the request pool cannot be read: {error.strerror}", file=kind.pool, remedy="correct `pool` in harness.toml"
        ) from None
    found: list[bytes] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            json.loads(line)
        except ValueError as error:
            raise UsageError(f"this line is not JSON: {error}", file=kind.pool, line=number, remedy="one JSON body a line") from None
        found.append(line)
    if not 1 <= len(found) <= MAX_POOL:
        raise UsageError(f"the pool has {len(found)} bodies", file=kind.pool, remedy=f"give 1 to {MAX_POOL} lines")
    return found


def prepared(kind: RequestKind, body: bytes, host: str, key: str, key_header: str) -> bytes:
    """The whole HTTP/1.1 request with a placeholder for its id."""
    head = [
        f"{kind.method} {kind.path} HTTP/1.1",
        f"Host: {host}",
        "Connection: keep-alive",
        "Accept: application/json",
        "X-Request-ID: " + ID_PLACEHOLDER.decode(),
    ]
    if key:
        head.append(f"{key_header}: {key}")
    if body or kind.method not in {"GET", "HEAD"}:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body
