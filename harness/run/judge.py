"""From a run folder to a summary. Pure: no clock, no randomness, no system; the same folder gives the same bytes."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from harness.core.errors import HarnessError, UsageError
from harness.core.text import outside
from harness.core.verdict import Verdict
from harness.journal.events import FaultIntended, RunFinished, TrialStarted
from harness.journal.summary import MetricRow, Summary
from harness.run import rollup
from harness.run.builtin import OUTCOMES, of_kind, trial_end
from harness.run.protocols import CheckRow, MetricSpec, trial_row
from harness.run.reasons import explain, with_reasons
from harness.run.registry import Registry
from harness.run.threshold_rows import check_threshold, is_latency, threshold_row
from harness.run.view import FolderView
from harness.scenario.catalogue import Reference
from harness.scenario.model import CheckUse, Plan, ThresholdUse
from harness.scenario.parameters import decode_parameters
from harness.thresholds.grammar import Threshold, parse_threshold

COMPLETED = CheckUse(id="trial_completed", checker="trial_completed", parameters={})
LATENCY = "latency"  # what a row of a certificate voids while it is not PASS
FAULTS_DECLARED_SINCE = 2  # version of plans
RUN_WIDE = ("tests", "layers", "exits")
NOT_JUDGED = "interrupted before the trials were judged"  # the detail of such a run's end


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """Rows and the figures behind them."""

    rows: tuple[CheckRow, ...]
    metrics: tuple[MetricRow, ...] = ()


def judge(folder: Path, registry: Registry | None = None) -> Summary:
    """Judge everything in ``folder``; raises ``DamagedRun`` only for a broken journal."""
    view = FolderView(folder)
    registry = registry or Registry.discover()
    return summarise(view, registry, judge_trials(view, registry))


def judge_trials(view: FolderView, registry: Registry) -> Judged:
    """All trials. A run that was interrupted before this was done says so of each: judging it later must give the same."""
    cut_off = any(event.detail == NOT_JUDGED for event in of_kind(view, RunFinished))
    rows: list[CheckRow] = []
    metrics: list[MetricRow] = []
    for started in of_kind(view, TrialStarted):
        if cut_off:
            rows.append(trial_row(started.trial, started.layer, "judged", Verdict.ABORTED, reason=NOT_JUDGED))
            continue
        judged = TrialJudge(view, registry, started).judge()
        rows += judged.rows
        metrics += judged.metrics
    return Judged(tuple(rows), tuple(metrics))


def summarise(view: FolderView, registry: Registry, trials: Judged) -> Summary:
    """The summary of judged trials and of everything beside them."""
    rows = list(trials.rows)
    for name in RUN_WIDE:
        rows += _guarded(name, "", "", functools.partial(_run_wide, view, registry, name))
    return rollup.summary(view, _named_once(rows), trials.metrics)


def judge_trial(folder: Path, registry: Registry, trial: str) -> tuple[tuple[CheckRow, ...], Verdict]:
    """Judge one trial that has ended, also while the run goes on; its rows and their merged verdict."""
    view = FolderView(folder)
    started = [event for event in of_kind(view, TrialStarted) if event.trial == trial]
    if not started:
        raise UsageError(f"this run has no trial {trial!r}", remedy="give the id that run_trial returned")
    rows = tuple(_named_once(TrialJudge(view, registry, started[0]).judge().rows))
    everything_blocked = all(row.verdict is Verdict.BLOCKED for row in rows)
    return rows, Verdict.BLOCKED if everything_blocked else rollup.verdict_of(rows)


def _run_wide(view: FolderView, registry: Registry, name: str) -> Sequence[CheckRow]:
    checker = registry.checker(name)
    return checker.check(view, "", "", checker.parameters())


def _guarded(check: str, layer: str, trial: str, work: Callable[[], Sequence[CheckRow]]) -> Sequence[CheckRow]:
    """A checker that raises becomes an ERROR row."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever a checker of a wing raises
        reason = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        return [CheckRow(check=check, layer=layer, verdict=Verdict.ERROR, reason=reason, trial=trial)]


def _named_once(rows: Iterable[CheckRow]) -> list[CheckRow]:
    """Rows with clean, bounded text; a second row of one id gets a number."""
    seen: Counter[str] = Counter()
    named = []
    for row in rows:
        check = outside(row.check, 500)
        seen[check] += 1
        named.append(
            dataclasses.replace(
                row,
                check=check if seen[check] == 1 else f"{check} #{seen[check]}",
                value=outside(row.value),
                limit=outside(row.limit),
                reason=outside(row.reason),
                requirements=tuple(sorted(set(row.requirements))),
            )
        )
    return named


