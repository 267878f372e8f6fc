"""The driver ``open_loop``: plans arrivals, starts the canary's server and the engine, and journals what was planned and said.

A plan is *offsets and a choice for each*: when every request is due, and which of the plan's requests it is (``Planned``). Whoever has
another shape or mix makes another ``Planned`` and gives it to ``drive``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from harness.core.errors import Blocked, UsageError
from harness.core.units import Duration
from harness.journal.events import LoadFinished, LoadGenerator, LoadMixPlanned, LoadPlanned, LoadStopped, Window
from harness.load.engine.fleet import LEAD_S, PROCESSES_MAX, CanaryServer, Fleet
from harness.load.engine.plan import CONNECTIONS_MAX, MAX_ARRIVALS, CanaryPlan, EnginePlan, Said
from harness.load.failures import failure_table
from harness.load.requests import Address, PlannedRequest, RequestKind, local_address
from harness.load.shape.most import enough, most_arrivals
from harness.load.shape.pieces import NS, Offsets
from harness.load.shape.plan import Arrivals, load_plan
from harness.run.protocols import MetricSpec, StepContext
from harness.run.timeline import Rehearsal, StepTimeline

CANARY_RATE_MIN_PER_S = 20.0
CANARY_SHARE = 0.01
AHEAD_S = 0.05  # connections opened before the first arrival: what this long brings
AHEAD_MIN, AHEAD_MAX = 4, 256
TAGS = ("op", "step", "outcome")
METRICS = (
    MetricSpec("response_time", "s", "samples:requests", TAGS, vouched_by="certificate"),
    MetricSpec("service_time", "s", "samples:requests", TAGS, vouched_by="certificate"),
    MetricSpec("first_byte_time", "s", "samples:requests", TAGS, vouched_by="certificate"),
    MetricSpec("schedule_lag", "s", "samples:requests", TAGS, vouched_by=""),
    MetricSpec("errors", "%", "samples:requests", TAGS),
    MetricSpec("event_gap", "s", "samples:stream_events", ("op", "step"), vouched_by="certificate"),
)


class OpenLoop(Arrivals, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arrivals as planned, whatever the answers do (``Arrivals`` says which and when).

    ``processes``: engine processes that share the plan, for rates above what one core can send. ``drain``: how long answers are
    waited for after the last arrival (to their time-out when not given); what is unanswered then is censored.
    """

    timeout: Duration = Duration.parse("10 s")
    seed_stream: str = "load"
    processes: Annotated[int, msgspec.Meta(ge=1, le=PROCESSES_MAX)] = 1
    connections_max: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = CONNECTIONS_MAX
    drain: Duration | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """What is fixed before the first request. ``choices[i]`` is the place in ``requests`` of the arrival due at ``offsets_ns[i]``.

    ``rate_per_s`` is the mean the plan is named by; ``warmup_s`` the part that belongs to no figure.
    """

    offsets_ns: Offsets
    choices: npt.NDArray[np.int32]
    requests: Sequence[PlannedRequest]
    kinds: Sequence[RequestKind]
    rate_per_s: float
    duration_s: float  # with the warm-up
    warmup_s: float
    timeout_s: float
    processes: int = 1
    connections_max: int = CONNECTIONS_MAX
    canary_least_per_s: float = CANARY_RATE_MIN_PER_S
    drain_s: float | None = None


