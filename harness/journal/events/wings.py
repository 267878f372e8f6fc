"""Topology, chaos, contract, SHACL, retrieval, recovery; and what was told to the outside."""

from __future__ import annotations

from typing import Annotated, ClassVar

from harness.journal.events.base import Event, Ns, Seconds, TrialId, doc

# --- topology ---------------------------------------------------------------------------------------------------


class ServiceChanged(Event, frozen=True, kw_only=True):
    """The supervisor's own signal about a service of the stack."""

    NAME: ClassVar[str] = "service.changed"
    service: str
    change: Annotated[
        str, doc("started, exited, healthy, unhealthy, silent, restarted, held, released, signalled, asked_to_restart, failed")
    ]
    at_ns: Ns
    pid: int
    start_time: Annotated[float, doc("process start, seconds since boot: (pid, start_time) identifies a process")]
    restarts: int
    restart_delay_s: Annotated[float | None, doc("exit to start of the new process, s")] = None
    serve_delay_s: Annotated[float | None, doc("start of the new process to healthy, s")] = None
    detail: str = ""


class StackWatched(Event, frozen=True, kw_only=True):
    """The stack is up: from now on its services and its supervisor are watched."""

    NAME: ClassVar[str] = "stack.watched"
    services: Annotated[tuple[str, ...], doc("every service of the stack")]
    at_ns: Ns


class ServiceExited(Event, frozen=True, kw_only=True):
    """A service's process ended, planned or not: the checker ``exits`` tells them apart by the faults on record."""

    NAME: ClassVar[str] = "service.exited"
    service: str
    pid: int
    at_ns: Ns
    how: Annotated[str, doc("exit 3, killed by SIGSEGV")]
    final: Annotated[bool, doc("nothing starts it again")]
    expected: Annotated[bool, doc("the topology lets it end so: a one-shot service with exit 0")]
    last_lines: Annotated[str, doc("of its log, without secrets")] = ""


class ServiceHung(Event, frozen=True, kw_only=True):
    """A service that had answered leaves every question open, or its process is stopped, and nobody asked for that."""

    NAME: ClassVar[str] = "service.hung"
    service: str
    pid: int
    at_ns: Ns
    detail: str
    last_lines: Annotated[str, doc("of its log, without secrets")] = ""


class StackLost(Event, frozen=True, kw_only=True):
    """Nothing more can be judged: the supervisor is gone or stands still, or a service is down for good or hangs, outside any fault."""

    NAME: ClassVar[str] = "stack.lost"
    cause: str
    service: Annotated[str, doc("empty: the supervisor")]
    at_ns: Ns


# --- chaos ------------------------------------------------------------------------------------------------------


class FaultIntended(Event, frozen=True, kw_only=True):
    """Written and synced before anything is done to the system."""

    NAME: ClassVar[str] = "fault.intended"
    trial: TrialId
    fault: str
    kind: str
    target: str
    undo: Annotated[str, doc("the desired state that ends the fault")]
    at_ns: Ns


class FaultApplied(Event, frozen=True, kw_only=True):
    """The fault was done."""

    NAME: ClassVar[str] = "fault.applied"
    trial: TrialId
    fault: str
    at_ns: Ns
    detail: str = ""


class FaultProof(Event, frozen=True, kw_only=True):
    """Proof of effect: without it a drill is VACUOUS."""

    NAME: ClassVar[str] = "fault.proof"
    trial: TrialId
    fault: str
    proof: Annotated[str, doc("pid_changed, connection_cut, enospc_seen, state_held, …")]
    before: str
    after: str
    at_ns: Ns


class FaultUndone(Event, frozen=True, kw_only=True):
    """The desired state of the undo holds again."""

    NAME: ClassVar[str] = "fault.undone"
    trial: TrialId
    fault: str
    at_ns: Ns
    detail: str = ""


class RecoveryObserved(Event, frozen=True, kw_only=True):
    """Detection and recovery of one fault, counted as DESIGN §7 says."""

    NAME: ClassVar[str] = "recovery.observed"
    trial: TrialId
    fault: str
    counted_from: Annotated[str, doc("injection for kills, undo for held faults")]
    detection_s: Seconds
    recovery_s: Seconds
    detected_by: str
    recovered_by: str


class GuardTested(Event, frozen=True, kw_only=True):
    """A guard was shown to trip on synthetic input before the first fault."""

    NAME: ClassVar[str] = "guard.tested"
    trial: TrialId
    guard: str
    tripped: bool
    input: str


# --- contract, shacl, retrieval -----------------------------------------------------------------------------------


class OperationChecked(Event, frozen=True, kw_only=True):
    """One API operation and what was tried on it."""

    NAME: ClassVar[str] = "contract.operation"
    trial: TrialId
    operation: Annotated[str, doc("METHOD path-template")]
    check: Annotated[str, doc("fuzzing, authentication, error_form, …")]
    cases: int
    failures: int
    detail: str = ""


class ShapeChecked(Event, frozen=True, kw_only=True):
    """One SHACL shape over the captured graph: no focus node means VACUOUS."""

    NAME: ClassVar[str] = "shacl.shape"
    trial: TrialId
    shape: str
    focus_nodes: int
    violations: int
    detail: str = ""


class RetrievalFigure(Event, frozen=True, kw_only=True):
    """A ranking metric over a query set."""

    NAME: ClassVar[str] = "retrieval.figure"
    trial: TrialId
    dataset: str
    retriever: str
    metric: Annotated[str, doc("nDCG@10, R@20, R@100, RR")]
    value: float
    queries: int
    documents: int
    reference: Annotated[str, doc("published figure it stands beside, or empty")] = ""


# --- recovery ---------------------------------------------------------------------------------------------------


class DrillStage(Event, frozen=True, kw_only=True):
    """A stage of a recovery drill: backup, destroy, restore, reconcile, verify, serve, or a negative control."""

    NAME: ClassVar[str] = "recovery.stage"
    trial: TrialId
    stage: str
    outcome: Annotated[str, doc("done, refused, error")]
    start_ns: Ns
    end_ns: Ns
    detail: str = ""


class Published(Event, frozen=True, kw_only=True):
    """Something was told to the outside while the run went on: an annotation, a batch of metrics. No verdict depends on it."""

    NAME: ClassVar[str] = "publish.attempted"
    target: Annotated[str, doc("grafana, remote_write")]
    action: Annotated[str, doc("open, finish, push")]
    subject: Annotated[str, doc("which annotation, or how much of what")]
    outcome: Annotated[str, doc("done, failed, dropped")]
    status: Annotated[int, doc("HTTP status; 0 without an answer")]
    at_ns: Ns
    took_s: Seconds
    detail: str = ""
