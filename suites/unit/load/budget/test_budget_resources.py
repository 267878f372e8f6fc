"""What the system used: sampled from real processes, judged as means."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from harness.core.errors import Blocked
from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import Series
from harness.load.budget.judge import BudgetRow
from harness.load.budget.reading import parse_budget
from harness.load.budget.resources import CPU, MEMORY, ResourcesDriver, ResourcesStep, judge_resources

BUDGET = parse_budget(b"name: b\nphases: {p: {errors: 1 %}}\nresources: {cpu: 70 %, memory_growth: 10 %}\n", "b.yaml")
S = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Status:
    pid: int


class Stack:
    def __init__(self, *pids: int) -> None:
        self.pids = pids

    def services(self) -> Sequence[Status]:
        return [Status(pid) for pid in self.pids]


def judged(place: Any, **series: Sequence[float]) -> dict[str, BudgetRow]:
    """The rows over series with one point a second, for a phase of 100 s from 10 s on."""
    for name, values in series.items():
        times = tuple(range(10 * S, (10 + len(values)) * S, S))
        place.emit(Series(trial="t", name=name, unit="%", times_ns=times, values=tuple(values)))
    return {row.metric: row for row in judge_resources(BUDGET, "p", place.view(), "t", (10 * S, 110 * S))}


def test_the_mean_over_the_phase_is_judged(place: Any) -> None:
    """60 % on average passes although it peaked; what was used after the phase does not count."""
    rows = judged(place, system_cpu=[40.0, 80.0] * 50 + [100.0] * 100, system_memory=[100.0] * 100)
    assert (rows[CPU].verdict, rows[CPU].value) == (Verdict.PASS, "60 % (mean over all cores, n=100)")


def test_a_busy_system_and_a_growing_one_fail(place: Any) -> None:
    """71 % of all cores; memory a quarter larger in the last tenth than in the first."""
    rows = judged(place, system_cpu=[71.0] * 100, system_memory=[100.0] * 50 + [125.0] * 50)
    assert (rows[CPU].verdict, rows[MEMORY].verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert rows[MEMORY].value == "25 % (last tenth over the first, n=100)"


def test_few_points_are_inconclusive_and_none_are_vacuous(place: Any) -> None:
    """A mean of ten seconds says little; nothing sampled says nothing."""
    rows = judged(place, system_cpu=[10.0] * 10)
    assert (rows[CPU].verdict, rows[MEMORY].verdict) == (Verdict.INCONCLUSIVE, Verdict.VACUOUS)


def test_processes_of_the_stack_are_read(place: Any) -> None:
    """A process that works uses CPU and memory; one that has gone is no error."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(30)
    context = place.context("http://127.0.0.1:1", {}, stack=Stack(os.getpid(), gone.pid))
    step = ResourcesStep(duration=Duration.parse("300 ms"), every=Duration.parse("50 ms"))
    ResourcesDriver().run(context, step)
    found = {item.event.name: item.event for item in place.view().events(Series.NAME, trial="t") if isinstance(item.event, Series)}
    assert min(found[MEMORY].values) > 10_000_000
    assert all(0 <= value < 400 for value in found[CPU].values)


def test_a_foreign_system_is_blocked(place: Any) -> None:
    """Whose processes are not known is not judged by them."""
    with pytest.raises(Blocked):
        ResourcesDriver().run(place.context("http://127.0.0.1:1", {}), ResourcesStep(duration=Duration.parse("1 s")))