class TrialJudge:
    """Judges one trial: its checks, its thresholds, and what a broken trial does to them."""

    def __init__(self, view: FolderView, registry: Registry, started: TrialStarted) -> None:
        self._view, self._registry = view, registry
        self._trial, self._layer, self._started = started.trial, started.layer, started

    def judge(self) -> Judged:
        try:
            plan = self._view.plan(self._started)
        except HarnessError as error:
            row = CheckRow(check=f"{self._trial}.plan", layer=self._layer, verdict=Verdict.ERROR, reason=str(error), trial=self._trial)
            return Judged((row,))
        outcome, detail, required = trial_end(self._view, self._trial)
        if outcome == "blocked":
            return Judged(tuple(self._blocked(plan, detail, required=required)))
        checks = [row for use in _checks(plan) for row in self._check(plan, use)]
        certificate = plan.uncertified or _uncertified([row for row in checks if row.voids == LATENCY])
        checks += self._undeclared_faults(plan)
        judged = [self._threshold(plan, use, certificate) for use in plan.thresholds]
        explained = explain(self._view, self._registry, plan, self._trial, self._layer)
        first = [self._placed(plan, dataclasses.replace(row, check=self._id(row.check)), ()) for row in explained.rows]
        rows = [*first, *with_reasons([*checks, *(row for one in judged for row in one.rows)], plan, explained, first)]
        metrics = tuple(metric for one in judged for metric in one.metrics)
        return Judged(tuple(_broken(row, outcome, detail) for row in rows), metrics)

    def _id(self, name: str) -> str:
        return name if name.startswith(f"{self._trial}.") else f"{self._trial}.{name}"

    def _blocked(self, plan: Plan, reason: str, *, required: bool) -> Iterator[CheckRow]:
        uses = [(use.id, use.requirements) for use in _checks(plan)]
        uses += [(use.id, use.requirements) for use in plan.thresholds]
        for name, requirements in uses:
            yield CheckRow(
                check=self._id(name),
                layer=self._layer,
                verdict=Verdict.BLOCKED,
                reason=reason,
                requirements=(*plan.requirements, *requirements),
                trial=self._trial,
                optional=not required,
            )

    def _check(self, plan: Plan, use: CheckUse) -> Iterator[CheckRow]:
        rows = _guarded(use.id, self._layer, self._trial, lambda: self._run(use))
        if not rows:
            rows = [CheckRow(check=use.id, layer=self._layer, verdict=Verdict.VACUOUS, reason="the checker found nothing to check")]
        for row in rows:
            name = use.id if row.check == use.checker else row.check
            yield self._placed(plan, dataclasses.replace(row, check=self._id(name)), use.requirements)

    def _run(self, use: CheckUse) -> Sequence[CheckRow]:
        parameters = decode_parameters(self._registry.parameters(Reference("checker", use.checker)), use.parameters)
        return self._registry.checker(use.checker).check(self._view, self._trial, self._layer, parameters)

    def _placed(self, plan: Plan, row: CheckRow, requirements: tuple[str, ...]) -> CheckRow:
        everything = (*plan.requirements, *requirements, *row.requirements)
        return dataclasses.replace(row, layer=row.layer or self._layer, trial=self._trial, requirements=everything)

    def _undeclared_faults(self, plan: Plan) -> Iterator[CheckRow]:
        """A fault of a driver that declares no checks of faults: nothing would ask for its proof and its undoing."""
        if plan.v < FAULTS_DECLARED_SINCE:
            return
        intended = [item.event for item in self._view.events(FaultIntended.NAME, trial=self._trial)]
        for fault in dict.fromkeys(event.fault for event in intended if isinstance(event, FaultIntended)):
            if fault not in plan.faults:
                reason = f"the driver of {fault} does harm and declares no checks of faults (`implies`): proof and undoing were not judged"
                yield self._placed(plan, CheckRow(self._id(f"fault_declared.{fault}"), self._layer, Verdict.ERROR, reason=reason), ())

    def _threshold(self, plan: Plan, use: ThresholdUse, certificate: str) -> Judged:
        metrics: list[MetricRow] = []

        def work() -> Sequence[CheckRow]:
            threshold = parse_threshold(use.expression)
            spec = MetricSpec(threshold.metric, use.unit, use.source)
            finding = check_threshold(self._view, self._trial, threshold, spec)
            if certificate and is_latency(threshold, spec):
                finding = dataclasses.replace(finding, verdict=Verdict.INCONCLUSIVE, reason=certificate)
            metrics.append(_metric(use.id, self._trial, threshold, finding.figure))
            return [threshold_row(use.id, self._layer, self._trial, threshold, finding)]

        rows = _guarded(use.id, self._layer, self._trial, work)
        placed = [self._placed(plan, dataclasses.replace(row, check=self._id(use.id)), use.requirements) for row in rows]
        return Judged(tuple(placed), tuple(metrics))


def _metric(name: str, trial: str, threshold: Threshold, figure: float | None) -> MetricRow:
    symbol = threshold.limit.unit
    value = None if figure is None else figure / float(symbol.scale)
    return MetricRow(name=name, unit=symbol.name, value=value, trial=trial, tags={**dict(threshold.tags), "threshold": str(threshold)})


def _checks(plan: Plan) -> tuple[CheckUse, ...]:
    """The scenario's checks; whether the trial was completed is always among them."""
    named = any(use.checker == COMPLETED.checker for use in plan.checks)
    return plan.checks if named else (*plan.checks, COMPLETED)


def _uncertified(certificates: Sequence[CheckRow]) -> str:
    """Why latency figures of a trial cannot be trusted; empty when they can, or no certificate was asked for."""
    bad = [row for row in certificates if row.verdict is not Verdict.PASS]
    return f"latency is not certified: {bad[0].check} is {bad[0].verdict}: {bad[0].reason}" if bad else ""


def _broken(row: CheckRow, outcome: str, detail: str) -> CheckRow:
    """A trial that did not complete makes its checks ABORTED or ERROR, also those that failed: what they needed may be missing."""
    ended = OUTCOMES.get(outcome, Verdict.ERROR)
    if ended is Verdict.PASS or row.verdict is ended:
        return row
    found = "" if row.verdict is Verdict.PASS else f" (it had given {row.verdict}: {row.reason})"
    return dataclasses.replace(row, verdict=ended, reason=f"the trial was not completed: {outcome}: {detail}{found}")
