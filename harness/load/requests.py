"""Request data: ``[requests.NAME]`` of ``harness.toml``, made into requests once, before the first arrival."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from harness.core.errors import Blocked, UsageError, listing, nearest_word

MAX_POOL = 100_000
ID_LENGTH = 24  # every request id has this length
ID_DIGITS = 8
ID_STEP = 8  # characters of the step's name in front of the number
HTTP_OK = 200
ID_HEADER = b"X-Request-ID: "


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer must be beside its status; any of it makes the engine keep and read bodies."""

    schema: str = ""  # JSON Schema file, relative to the project
    nonempty: str = ""  # member of the JSON answer that must be a non-empty list
    events: int = 0  # of an event stream: done when so many have come; 0: when it ends
    descending: str = ""  # LIST.MEMBER: numbers that must not rise along the list, e.g. results.score


class RequestKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one kind of request is. ``pool`` is a JSON Lines file of bodies, relative to the project."""

    op: str
    path: str
    method: str = "POST"
    protocol: Literal["http", "sse", "grpc", "grpc_stream"] = "http"
    base_url: str = ""  # where this kind goes when it is not the target itself (a gRPC port); loopback only
    key: str = ""  # role whose API key is sent; empty for none
    principals: tuple[str, ...] = ()  # roles dealt in turn over the pool, in place of `key`
    pool: str = ""
    request_id: bool = True  # false: no X-Request-ID is sent (and none stands in the samples)
    expect_status: int = HTTP_OK  # for gRPC kinds the code of its own, OK when not given
    expect_bytes: int = -1  # exact length of the body; -1: any
    expect_nonempty: str = ""  # short for expect.nonempty
    expect: Expected = Expected()
    keep_answers: bool = False  # bodies go to the sample stream `answers`, for checkers that read them (an oracle)
    replayable: bool = False  # reads may be sent again when an idle connection was closed under them

    @property
    def is_grpc(self) -> bool:
        """Whether it is spoken over HTTP/2 by the gRPC library; ``path`` is then ``/package.Service/Method``."""
        return self.protocol in {"grpc", "grpc_stream"}

    @property
    def status(self) -> int:
        """The status of a good answer; gRPC's OK is 0."""
        return 0 if self.is_grpc and self.expect_status == HTTP_OK else self.expect_status

    @property
    def roles(self) -> tuple[str, ...]:
        """Whose keys are sent, in turn; one empty role for none."""
        return self.principals or (self.key,)


class PlannedRequest(msgspec.Struct, frozen=True):
    """One request that an arrival may choose by its place in the plan's ``requests``. ``key`` is a tag of the samples, no secret."""

    kind: int  # place in the plan's `kinds`
    body: str = ""
    role: str = ""
    key: str = ""  # e.g. the hot key it asks for


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
    place = f"[requests.{name}]"
    try:
        kind = msgspec.convert(table[name], RequestKind)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), file="harness.toml", place=place) from None
    if kind.method == "HEAD":  # an answer with a length and no body: the parser would wait for the body
        raise UsageError("the load engine does not send HEAD", file="harness.toml", place=place, remedy="use GET")
    if kind.key and kind.principals:
        raise UsageError("`key` and `principals` exclude each other", file="harness.toml", place=place, remedy="keep one of them")
    return kind


def planned_requests(kind: RequestKind, pool: Sequence[bytes], number: int = 0) -> tuple[PlannedRequest, ...]:
    """The requests of one kind: every body, its roles in turn; each role at least once. ``number``: the kind's place in the plan."""
    roles = kind.roles
    count = max(len(pool), len(roles))
    return tuple(
        PlannedRequest(kind=number, body=pool[place % len(pool)].decode(), role=roles[place % len(roles)]) for place in range(count)
    )


def request_id(step: str, index: int) -> str:
    """The id of the plan's arrival ``index``: 24 characters."""
    return f"{step[:ID_STEP]}-{index:0{ID_DIGITS}d}".ljust(ID_LENGTH, "x")


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


def head(kind: RequestKind, body: bytes, host: str, key: str, key_header: str) -> tuple[bytes, bytes]:
    """The HTTP/1.1 request before and after its id: ``before + id + after``, or ``before + after`` when the kind sends none."""
    first = [f"{kind.method} {kind.path} HTTP/1.1", f"Host: {host}"]
    rest = ["Connection: keep-alive", f"Accept: {'text/event-stream' if kind.protocol == 'sse' else 'application/json'}"]
    if key:
        rest.append(f"{key_header}: {key}")
    if body or kind.method not in {"GET", "HEAD"}:
        rest += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    before = "\r\n".join(first).encode("ascii") + b"\r\n"
    after = "\r\n".join(rest).encode("ascii") + b"\r\n\r\n" + body
    return (before + ID_HEADER, b"\r\n" + after) if kind.request_id else (before, after)
