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


class LoadMixPlanned(Event, frozen=True, kw_only=True):
    """Which operations a load step carries, and in what order: fixed before the first request."""

    NAME: ClassVar[str] = "load.mix"
    trial: TrialId
    step: str
    operations: Annotated[tuple[str, ...], _doc("as the samples name them in `op`")]
    probabilities: Annotated[tuple[float, ...], _doc("of each operation, where nothing came before")]
    transitions: Annotated[
        tuple[tuple[float, ...], ...], _doc("row: the principal's operation before, column: its next; none when they are independent")
    ]
    principals: int
    files: Annotated[Mapping[str, str], _doc("SHA-256 of the plan's arrays by their name in the trial's folder")]


class LoadStopped(Event, frozen=True, kw_only=True):
    """A load step ended before its plan did, on purpose: what was planned for later was never intended, so it is no shortfall."""

    NAME: ClassVar[str] = "load.stopped"
    trial: TrialId
    step: str
    at_ns: Ns
    reason: str
    planned: Annotated[int, _doc("arrivals of the whole plan")]
    due: Annotated[int, _doc("arrivals that were due before the stop")]


class KneeStep(Event, frozen=True, kw_only=True):
    """One step of a knee search: an open-loop trial of its own at one rate."""

    NAME: ClassVar[str] = "load.knee_step"
    trial: TrialId
    search: Annotated[str, _doc("the step of the scenario that searches")]
    step: Annotated[str, _doc("the tag of its samples")]
    rate_per_s: float
    outcome: Annotated[str, _doc("holds, breaks, inconclusive")]
    reason: str
    start_ns: Annotated[Ns, _doc("first intended request that counts")]
    end_ns: Ns
    planned: Annotated[int, _doc("requests of the whole step, its early end set aside")]
    p95_s: Annotated[Seconds, _doc("limit: response time that 95 % of the planned requests keep")]
    errors: Annotated[float, _doc("limit: share of the planned requests")]
    shortfall: Annotated[float, _doc("limit: share of the planned requests")]
    band_s: Annotated[Seconds, _doc("limit of its certificate: canary error and schedule lag")]


class LoadGenerator(Event, frozen=True, kw_only=True):
    """How near one engine process came to its own limits; the checker ``certificate`` judges it."""

    NAME: ClassVar[str] = "load.generator"
    trial: TrialId
    step: str
    worker: Annotated[int, _doc("number of the process, from 0")]
    cpu_share: Annotated[float, _doc("CPU time over wall time of the process; 1 is a whole core")]
    connections_most: Annotated[int, _doc("sockets open at once")]
    connections_max: int
    connections_refused_by_cap: Annotated[int, _doc("arrivals that had to wait because every connection was in use")]
    gc_pauses: int
    gc_total_s: Seconds
    gc_max_s: Seconds
    lag_p99_s: Annotated[float, _doc("p99 of the schedule lag, s, as the process saw it; judged from the samples")]
    peak_rss_bytes: int


class Published(Event, frozen=True, kw_only=True):
    """Something was told to the outside while the run went on: an annotation, a batch of metrics. No verdict depends on it."""

    NAME: ClassVar[str] = "publish.attempted"
    target: Annotated[str, _doc("grafana, remote_write")]
    action: Annotated[str, _doc("open, finish, push")]
    subject: Annotated[str, _doc("which annotation, or how much of what")]
    outcome: Annotated[str, _doc("done, failed, dropped")]
    status: Annotated[int, _doc("HTTP status; 0 without an answer")]
    at_ns: Ns
    took_s: Seconds
    detail: str = ""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate between its bounds, as a share; null where nothing bounds it."""

    low: float | None
    value: float | None
    high: float | None


class ComparedSide(msgspec.Struct, frozen=True, kw_only=True):
    """Where a side's samples came from."""

    name: str
    kind: str
    recordings: int = 1
    requests: int = 0
    failed: int = 0
    duration_s: Annotated[float | None, _doc("null when the samples have no times")] = None
    notes: tuple[str, ...] = ()


class ComparisonMade(Event, frozen=True, kw_only=True):
    """Two sides were compared. A change is B over A minus 1, turned so that more is worse."""

    NAME: ClassVar[str] = "comparison.made"
    a: ComparedSide
    b: ComparedSide
    metric: str
    unit: str
    answer: Annotated[str, _doc("regressed, not regressed, cannot tell")]
    verdict: Verdict
    cause: str
    gate: Annotated[float, _doc("share that must not be lost")]
    change: Estimate
    rounds: int
    rounds_max: int
    more_rounds: Annotated[int | None, _doc("rounds that would decide; null when none would, or it is decided")]
    false_alarm: Annotated[float, _doc("promised over all rounds, peeking included")]
    false_pass: float
    noise: Annotated[float | None, _doc("standard deviation of one measurement, share")] = None
    control: str = ""
    control_change: Estimate | None = None
    control_moved: Annotated[str, _doc("why the machine is not to be believed; empty when the control stood still")] = ""
    confidence: Annotated[float, _doc("of the figures' intervals")] = 0.95
    seed: int = 0
    duration_s: Seconds | None = None


class ComparedFigure(Event, frozen=True, kw_only=True):
    """One figure of both sides; ``ratio`` is B over A, not turned."""

    NAME: ClassVar[str] = "comparison.figure"
    figure: str
    unit: Annotated[str, _doc("s, 1/s, share")]
    a: Annotated[float | None, _doc("null when the samples cannot give it")]
    b: float | None
    never: Annotated[tuple[str, ...], _doc("sides where requests that never ended reach the figure")] = ()
    ratio: Estimate | None = None
    note: str = ""


class ComparedRound(Event, frozen=True, kw_only=True):
    """One round of a sequential comparison, and what was known after it."""

    NAME: ClassVar[str] = "comparison.round"
    number: int
    first: Annotated[str, _doc("A or B: which was measured first")]
    a: float
    b: float
    change: Estimate
    answer: str
    control_a: float | None = None
    control_b: float | None = None


class TrendMade(Event, frozen=True, kw_only=True):
    """One metric over past runs, the oldest first."""

    NAME: ClassVar[str] = "trend.made"
    metric: str
    unit: str
    runs: tuple[str, ...]
    started: Annotated[tuple[str, ...], _doc("UTC")]
    values: tuple[float, ...]
    skipped: Annotated[tuple[str, ...], _doc("runs left out, and why")] = ()


class TrendChanged(Event, frozen=True, kw_only=True):
    """A lasting step in a trend: from ``run`` on the figure is another one."""

    NAME: ClassVar[str] = "trend.changed"
    metric: str
    index: int
    run: str
    before: float
    after: float
    change: Annotated[float, _doc("after over before minus 1")]
    p_value: float


def _leaves(base: type[Event]) -> list[type[Event]]:
    return list(base.__subclasses__())


EVENT_TYPES: Mapping[str, type[Event]] = {event.NAME: event for event in _leaves(Event)}
