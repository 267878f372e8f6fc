"""Locust's own statistics (``_stats.csv``) as a table beside ours, judged by nobody: it measures closed-loop, from the send."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from harness.core.errors import HarnessError
from harness.journal.events import LoadFinished, Table
from harness.run.protocols import StepContext

_COLUMNS = ("Request Count", "Failure Count", "Requests/s", "50%", "95%", "99%", "Max Response Time")


def journal_figures(context: StepContext, intended: int, path: Path) -> None:
    """Locust's own aggregate, as it reports it, and what it says it did."""
    figures = journal_table(context, path)
    count, failures = int(figures["Request Count"]), int(figures["Failure Count"])
    context.journal.emit(
        LoadFinished(
            trial=context.trial,
            step=context.step,
            engine="locust",
            intended=intended,
            sent=count,
            completed=count - failures,
            cpu_share=0.0,
            detail=f"{failures} failures",
        )
    )


def journal_table(context: StepContext, path: Path) -> Mapping[str, str]:
    """Locust's aggregate as a table of the journal; the same figures by their headings."""
    figures = read_aggregate(path)
    context.journal.emit(
        Table(
            trial=context.trial,
            title="Locust, same requests and rate (as Locust reports it: closed loop, from the send)",
            columns=("requests", "failures", "requests/s", "p50 ms", "p95 ms", "p99 ms", "max ms"),
            rows=(tuple(figures.values()),),
            note="for comparison; judged by nobody",
        )
    )
    return figures


def read_aggregate(path: Path) -> Mapping[str, str]:
    """The row ``Aggregated`` of Locust's ``_stats.csv``; ``HarnessError`` names the file, the line and what is wrong."""
    line = 0
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = [row for row in reader if row["Name"] == "Aggregated"]
            line = reader.line_num
        figures = [{name: row[name] for name in _COLUMNS} for row in rows]
        for row in figures:
            int(row["Request Count"]), int(row["Failure Count"])
    except OSError as error:
        raise HarnessError(f"Locust left no statistics: {error}") from None
    except (KeyError, ValueError, TypeError) as error:  # another version's headings, a torn last line
        raise HarnessError(f"{path.name} is not what Locust writes: {type(error).__name__}: {error} (line {line or 1})") from None
    if not figures:
        raise HarnessError("Locust left no aggregate row")
    return figures[0]
