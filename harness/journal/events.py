"""The events of a journal, as types. ``docs/events.md`` is generated from this module (``python -m harness.journal.events_doc``).

Rules: an event may be added and never changed; wings outside this repository use names with their own prefix and the
generic shapes below, which the report shows without knowing the wing. Times ending in ``_ns`` are CLOCK_MONOTONIC
nanoseconds (comparable between processes of one machine), durations end in ``_s`` (seconds), sizes in ``_bytes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec

from harness.core.verdict import Verdict

SCHEMA_VERSION = 1


def _doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


Ns = Annotated[int, _doc("CLOCK_MONOTONIC, ns")]
Seconds = Annotated[float, _doc("s")]
TrialId = Annotated[str, _doc("trial the event belongs to; empty outside trials")]
Sha256 = Annotated[str, _doc("SHA-256, hex")]
RunPath = Annotated[str, _doc("path inside the run folder, with /")]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events; ``NAME`` is what stands in the journal."""

    NAME: ClassVar[str]


# --- run, layer, trial ------------------------------------------------------------------------------------------


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """Which data a run looked at."""

    name: str
    version: Annotated[str, _doc("SHA-256 of the files read, or a named version")]
    items: Annotated[int, _doc("documents, queries or rows read")]
    sample: Annotated[bool, _doc("true for the small corpus shipped with the project")]


class RunStarted(Event, frozen=True, kw_only=True):
    """The first event of every run."""

    NAME: ClassVar[str] = "run.started"
    run: str
    command: tuple[str, ...]
    seed: int
    profile: str
    mode: Annotated[str, _doc("verify, verify --full, run, pytest")]
    environment: Annotated[Mapping[str, str], _doc("platform, Python, cpus, memory, versions; no host names, no paths")]
    required: Annotated[tuple[str, ...], _doc("layers or capabilities without which the run is BLOCKED")]


class DataUsed(Event, frozen=True, kw_only=True):
    """A data set was read by this run."""

    NAME: ClassVar[str] = "run.data"
    data: DataSet


class RunFinished(Event, frozen=True, kw_only=True):
    """The last event before the manifest; missing when the runner was killed."""

    NAME: ClassVar[str] = "run.finished"
    reason: Annotated[str, _doc("completed, interrupted, aborted, error")]
    duration_s: Seconds
    detail: str = ""


class LayerStarted(Event, frozen=True, kw_only=True):
    """A layer of `harness verify` begins."""

    NAME: ClassVar[str] = "layer.started"
    layer: str
    required: bool


class LayerFinished(Event, frozen=True, kw_only=True):
    """A layer ended; ``blocked`` says why nothing of it could run (empty otherwise)."""

    NAME: ClassVar[str] = "layer.finished"
    layer: str
    duration_s: Seconds
    blocked: str = ""


class TrialStarted(Event, frozen=True, kw_only=True):
    """One execution of one scenario begins; its plan stands in ``trials/<trial>/plan.json``."""

    NAME: ClassVar[str] = "trial.started"
    trial: TrialId
    scenario: str
    layer: str
    seed: int
    scenario_path: RunPath
    plan_path: RunPath
    plan_sha256: Sha256


class TrialFinished(Event, frozen=True, kw_only=True):
    """A trial ended; anything but ``completed`` makes its checks ABORTED or ERROR."""

    NAME: ClassVar[str] = "trial.finished"
    trial: TrialId
    outcome: Annotated[str, _doc("completed, blocked, stopped, interrupted, error")]
    duration_s: Seconds
    detail: str = ""


class StepStarted(Event, frozen=True, kw_only=True):
    """A step of the timeline begins: a driver acts."""

    NAME: ClassVar[str] = "step.started"
    trial: TrialId
    step: str
    driver: str
    planned_ns: Ns
    at_ns: Ns


