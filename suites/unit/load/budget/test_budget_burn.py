"""Burn rates: scaled windows, and what few requests can show."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.load.budget.burn import Burn, judge_burn, least_burn, needed, scaled
from harness.load.budget.file import Budget, BurnRate
from harness.thresholds.figures import Values

ROWS = Budget(name="b").burn_rates
S = 1_000_000_000


def rate(value: float, long_s: float = 10, short_s: float = 1) -> BurnRate:
    return BurnRate(rate=value, long=Duration.of_seconds(long_s), short=Duration.of_seconds(short_s))


def evenly(bad: list[bool], seconds: float) -> tuple[Values, tuple[int, int]]:
    """Requests spread evenly over the span, and the span."""
    span = (5 * S, 5 * S + round(seconds * S))
    times = np.linspace(span[0], span[1], len(bad), endpoint=False).astype(np.int64)
    return Values(times, np.array(bad, dtype=np.float64)), span


def judged(bad: list[bool], share: str, rows: tuple[BurnRate, ...], seconds: float = 10) -> tuple[Burn, ...]:
    values, span = evenly(bad, seconds)
    return judge_burn(values, 1 - Fraction(share), rows, span)


def test_the_workbooks_windows_are_scaled_by_one_factor() -> None:
    """A run of 72 s is a 3600th of three days: 72 s / 6 s, 24 s / 2 s, 6 s / 0.5 s, 1 s / 83 ms."""
    found = [(row.rate, row.long_ns, row.short_ns) for row in scaled(ROWS, 72 * S)]
    assert found == [(14.4, S, 83_333_333), (6.0, 6 * S, S // 2), (3.0, 24 * S, 2 * S), (1.0, 72 * S, 6 * S)]


def test_silence_of_fifty_requests_is_no_pass() -> None:
    """Fifty clean requests show a burn of 6 at 99 %: for every rate below, and for short windows, it is inconclusive and says so."""
    found = judged([False] * 50, "0.99", ROWS)
    assert {burn.verdict for burn in found} == {Verdict.INCONCLUSIVE}
    assert found[-1].least == pytest.approx(6.0)
    assert found[-1].reason == "50 requests in the emptiest long window show a burn of 6 or more; 300 are needed for 1"


def test_enough_clean_requests_pass() -> None:
    """6,000 clean requests show every rate of the workbook but the fastest, whose windows are the shortest."""
    found = judged([False] * 6000, "0.99", ROWS, seconds=120)
    assert [burn.verdict for burn in found] == [Verdict.PASS] * 4
    assert found[0].fewest >= needed(14.4, Fraction(1, 100)) == 21


def test_a_short_fierce_burst_trips_the_fast_rate_only() -> None:
    """A second of nothing but failures in 120 s is a burn of 50 over 1.7 s and 0.8 over the whole."""
    bad = [3000 <= n < 3050 for n in range(6000)]
    found = judged(bad, "0.99", ROWS, seconds=120)
    assert [burn.verdict for burn in found] == [Verdict.FAIL, Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    assert "exceeded from +60." in found[0].reason


def test_what_is_over_does_not_trip_by_the_long_window_alone() -> None:
    """The long window still remembers, the short one is clean: both have to agree."""
    bad = [n < 40 for n in range(1000)]
    (burn,) = judged(bad, "0.99", (rate(2.0),), seconds=10)
    assert burn.verdict is Verdict.PASS


@given(st.integers(1, 5000), st.integers(1, 400))
def test_least_burn_and_needed_agree(requests: int, permille: int) -> None:
    """So many requests can show a rate exactly when the least burn they show is not above it."""
    allowed = Fraction(permille, 1000)
    least = Fraction(3) / (requests * allowed)
    assert needed(float(least) * 1.0001, allowed) <= requests + 1
    assert needed(float(least) * 0.9, allowed) > requests
    assert least_burn(requests, allowed) == pytest.approx(float(least))


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.sampled_from(["0.9", "0.95", "0.99"]), st.floats(0.5, 8))
def test_too_few_requests_never_pass(bad: list[bool], share: str, burn: float) -> None:
    """A pass stands on enough requests in the emptiest long window, whatever they were."""
    (found,) = judged(bad, share, (rate(burn),))
    if found.verdict is Verdict.PASS:
        assert found.fewest >= needed(burn, 1 - Fraction(share))
        assert found.least <= burn + 1e-9


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.integers(0, 299), st.floats(0.5, 8))
def test_a_worse_run_never_fares_better(bad: list[bool], place: int, burn: float) -> None:
    """One more bad request never turns a failure into anything else."""
    (before,) = judged(bad, "0.95", (rate(burn),))
    worse = list(bad)
    worse[place % len(bad)] = True
    (after,) = judged(worse, "0.95", (rate(burn),))
    assert before.verdict is not Verdict.FAIL or after.verdict is Verdict.FAIL


@given(st.lists(st.booleans(), min_size=20, max_size=200), st.sampled_from([2, 10, 60, 3600]))
def test_the_verdict_does_not_depend_on_the_scale_of_time(bad: list[bool], factor: int) -> None:
    """The same requests over a longer run, its windows scaled along, are judged alike."""
    short = [(burn.verdict, burn.fewest) for burn in judged(bad, "0.95", ROWS, seconds=6)]
    assert [(burn.verdict, burn.fewest) for burn in judged(bad, "0.95", ROWS, seconds=6 * factor)] == short


@given(st.integers(2, 9), st.floats(0.5, 4))
def test_an_even_stream_burns_as_it_fails(every: int, limit: float) -> None:
    """Every n-th of 2,000 requests bad is a burn of (1/n) / (1 - objective) in every window."""
    (found,) = judged([n % every == 0 for n in range(2000)], "0.9", (rate(limit, 10, 2.5),))
    burn = (1 / every) / 0.1
    if abs(burn - limit) > 0.2:
        assert found.verdict is (Verdict.FAIL if burn > limit else Verdict.PASS)
