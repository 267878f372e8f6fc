"""Guards: refuse before anything is touched. Each is shown to trip on synthetic input before the first fault of a drill."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from harness.core.errors import Blocked, HarnessError
from harness.journal.events import GuardTested
from harness.run.protocols import MetricSpec, ServiceStatus, StackControl, StepContext


def require_owned(stack: StackControl | None) -> StackControl:
    """Faults act on run-owned stacks only; elsewhere they are BLOCKED."""
    if stack is None:
        raise Blocked("faults act only on a stack that this run started; the target is somebody else's")
    return stack


def require_loopback(url: str) -> None:
    """Load and faults go to addresses on this machine only."""
    host = urlsplit(url).hostname or ""
    if not _loopback(host):
        raise Blocked(f"{host or url!r} is not on this machine: load and faults go to loopback addresses only")


def _loopback(host: str) -> bool:
    """By address, never by how a name begins: ``127.0.0.1.example.org`` is somebody else's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_same_process(status: ServiceStatus, pid: int, start_time: float) -> None:
    """A process is named by (pid, start time): a recycled pid is never signalled."""
    if status.pid != pid or status.start_time != start_time:
        raise Blocked(f"process {pid} of service {status.name} is no longer the one that was meant")


def require_known_service(stack: StackControl, service: str) -> ServiceStatus:
    """The status of a service of this stack; anything else on the machine is out of reach."""
    for status in stack.services():
        if status.name == service:
            return status
    known = ", ".join(sorted(status.name for status in stack.services()))
    raise Blocked(f"this stack has no service {service!r}; it has: {known}")


class ErrorRateStop:
    """The error-rate stop: asks to stop when more than ``limit`` of the last ``window`` answers failed."""

    def __init__(self, limit: float = 0.5, window: int = 200) -> None:
        self._limit, self._window = limit, window
        self._failed: list[bool] = []

    def see(self, *, failed: bool) -> bool:
        """True when the drill must stop now. Needs a full window first."""
        self._failed = [*self._failed, failed][-self._window :]
        return len(self._failed) == self._window and sum(self._failed) > self._limit * self._window


@dataclasses.dataclass(frozen=True, slots=True)
class _Fake:
    """A service status that no stack has."""

    name: str = "synthetic"
    pid: int = 1
    start_time: float = 0.0
    state: str = "running"
    restarts: int = 0
    healthy: bool = True


def _trips(guard: Callable[[], object]) -> bool:
    try:
        guard()
    except HarnessError:
        return True
    return False


def _error_rate_trips() -> bool:
    stop = ErrorRateStop(limit=0.5, window=20)
    return any(stop.see(failed=True) for _ in range(20))


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step without parameters."""


class ProveGuards:
    """The driver ``prove_guards``: trips every guard on synthetic input and journals each."""

    name: ClassVar[str] = "prove_guards"
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})

    def run(self, context: StepContext, parameters: NoParameters) -> None:
        """Raises when the trial's own stack would be refused: then the guards guard nothing."""
        del parameters
        stack = require_owned(context.stack)
        require_loopback(context.target.base_url)
        checks: tuple[tuple[str, str, Callable[[], bool]], ...] = (
            ("ownership", "no stack of this run", lambda: _trips(lambda: require_owned(None))),
            ("loopback", "http://192.0.2.1/", lambda: _trips(lambda: require_loopback("http://192.0.2.1/"))),
            ("same process", "a recycled pid", lambda: _trips(lambda: require_same_process(_Fake(), 1, 12.5))),
            ("known service", "a service of no stack", lambda: _trips(lambda: require_known_service(stack, "synthetic service"))),
            ("error rate stop", "20 failures in a row", _error_rate_trips),
        )
        for guard, given, trial in checks:
            context.journal.emit(GuardTested(trial=context.trial, guard=guard, tripped=trial(), input=given))
