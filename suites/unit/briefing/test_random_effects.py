"""The random-effects arithmetic on seeded random sets, against exact fractions and statsmodels (10,000 in the bar ``pooling``)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from scripts.bars.pooling import exactly, judge, judge_shown, random_sets
from system.evidence.briefing.pooling import StudyEffect, pool
from system.evidence.briefing.random_effects import combine_points
from system.evidence.records import EffectType

from .conftest import Shelf


def test_random_sets_agree_with_fractions_and_statsmodels() -> None:
    """Mean, error, Q, I² and tau² of 110 sets of every kind are those of exact arithmetic, whatever the order of the studies."""
    looked, problems = 0, []
    for kind, points in random_sets(110, seed=20):
        looked += 1
        problems += [f"{kind}: {problem}" for problem in judge(kind, points)]
    assert (looked, problems) == (110, [])


def test_no_dossier_shows_a_figure_that_is_no_number() -> None:
    """Groups of effects of every size are pooled or refused with finite figures, and pooled only up to 50 % of I²."""
    assert judge_shown(80, seed=21) == (80, [])


@pytest.mark.parametrize("count", [2, 3, 5, 8])
@pytest.mark.parametrize("estimate", [0.0, -3.3, math.log(0.71), 1e9 + 0.1, 1e-9])
def test_equal_effects_have_no_heterogeneity(estimate: float, count: int) -> None:
    """Equal estimates with any errors give Q, I² and tau² of exactly zero."""
    made = combine_points([(estimate, 0.1 * (at + 1)) for at in range(count)])
    assert (made.q, made.i2, made.tau2, made.mean) == (0.0, 0.0, 0.0, estimate)


@pytest.mark.parametrize(
    "rows",
    [
        [(0.71, 0.55, 0.92)] * 3,
        [(0.62, 0.48, 0.80)] * 5,
        [(1.3, 1.1, 1.54)] * 4,
        [(2.0, 1.0, 4.0), (2.0, 1.5, 2.67), (2.0, 1.9, 2.11)],
        [(0.05, 0.01, 0.25)] * 7,
        [(0.999, 0.998, 1.0)] * 3,
    ],
)
def test_trials_with_equal_ratios_are_pooled_at_zero(shelf: Shelf, rows: Any) -> None:
    """Trials that found the same ratio are pooled to that ratio with I² = 0."""
    (result,), singly = pool([StudyEffect(f"S{i}", shelf.put(f"s{i}").effect(*row)) for i, row in enumerate(rows)])
    assert (result.i2, result.tau2, singly) == (0.0, 0.0, ())
    assert result.value == pytest.approx(rows[0][0], rel=1e-12)


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 1e-9), (1.0, 1e-9), (2.0, 1e-9)],
        [(-1e300, 1e-300), (1e300, 1e-300)],
        [(1e308, 1.0), (-1e308, 1.0), (0.0, 1.0)],
    ],
)
def test_contradicting_studies_of_any_size_have_an_i2_of_a_hundred(points: list[tuple[float, float]]) -> None:
    """However large Q grows, I² stays a number and does not pass 100 %."""
    assert combine_points(points).i2 == pytest.approx(100.0)


@pytest.mark.parametrize(
    "points", [[], [(1.0, 0.2)], [(1.0, 0.0), (1.0, 0.1)], [(math.nan, 0.1), (1.0, 0.1)], [(1.0, math.inf), (2.0, 0.1)]]
)
def test_what_cannot_be_combined_is_refused(points: list[tuple[float, float]]) -> None:
    """One study, an error of zero and figures that are no numbers are errors of the caller."""
    with pytest.raises(ValueError, match="standard errors above zero"):
        combine_points(points)


@pytest.mark.parametrize(
    ("low", "value", "high", "percent"),
    [(1.0, 1.0, math.nextafter(1.0, 2), 95.0), (-1e308, 0.0, 1e308, 95.0), (0.5, 0.6, 0.7, 1e-300), (5e-324, 1e-300, 1e300, 95.0)],
)
def test_an_interval_that_gives_no_error_is_left_out(shelf: Shelf, low: float, value: float, high: float, percent: float) -> None:
    """Intervals too narrow or too wide for a standard error neither stop the dossier nor put infinity into it."""
    kinds = EffectType.MEAN_DIFFERENCE if low < 0 else EffectType.HAZARD_RATIO
    rows = [StudyEffect(f"S{i}", shelf.put(f"s{i}").effect(value, low, high, type=kinds, ci_percent=percent)) for i in range(3)]
    pooled, _ = pool(rows)
    assert all(math.isfinite(n) for p in pooled for n in (p.value, p.ci_low, p.ci_high, p.i2, p.tau2))


def test_the_reference_is_the_textbook_formula() -> None:
    """The exact fractions give a result that was worked out by hand: weights 1, 1; Q = 2; I² = 50; tau² = 1."""
    made = exactly([(0.0, 1.0), (2.0, 1.0)])
    assert (made.mean, made.q, made.i2, made.tau2, made.error) == (1.0, 2.0, 50.0, 1.0, 1.0)
