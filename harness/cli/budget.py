"""``harness budget FILE``: check a budget file and show which limit holds where; with ``--run`` or ``--stats``, judge by it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.console import STYLES
from harness.core.errors import UsageError, listing, nearest_word
from harness.core.text import one_line
from harness.core.verdict import Verdict, merge
from harness.journal.events import TrialStarted
from harness.load.budget.checks import BudgetChecks, PhaseUse, judge_run
from harness.load.budget.file import ALL, Budget, limits_for
from harness.load.budget.judge import BudgetRow
from harness.load.budget.locust_stats import judge_stats, read_stats
from harness.load.budget.reading import load_budget
from harness.run.folder import JOURNAL
from harness.run.view import FolderView

WIDE = 400


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("file", help="budget file (YAML)")
    parser.add_argument("--run", default="", metavar="DIR", help="judge the requests of a run folder, whatever engine made them")
    parser.add_argument("--trial", default="", help="which trial of the run, where it has several")
    parser.add_argument("--stats", default="", metavar="CSV", help="judge Locust's own …_stats.csv")
    parser.add_argument("--phase", default="", help="phase of the budget")
    parser.add_argument("--window", default="", help="phase of the run, where it has another name")
    parser.add_argument("--step", default="", help="only the requests of this step")
    parser.add_argument("--scale", type=float, default=1.0, help="the load was scaled by this (0 to 1): limits on throughput are, too")
    parser.add_argument("--accept-send", action="store_true", help="let times counted from the send show that a limit holds")
    parser.add_argument("--uncertified", action="store_true", help="judge latency without a canary's certificate")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    budget = load_budget(Path(namespace.file))
    if namespace.run and namespace.stats:
        raise UsageError("--run and --stats exclude each other", remedy="give one of them")
    if not namespace.run and not namespace.stats:
        _show_limits(budget, as_json=namespace.json)
        return 0
    phase = _phase(budget, namespace.phase)
    rows = _of_run(budget, phase, namespace) if namespace.run else _of_stats(budget, phase, namespace)
    verdict = merge(row.verdict for row in rows)
    _show_rows(rows, verdict, as_json=namespace.json)
    return verdict.exit_code


def _phase(budget: Budget, given: str) -> str:
    if given not in budget.phases:
        near = nearest_word(given, budget.phases)
        what = f"the budget has no phase {given!r}" if given else "--phase is missing"
        raise UsageError(what, nearest=near, remedy=f"known: {listing(budget.phases)}")
    return given


def _of_stats(budget: Budget, phase: str, namespace: argparse.Namespace) -> list[BudgetRow]:
    return judge_stats(budget, phase, read_stats(Path(namespace.stats)), accept_send=namespace.accept_send)


def _of_run(budget: Budget, phase: str, namespace: argparse.Namespace) -> list[BudgetRow]:
    folder = Path(namespace.run)
    if not (folder / JOURNAL).is_file():
        raise UsageError("this is no run folder", file=str(folder), remedy=f"give a folder with a {JOURNAL}")
    view = FolderView(folder)
    use = PhaseUse(phase=phase, window=namespace.window, step=namespace.step)
    if not 0 < namespace.scale <= 1:
        raise UsageError(f"--scale {namespace.scale:g}", remedy="give a factor above 0, 1 at most")
    parameters = BudgetChecks(phases=(use,), certified=not namespace.uncertified, scale=namespace.scale)
    return judge_run(view, _trial(view, namespace.trial), budget, parameters)


def _trial(view: FolderView, given: str) -> str:
    events = (recorded.event for recorded in view.events(TrialStarted.NAME))
    trials = [event.trial for event in events if isinstance(event, TrialStarted)]
    if given in trials or (not given and len(trials) == 1):
        return given or trials[0]
    what = f"this run has no trial {given!r}" if given else f"this run has {len(trials)} trials"
    raise UsageError(what, nearest=nearest_word(given, trials), remedy=f"give --trial: {listing(trials)}")


def _show_limits(budget: Budget, *, as_json: bool) -> None:
    """Which limit holds where, and which line of the file says it."""
    found = [
        {"phase": phase, "endpoint": endpoint, "metric": one.metric, "limit": str(one.quantity), "from": one.source}
        for phase in budget.phases or ("",)
        for endpoint in (ALL, *budget.endpoints)
        for one in limits_for(budget, phase, endpoint)
    ]
    if as_json:
        sys.stdout.write(msgspec.json.encode({"budget": budget.name, "limits": found}).decode() + "\n")
        return
    table = Table("phase", "endpoint", "metric", "limit", "from", box=None, header_style="bold")
    for row in found:
        table.add_row(*row.values())
    _console().print(table)


def _show_rows(rows: Sequence[BudgetRow], verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        fields = ("phase", "endpoint", "metric", "verdict", "value", "limit", "source", "reason")
        plain = [{field: str(getattr(row, field)) for field in fields} for row in rows]
        sys.stdout.write(msgspec.json.encode({"verdict": verdict, "rows": plain}).decode() + "\n")
        return
    console = _console()
    table = Table("endpoint", "metric", "verdict", "value", "limit", "reason", box=None, header_style="bold")
    for row in rows:
        shown = Text(str(row.verdict), style=STYLES[row.verdict])
        table.add_row(one_line(row.endpoint), row.metric, shown, row.value, row.limit, one_line(row.reason))
    console.print(table)
    console.print(Text(str(verdict), style=STYLES[verdict]))


def _console() -> Console:
    """As wide as the terminal; wide enough for every column where the output goes elsewhere."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
