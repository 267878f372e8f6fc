"""Reads a compose file as a ``Topology``: the services, their health checks, restart policies and dependencies.

``x-profiles`` of a service says how it runs as a plain process. A key that is not supported is refused, never ignored: a
silently dropped restart policy would make every figure on recovery a lie.
"""

from __future__ import annotations

import graphlib
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.topology.document import Item, read_document
from harness.topology.errors import ProfileUnavailable
from harness.topology.model import HealthCheck, RestartPolicy, Service, Topology, unknown_word
from harness.topology.variables import STACK_VARIABLES, BadReference, Reference, parse, variables_in

_TOP_KEYS = ("name", "services", "secrets", "volumes")
_CONTAINER_KEYS = ("image", "entrypoint", "volumes")  # meaningful to a container engine only
_SERVICE_KEYS = (
    *_CONTAINER_KEYS,
    *(
        "command",
        "environment",
        "healthcheck",
        "restart",
        "depends_on",
        "secrets",
        "ports",
        "stop_signal",
        "stop_grace_period",
        "x-profiles",
    ),
)
_CHECK_KEYS = ("test", "interval", "timeout", "retries", "start_period", "start_interval")
_PROFILE_KEYS = ("command", "health", "environment")
_PORT_NAME = re.compile(r"[A-Z][A-Z0-9_]*_PORT")
_CONTAINER_PORT = re.compile(r":\d+(/tcp)?")
_VARIABLE_NAME = re.compile(r"[^=\x00]+")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNIT_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_RESTART = re.compile(r"(no|always|unless-stopped|on-failure)(?::(\d+))?")


def load_topology(path: Path, profile: str, project_root: Path) -> Topology:
    """The services of ``profile`` in the compose file ``path``, dependencies first.

    Raises ``TopologyError`` with file and line for anything not understood, ``ProfileUnavailable`` where a service has no such profile.
    """
    document = read_document(path)
    _check_references(document)
    top = document.mapping()
    for key, item in top.items():
        if key not in _TOP_KEYS and not key.startswith("x-"):  # x- at the top holds anchors only
            raise unknown_word(key, "key", _TOP_KEYS, f"{path}:{item.line}")
    if "services" not in top:
        raise document.error("has no services", "add 'services:'")
    entries = top["services"].mapping()
    secrets = tuple(top["secrets"].mapping()) if "secrets" in top else ()
    ports = {name: _ports(entry.only(_SERVICE_KEYS, "service").get("ports")) for name, entry in entries.items()}
    known = STACK_VARIABLES | {variable for names in ports.values() for variable in names}
    services = {name: _service(name, entry, profile, ports[name], secrets, known) for name, entry in entries.items()}
    order = _order(top["services"], services)
    return Topology(
        file=path.absolute(),
        profile=profile,
        project_root=project_root.absolute(),
        services=tuple(services[name] for name in order),
        secrets=secrets,
    )


def _service(name: str, entry: Item, profile: str, ports: tuple[str, ...], secrets: tuple[str, ...], known: frozenset[str]) -> Service:
    keys = entry.mapping()
    chosen = _profile(name, entry, profile)
    _check_variables(chosen, known)
    parts = chosen.only(_PROFILE_KEYS, "profile")
    if "command" not in parts or not parts["command"].items():
        raise chosen.error(f"profile {profile!r} of {name!r} has no command", "add 'command: [program, argument, …]'")
    environment, inherited = _environment(parts.get("environment"))
    return Service(
        name=name,
        command=parts["command"].texts(),
        environment=environment,
        inherited=inherited,
        health=_health(keys.get("healthcheck"), parts.get("health")),
        restart=_restart(keys.get("restart")),
        depends_on=_dependencies(keys.get("depends_on")),
        ports=ports,
        secrets=_secrets(keys.get("secrets"), secrets),
        stop_signal=_stop_signal(keys.get("stop_signal")),
        stop_grace_s=_seconds(keys.get("stop_grace_period"), 10.0),
    )


