"""Two drivers: ``budget`` stores the budget of a trial in the run's folder, ``budget_table`` draws how it was held.

A checker may look at the run's folder only, and so may whoever judges it again years later: the file that was meant has to be in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from harness.core.errors import UsageError, nearest_word
from harness.journal.events import Table
from harness.load.budget.checks import EVIDENCE, BudgetChecks, judge_run, stored_budget
from harness.load.budget.judge import BudgetRow
from harness.load.budget.reading import parse_budget
from harness.run.context import store_evidence
from harness.run.protocols import MetricSpec, StepContext
from harness.run.view import FolderView
from harness.scenario.yaml_tree import MAX_BYTES

COLUMNS = ("endpoint", "metric", "limit", "value", "verdict", "from", "reason")
ROWS_MAX = 500


class BudgetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``file``: relative to the project."""

    file: str
    evidence: str = EVIDENCE


class BudgetDriver:
    """Put it first on the timeline: a monitor judges by it while the load runs."""

    name: ClassVar[str] = "budget"
    parameters: ClassVar[type[msgspec.Struct]] = BudgetFile
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: BudgetFile) -> None:
        """``UsageError`` for a file that is not there or says something wrong; nothing is stored then."""
        content = _content(context.project, parameters.file)
        parse_budget(content, parameters.file)
        store_evidence(context, self.name, parameters.evidence, content)


def _content(project: Path, file: str) -> bytes:
    path = project / file
    if not path.resolve().is_relative_to(project.resolve()):
        raise UsageError("the budget lies outside the project", file=file, remedy="give a path inside it")
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        beside = [one.name for one in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        near = nearest_word(path.name, beside)
        remedy = "correct `file` in the scenario"
        raise UsageError(f"the budget cannot be read: {error.strerror}", file=file, nearest=near, remedy=remedy) from None


class BudgetTableDriver:
    """After the load: a table for each phase. What it shows is computed as the checker does, from the run's folder."""

    name: ClassVar[str] = "budget_table"
    parameters: ClassVar[type[msgspec.Struct]] = BudgetChecks
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: BudgetChecks) -> None:
        view = FolderView(context.run_folder)
        budget = stored_budget(view, context.trial, parameters.evidence)
        rows = judge_run(view, context.trial, budget, parameters)
        for phase in dict.fromkeys(row.phase for row in rows):
            mine = [row for row in rows if row.phase == phase]
            context.journal.emit(table_event(context.trial, budget.title or budget.name, phase, mine))


def table_event(trial: str, title: str, phase: str, rows: Sequence[BudgetRow]) -> Table:
    """A budget table as the generic shape that every report shows."""
    cells = tuple((row.endpoint, row.metric, row.limit, row.value, str(row.verdict), row.source, row.reason) for row in rows[:ROWS_MAX])
    more = f" {len(rows) - ROWS_MAX} more rows are in the summary." if len(rows) > ROWS_MAX else ""
    note = "Every intended request counts; one that failed or was never sent is +∞." + more
    return Table(trial=trial, title=f"{title}: phase {phase}", columns=COLUMNS, rows=cells, note=note)
