"""What the system itself uses under load: the driver ``resources`` samples its processes, the budget limits what it saw.

CPU: time of all processes of the stack (children too) over the wall time of all cores of this machine. Memory: their resident bytes
(a page shared by two processes counts twice, before and after alike), the last tenth of the window against the first.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec
import psutil

from harness.core.errors import Blocked
from harness.core.units import Duration, Share
from harness.core.verdict import Verdict
from harness.journal.events import Measured, Series
from harness.load.budget.file import Budget
from harness.load.budget.judge import BudgetRow, Span
from harness.run.protocols import MetricSpec, RunView, StepContext

CPU, MEMORY = "system_cpu", "system_memory"
POINTS_MIN = 20  # a mean of fewer says little of minutes
TENTH = 10
POINTS_MAX = 5000  # of a series event


class ResourcesStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Samples for ``duration``, one every ``every``."""

    duration: Duration
    every: Duration = Duration.parse("1 s")

    def __post_init__(self) -> None:
        if self.every.base <= 0 or not 1 <= self.duration.base / self.every.base <= POINTS_MAX:
            raise ValueError(f"`duration` over `every` gives 1 to {POINTS_MAX} points")


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """Sums over the system's processes at one moment."""

    at_ns: int
    cpu_s: float
    memory_bytes: int


class ResourcesDriver:
    """Reads /proc (through psutil) of the run's own stack; changes nothing."""

    name: ClassVar[str] = "resources"
    parameters: ClassVar[type[msgspec.Struct]] = ResourcesStep
    metrics: ClassVar[tuple[MetricSpec, ...]] = (MetricSpec(CPU, "%", "measured"), MetricSpec(MEMORY, "B", "measured"))
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})

    def run(self, context: StepContext, parameters: ResourcesStep) -> None:
        if context.stack is None:
            raise Blocked("the system's processes are only known where the run owns its stack")
        readings: list[Reading] = []
        end_ns = context.now_ns() + parameters.duration.ns
        known: dict[tuple[int, float], float] = {}
        while context.now_ns() < end_ns and not context.stop():
            readings.append(_reading(context.now_ns(), [status.pid for status in context.stack.services()], known))
            context.wait(parameters.every.seconds)
        emit(context, readings)


def emit(context: StepContext, readings: Sequence[Reading]) -> None:
    """Two series (they are what is judged) and their means."""
    cores = psutil.cpu_count() or 1
    pairs = list(itertools.pairwise(readings))
    shares = [(b.cpu_s - a.cpu_s) / max((b.at_ns - a.at_ns) / 1e9, 1e-9) / cores for a, b in pairs]
    sizes = [float(one.memory_bytes) for one in readings]
    for name, unit, times, values in ((CPU, "%", [b.at_ns for _, b in pairs], shares), (MEMORY, "B", [r.at_ns for r in readings], sizes)):
        scaled = [value * 100 for value in values] if unit == "%" else values
        if not scaled:
            continue
        context.journal.emit(Series(trial=context.trial, name=name, unit=unit, times_ns=tuple(times), values=tuple(scaled)))
        context.journal.emit(Measured(trial=context.trial, metric=name, unit=unit, value=sum(scaled) / len(scaled)))


def _reading(now_ns: int, pids: Iterable[int], known: dict[tuple[int, float], float]) -> Reading:
    """CPU seconds never go back: a process that ended keeps what it had used."""
    memory = 0
    for process in _processes(pids):
        try:
            times, size = process.cpu_times(), process.memory_info().rss
            known[process.pid, process.create_time()] = times.user + times.system
            memory += size
        except psutil.Error:
            continue  # it ended meanwhile
    return Reading(now_ns, sum(known.values()), memory)


def _processes(pids: Iterable[int]) -> Iterator[psutil.Process]:
    seen: set[int] = set()
    for pid in pids:
        try:
            root = psutil.Process(pid)
            found = [root, *root.children(recursive=True)]
        except psutil.Error:
            continue
        yield from (process for process in found if process.pid not in seen and not seen.add(process.pid))  # type: ignore[func-returns-value]


def judge_resources(budget: Budget, phase: str, view: RunView, trial: str, span: Span) -> Iterator[BudgetRow]:
    """A row for each limited resource of the phase; VACUOUS where nobody sampled it."""
    if budget.resources is None:
        return
    if budget.resources.cpu is not None:
        points = _points(view, trial, CPU, span)
        yield _row(phase, CPU, budget.resources.cpu, points, sum(points) / len(points) / 100 if points else 0.0, "mean over all cores")
    if budget.resources.memory_growth is not None:
        points = _points(view, trial, MEMORY, span)
        yield _row(phase, MEMORY, budget.resources.memory_growth, points, _growth(points), "last tenth over the first")


def _growth(points: Sequence[float]) -> float:
    part = max(1, len(points) // TENTH)
    first = sum(points[:part]) / part if points else 0.0
    return sum(points[-part:]) / part / first - 1 if first else 0.0


def _points(view: RunView, trial: str, name: str, span: Span) -> list[float]:
    found = [recorded.event for recorded in view.events(Series.NAME, trial=trial)]
    series = [event for event in found if isinstance(event, Series) and event.name == name]
    return [value for one in series for at, value in zip(one.times_ns, one.values, strict=True) if span[0] <= at < span[1]]


def _row(phase: str, name: str, limit: Share, points: Sequence[float], figure: float, how: str) -> BudgetRow:
    value = f"{figure * 100:.3g} % ({how}, n={len(points)})"
    verdict, reason = Verdict.PASS, ""
    if not points:
        verdict, value, reason = Verdict.VACUOUS, "", "nothing was sampled: add a step with the driver `resources`"
    elif len(points) < POINTS_MIN:
        verdict, reason = Verdict.INCONCLUSIVE, f"{len(points)} points, {POINTS_MIN} are needed"
    elif figure > limit.fraction:
        verdict, reason = Verdict.FAIL, f"{figure * 100:.3g} % is not <= {limit}"
    return BudgetRow(phase, "system", name, verdict, value, f"<= {limit}", "resources", reason)
