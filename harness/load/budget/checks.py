"""The checker ``budget``: a run's samples against the budget that the driver ``budget`` stored in the run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec

from harness.core.errors import HarnessError
from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import EvidenceCaptured, Measured, MonitorRaised, Window
from harness.load.budget.file import Budget
from harness.load.budget.judge import BudgetRow, Span, judge_phase, only
from harness.load.budget.reading import parse_budget
from harness.load.budget.resources import judge_resources
from harness.load.certificate import doubts
from harness.run.protocols import CheckRow, Monitor, RunView, trial_row

EVIDENCE = "budget.yaml"
SCALE = "load_scale"
Abort = Literal["impossible", "burn"]


class PhaseUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which phase of the budget holds in which window of the run; ``step``: only the samples of that step."""

    phase: str
    window: str = ""  # the phase of that name where it is left out
    step: str = ""

    @property
    def named(self) -> str:
        """The window's name."""
        return self.window or self.phase


class BudgetChecks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``endpoints`` that have to be measured; ``abort``: when a run is ended early; ``certified``: latency wants a certificate.

    ``scale``: the load was scaled down by this (times what a step itself says as ``load_scale``); limits on throughput are, too.
    """

    phases: Annotated[tuple[PhaseUse, ...], msgspec.Meta(min_length=1, max_length=50)]
    endpoints: tuple[str, ...] = ()
    evidence: str = EVIDENCE
    abort: tuple[Abort, ...] = ()
    certified: bool = True
    scale: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class BudgetChecker:
    """Judges by phase and endpoint. Pure: looks at the run's folder only."""

    name: ClassVar[str] = "budget"
    parameters: ClassVar[type[msgspec.Struct]] = BudgetChecks

    def check(self, view: RunView, trial: str, layer: str, parameters: BudgetChecks) -> Sequence[CheckRow]:
        budget = stored_budget(view, trial, parameters.evidence)
        rows = [_check_row(trial, layer, row) for row in judge_run(view, trial, budget, parameters)]
        return [*rows, *_abort_rows(view, trial, layer, parameters)]

    def monitor(self, run_folder: str, trial: str, parameters: BudgetChecks) -> Monitor:
        """The same statements watched online (``harness.run.monitors.OnlineChecker``)."""
        from harness.load.budget.monitor import BudgetMonitor

        return BudgetMonitor(run_folder, trial, parameters)


def stored_budget(view: RunView, trial: str, evidence: str = EVIDENCE) -> Budget:
    """The budget that the run was judged by; ``HarnessError`` when no step stored it."""
    content = view.evidence(evidence, trial)
    if content is None:
        raise HarnessError(f"the trial {trial} has no {evidence}: add a step with the driver `budget` to the scenario")
    return parse_budget(content, evidence)


def judge_run(view: RunView, trial: str, budget: Budget, parameters: BudgetChecks) -> list[BudgetRow]:
    """All rows of a trial; latency rows that nothing certifies are INCONCLUSIVE with the cause."""
    rows = [row for use in parameters.phases for row in _phase_rows(view, trial, budget, use, parameters)]
    if parameters.certified:
        rows = list(_certified(view, trial, rows))
    return rows


def _phase_rows(view: RunView, trial: str, budget: Budget, use: PhaseUse, parameters: BudgetChecks) -> Iterator[BudgetRow]:
    span = window_of(view, trial, use)
    if use.phase not in budget.phases:
        reason = f"the budget {budget.name} has no phase {use.phase}"
        yield BudgetRow(use.phase, "all", "phase", Verdict.ERROR, "", "", "", reason)
    elif span is None:
        reason = f"the window {use.named} never began"
        yield BudgetRow(use.phase, "all", "phase", Verdict.VACUOUS, "", "", f"phases.{use.phase}", reason)
    else:
        table = view.samples("requests", trial)
        mine = only(table, "step", use.step) if use.step else table
        scale = parameters.scale * said_scale(view, trial, use.step)
        yield from judge_phase(budget, use.phase, mine, span, parameters.endpoints, scale)
        yield from judge_resources(budget, use.phase, view, trial, span)


def said_scale(view: RunView, trial: str, step: str) -> float:
    """By how much a step scaled its own load (``harness.load.scale``); 1 where it said nothing."""
    events = (recorded.event for recorded in view.events(Measured.NAME, trial=trial))
    said = [one.value for one in events if isinstance(one, Measured) and one.metric == SCALE and one.tags.get("step", "") in {step, ""}]
    return said[-1] if step and said else 1.0


def window_of(view: RunView, trial: str, use: PhaseUse) -> Span | None:
    """When a phase was: as a driver said, else as planned; of ``step`` alone where one is named."""
    found = [
        recorded.event
        for recorded in view.events(Window.NAME, trial=trial)
        if isinstance(recorded.event, Window) and (recorded.event.kind, recorded.event.name) == ("phase", use.named)
    ]
    mine = [window for window in found if not use.step or window.tags.get("step") == use.step]
    said = [window for window in mine if window.tags.get("by") != "plan"] or mine
    return (said[-1].start_ns, said[-1].end_ns) if said and said[-1].end_ns > said[-1].start_ns else None


def _certified(view: RunView, trial: str, rows: Sequence[BudgetRow]) -> Iterator[BudgetRow]:
    """A certificate for each limit on a time: its band is 5 % of that limit, so a wide limit may stand where a tight one does not."""
    causes: dict[float, str] = {}
    for row in rows:
        limit = row.latency.quantity if row.latency is not None else None
        if not isinstance(limit, Duration) or row.verdict not in {Verdict.PASS, Verdict.FAIL}:
            yield row
            continue
        if limit.seconds not in causes:
            causes[limit.seconds] = _uncertified(view, trial, limit)
        cause = causes[limit.seconds]
        yield dataclasses.replace(row, verdict=Verdict.INCONCLUSIVE, reason=cause) if cause else row


def _uncertified(view: RunView, trial: str, limit: Duration) -> str:
    bad = doubts(view, trial, limit)
    return f"latency is not certified for {limit}: {bad[0].check} is {bad[0].verdict}: {bad[0].reason}" if bad else ""


def _check_row(trial: str, layer: str, row: BudgetRow) -> CheckRow:
    limit = f"{row.metric} {row.limit}" + (f" ({row.source})" if row.source else "")
    return trial_row(trial, layer, f"budget.{row.phase}.{row.name}", row.verdict, row.value, limit, row.reason)


def _abort_rows(view: RunView, trial: str, layer: str, parameters: BudgetChecks) -> list[CheckRow]:
    """What the monitor raised is raised again by reading the journal; anything else is a defect of the monitor."""
    if not parameters.abort:
        return []
    from harness.load.budget.monitor import replay

    said = [event.reason for event in _raised(view, trial)]
    again = replay(view, trial, parameters)
    agrees = said == again[: len(said)] and (bool(said) or not again)
    verdict = Verdict.FAIL if said or not agrees else Verdict.PASS
    reason = said[0] if said and agrees else "" if agrees else f"the monitor raised {said}, reading the journal again gives {again}"
    value = "ended early" if said else "not raised"
    return [trial_row(trial, layer, "budget.early_abort", verdict, value, "no early end", reason)]


def _raised(view: RunView, trial: str) -> list[MonitorRaised]:
    events = (recorded.event for recorded in view.events(MonitorRaised.NAME, trial=trial))
    return [event for event in events if isinstance(event, MonitorRaised) and event.monitor == BudgetChecker.name]


def captured(event: object, evidence: str) -> bool:
    """Whether an event says that the budget was stored."""
    return isinstance(event, EvidenceCaptured) and event.name == evidence
