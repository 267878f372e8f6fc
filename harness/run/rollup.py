"""Merges rows into the verdict of layers and run, with coverage beside it (DESIGN §4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from harness.core.verdict import Verdict
from harness.core.verdict import judge as merged
from harness.journal.events import DataUsed, LayerFinished, LayerStarted, Measured, RetrievalFigure, RunFinished, RunStarted
from harness.journal.summary import SUMMARY_VERSION, LayerSummary, MetricRow, Row, Summary, coverage_text
from harness.run.builtin import of_kind
from harness.run.protocols import CheckRow, RunView
from harness.run.view import FolderView

NO_START = RunStarted(run="", command=(), seed=0, profile="", mode="", environment={}, required=())


def verdict_of(rows: Sequence[CheckRow]) -> Verdict:
    """Rows merged; BLOCKED optional ones are taken out first."""
    required = [row.verdict for row in rows if not row.optional]
    return merged(required, [row.verdict for row in rows if row.optional])


def summary(view: FolderView, rows: Sequence[CheckRow], metrics: Iterable[MetricRow]) -> Summary:
    """The summary of a run from its judged rows."""
    starts = view.events(RunStarted.NAME)
    start = next((recorded.event for recorded in starts if isinstance(recorded.event, RunStarted)), NO_START)
    ends = of_kind(view, RunFinished)
    verdict = verdict_of(rows)
    passed, total, blocked = _counts(rows)
    data = tuple(event.data for event in of_kind(view, DataUsed))
    return Summary(
        v=SUMMARY_VERSION,
        run=start.run,
        seed=start.seed,
        profile=start.profile,
        mode=start.mode,
        started=starts[0].wall if starts else "",
        finished=ends[-1].reason if ends else "killed",
        duration_s=ends[-1].duration_s if ends else None,
        verdict=verdict,
        exit_code=verdict.exit_code,
        coverage=coverage_text(verdict, passed, total, blocked),
        passed=passed,
        total=total,
        blocked=blocked,
        sample_data=bool(data) and all(item.sample for item in data),
        layers=tuple(_layers(view, rows)),
        rows=tuple(_row(row) for row in rows),
        metrics=(*metrics, *_measured(view), *_rankings(view)),
        environment=start.environment,
        data=data,
        journal_last_hash=view.last_hash,
    )


def _counts(rows: Sequence[CheckRow]) -> tuple[int, int, int]:
    passed = sum(row.verdict is Verdict.PASS for row in rows)
    return passed, len(rows), sum(row.verdict is Verdict.BLOCKED for row in rows)


def _row(row: CheckRow) -> Row:
    return Row(
        check=row.check,
        layer=row.layer,
        trial=row.trial,
        verdict=row.verdict,
        value=row.value,
        limit=row.limit,
        reason=row.reason,
        requirements=row.requirements,
        optional=row.optional,
    )


def _layers(view: RunView, rows: Sequence[CheckRow]) -> Iterator[LayerSummary]:
    started = {event.layer: event for event in of_kind(view, LayerStarted)}
    ended = {event.layer: event for event in of_kind(view, LayerFinished)}
    for layer in dict.fromkeys([*started, *(row.layer for row in rows if row.layer)]):
        own = [row for row in rows if row.layer == layer]
        verdict = verdict_of(own)
        only_blocked = bool(own) and all(row.verdict is Verdict.BLOCKED for row in own)
        verdict = Verdict.BLOCKED if only_blocked else verdict
        passed, total, blocked = _counts(own)
        end = ended.get(layer)
        yield LayerSummary(
            layer=layer,
            verdict=verdict,
            coverage=coverage_text(verdict, passed, total, blocked),
            passed=passed,
            total=total,
            blocked=blocked,
            required=layer in started and started[layer].required,
            duration_s=end.duration_s if end else None,
            reason=end.blocked if end else "",
        )


def _measured(view: RunView) -> Iterator[MetricRow]:
    for event in of_kind(view, Measured):
        value = event.value if math.isfinite(event.value) else None
        yield MetricRow(name=event.metric, unit=event.unit, value=value, trial=event.trial, tags=event.tags)


def _rankings(view: RunView) -> Iterator[MetricRow]:
    for event in of_kind(view, RetrievalFigure):
        tags = {"dataset": event.dataset, "retriever": event.retriever}
        yield MetricRow(name=event.metric, unit="1", value=event.value, trial=event.trial, tags=tags)
