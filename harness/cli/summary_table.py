"""The end of a run on the terminal: layers, what is not PASS, five figures, the report's path, the manifest's hash."""

from __future__ import annotations

import sys

from rich.table import Table

from harness.cli.console import Console
from harness.core.text import clean, one_line
from harness.core.verdict import Verdict
from harness.journal.summary import MetricRow, Summary
from harness.run.run import FinishedRun

SHOWN_ROWS = 15
ONE_REASON = ".one_reason"  # what others follow from stands in front of them
# metric, what its tags or threshold must name, how it is shown
HEADLINES: tuple[tuple[str, str, str], ...] = (
    ("documents_to_dossier", "", "documents to dossier"),
    ("grounded_quotes", "", "grounded quotes"),
    ("nDCG@10", "fused", "fused nDCG@10"),
    ("response_time", "p(95)", "retrieve p95 under load"),
    ("recovery_time", "", "recovery after kill -9"),
    ("acknowledged_lost", "", "acknowledged writes lost"),
)


def print_summary(finished: FinishedRun, console: Console, *, as_json: bool) -> None:
    """The summary as a table, or its JSON."""
    if as_json:
        sys.stdout.write(finished.summary.encoded().decode())
        return
    summary = finished.summary
    console.out.print(_layers(summary, console))
    _exceptions(summary, console)
    for label, value in figures(summary):
        console.out.print(f"  {label:<26} {value}")
    headline = f"{summary.coverage}{' on sample data' if summary.sample_data else ''}"
    console.out.print()
    text = console.verdict(summary.verdict)
    text.append(f"  {headline.removeprefix(str(summary.verdict)).strip()}", style="default")
    console.out.print(text)
    console.out.print(f"report    {finished.folder / 'report.html'}")
    console.out.print(f"manifest  {finished.manifest_sha256}")
    for problem in finished.problems:
        console.err.print(f"warning: {clean(problem)}")


def _layers(summary: Summary, console: Console) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "verdict", "checks", "seconds"):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for layer in summary.layers:
        seconds = "" if layer.duration_s is None else f"{layer.duration_s:.1f}"
        coverage = layer.coverage.removeprefix(str(layer.verdict)).strip()
        table.add_row(layer.layer, console.verdict(layer.verdict), coverage, seconds)
    return table


def _exceptions(summary: Summary, console: Console) -> None:
    """Every row that is not PASS, the worst first, bounded."""
    found = (row for row in summary.rows if row.verdict is not Verdict.PASS)
    rows = sorted(found, key=lambda row: (ONE_REASON not in row.check, row.verdict.badness))
    for row in rows[:SHOWN_ROWS]:
        text = console.verdict(row.verdict)
        text.append(f"  {clean(row.check)}: {one_line(row.value or '')} {one_line(row.reason or row.limit)}"[:400], style="default")
        console.out.print(text)
    if len(rows) > SHOWN_ROWS:
        console.out.print(f"… and {len(rows) - SHOWN_ROWS} more in the report")


def figures(summary: Summary) -> list[tuple[str, str]]:
    """The headline figures that this run has."""
    found = []
    for name, word, label in HEADLINES:
        metric = next((item for item in summary.metrics if item.value is not None and _is(item, name, word)), None)
        if metric is not None:
            found.append((label, f"{metric.value:.4g} {'' if metric.unit == '1' else metric.unit}".rstrip()))
    return found


def _is(metric: MetricRow, name: str, word: str) -> bool:
    """A measured figure by its name, or a threshold's figure by the metric it is about."""
    threshold = metric.tags.get("threshold", "")
    named = metric.name == name or threshold.startswith(name)
    return named and (not word or word in metric.tags.values() or word in threshold)
