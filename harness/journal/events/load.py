"""Load: what was planned, what was done, and what the generator says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from harness.journal.events.base import Event, Ns, Seconds, TrialId, doc


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
    cpu_share: Annotated[float, doc("CPU time of the generator over wall time")]
    detail: str = ""


class LoadMixPlanned(Event, frozen=True, kw_only=True):
    """Which operations a load step carries, and in what order: fixed before the first request."""

    NAME: ClassVar[str] = "load.mix"
    trial: TrialId
    step: str
    operations: Annotated[tuple[str, ...], doc("as the samples name them in `op`")]
    probabilities: Annotated[tuple[float, ...], doc("of each operation, where nothing came before")]
    transitions: Annotated[
        tuple[tuple[float, ...], ...], doc("row: the principal's operation before, column: its next; none when they are independent")
    ]
    principals: int
    files: Annotated[Mapping[str, str], doc("SHA-256 of the plan's arrays by their name in the trial's folder")]


class LoadStopped(Event, frozen=True, kw_only=True):
    """A load step ended before its plan did, on purpose: what was planned for later was never intended, so it is no shortfall."""

    NAME: ClassVar[str] = "load.stopped"
    trial: TrialId
    step: str
    at_ns: Ns
    reason: str
    planned: Annotated[int, doc("arrivals of the whole plan")]
    due: Annotated[int, doc("arrivals that were due before the stop")]


class KneeStep(Event, frozen=True, kw_only=True):
    """One step of a knee search: an open-loop trial of its own at one rate."""

    NAME: ClassVar[str] = "load.knee_step"
    trial: TrialId
    search: Annotated[str, doc("the step of the scenario that searches")]
    step: Annotated[str, doc("the tag of its samples")]
    rate_per_s: float
    outcome: Annotated[str, doc("holds, breaks, inconclusive")]
    reason: str
    start_ns: Annotated[Ns, doc("first intended request that counts")]
    end_ns: Ns
    planned: Annotated[int, doc("requests of the whole step, its early end set aside")]
    p95_s: Annotated[Seconds, doc("limit: response time that 95 % of the planned requests keep")]
    errors: Annotated[float, doc("limit: share of the planned requests")]
    shortfall: Annotated[float, doc("limit: share of the planned requests")]
    band_s: Annotated[Seconds, doc("limit of its certificate: canary error and schedule lag")]


class LoadGenerator(Event, frozen=True, kw_only=True):
    """How near one engine process came to its own limits; the checker ``certificate`` judges it."""

    NAME: ClassVar[str] = "load.generator"
    trial: TrialId
    step: str
    worker: Annotated[int, doc("number of the process, from 0")]
    cpu_share: Annotated[float, doc("CPU time over wall time of the process; 1 is a whole core")]
    connections_most: Annotated[int, doc("sockets open at once")]
    connections_max: int
    connections_refused_by_cap: Annotated[int, doc("arrivals that had to wait because every connection was in use")]
    gc_pauses: int
    gc_total_s: Seconds
    gc_max_s: Seconds
    lag_p99_s: Annotated[float, doc("p99 of the schedule lag, s, as the process saw it; judged from the samples")]
    peak_rss_bytes: int
    realtime: Annotated[bool, doc("it had real-time priority: no ordinary process could keep it from its core")] = False


class LoadFailure(Event, frozen=True, kw_only=True):
    """The first failed request of one kind in a step, as one engine process saw it: cut short, and without keys, tokens and cookies."""

    NAME: ClassVar[str] = "load.failure"
    trial: TrialId
    step: str
    op: str
    outcome: Annotated[str, doc("as in the stream `requests`")]
    status: Annotated[int, doc("of the answer; 0 when there was none")]
    role: Annotated[str, doc("whose key was sent; empty for none")]
    cause: Annotated[str, doc("why there was no answer, as the operating system says it; empty where one came")] = ""
    request: Annotated[str, doc("method, path, chosen headers, beginning of the body")]
    response: Annotated[str, doc("status, chosen headers, beginning of the body; empty when none came")]