class OpenLoopDriver:
    """Drives one kind of request open-loop, a canary beside it."""

    name: ClassVar[str] = "open_loop"
    parameters: ClassVar[type[msgspec.Struct]] = OpenLoop
    metrics: ClassVar[tuple[MetricSpec, ...]] = METRICS
    requires: ClassVar[frozenset[str]] = frozenset({"target"})
    explains: ClassVar[str] = "failures"

    def run(self, context: StepContext, parameters: OpenLoop) -> None:
        """Raises ``UsageError`` for an unknown request kind, ``HarnessError`` when the engine did not finish its plan."""
        plan, mix = planned_step(context, parameters)
        context.journal.emit(mix)
        drive(context, plan)

    def most(self, parameters: OpenLoop, span_s: tuple[float, float] | None, window_s: float | None) -> int | None:
        """At most how many requests will be planned there (of all operations of a mix together)."""
        return most_arrivals(parameters, span_s, window_s)

    def enough(self, parameters: OpenLoop, needed: int, span_s: tuple[float, float] | None, window_s: float | None) -> str:
        """What to write in `with:` for that many."""
        return enough(parameters, needed, span_s, window_s)

    def rehearse(self, rehearsal: Rehearsal, parameters: OpenLoop) -> StepTimeline:
        """What ``run`` would send with that seed."""
        planned = load_plan(parameters, rehearsal.configuration, rehearsal.project, rehearsal.seed)
        return StepTimeline(round(parameters.window * NS), planned.sendings())


def planned_step(context: StepContext, parameters: OpenLoop) -> tuple[Planned, LoadMixPlanned]:
    """The plan of a step, its arrays stored in the trial's folder, and the event that vouches for them."""
    planned = load_plan(parameters, context.configuration, context.project, context.seed)
    _one_address(context, planned.kinds)
    total_s = float(parameters.window)
    plan = Planned(
        offsets_ns=planned.offsets,
        choices=planned.choices,
        requests=planned.requests,
        kinds=planned.kinds,
        rate_per_s=planned.rate_per_s(total_s),
        duration_s=total_s,
        warmup_s=parameters.warmup.seconds,
        timeout_s=parameters.timeout.seconds,
        processes=parameters.processes,
        connections_max=parameters.connections_max,
        drain_s=None if parameters.drain is None else parameters.drain.seconds,
    )
    return plan, planned.event(context.trial, context.step, planned.store(context.folder, context.step))


def drive(context: StepContext, planned: Planned, until: Callable[[], str] = lambda: "") -> Sequence[Said]:
    """Send a plan: canary's server, engine processes, journal. Raises ``HarnessError`` when an engine did not finish it.

    A reason that ``until`` gives ends the plan early: arrivals that are not due yet are then no shortfall (``load.stopped`` says so).
    """
    if len(planned.offsets_ns) > MAX_ARRIVALS:
        raise UsageError(f"the plan has {len(planned.offsets_ns)} requests; at most {MAX_ARRIVALS}", remedy="lower rate or duration")
    share = planned.rate_per_s / planned.processes
    canary_rate = max(planned.canary_least_per_s, CANARY_SHARE * share)
    with CanaryServer(context) as canary:
        context.journal.emit(_planned_event(context, planned, canary_rate * planned.processes))
        plan = _engine_plan(context, planned, CanaryPlan("127.0.0.1", canary.port(), canary_rate))
        with Fleet(context, plan, planned.processes, context.target.keys) as fleet:
            start_ns = context.now_ns() + round(LEAD_S * NS)
            _emit_phases(context, start_ns, start_ns + round(planned.warmup_s * NS), start_ns + round(planned.duration_s * NS))
            said = fleet.run(start_ns, until)
            if fleet.stopped is not None:
                context.journal.emit(_stopped_event(context, planned, fleet.stopped, said))
    _emit_finished(context, said)
    _emit_failures(context, said)
    return said


def _engine_plan(context: StepContext, planned: Planned, canary: CanaryPlan) -> EnginePlan:
    address = _one_address(context, planned.kinds)
    files = {name: context.folder / f"{context.step}.{name}.npy" for name in ("offsets", "choices")}
    np.save(files["offsets"], planned.offsets_ns)
    np.save(files["choices"], planned.choices)
    ahead = round(planned.rate_per_s / planned.processes * AHEAD_S)
    return EnginePlan(
        trial=context.trial,
        step=context.step,
        host=address.host,
        port=address.port,
        kinds=tuple(msgspec.structs.replace(kind, path=_path(address, kind)) for kind in planned.kinds),
        requests=tuple(planned.requests),
        key_header=context.target.key_header,
        offsets_file=str(files["offsets"]),
        choices_file=str(files["choices"]),
        timeout_s=planned.timeout_s,
        duration_s=planned.duration_s,
        warmup_s=planned.warmup_s,
        canary=canary,
        run_folder=str(context.run_folder),
        project=str(context.project),
        connections_max=planned.connections_max,
        drain_s=planned.drain_s,
        connections_ahead=min(max(ahead, AHEAD_MIN), AHEAD_MAX, planned.connections_max),
    )


