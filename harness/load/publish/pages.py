"""Comparisons and trends as journal events, which is all that the reports see; and their pages as files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from harness.core import jsonio
from harness.core.errors import UsageError
from harness.journal.events import (
    ComparedFigure,
    ComparedRound,
    ComparedSide,
    ComparisonMade,
    Estimate,
    Event,
    TrendChanged,
    TrendMade,
)
from harness.load.compare.result import Comparison, Decision, FigureRow, GateResult, History, Interval, RoundPoint, Side
from harness.report.comparison import comparison_page, trend_page


def write_page(path: Path, result: Comparison | GateResult | History) -> None:
    """One self-contained HTML file. ``UsageError`` where it cannot be written or something is there already."""
    if path.exists():
        raise UsageError("exists already", file=str(path), remedy="give another file")
    page = trend_page(trend_events(result)) if isinstance(result, History) else comparison_page(comparison_events(result))
    try:
        jsonio.write_atomic(path, page.encode())
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=str(path), remedy="give a file in a folder that exists") from None


def comparison_events(result: Comparison | GateResult) -> Iterator[Event]:
    """The comparison, then its figures, then its rounds."""
    decision = result.decision
    if isinstance(result, GateResult):
        a, b = (ComparedSide(name=name, kind="measured in turn", recordings=decision.rounds) for name in (result.a, result.b))
        yield _made(a, b, decision, result.seed, duration_s=result.duration_s)
    else:
        yield _made(_side(result.a), _side(result.b), decision, result.seed, confidence=result.confidence)
        yield from map(_figure, result.rows)
    yield from map(_round, decision.course)


def trend_events(found: History) -> Iterator[Event]:
    """The metric over its runs, then each change."""
    yield TrendMade(
        metric=found.metric, unit=found.unit, runs=found.runs, started=found.started, values=found.values, skipped=found.skipped
    )
    for point in found.points:
        yield TrendChanged(
            metric=found.metric,
            index=point.index,
            run=point.run,
            before=point.before,
            after=point.after,
            change=point.change,
            p_value=point.p_value,
        )


def _made(
    a: ComparedSide, b: ComparedSide, decision: Decision, seed: int, *, confidence: float = 0.95, duration_s: float | None = None
) -> ComparisonMade:
    control = decision.control
    return ComparisonMade(
        a=a,
        b=b,
        metric=decision.metric,
        unit=decision.unit,
        answer=str(decision.answer),
        verdict=decision.answer.verdict,
        cause=decision.cause,
        gate=decision.gate,
        change=_estimate(decision.change),
        rounds=decision.rounds,
        rounds_max=decision.rounds_max,
        more_rounds=decision.more_rounds,
        false_alarm=decision.errors.false_alarm,
        false_pass=decision.errors.false_pass,
        noise=decision.noise,
        control=control.name if control else "",
        control_change=_estimate(control.change) if control else None,
        control_moved=control.moved if control else "",
        confidence=confidence,
        seed=seed,
        duration_s=duration_s,
    )


def _side(side: Side) -> ComparedSide:
    return ComparedSide(
        name=side.name,
        kind=side.kind,
        recordings=side.recordings,
        requests=side.requests,
        failed=side.failed,
        duration_s=side.duration_s,
        notes=side.notes,
    )


def _figure(row: FigureRow) -> ComparedFigure:
    sides = (("A", row.a), ("B", row.b))
    return ComparedFigure(
        figure=row.figure,
        unit=row.unit,
        a=_finite(row.a),
        b=_finite(row.b),
        never=tuple(name for name, value in sides if value is not None and math.isinf(value)),
        ratio=None if row.ratio is None else _estimate(row.ratio),
        note=row.note,
    )


def _round(point: RoundPoint) -> ComparedRound:
    return ComparedRound(
        number=point.number,
        first=point.first,
        a=point.a,
        b=point.b,
        change=_estimate(point.change),
        answer=str(point.answer),
        control_a=point.control_a,
        control_b=point.control_b,
    )


def _estimate(interval: Interval) -> Estimate:
    return Estimate(low=_finite(interval.low), value=_finite(interval.estimate), high=_finite(interval.high))


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: what is not bounded is null."""
    return value if value is not None and math.isfinite(value) else None
