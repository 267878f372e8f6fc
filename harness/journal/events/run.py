"""Runs, layers, trials, evidence, and the generic shapes that any wing may emit and every report can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events.base import Event, Ns, RunPath, Seconds, Sha256, TrialId, doc

# --- run, layer, trial ------------------------------------------------------------------------------------------


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """Which data a run looked at."""

    name: str
    version: Annotated[str, doc("SHA-256 of the files read, or a named version")]
    items: Annotated[int, doc("documents, queries or rows read")]
    sample: Annotated[bool, doc("true for the small corpus shipped with the project")]


class RunStarted(Event, frozen=True, kw_only=True):
    """The first event of every run."""

    NAME: ClassVar[str] = "run.started"
    run: str
    command: tuple[str, ...]
    seed: int
    profile: str
    mode: Annotated[str, doc("verify, verify --full, run, pytest")]
    environment: Annotated[Mapping[str, str], doc("platform, Python, cpus, memory, versions; no host names, no paths")]
    required: Annotated[tuple[str, ...], doc("layers or capabilities without which the run is BLOCKED")]


class DataUsed(Event, frozen=True, kw_only=True):
    """A data set was read by this run."""

    NAME: ClassVar[str] = "run.data"
    data: DataSet


class RunFinished(Event, frozen=True, kw_only=True):
    """The last event before the manifest; missing when the runner was killed."""

    NAME: ClassVar[str] = "run.finished"
    reason: Annotated[str, doc("completed, interrupted, aborted, error")]
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
    outcome: Annotated[str, doc("completed, blocked, stopped, interrupted, error")]
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
    outcome: Annotated[str, doc("done, stopped, error")]
    at_ns: Ns
    detail: str = ""


class TestOutcome(Event, frozen=True, kw_only=True):
    """A pytest outcome as the journal sees it; judged by the checker ``tests``."""

    NAME: ClassVar[str] = "test.outcome"
    __test__: ClassVar[bool] = False  # not a test class for pytest
    node: Annotated[str, doc("pytest node id, what cannot be shown written as escapes")]
    name: Annotated[str, doc("the part of the node id behind the parent's; empty for what is no test")] = ""
    layer: str
    verdict: Verdict
    duration_s: Seconds
    detail: str = ""
    title: str = ""
    requirements: tuple[str, ...] = ()
    examined: Annotated[int | None, doc("how many things the test looked at, where it counts them; 0 makes it VACUOUS")] = None
    optional: Annotated[bool, doc("true when BLOCKED may be taken out before merging")] = True
    trials: Annotated[tuple[str, ...], doc("trials this test ran: their checks are judged on their own")] = ()


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
    stream: Annotated[str, doc("requests, canary, writes, …")]
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
    kind: Annotated[str, doc("phase, fault, recovery, backup, …")]
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
    level: Annotated[str, doc("info, warning")] = "info"


class MonitorRaised(Event, frozen=True, kw_only=True):
    """A monitor asked the runner for something; replaying the journal gives the same verdict."""

    NAME: ClassVar[str] = "monitor.raised"
    trial: TrialId
    monitor: str
    signal: Annotated[str, doc("stop, guard_tripped, condition_met")]
    reason: str


class TrialBlocked(Event, frozen=True, kw_only=True):
    """Why a trial could not run here; stands before its `trial.finished`."""

    NAME: ClassVar[str] = "trial.blocked"
    trial: TrialId
    capability: Annotated[str, doc("the missing capability; empty when a driver or probe said it cannot")]
    required: Annotated[bool, doc("true when the scenario lists the capability: the run is BLOCKED then")]
    reason: str
