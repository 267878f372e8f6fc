"""Pages of their own for what is no run: a comparison of two sides, and a metric over past runs. From journal events, like the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from harness.journal.events import ComparedFigure, ComparedRound, ComparedSide, ComparisonMade, Event, TrendChanged, TrendMade
from harness.report.comparison_charts import bounded, intervals, percent, rounds, trend
from harness.report.html import environment
from harness.report.numbers import quantity, seconds, whole
from harness.report.tables import SHOWN_TABLE_ROWS, Grid

T = TypeVar("T", bound=Event)
PROOF = {
    "regressed": "B is worse than A by more than the test can put down to chance.",
    "not regressed": "B is not worse than A by as much as the gate allows to be lost.",
    "cannot tell": "The measurements decide neither.",
}


def comparison_page(events: Iterable[Event]) -> str:
    """``comparison.html`` from one `comparison.made` and its figures and rounds. ``ValueError`` without it."""
    known = list(events)
    made = _one(known, ComparisonMade)
    figures, course = _all(known, ComparedFigure), _all(known, ComparedRound)
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            made=made,
            control="" if made.control_change is None else f"{percent(made.control_change.value)},",
            sentence=PROOF.get(made.answer, ""),
            facts=_facts(made),
            sides=_sides(made),
            figures=_figures(made, figures),
            intervals=intervals(made, figures),
            rounds=rounds(made, course),
            course=_course(made, course),
        )
    )


def trend_page(events: Iterable[Event]) -> str:
    """``trend.html`` from one `trend.made` and its changes. ``ValueError`` without it."""
    known = list(events)
    made = _one(known, TrendMade)
    changes = [change for change in _all(known, TrendChanged) if change.metric == made.metric]
    return (
        environment()
        .get_template("trend.html.j2")
        .render(made=made, chart=trend(made, changes), changes=_changes(made, changes), values=_values(made), latest=_latest(made, changes))
    )


def _one(events: Sequence[Event], kind: type[T]) -> T:
    found = _all(events, kind)
    if not found:
        raise ValueError(f"there is no {kind.NAME} to show")
    return found[-1]


def _all(events: Sequence[Event], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def _facts(made: ComparisonMade) -> list[tuple[str, str]]:
    """What the answer stands on, as (value, label)."""
    facts = [
        (percent(made.change.value), f"change of {made.metric}, more is worse"),
        (percent(made.change.low), "at least"),
        (percent(made.change.high), "at most"),
        (percent(made.gate, sign=False), "gate"),
        (f"{made.rounds} of {made.rounds_max}", "rounds"),
    ]
    if made.more_rounds is not None:
        facts.append((str(made.more_rounds), "more rounds would decide"))
    if made.noise is not None:
        facts.append((percent(made.noise, sign=False), "noise of one measurement"))
    if made.duration_s is not None:
        facts.append((seconds(made.duration_s), "until the answer"))
    return facts


def _sides(made: ComparisonMade) -> Grid:
    rows = tuple(
        (
            name,
            side.name,
            side.kind,
            str(side.recordings),
            *_counts(side),
            seconds(side.duration_s),
            "; ".join(side.notes),
        )
        for name, side in (("A", made.a), ("B", made.b))
    )
    return Grid("Sides", ("", "name", "kind", "recordings", "requests", "failed", "length", "notes"), rows, frozenset({3, 4, 5, 6})).slim()


def _counts(side: ComparedSide) -> tuple[str, str]:
    return (whole(side.requests), whole(side.failed)) if side.requests else ("–", "–")


def _figures(made: ComparisonMade, figures: Sequence[ComparedFigure]) -> Grid | None:
    rows = []
    for figure in figures:
        a, b = (("∞" if side in figure.never else _figure(value, figure.unit)) for side, value in (("A", figure.a), ("B", figure.b)))
        ratio = figure.ratio
        shown = (_ratio(ratio.value if ratio else None), f"{_ratio(ratio.low)} to {_ratio(ratio.high)}" if ratio and bounded(ratio) else "")
        rows.append((figure.figure, a, b, *shown, figure.note))
    columns = ("figure", "A", "B", "B / A", f"{100 * made.confidence:.0f} % interval", "note")
    return Grid("Figures", columns, tuple(rows), frozenset({1, 2, 3, 4})).slim() if rows else None


def _figure(value: float | None, unit: str) -> str:
    return percent(value, sign=False) if unit == "share" and value is not None else quantity(value, unit)


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _course(made: ComparisonMade, course: Sequence[ComparedRound]) -> Grid | None:
    rows = tuple(
        (
            str(one.number),
            one.first,
            quantity(one.a, made.unit),
            quantity(one.b, made.unit),
            percent(one.change.value),
            f"{percent(one.change.low)} to {percent(one.change.high)}",
            one.answer,
            quantity(one.control_a, made.unit),
            quantity(one.control_b, made.unit),
        )
        for one in course
    )
    columns = ("round", "first", "A", "B", "change so far", "bounds", "answer", "control beside A", "control beside B")
    return Grid("Rounds", columns, rows, frozenset({0, 2, 3, 4, 5, 7, 8})).slim() if rows else None


def _changes(made: TrendMade, changes: Sequence[TrendChanged]) -> Grid | None:
    rows = tuple(
        (
            change.run,
            made.started[change.index] if 0 <= change.index < len(made.started) else "",
            quantity(change.before, made.unit),
            quantity(change.after, made.unit),
            percent(change.change),
            f"{change.p_value:.2g}",
        )
        for change in changes
    )
    columns = ("from run", "started", "before", "after", "change", "p")
    return Grid("Changes", columns, rows, frozenset({2, 3, 4, 5})) if rows else None


def _values(made: TrendMade) -> Grid:
    """The newest runs first: that is where a person looks."""
    rows = tuple((run, at, quantity(value, made.unit)) for run, at, value in zip(made.runs, made.started, made.values, strict=True))[::-1]
    return Grid("Runs", ("run", "started", "value"), rows[:SHOWN_TABLE_ROWS], frozenset({2}), more=max(0, len(rows) - SHOWN_TABLE_ROWS))


def _latest(made: TrendMade, changes: Sequence[TrendChanged]) -> str:
    if not changes:
        return f"No lasting change in {len(made.values)} runs."
    last = max(changes, key=lambda change: change.index)
    runs = len(made.values) - last.index
    return (
        f"The last lasting change came with {last.run}, {runs} {'run' if runs == 1 else 'runs'} ago: "
        f"from {quantity(last.before, made.unit)} to {quantity(last.after, made.unit)}, {percent(last.change)}."
    )
