"""The driver ``kill``: a signal to one process of the run's own stack; proof that it died; detection and recovery measured.

Recovery of a kill counts from the injection to the moment when the service is healthy again *and* the target says it is ready
(DESIGN §7). Detection is the system's first own signal: the supervisor's exit event or the target not being ready.
"""

from __future__ import annotations

import http.client
import signal
import urllib.request
from typing import ClassVar, Literal

import msgspec

from harness.chaos.guards import require_known_service, require_loopback, require_owned, require_same_process
from harness.core.errors import HarnessError
from harness.core.units import Duration
from harness.journal.events import FaultApplied, FaultIntended, FaultProof, FaultUndone, Measured, Note, RecoveryObserved, Window
from harness.run.protocols import MetricSpec, ServiceStatus, StackControl, StepContext

POLL_S = 0.02
READY_MAX_BYTES = 1 << 16
NS = 1_000_000_000
BEFORE_NS = 5 * NS  # the fault window opens 5 s before the injection
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the environment knows nothing of loopback


class Kill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``service`` of the topology; ``deadline`` bounds the wait for recovery."""

    service: str
    signal: Literal["KILL", "TERM"] = "KILL"
    deadline: Duration = Duration.parse("60 s")


class KillDriver:
    """Ends one process by (pid, start time); the restart policy of the topology is the undo."""

    name: ClassVar[str] = "kill"
    parameters: ClassVar[type[msgspec.Struct]] = Kill
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("recovery_time", "s", "measured", ("fault",)),
        MetricSpec("detection_time", "s", "measured", ("fault",)),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})
    implies: ClassVar[tuple[str, ...]] = ("proof_of_effect", "no_residue")

    def run(self, context: StepContext, parameters: Kill) -> None:
        """Raises ``Blocked`` on a stack that is not ours. A service that does not come back in time leaves its fault not undone."""
        stack = require_owned(context.stack)
        require_loopback(context.target.base_url)
        before = require_known_service(stack, parameters.service)
        context.journal.emit(
            FaultIntended(
                trial=context.trial,
                fault=context.step,
                kind=f"kill -{parameters.signal}",
                target=parameters.service,
                undo=f"service {parameters.service} is healthy in a new process",
                at_ns=context.now_ns(),
            ),
            sync=True,
        )
        injected = self._inject(context, stack, before, parameters)
        try:
            recovered = self._await_recovery(context, stack, before, injected, parameters)
        finally:
            window = Window(
                trial=context.trial,
                kind="fault",
                name=context.step,
                start_ns=max(0, injected - BEFORE_NS),
                end_ns=context.now_ns(),
                tags={},
            )
            context.journal.emit(window)
        if recovered is None:
            text = f"{parameters.service} was not healthy and ready again within {parameters.deadline} after kill -{parameters.signal}"
            context.journal.emit(Note(trial=context.trial, text=text, level="warning"))
            return  # a finding about the system: the fault stays not undone, and no recovery time is made up
        context.journal.emit(FaultUndone(trial=context.trial, fault=context.step, at_ns=recovered, detail="restart policy"), sync=True)

    def _inject(self, context: StepContext, stack: StackControl, before: ServiceStatus, parameters: Kill) -> int:
        now = require_known_service(stack, parameters.service)
        require_same_process(now, before.pid, before.start_time)
        injected = context.now_ns()
        stack.kill(parameters.service, getattr(signal, f"SIG{parameters.signal}"))
        context.journal.emit(FaultApplied(trial=context.trial, fault=context.step, at_ns=injected, detail=f"pid {before.pid}"))
        return injected

    def _await_recovery(
        self, context: StepContext, stack: StackControl, before: ServiceStatus, injected: int, parameters: Kill
    ) -> int | None:
        detected = 0
        proven = False
        deadline = injected + parameters.deadline.ns
        while context.now_ns() < deadline and not context.stop():
            status = require_known_service(stack, parameters.service)
            changed = (status.pid, status.start_time) != (before.pid, before.start_time)
            if not detected and (changed or not status.healthy or status.state != before.state):
                detected = context.now_ns()
            if changed and status.pid and not proven:
                proven = True
                self._prove(context, before, status)
            if proven and status.healthy and _ready(context):
                self._observe(context, injected, detected, context.now_ns())
                return context.now_ns()
            context.wait(POLL_S)
        if context.stop():
            raise HarnessError(f"the trial was ended while {parameters.service} was recovering")
        if not proven:
            self._prove(context, before, require_known_service(stack, parameters.service))
        return None

    def _prove(self, context: StepContext, before: ServiceStatus, after: ServiceStatus) -> None:
        context.journal.emit(
            FaultProof(
                trial=context.trial,
                fault=context.step,
                proof="pid_changed" if after.pid else "process_gone",
                before=f"{before.pid}@{before.start_time}",
                after=f"{after.pid}@{after.start_time}",
                at_ns=context.now_ns(),
            )
        )

    def _observe(self, context: StepContext, injected: int, detected: int, recovered: int) -> None:
        detection_s, recovery_s = (detected - injected) / NS, (recovered - injected) / NS
        tags = {"fault": context.step}
        context.journal.emit(
            RecoveryObserved(
                trial=context.trial,
                fault=context.step,
                counted_from="injection",
                detection_s=detection_s,
                recovery_s=recovery_s,
                detected_by="supervisor",
                recovered_by="service healthy in a new process and target ready",
            )
        )
        context.journal.emit(Measured(trial=context.trial, metric="recovery_time", unit="s", value=recovery_s, tags=tags))
        context.journal.emit(Measured(trial=context.trial, metric="detection_time", unit="s", value=detection_s, tags=tags))


def _ready(context: StepContext) -> bool:
    """Whether the target's readiness path (``[target] ready``) answers 2xx with nothing degraded; true when it has none."""
    path = context.configuration.get("target", {}).get("ready", "")
    if not path:
        return True
    try:
        with _DIRECT.open(context.target.base_url + path, timeout=2.0) as answer:  # loopback, checked above
            body: bytes = answer.read(READY_MAX_BYTES)
            torn = bool(answer.length) and len(body) < READY_MAX_BYTES  # a bounded read does not say so itself
    except (OSError, http.client.HTTPException):  # away, or dying in the middle of an answer
        return False
    return not torn and b'"degraded"' not in body.split(b'"services"', 1)[0]
