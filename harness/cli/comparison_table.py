"""Comparisons on the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.console import STYLES
from harness.core.text import clean, one_line
from harness.load.compare.result import Comparison, Decision, FigureRow, History, Interval, Side


def print_comparison(result: Comparison) -> None:
    """The sides, the table, the answer."""
    console = Console(highlight=False, soft_wrap=True)
    for name, side in (("A", result.a), ("B", result.b)):
        console.print(Text(f"{name}  {_side(side)}"))
    table = Table(box=None, pad_edge=False)
    for heading in ("", "A", "B", "B / A", f"{result.confidence:.0%} interval", ""):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in result.rows:
        table.add_row(row.figure, figure(row.a, row), figure(row.b, row), *ratio(row.ratio), row.note)
    console.print(table)
    print_decision(result.decision, console)


def print_decision(decision: Decision, console: Console) -> None:
    """One line: the answer in its colour, then why."""
    answer = Text(str(decision.answer), style=STYLES[decision.answer.verdict])
    if decision.more_rounds is not None:
        answer.append(f", {decision.more_rounds} more rounds", style="default")
    answer.append(f"  {decision.metric}: {clean(decision.cause)}", style="default")
    console.print(answer)


def print_history(found: History) -> None:
    """The change points, each with the run from which on it holds."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{one_line(found.metric)}: {len(found.values)} runs, {len(found.points)} change points"))
    table = Table("from run", "started", "before", "after", "change", "p", box=None, pad_edge=False)
    for point in found.points:
        started = found.started[point.index]
        table.add_row(
            one_line(point.run), started, f"{point.before:.4g}", f"{point.after:.4g}", f"{point.change:+.1%}", f"{point.p_value:.2g}"
        )
    if found.points:
        console.print(table)
    for reason in found.skipped[:5]:
        console.print(Text(f"left out: {one_line(reason)}", style="dim"))


def _side(side: Side) -> str:
    duration = "" if side.duration_s is None else f", {side.duration_s:.1f} s"
    notes = "".join(f"; {note}" for note in side.notes)
    count = f", {side.recordings} recordings" if side.recordings > 1 else ""
    return f"{one_line(side.name)}: {side.kind}{count}, {side.requests:,} requests, {side.failed:,} failed{duration}{one_line(notes)}"


def figure(value: float | None, row: FigureRow) -> str:
    """A figure with its unit as people read it."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "never"
    if row.unit == "s":
        return f"{value * 1000:.4g} ms"
    return f"{value:.3%}" if row.unit == "share" else f"{value:.4g} /s"


def ratio(found: Interval | None) -> tuple[str, str]:
    """The ratio and its interval."""
    if found is None:
        return "–", ""
    return f"{found.estimate:.3f}", "" if math.isinf(found.high) else f"{found.low:.3f} to {found.high:.3f}"
