"""A stack that this run started, as drivers see it; the supervisor's own signals are mirrored into the journal."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.journal.events import ServiceChanged
from harness.run.protocols import Emitter
from harness.topology.errors import TopologyError
from harness.topology.model import ServiceStatus, SupervisorEvent
from harness.topology.stack import Stack

POLL_S = 0.1
_PREFIX = "service_"


class OwnedStatus:
    """A service's status with the absent values of a stopped service as zeros."""

    __slots__ = ("healthy", "name", "pid", "restarts", "start_time", "state")

    def __init__(self, status: ServiceStatus) -> None:
        self.name = status.name
        self.pid = status.pid or 0
        self.start_time = status.start_time or 0.0
        self.state = str(status.state)
        self.restarts = status.restarts
        self.healthy = status.healthy


class OwnedStack:
    """Implements ``StackControl`` over a stack of this run; ``close`` stops the stack and the mirror."""

    def __init__(self, stack: Stack, journal: Emitter) -> None:
        self._stack = stack
        self._journal = journal
        self._seen = 0
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._mirror, name="stack-mirror", daemon=True)
        self._thread.start()

    @property
    def stack_id(self) -> str:
        return self._stack.stack_id

    @property
    def folder(self) -> Path:
        return self._stack.folder

    def url(self, service: str) -> str:
        return self._stack.url(service)

    def secret(self, name: str) -> str:
        return self._stack.secret(name).strip()

    def services(self) -> Sequence[OwnedStatus]:
        return [OwnedStatus(status) for status in self._stack.services()]

    def kill(self, service: str, number: int) -> OwnedStatus:
        """Signal exactly one service of this stack; its status right after."""
        self._stack.kill(service, signal.Signals(number))
        return OwnedStatus(self._stack.service(service))

    def hold(self, service: str) -> None:
        self._stack.hold(service)

    def release(self, service: str) -> None:
        self._stack.release(service)

    def wait_healthy(self, service: str, deadline_s: float) -> OwnedStatus:
        return OwnedStatus(self._stack.wait_healthy(service, deadline_s))

    def environment(self, service: str) -> Mapping[str, str]:
        return self._stack.environment(service)

    def close(self) -> None:
        """Stop the stack; the last events are mirrored first. Harmless when it is gone already."""
        self._done.set()
        self._thread.join(timeout=5.0)
        with contextlib.suppress(TopologyError):
            self._take()
        self._stack.stop()

    def _mirror(self) -> None:
        while not self._done.wait(POLL_S):
            with contextlib.suppress(TopologyError):
                self._take()

    def _take(self) -> None:
        with self._lock:
            for event in self._stack.events(self._seen):
                self._seen = event.sequence
                if event.kind.startswith(_PREFIX):
                    self._journal.emit(_changed(event))


def _changed(event: SupervisorEvent) -> ServiceChanged:
    detail = event.detail or event.signal or ("" if event.exit_code is None else f"exit {event.exit_code}")
    return ServiceChanged(
        service=event.service,
        change=event.kind.removeprefix(_PREFIX),
        at_ns=event.monotonic_ns,
        pid=event.pid or 0,
        start_time=event.start_time or 0.0,
        restarts=event.restarts,
        restart_delay_s=event.restart_delay_s,
        serve_delay_s=event.serve_delay_s,
        detail=detail,
    )