def _environment(item: Item | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Values by name, and the names without a value: those are taken from the environment of whoever starts, or stay unset."""
    if item is None or item.empty:
        return {}, ()
    if isinstance(item.value, dict):
        pairs = {key: None if value.empty else value.text() for key, value in item.value.items()}
    else:  # lines of NAME=value; the last one of a name counts
        lines = [entry.text().partition("=") for entry in item.items()]
        pairs = {name: text if equals else None for name, equals, text in lines}
    for name in pairs:
        if not _VARIABLE_NAME.fullmatch(name):
            raise item.error(f"{name!r} cannot be the name of a variable", "write NAME: value, or - NAME=value")
    return {name: text for name, text in pairs.items() if text is not None}, tuple(name for name, text in pairs.items() if text is None)


def _profile(name: str, entry: Item, profile: str) -> Item:
    profiles = entry.mapping().get("x-profiles")
    offered = profiles.mapping() if profiles else {}
    if profile not in offered:
        place = f"{entry.file}:{(profiles or entry).line}"
        remedy = f"choose one of {', '.join(offered)}, or add x-profiles.{profile}" if offered else f"add x-profiles.{profile}"
        raise ProfileUnavailable(f"service {name!r} has no profile {profile!r}", place, remedy)
    return offered[profile]


def _health(check: Item | None, probe: Item | None) -> HealthCheck:
    timing = check.only(_CHECK_KEYS, "healthcheck") if check else {}
    parts = probe.only(("command", "http"), "health") if probe else {}
    if probe is not None and len(parts) != 1:
        raise probe.error("a health check is either a command or an http address", "keep one of 'command', 'http'")
    return HealthCheck(
        command=parts["command"].texts() if "command" in parts else (),
        http=parts["http"].text() if "http" in parts else "",
        interval_s=_seconds(timing.get("interval"), 30.0),
        timeout_s=_seconds(timing.get("timeout"), 30.0),
        retries=_count(timing.get("retries"), 3),
        start_period_s=_seconds(timing.get("start_period"), 0.0),
        start_interval_s=_seconds(timing.get("start_interval"), 5.0),
    )


def _restart(item: Item | None) -> RestartPolicy:
    if item is None:
        return RestartPolicy()
    found = _RESTART.fullmatch(item.text())
    if found is None:
        raise unknown_word(item.text(), "restart policy", ("no", "always", "unless-stopped", "on-failure"), f"{item.file}:{item.line}")
    if found[1] == "on-failure":
        return RestartPolicy("on-failure", int(found[2] or 0))
    return RestartPolicy("no" if found[1] == "no" else "always")


def _dependencies(item: Item | None) -> tuple[str, ...]:
    if item is None:
        return ()
    for entry in item.mapping().values():
        condition = entry.only(("condition",), "depends_on").get("condition")
        if condition is None or condition.text() != "service_healthy":
            raise entry.error("only the condition service_healthy is supported", "write {condition: service_healthy}")
    return tuple(item.mapping())


def _ports(item: Item | None) -> tuple[str, ...]:
    return tuple(_port(entry) for entry in item.items()) if item else ()


def _port(entry: Item) -> str:
    """The variable of ``127.0.0.1:${NAME_PORT}:8000``; what its reference says for an unset variable is for container engines."""
    match parse(entry.text()):
        case ("127.0.0.1:", Reference(name, operator), container) if (
            isinstance(container, str) and _PORT_NAME.fullmatch(name) and _CONTAINER_PORT.fullmatch(container) and "+" not in operator
        ):
            return name
    raise entry.error(f"port {entry.text()!r} is not supported", "write '127.0.0.1:${NAME_PORT:-8000}:8000' (loopback, port by variable)")


def _secrets(item: Item | None, declared: tuple[str, ...]) -> tuple[str, ...]:
    names = item.items() if item else ()
    for entry in names:
        if entry.text() not in declared:
            raise unknown_word(entry.text(), "secret", declared, f"{entry.file}:{entry.line}")
    return tuple(entry.text() for entry in names)


def _stop_signal(item: Item | None) -> str:
    if item is None:
        return "SIGTERM"
    known = [member.name for member in signal.Signals]
    if item.text() not in known:
        raise unknown_word(item.text(), "signal", known, f"{item.file}:{item.line}")
    return item.text()


def _seconds(item: Item | None, default: float) -> float:
    if item is None:
        return default
    text = item.text()
    if not re.fullmatch(f"({_DURATION.pattern})+", text):
        raise item.error(f"{text!r} is not a duration", "write for example 200ms, 2s, 1m30s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION.findall(text))


def _count(item: Item | None, default: int) -> int:
    if item is None:
        return default
    if not item.text().isdigit() or not 1 <= int(item.text()) <= 1000:
        raise item.error(f"{item.text()!r} is not a count", "write a whole number from 1 to 1000")
    return int(item.text())


def _check_variables(item: Item, known: frozenset[str]) -> None:
    """Only variables of the stack: one of the machine would make two stacks of one file differ, and a misspelt one would be its default."""
    for scalar, text in _scalars(item):
        for name in variables_in(text):
            if name not in known:
                raise unknown_word(name, "variable", known, f"{scalar.file}:{scalar.line}")


def _check_references(item: Item) -> None:
    for scalar, text in _scalars(item):
        try:
            parse(text)
        except BadReference as error:
            raise scalar.error(str(error), "write ${NAME}, ${NAME:-default}, or $$ for a dollar") from None


def _scalars(item: Item) -> Iterator[tuple[Item, str]]:
    if isinstance(item.value, str):
        yield item, item.value
        return
    for child in item.value.values() if isinstance(item.value, dict) else item.value:
        yield from _scalars(child)


def _order(place: Item, services: Mapping[str, Service]) -> list[str]:
    for service in services.values():
        for name in service.depends_on:
            if name not in services:
                raise unknown_word(name, f"dependency of {service.name!r}", services, f"{place.file}:{place.mapping()[service.name].line}")
    try:
        return list(graphlib.TopologicalSorter({name: service.depends_on for name, service in services.items()}).static_order())
    except graphlib.CycleError as error:
        raise place.error(f"services depend on each other in a circle: {' → '.join(error.args[1])}", "remove one depends_on") from error
