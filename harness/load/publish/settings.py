"""``[publish.grafana]`` and ``[publish.remote_write]`` of harness.toml, decoded strictly. Without them nothing is sent to anybody.

Only loopback is spoken to, and the hosts that the table names. A token comes from the environment; plain HTTP carries it to loopback only.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from harness.core.errors import UsageError, listing, nearest_word
from harness.core.secrets import Secret
from harness.core.units import Duration

TIMEOUT_MAX_S = 30.0
LOCAL_NAMES = frozenset({"localhost"})


class GrafanaTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``url``: of Grafana itself. ``api``: ``legacy`` is /api/annotations, ``apis`` what Grafana 13 puts in its place."""

    url: str
    token_variable: str = "GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
    api: Literal["legacy", "apis"] = "legacy"
    namespace: str = "default"  # of `apis`: the organisation
    dashboard_uid: str = ""  # without one, annotations belong to the organisation
    panel_id: int = 0
    hosts: tuple[str, ...] = ()  # that may be spoken to besides loopback
    timeout: str = "2 s"


class RemoteWriteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``url``: the receiver, with its path. ``labels``: added to every series."""

    url: str
    token_variable: str = ""
    labels: Mapping[str, str] = {}
    hosts: tuple[str, ...] = ()
    timeout: str = "5 s"


class PublishTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole ``[publish]``."""

    grafana: GrafanaTable | None = None
    remote_write: RemoteWriteTable | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """Somebody to speak to: checked address, time-out, token; ``missing`` says which variable holds no token."""

    url: str
    timeout_s: float
    token: Secret
    missing: str = ""


def decode(tables: Mapping[str, Any]) -> PublishTable:
    """``[publish]`` of harness.toml; ``UsageError`` for what is wrong with it, addresses included."""
    given = tables.get("publish", {})
    for name, table in given.items() if isinstance(given, Mapping) else ():
        _known(name, ["grafana", "remote_write"], "[publish]")
        kind = GrafanaTable if name == "grafana" else RemoteWriteTable
        for key in table if isinstance(table, Mapping) else ():
            _known(key, [field.name for field in msgspec.structs.fields(kind)], f"[publish.{name}]")
    try:
        found = msgspec.convert(given, PublishTable)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), file="harness.toml", place="[publish]", remedy="docs/publishing.md shows both tables") from None
    if found.grafana is not None:
        grafana_peer(found.grafana)
    if found.remote_write is not None:
        remote_write_peer(found.remote_write)
    return found


def _known(name: str, known: list[str], place: str) -> None:
    if name not in known:
        near = nearest_word(name, known)
        raise UsageError(f"unknown key {name!r}", file="harness.toml", place=place, nearest=near, remedy=f"known: {listing(known)}")


def grafana_peer(table: GrafanaTable) -> Peer:
    """Where Grafana is."""
    return _peer("[publish.grafana]", table.url, table.hosts, table.timeout, table.token_variable)


def remote_write_peer(table: RemoteWriteTable) -> Peer:
    """Where the receiver is."""
    return _peer("[publish.remote_write]", table.url, table.hosts, table.timeout, table.token_variable)


def _peer(place: str, url: str, hosts: tuple[str, ...], timeout: str, variable: str) -> Peer:
    parts, local = _checked(place, url, hosts)
    timeout_s = Duration.parse(timeout).seconds
    if not 0 < timeout_s <= TIMEOUT_MAX_S:
        raise _wrong(place, f"timeout {timeout}", f"give one of at most {TIMEOUT_MAX_S:g} s")
    token = Secret(os.environ.get(variable, "") if variable else "")
    if token and parts.scheme != "https" and not local:
        raise _wrong(place, f"{url}: a token would go over plain HTTP to another machine", "use https, or an empty token_variable")
    return Peer(url.rstrip("/"), timeout_s, token, variable if variable and not token else "")


def _checked(place: str, url: str, hosts: tuple[str, ...]) -> tuple[SplitResult, bool]:
    """The parts of an address that may be spoken to, and whether it is loopback."""
    try:
        parts = urlsplit(url)
        host, _port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise _wrong(place, f"{url!r} is no address: {error}", "write it like http://127.0.0.1:3000") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise _wrong(place, f"{url!r} is no http address", "write it like http://127.0.0.1:3000")
    if parts.username is not None or parts.query or parts.fragment:
        raise _wrong(place, "the address holds a user, a query or a fragment", "leave them out; a token comes from the environment")
    local = is_loopback(host)
    if not local and host not in {name.lower() for name in hosts}:
        raise _wrong(place, f"{host} is not on this machine", f'add it if that is meant: hosts = ["{host}"]')
    return parts, local


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(place: str, message: str, remedy: str) -> UsageError:
    return UsageError(message, file="harness.toml", place=place, remedy=remedy)
