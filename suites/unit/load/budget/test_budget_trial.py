"""A whole trial that its budget ends early, and the run folder judged again without anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from harness.core.verdict import Verdict
from harness.journal.events import LoadPlanned, Window
from harness.journal.segments import REQUESTS, SegmentWriter
from harness.load.budget.checks import BudgetChecker
from harness.load.budget.driver import BudgetDriver, BudgetTableDriver
from harness.run.protocols import MetricSpec, StepContext, Target
from harness.run.recheck import recheck
from harness.run.registry import Registry
from harness.run.run import Run
from harness.run.trial import run_trial
from harness.scenario.catalogue import Reference
from harness.scenario.loader import parse_scenario

MS = 1_000_000
PLANNED = 100_000


class Refusals(msgspec.Struct, frozen=True):
    """Every n-th request is refused; 0: none."""

    every: int


class RefusedLoad:
    """Plans a long load and writes segments of it until it is told to stop, or 40 of them are written."""

    name: ClassVar[str] = "refused_load"
    parameters: ClassVar[type[msgspec.Struct]] = Refusals
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: Refusals) -> None:
        start = context.now_ns()
        planned = LoadPlanned(
            trial=context.trial,
            step=context.step,
            engine="hand",
            rate_per_s=1000,
            warmup_s=0,
            duration_s=100,
            requests=PLANNED,
            canary_rate_per_s=0,
        )
        context.journal.emit(planned)
        tags = {"step": context.step}
        context.journal.emit(
            Window(trial=context.trial, kind="phase", name="steady", start_ns=start, end_ns=start + PLANNED * MS, tags=tags)
        )
        for segment in range(40):
            if context.stop():
                return
            with SegmentWriter("requests", REQUESTS, context.run_folder, context.journal, trial=context.trial) as samples:
                for number in range(segment * 200, segment * 200 + 200):
                    bad = bool(parameters.every) and number % parameters.every == 0
                    at = start + number * MS
                    outcome, status = ("http_error", 503) if bad else ("ok", 200)
                    samples.append(
                        op="buy", step=context.step, intended_ns=at, sent_ns=at, done_ns=at + MS, status=status, outcome=outcome, key=""
                    )


WINGS: dict[Reference, type[Any]] = {
    Reference("driver", "refused_load"): RefusedLoad,
    Reference("driver", "budget"): BudgetDriver,
    Reference("driver", "budget_table"): BudgetTableDriver,
    Reference("checker", "budget"): BudgetChecker,
}
SCENARIO = """
name: shop
title: a shop that refuses
layer: load
timeline:
  - {{step: budget, driver: budget, with: {{file: b.yaml}}}}
  - {{step: load, driver: refused_load, with: {{every: {every}}}, after: budget}}
checks:
  - checker: budget
    with: {{phases: [{{phase: steady, step: load}}], certified: false, abort: [impossible]}}
"""


@pytest.mark.parametrize(("every", "outcome", "verdict"), [(1, "stopped", Verdict.ABORTED), (0, "completed", Verdict.PASS)])
def test_a_lost_run_is_ended_early_and_judged_again(tmp_path: Path, every: int, outcome: str, verdict: Verdict) -> None:
    """Everything refused: stopped by the check's own monitor, rows ABORTED; nothing refused: PASS. Recheck agrees with both."""
    (tmp_path / "b.yaml").write_text("name: b\nphases: {steady: {p95: 1 s, errors: 1 %}}\n")
    registry = Registry.built_in().added(WINGS)
    with Run(tmp_path / "reports", registry=registry, project=tmp_path, seed=7) as run:
        run.attach(Target("http://127.0.0.1:1", {}))
        result = run_trial(run, parse_scenario(SCENARIO.format(every=every).encode(), "s.yaml", registry))
    finished = run.finished
    assert finished is not None
    assert (result.outcome, finished.summary.verdict) == (outcome, verdict)
    if outcome == "stopped":
        assert "errors <= 1 % cannot be met any more: 1200 requests failed, 1000 of 100000 may" in result.detail
        assert any("it had given FAIL" in row.reason for row in finished.summary.rows)
    raised = [row for row in finished.summary.rows if row.check.endswith("early_abort")]
    assert len(raised) == 1
    assert recheck(run.folder, finished.manifest_sha256, registry).identical
