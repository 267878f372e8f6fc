"""``harness run SCENARIO --dry-run``: the timeline as CSV on standard output; nothing is started, nothing sent."""

from __future__ import annotations

import csv
import itertools
import sys
from typing import TextIO

from harness.core.seeds import fresh_seed
from harness.core.text import csv_cell
from harness.run.project import Project
from harness.run.registry import Registry
from harness.run.timeline import Row, ScenarioTimeline, scenario_timeline
from harness.scenario.model import Scenario

COLUMNS = ("t_ns", "op", "body", "principal", "step")
BATCH = 5_000  # lines handed to the terminal or pipe at once


def dry_run(project: Project, registry: Registry, scenario: Scenario, seed: int | None) -> int:
    """Print the timeline; the seed and what cannot be known go to standard error. Exit code 0."""
    root = fresh_seed() if seed is None else seed
    timeline = scenario_timeline(scenario, registry, project.folder, project.tables, root)
    count = write_csv(timeline, sys.stdout)
    print(f"seed {root}: {count} requests planned in {timeline.sends} of {len(scenario.timeline)} steps; nothing was sent", file=sys.stderr)
    for note in timeline.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def write_csv(timeline: ScenarioTimeline, stream: TextIO) -> int:
    """All rows with their heading; how many of them are requests."""
    csv.writer(stream, lineterminator="\n").writerow(COLUMNS)
    count = 0
    rows = iter(timeline.rows)
    while batch := list(itertools.islice(rows, BATCH)):
        count += sum(row.body is not None for row in batch)
        csv.writer(_Gathered(stream, len(batch)), lineterminator="\n").writerows(map(_fields, batch))
    return count


def _fields(row: Row) -> tuple[str, ...]:
    blank = ("", "") if row.body is None else (str(row.body), str(row.principal))
    return (str(row.t_ns), csv_cell(row.op), *blank, csv_cell(row.step))


class _Gathered:
    """Lines written as one text: standard output is flushed at every line end."""

    def __init__(self, stream: TextIO, lines: int) -> None:
        self._stream, self._left, self._parts = stream, lines, [""]

    def write(self, text: str) -> int:
        self._parts.append(text)
        self._left -= 1
        if not self._left:
            self._stream.write("".join(self._parts))
        return len(text)