class StepFinished(Event, frozen=True, kw_only=True):
    """A driver returned."""

    NAME: ClassVar[str] = "step.finished"
    trial: TrialId
    step: str
    outcome: Annotated[str, _doc("done, stopped, error")]
    at_ns: Ns
    detail: str = ""


class TestOutcome(Event, frozen=True, kw_only=True):
    """A pytest outcome as the journal sees it; judged by the checker ``tests``."""

    NAME: ClassVar[str] = "test.outcome"
    __test__: ClassVar[bool] = False  # not a test class for pytest
    node: Annotated[str, _doc("pytest node id")]
    layer: str
    verdict: Verdict
    duration_s: Seconds
    detail: str = ""
    title: str = ""
    requirements: tuple[str, ...] = ()
    examined: Annotated[int | None, _doc("how many things the test looked at, where it counts them; 0 makes it VACUOUS")] = None
    optional: Annotated[bool, _doc("true when BLOCKED may be taken out before merging")] = True
    trials: Annotated[tuple[str, ...], _doc("trials this test ran: their checks are judged on their own")] = ()


# --- evidence ---------------------------------------------------------------------------------------------------


class EvidenceCaptured(Event, frozen=True, kw_only=True):
    """A probe stored a file in the run folder."""

    NAME: ClassVar[str] = "evidence.captured"
    trial: TrialId
    probe: str
    name: str
    path: RunPath
    sha256: Sha256
    size_bytes: int


class SamplesSegment(Event, frozen=True, kw_only=True):
    """A closed Arrow IPC stream segment of bulk samples (at most one second of them)."""

    NAME: ClassVar[str] = "samples.segment"
    trial: TrialId
    stream: Annotated[str, _doc("requests, canary, writes, …")]
    path: RunPath
    sha256: Sha256
    rows: int
    first_ns: Ns
    last_ns: Ns


# --- generic shapes: what any wing may emit and every report can show ----------------------------------------------


class Window(Event, frozen=True, kw_only=True):
    """A named stretch of time: a phase of load, a fault, a recovery."""

    NAME: ClassVar[str] = "window"
    trial: TrialId
    kind: Annotated[str, _doc("phase, fault, recovery, backup, …")]
    name: str
    start_ns: Ns
    end_ns: Ns
    tags: Mapping[str, str] = {}


class Measured(Event, frozen=True, kw_only=True):
    """One figure: a metric the emitting driver declared, with its unit."""

    NAME: ClassVar[str] = "measured"
    trial: TrialId
    metric: str
    unit: str
    value: float
    tags: Mapping[str, str] = {}


class Series(Event, frozen=True, kw_only=True):
    """A short time series (≤ 5,000 points; longer ones are sample segments)."""

    NAME: ClassVar[str] = "series"
    trial: TrialId
    name: str
    unit: str
    times_ns: tuple[int, ...]
    values: tuple[float, ...]
    tags: Mapping[str, str] = {}


class Table(Event, frozen=True, kw_only=True):
    """A table for people, shown as it is."""

    NAME: ClassVar[str] = "table"
    trial: TrialId
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Histogram(Event, frozen=True, kw_only=True):
    """A mergeable HDR histogram (3 digits), base64 of the V2 compressed encoding."""

    NAME: ClassVar[str] = "histogram"
    trial: TrialId
    name: str
    unit: str
    encoded: str
    count: int
    tags: Mapping[str, str] = {}


class Note(Event, frozen=True, kw_only=True):
    """A sentence for people: a rerun, a fallback, a remark."""

    NAME: ClassVar[str] = "note"
    trial: TrialId
    text: str
    level: Annotated[str, _doc("info, warning")] = "info"


class MonitorRaised(Event, frozen=True, kw_only=True):
    """A monitor asked the runner for something; replaying the journal gives the same verdict."""

    NAME: ClassVar[str] = "monitor.raised"
    trial: TrialId
    monitor: str
    signal: Annotated[str, _doc("stop, guard_tripped, condition_met")]
    reason: str


