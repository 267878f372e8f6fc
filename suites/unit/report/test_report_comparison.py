"""Pages of comparisons and trends: the answer first, drawn with its uncertainty, from journal events alone."""

from __future__ import annotations

import re

import pytest

from harness.core.verdict import Verdict
from harness.journal import events as e
from harness.report.comparison import comparison_page, trend_page

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


def estimate(value: float | None, half: float = 0.02) -> e.Estimate:
    return e.Estimate(low=None if value is None else value - half, value=value, high=None if value is None else value + half)


def made(**more) -> e.ComparisonMade:
    fields = {
        "a": e.ComparedSide(name="old", kind="run folder", requests=1_000, failed=3, duration_s=40.0),
        "b": e.ComparedSide(name="new", kind="k6 JSON", requests=900),
        "metric": "p99",
        "unit": "s",
        "answer": "regressed",
        "verdict": Verdict.FAIL,
        "cause": "B is 7 % slower",
        "gate": 0.05,
        "change": estimate(0.07),
        "rounds": 3,
        "rounds_max": 12,
        "more_rounds": None,
        "false_alarm": 0.001,
        "false_pass": 0.05,
    }
    return e.ComparisonMade(**(fields | more))


def rounds(count: int) -> list[e.ComparedRound]:
    return [
        e.ComparedRound(number=n, first="A", a=0.1, b=0.107, change=estimate(0.07 if n > 1 else None), answer="cannot tell")
        for n in range(1, count + 1)
    ]


def plain(page: str) -> str:
    return " ".join(re.sub(r"<title>.*?</title>|<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL).split())


@pytest.mark.parametrize(
    ("answer", "verdict", "tone"),
    [("regressed", Verdict.FAIL, "bad"), ("not regressed", Verdict.PASS, "good"), ("cannot tell", Verdict.INCONCLUSIVE, "doubt")],
)
def test_the_answer_stands_first(answer, verdict, tone):
    """In words and in its colour, with its cause and what it is bounded by."""
    page = comparison_page([made(answer=answer, verdict=verdict, more_rounds=4 if tone == "doubt" else None)])
    text = plain(page)
    assert text.index(answer) < text.index("B is 7 % slower") < text.index("+7.0 %") < text.index("+5.0 %")
    assert f'class="hero {tone}"' in page
    assert ("more rounds would decide" in text) == (tone == "doubt")


def test_figures_are_drawn_with_their_intervals():
    """A figure that a single request decides has no interval and is not drawn; one that never ended is ∞."""
    figures = [
        e.ComparedFigure(figure="p50", unit="s", a=0.020, b=0.021, ratio=estimate(1.05)),
        e.ComparedFigure(figure="max", unit="s", a=0.9, b=None, never=("B",), ratio=e.Estimate(low=0.0, value=2.6, high=None)),
        e.ComparedFigure(figure="errors", unit="share", a=0.003, b=0.0),
    ]
    page = comparison_page([made(), *figures])
    text = plain(page)
    assert "1.050 1.030 to 1.070" in text
    assert "∞" in text
    assert "0.3 %" in text
    assert page.count('class="estimate dot"') == 2  # p50, wide and narrow
    assert "p50: +5.0 % (+3.0 % to +7.0 %)" in page


def test_rounds_are_drawn_and_told():
    """Every round's two measurements and what was known after it; the unbounded first one too."""
    page = comparison_page([made(), *rounds(3)])
    assert page.count('class="side-a dot"') == page.count('class="side-b dot"') == 6
    assert "after round 3: +7.0 % (+5.0 % to +9.0 %), cannot tell" in page
    assert "nan" not in page
    assert "inf" not in page.replace("information", "")


def test_a_control_that_moved_is_told_first():
    """Then the machine is not to be believed, whatever the answer."""
    text = plain(comparison_page([made(control="fixed work", control_change=estimate(0.08), control_moved="it took 8 % longer beside B")]))
    assert text.index("The machine is not to be believed") < text.index("Sides")


def test_a_trend_shows_its_changes():
    """Each run a dot, each change a line with its size, the newest change in words."""
    values = tuple(0.1 if n < 20 else 0.12 for n in range(40))
    trend = e.TrendMade(
        metric="response_time{op=q}: p(95) < 450 ms",
        unit="s",
        runs=tuple(f"run-{n}" for n in range(40)),
        started=tuple(f"2026-01-{n % 28 + 1:02d}T03:00:00Z" for n in range(40)),
        values=values,
        skipped=("run-x: no summary.json",),
    )
    change = e.TrendChanged(metric=trend.metric, index=20, run="run-20", before=0.1, after=0.12, change=0.2, p_value=1e-9)
    page = trend_page([trend, change])
    text = plain(page)
    assert "came with run-20, 20 runs ago: from 100 ms to 120 ms, +20.0 %" in text
    assert page.count('class="side-a dot"') == 1 + 2 * 40  # the legend's, and every run wide and narrow
    assert page.count('class="level"') == 4
    assert "run-x: no summary.json" in text
    assert "No lasting change in 40 runs." in plain(trend_page([trend]))


def test_the_pages_ask_nothing_and_run_nothing():
    """No request, no script, foreign names only as text."""
    side = e.ComparedSide(name=HOSTILE, kind=HOSTILE, notes=(HOSTILE,))
    trend = e.TrendMade(metric=HOSTILE, unit="s", runs=(HOSTILE,), started=(HOSTILE,), values=(1.0,), skipped=(HOSTILE,))
    for page in (comparison_page([made(a=side, cause=HOSTILE, metric=HOSTILE, control=HOSTILE), *rounds(2)]), trend_page([trend])):
        assert "default-src 'none'" in page
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert not re.search("[\x00-\x08\x1b\u202e]", page)
        assert not re.search(r"https?://|url\(|@import|\bsrc=", page)


def test_without_the_event_there_is_no_page():
    """A page of nothing would look like an answer."""
    with pytest.raises(ValueError, match="no comparison"):
        comparison_page([])
    with pytest.raises(ValueError, match="no trend"):
        trend_page(rounds(2))
