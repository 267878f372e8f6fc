"""One metric over past runs: the figures of every ``summary.json`` below a folder, the oldest first, with their change points."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.core.errors import UsageError, listing, nearest_word
from harness.journal.summary import MetricRow, Summary, decode_summary
from harness.load.compare.changes import change_points
from harness.load.compare.result import ChangePoint, History
from harness.run.folder import LATEST, SUMMARY

RUNS_MAX = 10_000
_FORM = re.compile(r"^(?P<name>[^{}]+)(?:\{(?P<tags>[^{}]*)\})?$")


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """A metric's name, and the tags that its rows must have; ``threshold`` may be told as a part of its text."""

    name: str
    tags: dict[str, str]
    trial: str

    def fits(self, row: MetricRow) -> bool:
        tagged = all(
            value in row.tags.get(key, "") if key == "threshold" else row.tags.get(key) == value for key, value in self.tags.items()
        )
        return row.name == self.name and tagged and row.trial.startswith(self.trial)


@dataclasses.dataclass(frozen=True, slots=True)
class _Figure:
    run: str
    started: str
    unit: str
    value: float


def history(reports: Path, metric: str, trial: str = "") -> History:
    """``metric``: ``name`` or ``name{tag=value,…}``. Several trials of a run count with their median."""
    wanted = _wanted(metric, trial)
    figures, skipped, known = [], [], set[str]()
    for folder, summary, problem in _summaries(reports):
        if summary is None:
            skipped.append(f"{folder.name}: {problem}")
            continue
        known |= {row.name for row in summary.metrics}
        rows = [row for row in summary.metrics if wanted.fits(row)]
        _refuse_several(rows, metric, folder)
        values = [row.value for row in rows if row.value is not None and math.isfinite(row.value)]
        if values:
            figures.append(_Figure(summary.run or folder.name, summary.started, rows[0].unit, statistics.median(values)))
        else:
            skipped.append(f"{folder.name}: no {metric}")
    if not figures:
        near = nearest_word(wanted.name, known)
        raise UsageError(f"no run has the metric {metric!r}", file=str(reports), nearest=near, remedy=f"known: {listing(known)}")
    return _history(metric, sorted(figures, key=lambda figure: (figure.started, figure.run)), tuple(skipped))


def _history(metric: str, figures: list[_Figure], skipped: tuple[str, ...]) -> History:
    steps = change_points([figure.value for figure in figures])
    points = tuple(
        ChangePoint(step.index, figures[step.index].run, step.before, step.after, _share(step.before, step.after), step.p_value)
        for step in steps
    )
    return History(
        metric=metric,
        unit=figures[-1].unit,
        runs=tuple(figure.run for figure in figures),
        started=tuple(figure.started for figure in figures),
        values=tuple(figure.value for figure in figures),
        points=points,
        skipped=skipped,
    )


def _share(before: float, after: float) -> float:
    return after / before - 1 if before else math.inf


def _wanted(metric: str, trial: str) -> _Wanted:
    found = _FORM.match(metric.strip())
    pairs = [text.partition("=") for text in (found["tags"] or "").split(",") if text.strip()] if found else []
    if found is None or not all(sign for _, sign, _ in pairs):
        raise UsageError(f"--history {metric!r}", remedy="the form is NAME or NAME{tag=value,…}")
    return _Wanted(found["name"].strip(), {key.strip(): value.strip() for key, _, value in pairs}, trial)


def _refuse_several(rows: list[MetricRow], metric: str, folder: Path) -> None:
    """Figures of different tags are different histories."""
    kinds = {tuple(sorted(row.tags.items())) for row in rows}
    if len(kinds) > 1:
        shown = sorted("{" + ",".join(f"{key}={value}" for key, value in kind) + "}" for kind in kinds)
        raise UsageError(
            f"{metric!r} is {len(kinds)} different figures", file=str(folder / SUMMARY), remedy=f"add one of {listing(shown, 10)}"
        )


def _summaries(reports: Path) -> Iterator[tuple[Path, Summary | None, str]]:
    if not reports.is_dir():
        raise UsageError("there is no such folder of runs", file=str(reports), remedy="give it with --reports")
    folders = sorted(item for item in reports.iterdir() if item.name != LATEST and (item / SUMMARY).is_file())
    for folder in folders[-RUNS_MAX:]:
        try:
            yield folder, decode_summary((folder / SUMMARY).read_bytes()), ""
        except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            yield folder, None, f"{SUMMARY} cannot be read: {error}"
