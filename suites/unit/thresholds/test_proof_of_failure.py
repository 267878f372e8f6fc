"""A sample size is needed to pass, not to fail: what few samples prove is FAIL, and nothing that gets worse gets a better verdict."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from harness.core.verdict import Verdict
from harness.thresholds.evaluate import judge_values
from harness.thresholds.figures import Values
from harness.thresholds.grammar import parse_threshold
from harness.thresholds.proof import tail

NS = 1_000_000_000


def verdict(expression: str, unit: str, figures: list[float]) -> Verdict:
    values = Values(np.arange(len(figures), dtype=np.int64) * NS, np.array(figures, dtype=np.float64))
    return judge_values(parse_threshold(expression), unit, values, None).verdict


def marked(bad: int, total: int) -> list[float]:
    return [1.0] * bad + [0.0] * (total - bad)


@pytest.mark.parametrize(
    ("expression", "bad", "total"),
    [
        ("errors: rate <= 1 %", 170, 170),
        ("errors: rate < 0.1 %", 2, 40),
        ("errors: rate <= 1 %", 6, 90),
        ("errors: rate < 5 %", 4, 11),
        ("errors: rate <= 1 %", 2, 2),
        ("hits: rate >= 99.9 %", 1, 30),
    ],
)
def test_few_samples_that_prove_a_broken_share_are_fail(expression: str, bad: int, total: int) -> None:
    """A system at its limit would give such a sample in fewer than 5 of 100 tries."""
    assert verdict(expression, "%", marked(bad, total)) is Verdict.FAIL


@pytest.mark.parametrize(
    ("expression", "bad", "total"),
    [("errors: rate <= 1 %", 0, 90), ("errors: rate <= 1 %", 1, 90), ("errors: rate < 0.1 %", 0, 1), ("errors: rate <= 5 %", 1, 20)],
)
def test_few_samples_that_chance_explains_stay_inconclusive(expression: str, bad: int, total: int) -> None:
    """One failure of ninety says nothing of a limit of 1 %."""
    assert verdict(expression, "%", marked(bad, total)) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("expression", "slow", "total"),
    [
        ("t: p(95) < 450 ms", 9, 60),
        ("t: p(99) < 450 ms", 3, 3),
        ("t: p(50) <= 450 ms", 12, 14),
        ("t: p(99.9) < 450 ms", 4, 800),
        ("t: median < 450 ms", 6, 6),
    ],
)
def test_enough_slow_requests_prove_a_percentile_broken(expression: str, slow: int, total: int) -> None:
    """A percentile is a statement on the share of slow ones; +inf is the time of one that failed."""
    assert verdict(expression, "s", [0.9] * (slow - 1) + [float("inf")] + [0.01] * (total - slow)) is Verdict.FAIL


@pytest.mark.parametrize(("expression", "fast", "total"), [("t: p(95) > 450 ms", 60, 60), ("t: p(5) > 450 ms", 4, 20)])
def test_a_lower_limit_on_a_percentile_is_broken_by_fast_ones(expression: str, fast: int, total: int) -> None:
    """`p(5) > L` allows 5 % to be faster."""
    assert verdict(expression, "s", [0.01] * fast + [0.9] * (total - fast)) is Verdict.FAIL


LIMITS = st.sampled_from(["0.5 %", "1 %", "3 %", "20 %"])


@settings(max_examples=150, derandomize=True, deadline=None)
@given(LIMITS, st.integers(0, 40), st.integers(0, 400), st.integers(1, 30))
def test_adding_failures_never_takes_a_fail_back(limit: str, bad: int, good: int, more: int) -> None:
    """The law holds across the sample size at which the plain comparison takes over."""
    if verdict(f"errors: rate <= {limit}", "%", marked(bad, bad + good) or [0.0]) is Verdict.FAIL:
        assert verdict(f"errors: rate <= {limit}", "%", marked(bad + more, bad + good + more)) is Verdict.FAIL


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.sampled_from([50, 90, 95, 99]), st.integers(0, 60), st.integers(1, 300), st.integers(1, 20))
def test_adding_slow_requests_never_takes_a_fail_back(q: int, slow: int, fast: int, more: int) -> None:
    """As for failures, for every percentile."""
    expression = f"t: p({q}) < 450 ms"
    if verdict(expression, "s", [0.9] * slow + [0.1] * fast) is Verdict.FAIL:
        assert verdict(expression, "s", [0.9] * (slow + more) + [0.1] * fast) is Verdict.FAIL


@settings(max_examples=100, derandomize=True, deadline=None)
@given(LIMITS, st.integers(0, 30), st.integers(1, 300))
def test_fewer_than_enough_samples_never_pass(limit: str, bad: int, good: int) -> None:
    """To fail with few samples is new; to pass with few is not."""
    share = {"0.5 %": Fraction(1, 200), "1 %": Fraction(1, 100), "3 %": Fraction(3, 100), "20 %": Fraction(1, 5)}[limit]
    if bad + good < 3 / share:
        assert verdict(f"errors: rate <= {limit}", "%", marked(bad, bad + good)) is not Verdict.PASS


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 3000), st.floats(0.001, 0.999))
def test_the_tail_is_the_binomial_tail(total: int, bad: int, share: float) -> None:
    """Against the survival function of scipy."""
    assert tail(total, bad, share) == pytest.approx(float(binom.sf(bad - 1, total, share)), rel=1e-6, abs=1e-12)


def test_many_windows_leave_each_less_chance() -> None:
    """What one window would prove is not proven by the worst of fifty."""
    quiet = [0.0] * 20
    windows = [marked(2, 20), *[quiet] * 49]
    figures = [value for window in windows for value in window]
    assert verdict("errors: rate <= 1 %", "%", windows[0]) is Verdict.FAIL
    assert verdict("errors: rate <= 1 % every 20 s", "%", figures) is Verdict.INCONCLUSIVE