def _one_address(context: StepContext, kinds: Sequence[RequestKind]) -> Address:
    """The address all kinds of a plan share; ``UsageError`` when they do not, ``Blocked`` when nothing here speaks their protocol."""
    addresses = {local_address(kind.base_url or context.target.base_url) for kind in kinds}
    spoken = {kind.is_grpc for kind in kinds}
    if len(addresses) != 1 or len(spoken) != 1:
        raise UsageError("the kinds of one plan go to different addresses or protocols", remedy="give each its own step")
    if spoken == {True} and importlib.util.find_spec("grpc") is None:
        raise Blocked("the package grpcio is not installed: pip install 'evidence-harness[grpc]'")
    return addresses.pop()


def _path(address: Address, kind: RequestKind) -> str:
    return kind.path if kind.is_grpc else address.prefix + kind.path


def _stopped_event(context: StepContext, planned: Planned, stopped: tuple[int, str], said: Sequence[Said]) -> LoadStopped:
    return LoadStopped(
        trial=context.trial,
        step=context.step,
        at_ns=stopped[0],
        reason=stopped[1],
        planned=len(planned.offsets_ns),
        due=sum(one.intended for one in said),
    )


def _planned_event(context: StepContext, planned: Planned, canary_rate: float) -> LoadPlanned:
    return LoadPlanned(
        trial=context.trial,
        step=context.step,
        engine="ours",
        rate_per_s=planned.rate_per_s,
        warmup_s=planned.warmup_s,
        duration_s=planned.duration_s - planned.warmup_s,
        requests=len(planned.offsets_ns),
        canary_rate_per_s=canary_rate,
    )


def _emit_phases(context: StepContext, start_ns: int, warm_ns: int, end_ns: int) -> None:
    """The windows that thresholds may name: fixed in the plan, journaled before the first request."""
    for name, begin, finish in (("warmup", start_ns, warm_ns), ("steady", warm_ns, end_ns)):
        if finish > begin:
            tags = {"step": context.step}
            context.journal.emit(Window(trial=context.trial, kind="phase", name=name, start_ns=begin, end_ns=finish, tags=tags))


def _emit_finished(context: StepContext, said: Sequence[Said]) -> None:
    for one in said:
        context.journal.emit(
            LoadGenerator(
                trial=context.trial,
                step=context.step,
                worker=one.worker,
                cpu_share=one.cpu_share,
                connections_most=one.connections_most,
                connections_max=one.connections_max,
                connections_refused_by_cap=one.connections_refused_by_cap,
                gc_pauses=one.gc_pauses,
                gc_total_s=one.gc_total_s,
                gc_max_s=one.gc_max_s,
                lag_p99_s=one.lag_p99_s,
                peak_rss_bytes=one.peak_rss_bytes,
                realtime=one.realtime,
            )
        )
    limited = sum(one.rate_limited for one in said)
    context.journal.emit(
        LoadFinished(
            trial=context.trial,
            step=context.step,
            engine="ours",
            intended=sum(one.intended for one in said),
            sent=sum(one.sent for one in said),
            completed=sum(one.completed for one in said),
            cpu_share=max(one.cpu_share for one in said),
            detail=f"{len(said)} processes; {limited} rate-limited" if limited or len(said) > 1 else "",
        )
    )


def _emit_failures(context: StepContext, said: Sequence[Said]) -> None:
    """The table of failed requests, where there are any."""
    counts: Counter[tuple[str, str, int]] = Counter()
    for op, outcome, status, count in (kind for one in said for kind in one.failures):
        counts[op, outcome, status] += count
    if counts:
        context.journal.emit(failure_table(context.trial, context.step, sum(one.intended for one in said), counts))
