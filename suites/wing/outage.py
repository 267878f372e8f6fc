"""The driver ``outage``: one server of the run's own stack is killed, held down for a while, and given back."""

from __future__ import annotations

import signal
from typing import ClassVar

import httpx
import msgspec

from harness.core.errors import Blocked, HarnessError
from harness.core.units import Duration
from harness.journal.events import FaultApplied, FaultIntended, FaultProof, FaultUndone, Measured, RecoveryObserved, Window
from harness.run.protocols import MetricSpec, StackControl, StepContext

BEFORE_NS = 5_000_000_000  # the fault window opens 5 s before the injection
POLL_S = 0.05


class Outage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``service`` stays down for ``hold``; ``deadline`` bounds its coming back, counted from its release."""

    service: str
    hold: Duration
    deadline: Duration = Duration.parse("60 s")


class OutageDriver:
    """A held fault: recovery counts from the undo, and is there when readiness speaks well of the service again."""

    name: ClassVar[str] = "outage"
    parameters: ClassVar[type[msgspec.Struct]] = Outage
    metrics: ClassVar[tuple[MetricSpec, ...]] = (MetricSpec("recovery_time", "s", "measured", ("fault",)),)
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})
    implies: ClassVar[tuple[str, ...]] = ("proof_of_effect", "no_residue")

    def run(self, context: StepContext, parameters: Outage) -> None:
        """Raises ``HarnessError`` when the service does not come back; it is released in every case."""
        if context.stack is None:
            raise Blocked("only servers of a stack of this run may be taken away")
        stack, service = context.stack, parameters.service
        undo = f"service {service} is healthy in a new process"
        intended = FaultIntended(
            trial=context.trial, fault=context.step, kind="outage of", target=service, undo=undo, at_ns=context.now_ns()
        )
        context.journal.emit(intended, sync=True)
        applied_ns = context.now_ns()
        try:
            self._hold(context, stack, parameters)
        finally:
            stack.release(service)
        released_ns = context.now_ns()
        stack.wait_healthy(service, parameters.deadline.seconds)
        _await_ready(context, service, released_ns + parameters.deadline.ns)
        self._undone(context, service, applied_ns, released_ns)

    def _hold(self, context: StepContext, stack: StackControl, parameters: Outage) -> None:
        stack.hold(parameters.service)
        before = _process(stack, parameters.service)
        applied_ns = context.now_ns()
        stack.kill(parameters.service, signal.SIGKILL)
        context.journal.emit(FaultApplied(trial=context.trial, fault=context.step, at_ns=applied_ns, detail=before))
        until_ns = applied_ns + parameters.hold.ns
        after = _process(stack, parameters.service)
        while after == before and context.now_ns() < until_ns and not context.stop():
            context.wait(POLL_S)
            after = _process(stack, parameters.service)
        proof = FaultProof(
            trial=context.trial, fault=context.step, proof="process_gone", before=before, after=after, at_ns=context.now_ns()
        )
        context.journal.emit(proof)
        while context.now_ns() < until_ns and not context.stop():
            context.wait(POLL_S)

    def _undone(self, context: StepContext, service: str, applied_ns: int, released_ns: int) -> None:
        now_ns, trial, fault = context.now_ns(), context.trial, context.step
        recovery_s = (now_ns - released_ns) / 1e9
        recovered = RecoveryObserved(
            trial=trial,
            fault=fault,
            counted_from="undo",
            detection_s=0.0,
            recovery_s=recovery_s,
            detected_by="supervisor",
            recovered_by=f"readiness says that {service} is well",
        )
        context.journal.emit(recovered)
        context.journal.emit(Measured(trial=trial, metric="recovery_time", unit="s", value=recovery_s, tags={"fault": fault}))
        start_ns = max(0, applied_ns - BEFORE_NS)
        context.journal.emit(Window(trial=trial, kind="fault", name=fault, start_ns=start_ns, end_ns=now_ns))
        context.journal.emit(FaultUndone(trial=trial, fault=fault, at_ns=now_ns, detail="released"), sync=True)


def _process(stack: StackControl, service: str) -> str:
    """Which process the service is; ``no process`` when it is down."""
    status = next((one for one in stack.services() if one.name == service), None)
    if status is None:
        raise HarnessError(f"the stack has no service {service!r}")
    return f"{status.pid}@{status.start_time}" if status.pid and status.state not in {"down", "exited", "held"} else "no process"


def _await_ready(context: StepContext, service: str, deadline_ns: int) -> None:
    with httpx.Client(base_url=context.target.base_url, timeout=5.0, trust_env=False) as http:
        while context.now_ns() < deadline_ns and not context.stop():
            try:
                if http.get("/ready").json()["services"][service]["ok"]:
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            context.wait(POLL_S)
    raise HarnessError(f"readiness does not speak well of {service} again")
