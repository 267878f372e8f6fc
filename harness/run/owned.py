"""A stack that this run started, as drivers see it; the supervisor's own signals are mirrored into the journal.

It is watched as well: a supervisor that dies or stands still, a service that is down for good or hangs while no fault is under way, end
whatever waits for the system, with the cause.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.core.ending import ENDING
from harness.core.errors import Aborted
from harness.journal.events import Event, ServiceChanged, ServiceExited, ServiceHung, StackLost, StackWatched
from harness.run.planned import PlannedFaults
from harness.run.protocols import Emitter
from harness.topology.errors import StackGone, TopologyError
from harness.topology.model import ServiceStatus, SupervisorEvent
from harness.topology.processes import exit_text
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

    def __init__(self, stack: Stack, journal: Emitter, lost: Callable[[str], None] = lambda _cause: None) -> None:
        """``lost(cause)`` is called once, in a thread of its own, when nothing more can be judged."""
        self._stack = stack
        self._journal = journal
        self._call_lost, self._lost = lost, False
        self._planned = PlannedFaults()
        self._seen = 0
        self._stopping_is_ours = False
        self._stopping = False  # the supervisor says so: what ends from now on ends with it
        self._lock = threading.Lock()
        self._done = threading.Event()
        services = tuple(status.name for status in stack.services())
        journal.emit(StackWatched(services=services, at_ns=time.monotonic_ns()))
        self._thread = threading.Thread(target=self._mirror, name="stack-mirror", daemon=True)
        self._thread.start()

    def see(self, event: Event) -> None:
        """Every event of the run, right after it was written: which faults are under way."""
        self._planned.see(event, time.monotonic_ns())

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
        """Signal exactly one service of this stack; its status right after. ``Aborted`` for a fault while the run is being ended."""
        if ENDING.requested and number != signal.SIGCONT:
            raise Aborted("the run is being ended: no fault starts any more")
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

    def close(self, *, at_once: bool = False) -> None:
        """Stop the stack; the last events are mirrored first. Harmless when it is gone already.

        ``at_once``: whoever pressed Ctrl-C waits. The services are killed, and a supervisor that does not answer is not waited for.
        """
        self._done.set()
        if at_once:
            self._lost = True  # nothing is looked at, told or journaled any more: what ends from now on was ended by us
            self._thread.join(timeout=0.5)
            self._stack.stop(at_once=True)
            return
        self._thread.join(timeout=7.0)
        self._look()
        while self._stack.standing and not self._lost:
            self._look()
            time.sleep(POLL_S)
        self._stopping_is_ours = True
        self._stack.stop()
        if not self._lost:
            self._take()  # what happened between the last look and the stop

    def _mirror(self) -> None:
        while not self._done.wait(POLL_S) and not self._lost:
            self._look()

    def _look(self) -> None:
        if self._lost:
            return
        problem = self._stack.problem()
        if problem:
            self._lose(problem)
        elif not self._stack.standing:
            try:
                self._take()
            except StackGone as error:
                self._lose(error.error)
            except TopologyError:
                pass  # it answered, if only to refuse

    def _take(self) -> None:
        with self._lock:
            events = self._stack.events(self._seen)
            if self._lost:  # while it was asked
                return
            for event in events:
                self._seen = event.sequence
                if event.kind == "supervisor_stopping" and not self._stopping:
                    self._stopping = True
                    if not self._stopping_is_ours:
                        self._lose(f"the supervisor ended: {event.detail}")
                if event.kind.startswith(_PREFIX) and not self._stopping:
                    self._journal.emit(_changed(event))
                    self._judge(event)

    def _judge(self, event: SupervisorEvent) -> None:
        """Journal what the checker ``exits`` looks at, and end the waiting where nothing brings the service back."""
        if event.kind == "service_exited":
            exited = _exited(event)
            self._journal.emit(exited)
            if exited.final and not exited.expected and not self._planned.covers(exited.at_ns):
                self._lose(f"{event.service} has ended by itself ({exited.how}) and nothing starts it again", event.service)
        elif event.kind == "service_silent":
            hung = ServiceHung(
                service=event.service, pid=event.pid or 0, at_ns=event.monotonic_ns, detail=event.detail, last_lines=event.last_lines
            )
            self._journal.emit(hung)
            if not self._planned.covers(hung.at_ns):
                self._lose(f"{event.service} hangs: {event.detail}", event.service)

    def _lose(self, cause: str, service: str = "") -> None:
        if self._lost:
            return
        self._lost = True
        self._journal.emit(StackLost(cause=cause, service=service, at_ns=time.monotonic_ns()), sync=True)
        self._call_lost(cause)


def _exited(event: SupervisorEvent) -> ServiceExited:
    return ServiceExited(
        service=event.service,
        pid=event.pid or 0,
        at_ns=event.monotonic_ns,
        how=exit_text(event.exit_code or 0),
        final=event.final,
        expected=event.expected,
        last_lines=event.last_lines,
    )


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
