"""Comparisons as journal events, and their pages as files."""

from __future__ import annotations

import math

import msgspec
import pytest

from harness.core.errors import UsageError
from harness.journal import events as e
from harness.journal.writer import JournalWriter
from harness.load.compare.result import (
    Answer,
    ChangePoint,
    Comparison,
    Control,
    Decision,
    ErrorRates,
    FigureRow,
    GateResult,
    History,
    Interval,
    RoundPoint,
    Side,
)
from harness.load.publish.pages import comparison_events, trend_events, write_page

NOTHING_KNOWN = Interval(-math.inf, 0.01, math.inf)
DECISION = Decision(
    Answer.CANNOT_TELL,
    "too few rounds",
    "p99",
    "s",
    0.05,
    NOTHING_KNOWN,
    1,
    12,
    ErrorRates(0.001, 0.05),
    more_rounds=5,
    control=Control("fixed work", Interval(-0.01, 0.0, 0.01), 0.01),
    course=(RoundPoint(1, "A", 0.1, 0.101, NOTHING_KNOWN, Answer.CANNOT_TELL, 0.05, 0.05),),
)
ROWS = (
    FigureRow("p50", "s", 0.1, math.inf, Interval(0.0, math.inf, math.inf)),
    FigureRow("p99", "s", None, None, None, "needs 1000 requests"),
)
COMPARISON = Comparison(Side("a", "run folder", 1, 10, 0, 1.0), Side("b", "k6 CSV", 1, 10, 1, None), ROWS, DECISION, 0.95, 7)
HISTORY = History("p95", "s", ("r1", "r2"), ("2026-01-01", "2026-01-02"), (0.1, 0.2), (ChangePoint(1, "r2", 0.1, 0.2, 1.0, 0.001),))


def test_every_comparison_can_be_journaled(tmp_path):
    """Infinite bounds and figures that never ended become null and words: JSON has no infinity."""
    journal = JournalWriter(tmp_path / "journal.jsonl")
    known = [*comparison_events(COMPARISON), *comparison_events(GateResult("a", "b", DECISION, 60.0, 900.0, 7)), *trend_events(HISTORY)]
    for event in known:
        journal.append(event)
        assert msgspec.convert(msgspec.to_builtins(event), type(event)) == event
    journal.close()
    (figure, _) = [event for event in known if isinstance(event, e.ComparedFigure)]
    assert (figure.a, figure.b, figure.never) == (0.1, None, ("B",))
    made = next(event for event in known if isinstance(event, e.ComparisonMade))
    assert (made.change.low, made.change.value, made.more_rounds, made.verdict) == (None, 0.01, 5, DECISION.answer.verdict)


@pytest.mark.parametrize("result", [COMPARISON, GateResult("a", "b", DECISION, 60.0, 900.0, 7), HISTORY])
def test_a_page_is_written_once(tmp_path, result):
    """Nothing that is there is overwritten; a place that cannot be written is named."""
    page = tmp_path / "page.html"
    write_page(page, result)
    assert page.read_text().startswith("<!doctype html>")
    with pytest.raises(UsageError, match="exists already"):
        write_page(page, result)
    with pytest.raises(UsageError, match="cannot be written"):
        write_page(page / "below.html", result)
