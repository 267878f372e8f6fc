"""The driver ``knee``: finds the rate at which the target stops holding its limits, by short open-loop trials.

Every step is a plan of its own with its own canary and certificate, sent by the engine of ``open_loop``; a monitor ends it as soon as
its outcome is certain. Which rate comes next, and what all of them say, is ``harness.load.shape.knee``.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Annotated, ClassVar, Protocol

import msgspec
import numpy as np

from harness.core.errors import HarnessError, UsageError
from harness.core.seeds import Seeds
from harness.core.units import Duration, Rate, Share
from harness.journal.events import Event, KneeStep, Measured, Table
from harness.load.engine.plan import CONNECTIONS_MAX
from harness.load.open_loop import OpenLoop, drive, planned_step
from harness.load.shape.grammar import Arrivals, Constant, Poisson, Shape
from harness.load.shape.knee import Knee, SearchPlan, Tried, estimate, search
from harness.load.shape.knee_step import CANARIES, Limits, StepMonitor, judge_step
from harness.load.shape.mixes import Mix
from harness.run.monitors import Watch
from harness.run.protocols import MetricSpec, StepContext

BAND_SHARE = 0.05  # of the p95 limit, as in the certificate
PAUSE_MAX_S = 8.0  # what disturbs a machine often ends soon: the pause doubles while steps are inconclusive
MORE = 1.1  # requests and canaries beyond the least, so that rounding never leaves one too few


class KneeSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``from`` … ``to``: rates. A step holds while p95, errors and shortfall are within their limits.

    ``each`` is the length of a step after its ``warmup``; it is longer where the rate would bring too few requests for the p95
    (200) or for the limit on errors (3/L). ``settle``: pause between steps. A step that is not certified is tried again
    ``retries`` times, after pauses that double.

    A step of T seconds sees an overload of δ only once the backlog T·δ reaches the p95 limit: the breaking point of a short step lies
    up to p95/T above the rate that could be kept up for ever.
    """

    start: Rate = msgspec.field(name="from")
    to: Rate
    p95: Duration
    errors: Share = Share.parse("1 %")
    shortfall: Share = Share.parse("0 %")
    requests: str = ""
    mix: Mix | None = None
    arrivals: Arrivals = "even"
    each: Duration = Duration.parse("5 s")
    warmup: Duration = Duration.parse("1 s")
    settle: Duration = Duration.parse("500 ms")
    timeout: Duration = Duration.parse("10 s")
    factor: Annotated[float, msgspec.Meta(gt=1, le=10)] = 1.5
    tolerance: Share = Share.parse("5 %")
    confirmations: Annotated[int, msgspec.Meta(ge=0, le=100)] = 4
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 2
    steps_max: Annotated[int, msgspec.Meta(ge=1, le=99)] = 40
    processes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    connections_max: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = CONNECTIONS_MAX

    def __post_init__(self) -> None:
        if bool(self.requests) == (self.mix is not None):
            raise ValueError("give exactly one of `requests` and `mix`")
        if self.p95.base <= 0 or self.each.base <= 0:
            raise ValueError("`p95` and `each` must be longer than 0 s")
        _ = self.plan  # what it refuses is an error of the scenario

    @property
    def plan(self) -> SearchPlan:
        return SearchPlan(
            first=self.start.per_second,
            most=self.to.per_second,
            factor=self.factor,
            tolerance=self.tolerance.fraction,
            confirmations=self.confirmations,
            retries=self.retries,
            steps_max=self.steps_max,
        )

    @property
    def limits(self) -> Limits:
        return Limits(self.p95.seconds, self.errors.fraction, self.shortfall.fraction, self.p95.seconds * BAND_SHARE)

    def step(self, rate: float) -> OpenLoop:
        """The open-loop step at one rate (1/s)."""
        quantity = Rate(Fraction(rate), self.start.unit)
        shape: Shape = Constant(rate=quantity) if self.arrivals == "even" else Poisson(rate=quantity)
        seconds = max(self.each.seconds, MORE * self.limits.requests_least / rate)
        return OpenLoop(
            shape=shape,
            duration=Duration.of_seconds(round(seconds, 3)),
            warmup=self.warmup,
            requests=self.requests,
            mix=self.mix,
            timeout=self.timeout,
            processes=self.processes,
            connections_max=self.connections_max,
        )


class Observed(Protocol):
    """A journal that tells of its events, as the hub of a run does."""

    def observe(self, observer: Callable[[Event], None]) -> Callable[[], None]: ...


