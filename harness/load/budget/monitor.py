"""Ends a run that its budget has lost already: the checker's statements, folded online over closed sample segments.

``impossible``: more bad requests than the plan of the whole window could make up for with nothing but good ones; a fact, not a
forecast. Requests that count are those of the window whose samples are written; the total is what the plan says, which is never
less. ``burn``: the fastest burn rate of an objective is exceeded over both its windows, twice in a row, a short window apart; windows
are scaled by the planned length of the run's window, as the checker does.

Everything seen is an event, or a file that an event vouches for: reading the journal again raises the same, in the same order.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.core import jsonio
from harness.core.errors import HarnessError
from harness.journal.events import Event, EvidenceCaptured, LoadPlanned, SamplesSegment, Window
from harness.journal.segments import read_segment
from harness.load.budget.burn import Counted, Scaled, needed, scaled
from harness.load.budget.checks import EVIDENCE, BudgetChecks, PhaseUse, captured
from harness.load.budget.file import ALL, PERCENTILES, Budget, Limit, Objective, limits_for
from harness.load.budget.judge import Span, bad_requests, of_objective, only, within
from harness.load.budget.reading import parse_budget
from harness.run.monitors import STOP
from harness.run.protocols import RunView
from harness.thresholds.figures import Values, values_of

STREAK = 2  # looks in a row that have to agree
Raise = tuple[str, str]


@dataclasses.dataclass(slots=True)
class _Burning:
    """The requests of an objective so far, and how often in a row its burn was too fast."""

    objective: Objective
    row: Scaled
    times: list[Any] = dataclasses.field(default_factory=list)
    bad: list[Any] = dataclasses.field(default_factory=list)
    looked_ns: int = 0
    streak: int = 0


class BudgetMonitor:
    """Implements ``Monitor``. Says something once; knows nothing that is not in the journal or in a file of the run folder."""

    name: ClassVar[str] = "budget"

    def __init__(self, run_folder: str | Path, trial: str, parameters: BudgetChecks) -> None:
        self._folder, self._trial, self._parameters = Path(run_folder), trial, parameters
        self._budget: Budget | None = None
        self._planned: dict[str, int] = {}
        self._spans: dict[PhaseUse, Span] = {}
        self._bad: dict[tuple[PhaseUse, str, str], int] = {}
        self._burning: dict[PhaseUse, list[_Burning]] = {}
        self._raised = False

    def see(self, event: Event) -> Raise | None:
        """``stop`` with the reason, once."""
        if self._raised or not self._parameters.abort:
            return None
        match event:
            case EvidenceCaptured(path=path) if captured(event, self._parameters.evidence):
                self._budget = parse_budget((self._folder / path).read_bytes(), EVIDENCE)
            case LoadPlanned(step=step, requests=requests):
                self._planned[step] = requests
            case Window(kind="phase", name=name, start_ns=start, end_ns=end, tags=tags) if tags.get("by") != "plan":
                for use in self._parameters.phases:
                    if use.named == name and (not use.step or tags.get("step") == use.step):
                        self._spans[use] = (start, end)
            case SamplesSegment(stream="requests"):
                reason = next(self._of_segment(event), "")
                self._raised = bool(reason)
                return (STOP, reason) if reason else None
        return None

    def _of_segment(self, segment: SamplesSegment) -> Iterator[str]:
        """Reasons that the new samples give."""
        budget = self._budget
        if budget is None:
            return
        path = self._folder / segment.path
        if jsonio.sha256_file(path) != segment.sha256:
            raise HarnessError(f"{segment.path}: changed; not what the journal vouches for")
        table, _ = read_segment(path)
        for use, span in self._spans.items():
            mine = within(only(table, "step", use.step) if use.step else table, span)
            if not mine.num_rows or use.phase not in budget.phases:
                continue
            if "impossible" in self._parameters.abort:
                yield from self._impossible(budget, use, mine)
            if "burn" in self._parameters.abort:
                yield from self._burns(budget, use, mine, span)

    def _impossible(self, budget: Budget, use: PhaseUse, table: Any) -> Iterator[str]:
        planned = self._planned.get(use.step, 0) if use.step else sum(self._planned.values())
        if not planned:
            return
        endpoints = sorted({str(op) for op in table.column("op").unique().to_pylist() if op})
        for endpoint in (ALL, *endpoints):
            rows = table if endpoint == ALL else only(table, "op", endpoint)
            for limit in limits_for(budget, use.phase, endpoint):
                if limit.metric == "rate":
                    continue
                key = (use, endpoint, limit.metric)
                self._bad[key] = self._bad.get(key, 0) + _bad_of(limit, rows)
                most = allowed_bad(limit, planned)
                if self._bad[key] > most:
                    why = "failed" if limit.metric == "errors" else f"failed or took longer than {limit.quantity}"
                    yield (
                        f"{use.phase}: {endpoint} {limit.metric} <= {limit.quantity} cannot be met any more: "
                        f"{self._bad[key]} requests {why}, {most} of {planned} may"
                    )

    def _burns(self, budget: Budget, use: PhaseUse, table: Any, span: Span) -> Iterator[str]:
        if use not in self._burning:
            fastest = max(scaled(budget.burn_rates, span[1] - span[0]), key=lambda row: row.rate)
            self._burning[use] = [_Burning(objective, fastest) for objective in budget.objectives]
        for burning in self._burning[use]:
            rows = of_objective(burning.objective, table)
            if rows.num_rows and (reason := _burn(burning, bad_requests(burning.objective, rows), span)):
                yield f"{use.phase}: {reason}"


def allowed_bad(limit: Limit, planned: int) -> int:
    """How many of ``planned`` requests may be bad before the limit cannot hold; exact (nearest rank, as ``harness.thresholds``)."""
    if limit.metric in PERCENTILES:
        return planned - math.ceil(PERCENTILES[limit.metric] * planned)
    return math.floor(limit.quantity.base * planned)


def _bad_of(limit: Limit, table: Any) -> int:
    if not table.num_rows:
        return 0
    if limit.metric == "errors":
        return int(values_of("errors", table).values.sum())
    return int((values_of("response_time", table).values > float(limit.quantity.base)).sum())


def _burn(burning: _Burning, new: Values, span: Span) -> str:
    """Look once a short window; the reason when the burn is too fast for the second time in a row."""
    burning.times.append(np.clip(new.times_ns, span[0], span[1] - 1))
    burning.bad.append(new.values)
    row, objective = burning.row, burning.objective
    now_ns = int(burning.times[-1].max()) + 1
    if now_ns < burning.looked_ns + row.short_ns:
        return ""
    burning.looked_ns = now_ns
    times, bad = np.concatenate(burning.times), np.concatenate(burning.bad)
    order = np.argsort(times, kind="stable")
    counted, ends, allowed = Counted(times[order], bad[order]), np.array([now_ns]), float(objective.allowed)
    total, _ = counted.window(ends, row.long_ns)
    both = min(float(counted.burn(ends, length, allowed)[0]) for length in (row.long_ns, row.short_ns))
    whole = now_ns >= span[0] + row.long_ns  # a stall of a second right at the begin is no long window of it
    exceeded = whole and both > row.rate and int(total[0]) >= needed(row.rate, Fraction(objective.allowed))
    burning.streak = burning.streak + 1 if exceeded else 0
    if burning.streak < STREAK:
        return ""
    return f"objective {objective.name} burns {both:.3g} times as fast as it may, over both windows, for the second time in a row"


def replay(view: RunView, trial: str, parameters: BudgetChecks) -> list[str]:
    """The reasons that a monitor gives over the journal of a run: those it gave then."""
    monitor = BudgetMonitor(view.folder, trial, parameters)
    answers = (monitor.see(recorded.event) for recorded in view.events(trial=trial))
    return [answer[1] for answer in answers if answer is not None]
