"""Leaks and drifts: found where they are, not found where memory only breathes; limits, memory, steps, and the checker's rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.units import Duration
from harness.core.verdict import Verdict, merge
from harness.journal.events import Series
from harness.journal.hub import JournalHub
from harness.load.soak.checker import Soak, SoakChecker
from harness.load.soak.detect import detect, trend_of
from harness.load.soak.simulation import KINDS, SAMPLES, day_s, latency_ms, memory_mb, remembering, steps
from harness.load.soak.windows import TooShort, falls, windowed
from harness.run.view import FolderView

TIMES = day_s()
ROWS = 24


def flagged(kind: str, make, amount: float, shape: str) -> float:
    """Share of seeded days that are called over a limit."""
    found = 0
    for seed in range(ROWS):
        _, findings = detect(kind, TIMES, make(np.random.default_rng(seed), shape, amount))
        found += merge(finding.verdict for finding in findings) is Verdict.FAIL
    return found / ROWS


@pytest.mark.parametrize("shape", KINDS)
def test_a_leak_is_found_and_breathing_memory_is_not(shape: str) -> None:
    """10 MB/h is found in nine of ten days at least, under noise, saw-tooth and steps; a clean day is hardly ever flagged."""
    assert flagged("leak", memory_mb, 10.0, shape) >= 0.9
    assert flagged("leak", memory_mb, 0.0, shape) <= 0.05


@pytest.mark.parametrize("shape", KINDS)
def test_a_drift_is_found_and_noise_is_not(shape: str) -> None:
    """2 %/h of p99 is found in eight of ten days at least; a clean day is hardly ever flagged."""
    assert flagged("drift", latency_ms, 0.02, shape) >= 0.8
    assert flagged("drift", latency_ms, 0.0, shape) <= 0.09


def test_a_step_is_named_and_not_counted_as_a_leak() -> None:
    """A cache of 300 MB that fills at noon is no leak; least squares over the raw series would call it one of 18 MB an hour."""
    values = 1000 + np.where(TIMES > 12 * 3600, 300.0, 0.0) + np.random.default_rng(1).normal(0, 3, SAMPLES)
    found, findings = detect("leak", TIMES, values)
    assert np.polyfit(TIMES / 3600, values, 1)[0] > 15
    assert [finding.verdict for finding in findings] == [Verdict.PASS, Verdict.PASS]
    assert [(round(hour), round(size, -1)) for hour, size in found.steps] in ([(12, 300)], [(13, 300)])


def test_the_lower_envelope_sees_a_leak_below_garbage() -> None:
    """A saw-tooth of 300 MB with a leak of 10 MB/h under it: the points taken are those after collections."""
    random = np.random.default_rng(4)
    values = memory_mb(random, "saw-tooth", 10.0)
    points = windowed(TIMES / 3600, values, "lowest")
    assert len(falls(values)) >= 12
    assert np.polyfit(points.hours, points.values, 1)[0] == pytest.approx(10, abs=1)


def test_a_rise_that_one_step_explains_as_well_is_not_told() -> None:
    """Twenty noisy hours that could be a slope or a step: INCONCLUSIVE, with the reason, never FAIL."""
    random = np.random.default_rng(11)
    seen = set()
    for _ in range(40):
        values = 100 * np.exp(0.06 * remembering(random, 0.5)) * (1 + np.where(TIMES > 11 * 3600, 0.03, 0.0))
        _, findings = detect("drift", TIMES, values)
        seen |= {(finding.verdict, finding.reason[:15]) for finding in findings}
    assert Verdict.FAIL not in {verdict for verdict, _ in seen}
    assert any(reason.startswith("a lasting step") for _, reason in seen)


def test_noise_that_remembers_widens_the_interval() -> None:
    """The same variance with memory leaves the slope less certain."""
    random = np.random.default_rng(2)
    widths = {phi: [] for phi in (0.0, 0.97)}
    for phi, found_widths in widths.items():
        for _ in range(20):
            found = trend_of("leak", TIMES, 1000 + 5 * remembering(random, phi))
            found_widths.append(found.high - found.low)
    assert np.median(widths[0.97]) > 2 * np.median(widths[0.0])


@given(st.floats(0.001, 1000), st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_scaling_the_values_scales_the_trend(factor: float, seed: int) -> None:
    """Slope, bounds and level are in the unit of the series; verdicts on shares do not depend on it."""
    values = latency_ms(np.random.default_rng(seed), "steps", 0.01)
    one, other = trend_of("drift", TIMES, values), trend_of("drift", TIMES, factor * values)
    assert other.slope == pytest.approx(factor * one.slope, rel=1e-6, abs=1e-9 * factor)
    assert other.high == pytest.approx(factor * one.high, rel=1e-6, abs=1e-9 * factor)
    assert [verdict.verdict for verdict in detect("drift", TIMES, values)[1]] == [
        verdict.verdict for verdict in detect("drift", TIMES, factor * values)[1]
    ]


@given(st.floats(-300, 3000), st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_a_constant_on_top_changes_the_level_and_nothing_else(shift: float, seed: int) -> None:
    """Memory that was there all the time is no leak."""
    values = memory_mb(np.random.default_rng(seed), "all", 5.0)
    one, other = trend_of("leak", TIMES, values), trend_of("leak", TIMES, values + shift)
    assert other.slope == pytest.approx(one.slope, abs=1e-6)
    assert other.level == pytest.approx(one.level + shift, abs=1e-3)


@given(st.integers(0, 100))
@settings(max_examples=8, deadline=None)
def test_the_order_of_the_samples_does_not_matter(seed: int) -> None:
    """Several sources deliver in any order: times say what was when."""
    random = np.random.default_rng(seed)
    values, order = memory_mb(random, "all"), random.permutation(SAMPLES)
    assert trend_of("leak", TIMES[order], values[order]) == trend_of("leak", TIMES, values)


def test_a_leak_shuffled_in_time_is_none() -> None:
    """The same values in random order: what rose was the order, and nothing is flagged."""
    values = memory_mb(np.random.default_rng(5), "plain", 10.0)
    assert detect("leak", TIMES, values)[1][0].verdict is Verdict.FAIL
    shuffled = np.random.default_rng(6).permutation(values)
    assert Verdict.FAIL not in {finding.verdict for finding in detect("leak", TIMES, shuffled)[1]}


def test_a_sped_up_day_is_judged_as_the_day_it_stands_for() -> None:
    """Ten minutes at 144 times the speed give the verdicts and the slope of the day."""
    values = memory_mb(np.random.default_rng(7), "all", 10.0)
    fast, _ = detect("leak", TIMES / 144, values, speed=144)
    slow, _ = detect("leak", TIMES, values)
    assert fast.slope == pytest.approx(slow.slope, rel=1e-9)


def test_both_limits_are_judged_and_the_stricter_one_decides() -> None:
    """5 MB/h over 200 MB is within 10 MB/h and over 1 %/h; 0.2 %/h of p99 is within 2 %/h and over 1 %/24 h."""
    random = np.random.default_rng(8)
    leak = 200 + random.normal(0, 1, SAMPLES) + 5 * TIMES / 3600
    assert [finding.verdict for finding in detect("leak", TIMES, leak)[1]] == [Verdict.PASS, Verdict.FAIL]
    drift = 50 * (1 + 0.002 * TIMES / 3600) * np.exp(random.normal(0, 0.005, SAMPLES))
    assert [finding.verdict for finding in detect("drift", TIMES, drift)[1]] == [Verdict.PASS, Verdict.FAIL]


def test_bad_series_are_refused() -> None:
    """Too short, not finite, not positive for a latency: said, not guessed."""
    with pytest.raises(TooShort, match="36"):
        trend_of("leak", TIMES[:20], np.ones(20))
    with pytest.raises(ValueError, match="finite"):
        trend_of("leak", TIMES, np.full(SAMPLES, np.nan))
    with pytest.raises(ValueError, match="above 0"):
        trend_of("drift", TIMES, np.zeros(SAMPLES))


def check(folder: Path, parameters: Soak, *events: Series) -> dict[str, tuple[Verdict, str]]:
    """Rows of the checker over a journal with these events."""
    hub = JournalHub(folder / "journal.jsonl")
    for event in events:
        hub.emit(event)
    hub.close()
    rows = SoakChecker().check(FolderView(folder), "t", "load", parameters)
    return {row.check.rsplit(".", 1)[-1]: (row.verdict, row.value + row.reason) for row in rows}


def series(values: np.ndarray, *, unit: str = "B", part: slice = slice(None), **tags: str) -> Series:
    times = tuple(int(second * 1e9) for second in TIMES[part])
    return Series(trial="t", name="rss", unit=unit, times_ns=times, values=tuple(map(float, values[part])), tags=tags)


def test_the_checker_joins_the_parts_of_a_series_and_says_slope_and_steps(tmp_path: Path) -> None:
    """Two events of one service are one series in bytes; the other service's is left alone; both limits are rows."""
    random = np.random.default_rng(9)
    leaking = 1e6 * (memory_mb(random, "plain", 20.0) + steps(random, 200))
    clean = 1e6 * memory_mb(random, "plain")
    events = [
        series(leaking, part=slice(0, 700), service="a"),
        series(leaking, part=slice(700, None), service="a"),
        series(clean, service="b"),
    ]
    rows = check(tmp_path, Soak(kind="leak", series="rss", tags={"service": "a"}), *events)
    assert rows["10 MB/h"][0] is Verdict.FAIL
    assert "MB/h" in rows["10 MB/h"][1]
    clean_rows = SoakChecker().check(FolderView(tmp_path), "t", "load", Soak(kind="leak", series="rss", tags={"service": "b"}))
    assert {row.verdict for row in clean_rows} == {Verdict.PASS}
    assert {row.limit for row in clean_rows} == {"< 10 MB/h", "< 1 %/h"}


@pytest.mark.parametrize(
    ("parameters", "events", "verdict", "word"),
    [
        (Soak(kind="leak", series="nowhere"), [series(np.ones(SAMPLES))], Verdict.VACUOUS, "no such series"),
        (Soak(kind="leak", series="rss"), [series(np.ones(SAMPLES), unit="threads")], Verdict.ERROR, "MB"),
        (Soak(kind="leak", series="rss"), [series(np.ones(SAMPLES), part=slice(0, 20))], Verdict.INCONCLUSIVE, "36"),
        (Soak(kind="leak", series="rss", warmup=Duration.parse("1430 min")), [series(np.ones(SAMPLES))], Verdict.INCONCLUSIVE, "36"),
        (Soak(kind="drift"), [], Verdict.VACUOUS, "no such series"),
    ],
)
def test_the_checker_says_why_it_cannot_judge(tmp_path: Path, parameters: Soak, events: list[Series], verdict: Verdict, word: str) -> None:
    """Missing, of a wrong unit, too short after the warm-up: never a PASS."""
    rows = check(tmp_path, parameters, *events)
    assert {row[0] for row in rows.values()} == {verdict}
    assert all(word in row[1] for row in rows.values())