class KneeDriver:
    """Searches the knee and journals every step, a table, and the metrics ``capacity`` and ``breaking_point``."""

    name: ClassVar[str] = "knee"
    parameters: ClassVar[type[msgspec.Struct]] = KneeSearch
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("capacity", "1/s", "measured", ("step", "bound")),
        MetricSpec("breaking_point", "1/s", "measured", ("step", "bound")),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: KneeSearch) -> None:
        """Raises what ``open_loop`` raises; an inconclusive search is no error: its figures are missing."""
        steps = _Steps(context, parameters)
        tried = search(parameters.plan, steps.run, context.stop)
        if context.stop():
            raise HarnessError("the trial was ended before the knee was found")
        found = estimate(tried)
        _emit(context, found, tried)


class _Steps:
    """Runs one step after the other."""

    def __init__(self, context: StepContext, parameters: KneeSearch) -> None:
        self._context, self._parameters, self._number = context, parameters, 0
        self._pause_s = parameters.settle.seconds

    def run(self, rate: float) -> Tried:
        """One open-loop trial at that rate."""
        parameters, self._number = self._parameters, self._number + 1
        if self._number > 1:
            self._context.wait(self._pause_s)
        step = f"{self._number:02d}-{self._context.step}"  # request ids keep the first eight characters
        context = dataclasses.replace(self._context, step=step, seed=Seeds(self._context.seed).derive(step))
        plan, mix = planned_step(context, parameters.step(rate))
        counted = int(np.count_nonzero(plan.offsets_ns >= parameters.warmup.ns))
        plan = dataclasses.replace(plan, canary_least_per_s=MORE * CANARIES / (plan.duration_s - plan.warmup_s))
        monitor = StepMonitor(context.run_folder, context.trial, step, counted, parameters.limits)
        with _watched(context, monitor):
            context.journal.emit(mix)
            drive(context, plan, lambda: monitor.met)
        return self._judged(context, rate, monitor)

    def _judged(self, context: StepContext, rate: float, monitor: StepMonitor) -> Tried:
        span, limits = monitor.span, self._parameters.limits
        if span is None:
            raise HarnessError(f"the step {context.step} has no window")
        outcome, reason = judge_step(*monitor.tables(), span, limits)
        context.journal.emit(
            KneeStep(
                trial=context.trial,
                search=self._context.step,
                step=context.step,
                rate_per_s=rate,
                outcome=outcome,
                reason=reason,
                start_ns=span.start_ns,
                end_ns=span.end_ns,
                planned=span.planned,
                p95_s=limits.p95_s,
                errors=limits.errors,
                shortfall=limits.shortfall,
                band_s=limits.band_s,
            )
        )
        settle_s = self._parameters.settle.seconds
        self._pause_s = settle_s if outcome != "inconclusive" else min(2 * self._pause_s, max(settle_s, PAUSE_MAX_S))
        return Tried(rate, outcome, reason)


@contextlib.contextmanager
def _watched(context: StepContext, monitor: StepMonitor) -> Iterator[None]:
    """The monitor sees every event meanwhile; its raise is journaled like any other's."""
    observe = getattr(context.journal, "observe", None)
    if observe is None:
        raise UsageError("the knee search needs a journal that can be observed", remedy="run it inside a run")
    forget = observe(Watch(context.trial, [monitor], context.journal, lambda _reason: None))
    try:
        yield
    finally:
        forget()


def _emit(context: StepContext, found: Knee, tried: list[Tried]) -> None:
    rows = tuple((str(number), f"{one.rate:.4g}", one.outcome, one.reason) for number, one in enumerate(tried, 1))
    note = knee_text(found)
    context.journal.emit(
        Table(
            trial=context.trial, title=f"Knee search: {context.step}", columns=("step", "rate /s", "outcome", "why"), rows=rows, note=note
        )
    )
    for metric, interval in (("capacity", found.capacity), ("breaking_point", found.breaking_point)):
        if interval is not None:
            for bound, value in (("estimate", interval.value), ("low", interval.low), ("high", interval.high)):
                tags = {"step": context.step, "bound": bound}
                context.journal.emit(Measured(trial=context.trial, metric=metric, unit="1/s", value=value, tags=tags))


def knee_text(found: Knee) -> str:
    """A sentence for people."""
    if found.capacity is None or found.breaking_point is None:
        return found.reason
    parts = [
        f"{name} {interval.value:.4g}/s (95 %: {interval.low:.4g} to {interval.high:.4g})"
        for name, interval in (("capacity", found.capacity), ("breaking point", found.breaking_point))
    ]
    return "; ".join([*parts, *([found.reason] if found.reason else [])])
