"""HDR histograms: at most 0.1 % wrong, merged exactly, readable by every HDR tool."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from harness.load.histogram import HIGHEST_NS, LatencyHistogram, middle_ns, places
from harness.thresholds.figures import quantile

VALUES = st.lists(st.integers(0, HIGHEST_NS) | st.integers(0, 10_000_000), max_size=200)
ERROR_MAX = 0.001


def column(values: list[int]) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)


def of(values: list[int], never: int = 0) -> LatencyHistogram:
    made = LatencyHistogram()
    made.record(column(values), never)
    return made


@given(values=VALUES.filter(bool))
def test_every_value_is_reported_within_a_thousandth(values: list[int]) -> None:
    """What a bucket reports is at most 0.1 % from each value in it, from 1 ns to 1 h."""
    reported = np.array([middle_ns(int(place)) for place in places(column(values))])
    assert np.all(np.abs(reported - column(values)) <= np.maximum(column(values) * ERROR_MAX, 0.5))


@given(values=VALUES.filter(bool))
def test_buckets_are_those_of_the_library(values: list[int]) -> None:
    """Counting whole columns gives the very counts that the library gives one by one."""
    library = HdrHistogram(1, HIGHEST_NS, 3)
    for value in values:
        library.record_value(value)
    assert of(values).counts.tolist() == list(library.counts)


@given(parts=st.lists(VALUES, min_size=8, max_size=8), never=st.integers(0, 3))
def test_merging_eight_processes_equals_one_histogram_over_all_samples(parts: list[list[int]], never: int) -> None:
    """Exactly: every count, also through the journal's encoding; in whatever order."""
    made = [of(part, never) for part in parts]
    whole = of([value for part in parts for value in part], 8 * never)
    assert LatencyHistogram.merged(made) == whole
    assert LatencyHistogram.merged(reversed(made)) == whole
    read = [LatencyHistogram.of_event(one.event("t", "response_time", {"worker": str(number)})) for number, one in enumerate(made)]
    assert LatencyHistogram.merged(read) == whole


@given(values=VALUES, never=st.integers(0, 20), q=st.sampled_from([Fraction(1, 2), Fraction(9, 10), Fraction(99, 100), Fraction(1)]))
def test_quantiles_are_those_of_the_samples(values: list[int], never: int, q: Fraction) -> None:
    """The nearest rank over all samples, those that never came included, to 0.1 %."""
    got = of(values, never).quantile_ns(q)
    if not values and not never:
        assert math.isnan(got)
        return
    exact = quantile(np.array([*values, *[math.inf] * never], dtype=np.float64), q)
    assert got == exact or abs(got - exact) <= max(exact * ERROR_MAX, 0.5)


def test_a_lost_value_is_not_the_same_histogram() -> None:
    """Seeded defect: one sample lost by one process shows."""
    whole = of([5_000_000, 6_000_000, 7_000_000])
    assert LatencyHistogram.merged([of([5_000_000]), of([6_000_000])]) != whole
    assert LatencyHistogram.merged([of([5_000_000, 6_000_000]), of([], 1)]) != whole


def test_other_buckets_cannot_be_merged() -> None:
    """A histogram of another tool with other limits is refused, not misread."""
    event = of([1]).event("t", "x", {})
    other = HdrHistogram(1, 1_000_000, 2)
    other.record_value(5)
    import msgspec

    with pytest.raises(ValueError, match="other buckets"):
        LatencyHistogram.of_event(msgspec.structs.replace(event, encoded=other.encode().decode()))


def test_bands_count_what_lies_below_each_bound() -> None:
    """Counts at or below the bounds, for bands over time."""
    assert of([1, 2, 3, 1_000, 2_000_000]).bands([0, 2, 999, 1_000, HIGHEST_NS]) == [0, 2, 3, 4, 5]