# --- topology ---------------------------------------------------------------------------------------------------


class ServiceChanged(Event, frozen=True, kw_only=True):
    """The supervisor's own signal about a service of the stack."""

    NAME: ClassVar[str] = "service.changed"
    service: str
    change: Annotated[str, _doc("started, exited, healthy, unhealthy, restarted, held, released")]
    at_ns: Ns
    pid: int
    start_time: Annotated[float, _doc("process start, seconds since boot: (pid, start_time) identifies a process")]
    restarts: int
    restart_delay_s: Annotated[float | None, _doc("exit to start of the new process, s")] = None
    serve_delay_s: Annotated[float | None, _doc("start of the new process to healthy, s")] = None
    detail: str = ""


# --- chaos ------------------------------------------------------------------------------------------------------


class FaultIntended(Event, frozen=True, kw_only=True):
    """Written and synced before anything is done to the system."""

    NAME: ClassVar[str] = "fault.intended"
    trial: TrialId
    fault: str
    kind: str
    target: str
    undo: Annotated[str, _doc("the desired state that ends the fault")]
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
    proof: Annotated[str, _doc("pid_changed, connection_cut, enospc_seen, state_held, …")]
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
    counted_from: Annotated[str, _doc("injection for kills, undo for held faults")]
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


# --- load -------------------------------------------------------------------------------------------------------


class LoadPlanned(Event, frozen=True, kw_only=True):
    """What the load driver intends: fixed before the first request."""

    NAME: ClassVar[str] = "load.planned"
    trial: TrialId
    step: str
    engine: str
    rate_per_s: float
    warmup_s: Seconds
    duration_s: Seconds
    requests: int
    canary_rate_per_s: float


class LoadFinished(Event, frozen=True, kw_only=True):
    """What the generator says of itself; figures are computed from the samples, not from here."""

    NAME: ClassVar[str] = "load.finished"
    trial: TrialId
    step: str
    engine: str
    intended: int
    sent: int
    completed: int
    cpu_share: Annotated[float, _doc("CPU time of the generator over wall time")]
    detail: str = ""


# --- contract, shacl, retrieval -----------------------------------------------------------------------------------


class OperationChecked(Event, frozen=True, kw_only=True):
    """One API operation and what was tried on it."""

    NAME: ClassVar[str] = "contract.operation"
    trial: TrialId
    operation: Annotated[str, _doc("METHOD path-template")]
    check: Annotated[str, _doc("fuzzing, authentication, error_form, …")]
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
    metric: Annotated[str, _doc("nDCG@10, R@20, R@100, RR")]
    value: float
    queries: int
    documents: int
    reference: Annotated[str, _doc("published figure it stands beside, or empty")] = ""


# --- recovery ---------------------------------------------------------------------------------------------------


class DrillStage(Event, frozen=True, kw_only=True):
    """A stage of a recovery drill: backup, destroy, restore, reconcile, verify, serve, or a negative control."""

    NAME: ClassVar[str] = "recovery.stage"
    trial: TrialId
    stage: str
    outcome: Annotated[str, _doc("done, refused, error")]
    start_ns: Ns
    end_ns: Ns
    detail: str = ""


# --- added after the first version (events are added, never changed) ------------------------------------------------


class TrialBlocked(Event, frozen=True, kw_only=True):
    """Why a trial could not run here; stands before its `trial.finished`."""

    NAME: ClassVar[str] = "trial.blocked"
    trial: TrialId
    capability: Annotated[str, _doc("the missing capability; empty when a driver or probe said it cannot")]
    required: Annotated[bool, _doc("true when the scenario lists the capability: the run is BLOCKED then")]
    reason: str


def _leaves(base: type[Event]) -> list[type[Event]]:
    return list(base.__subclasses__())


EVENT_TYPES: Mapping[str, type[Event]] = {event.NAME: event for event in _leaves(Event)}
