"""Shapes as arrivals: sorted, inside the window, as many as the integral of the rate, the same bytes for the same seed."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import UsageError
from harness.core.units import Duration
from harness.load.shape.arrivals import offsets, planned_count, planned_rates
from harness.load.shape.grammar import Shape
from harness.load.shape.pieces import NS, Piece, even
from harness.scenario.parameters import decode_parameters


class _Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shape: Shape


def shape(kind: str, **parameters: Any) -> Shape:
    """As a scenario gives it; ``from_`` and ``for_`` stand for Python's keywords."""
    given = {key.rstrip("_"): value for key, value in parameters.items()}
    return decode_parameters(_Holder, {"shape": {"kind": kind, **given}}).shape


def seconds(value: float) -> Duration:
    return Duration.of_seconds(round(value, 3))


RATE = st.floats(0.5, 2_000).map(lambda rate: f"{rate:.3f}/s")
LOW = st.floats(0, 50).map(lambda rate: f"{rate:.3f}/s")
SEEDS = st.integers(0, 2**63 - 1)
PLAIN = st.one_of(
    st.builds(lambda rate: shape("constant", rate=rate), RATE),
    st.builds(lambda a, b: shape("ramp", from_=a, to=b), LOW, RATE),
    st.builds(lambda a, b: shape("ramp", from_=a, to=b), RATE, LOW),
    st.builds(lambda rates: shape("steps", rates=rates), st.lists(RATE, min_size=1, max_size=6)),
    st.builds(
        lambda up, down: shape("spike", base="7/s", peak="90/s", at="100 ms", for_="200 ms", rise=up, fall=down),
        *2 * [st.sampled_from(["0 s", "50 ms"])],
    ),
    st.builds(
        lambda m, peak, trough, start: shape(
            "diurnal", base="20/s", multiplier=m, peak_hour=peak, trough_hour=trough, day="700 ms", start_hour=start
        ),
        st.floats(1, 20),
        st.floats(0, 11.9),
        st.floats(12, 23.9),
        st.floats(0, 23.9),
    ),
)


def _parts(inner: Any, name: str) -> Any:
    tagged = inner.map(lambda one: {"shape": msgspec.to_builtins(one, enc_hook=str)})
    return st.lists(tagged, min_size=1, max_size=3).map(lambda parts: shape(name, parts=parts))


DETERMINISTIC = st.one_of(PLAIN, _parts(PLAIN, "sum"))


@settings(max_examples=150)
@given(form=DETERMINISTIC, length=st.floats(0.5, 4.0), warm=st.floats(0, 1))
def test_arrivals_of_a_rate_are_sorted_inside_and_as_many_as_its_integral(form: Shape, length: float, warm: float) -> None:
    """Offsets never fall, lie in [0, warm-up + duration), and their number is the integral of the rate, give or take one."""
    window = seconds(length)
    due = offsets(form, window, seed=1)
    assert due.dtype == np.int64
    assert np.all(np.diff(due) >= 0)
    assert np.all((due >= 0) & (due < math.ceil(window.base * NS)))
    assert abs(len(due) - planned_count(form, window, 1)) <= 1 + 1e-6
    warmed = offsets(form, window, seed=1, warmup=seconds(warm))
    assert np.all(np.diff(warmed) >= 0)
    assert np.all((warmed >= 0) & (warmed < math.ceil((window.base + seconds(warm).base) * NS)))


@settings(max_examples=60)
@given(form=DETERMINISTIC, cut=st.floats(0.1, 0.9))
def test_no_stretch_of_a_plan_drifts_from_its_rate(form: Shape, cut: float) -> None:
    """Up to any moment as many arrivals were planned as the rate's integral up to there says, give or take one: computed numerically."""
    window = seconds(2.0)
    due = offsets(form, window, seed=1)
    grid = np.linspace(0, 2.0 * cut, 40_001)
    middle = (grid[1:] + grid[:-1]) / 2
    integral = float(planned_rates(form, window, 1, middle).sum() * (grid[1] - grid[0]))
    tolerance = 1 + 0.002 * integral + 0.1  # the midpoint rule at the jumps of steps and spikes
    assert abs(int(np.searchsorted(due, round(2.0 * cut * NS))) - integral) <= tolerance


@given(rate=st.floats(0.5, 5_000), length=st.floats(0.1, 3.0))
def test_constant_arrivals_are_evenly_spaced_from_the_start(rate: float, length: float) -> None:
    """The constant shape begins at 0 and keeps one gap between arrivals, to the nanosecond."""
    form = shape("constant", rate=f"{rate:.3f}/s")
    due = offsets(form, seconds(length), seed=1)
    exact = Fraction(NS) / Fraction(f"{rate:.3f}")
    assert due[0] == 0
    assert all(abs(value - number * exact) <= 1 for number, value in enumerate(due.tolist()))


def test_a_long_plan_ends_where_it_should_to_the_nanosecond() -> None:
    """A day at 3/s: the last of 259,200 arrivals is one third of a second before the end; adding up gaps would have lost it."""
    due = offsets(shape("constant", rate="3/s"), Duration.parse("24 h"), seed=1)
    assert len(due) == 259_200
    assert due[-1] == round(Fraction(259_199, 3) * NS)


def test_fractions_of_an_arrival_are_not_lost_between_the_parts_of_a_sequence() -> None:
    """A hundred parts of half an arrival each make fifty arrivals, one every second part."""
    parts = [{"shape": {"kind": "constant", "rate": "0.5/s"}, "for": "1 s"}] * 100
    due = offsets(shape("sequence", parts=parts), Duration.parse("100 s"), seed=1)
    assert due.tolist() == [number * 2 * NS for number in range(50)]


def test_silence_in_a_sequence_moves_the_next_arrival_to_the_end_of_it() -> None:
    """Five a second, a second of nothing, five a second: the sixth arrival stands at the beginning of the third second."""
    parts = [{"shape": {"kind": "steps", "rates": ["5/s", "0/s", "5/s"]}}]
    assert offsets(shape("sequence", parts=parts), Duration.parse("3 s"), seed=1).tolist() == [
        *(number * NS // 5 for number in range(5)),
        *(2 * NS + number * NS // 5 for number in range(5)),
    ]


def test_a_ramp_follows_the_square_root() -> None:
    """From 0 to 50/s in 10 s arrival k comes at √(k·20/50) s."""
    due = offsets(shape("ramp", from_="0/s", to="50/s"), Duration.parse("10 s"), seed=1)
    assert len(due) == 250
    assert np.abs(due - np.sqrt(np.arange(250) * 20 / 50) * NS).max() <= 1


def test_the_diurnal_rate_has_its_extremes_at_both_hours_and_is_never_negative() -> None:
    """Three times the base at the peak hour, the base itself at the trough hour, between them everywhere else."""
    day = shape("diurnal", base="500/s", multiplier=3, peak_hour=14, trough_hour=3)
    hours = np.linspace(0, 24, 24 * 60, endpoint=False)
    rate = planned_rates(day, Duration.parse("24 h"), 1, hours * 3600)
    assert rate.min() == pytest.approx(500, rel=1e-6)
    assert rate.max() == pytest.approx(1500, rel=1e-6)
    assert (hours[rate.argmin()], hours[rate.argmax()]) == (3.0, 14.0)
    source = 500 * (1 + 2 * np.cos((hours - 14) * np.pi / 12))  # the formula of the source, kept as the defect it is
    assert source.min() < -499
    assert hours[source.argmin()] == 2.0


def test_an_accelerated_day_keeps_its_form() -> None:
    """A day of one hour: per 24th of it the arrivals are those of the planned rate within 3 %."""
    form = shape("diurnal", base="500/s", multiplier=3, peak_hour=14, trough_hour=3, day="1 h")
    due = offsets(form, Duration.parse("1 h"), seed=1)
    counts = np.histogram(due / NS, bins=24, range=(0, 3600))[0]
    middle = (np.arange(24 * 60) + 0.5) * 2.5
    expected = planned_rates(form, Duration.parse("1 h"), 1, middle).reshape(24, 60).mean(axis=1) * 150
    assert np.abs(counts / expected - 1).max() < 0.03
    assert np.corrcoef(counts, expected)[0, 1] > 0.999


def test_poisson_arrivals_have_the_law_of_their_name() -> None:
    """Gaps are exponential, counts a second have an index of dispersion of 1; another seed gives another plan."""
    form = shape("poisson", rate="1000/s")
    due = offsets(form, Duration.parse("20 s"), seed=3)
    gaps = np.diff(due) / NS * 1_000
    assert abs(len(due) - 20_000) < 5 * 20_000**0.5
    assert gaps.mean() == pytest.approx(1.0, abs=0.03)
    assert gaps.std() == pytest.approx(1.0, abs=0.05)
    assert np.mean(gaps > 1.0) == pytest.approx(np.exp(-1), abs=0.02)
    assert due.tobytes() != offsets(form, Duration.parse("20 s"), seed=4).tobytes()


def dispersion(form: Shape, seed: int, cell_s: float = 0.1) -> float:
    """Variance over mean of the counts in cells of a 100 s plan."""
    due = offsets(form, Duration.parse("100 s"), seed=seed)
    counts = np.histogram(due / NS, bins=round(100 / cell_s), range=(0, 100))[0]
    return float(counts.var(ddof=1) / counts.mean())


@pytest.mark.parametrize("seed", range(8))
def test_the_dispersion_tells_the_processes_apart(seed: int) -> None:
    """Index of dispersion: far below 1 for even arrivals, 1 for Poisson (99.99 % bounds of χ²/(n-1)), far above for bursts."""
    assert dispersion(shape("constant", rate="200/s"), seed) < 0.05
    assert 0.83 < dispersion(shape("poisson", rate="200/s"), seed) < 1.19
    assert dispersion(shape("bursts", base="50/s", multiplier=10, per="20/min", lasting="1 s"), seed) > 3


@pytest.mark.parametrize("lengths", ["exponential", "fixed"])
def test_bursts_take_the_share_of_time_that_their_parameters_say(lengths: str) -> None:
    """λ = 0.5/s and 2 s a burst: half of the time is burst, so the mean rate is 5.5 times the base; over 5,000 s within 7 %."""
    form = shape("bursts", base="1/s", multiplier=10, per="0.5/s", lasting="2 s", lengths=lengths)
    window = Duration.parse("5000 s")
    assert planned_count(form, window, 5) / 5_000 == pytest.approx(5.5, rel=0.07)
    assert len(offsets(form, window, 5)) == pytest.approx(planned_count(form, window, 5), rel=0.02)
    rate = planned_rates(form, window, 5, np.linspace(0, 4_999, 50_000))
    assert set(rate.tolist()) == {1.0, 10.0}


RANDOM = [
    shape("poisson", rate="300/s"),
    shape("bursts", base="50/s", multiplier=10, per="60/min", lasting="500 ms"),
    shape("ramp", from_="0/s", to="500/s", arrivals="poisson"),
    shape("sum", parts=[{"shape": {"kind": "constant", "rate": "50/s"}, "weight": 0.8}, {"shape": {"kind": "poisson", "rate": "99/s"}}]),
    shape("sequence", parts=[{"shape": {"kind": "poisson", "rate": "99/s"}, "for": "1 s"}, {"shape": {"kind": "poisson", "rate": "9/s"}}]),
]


@settings(max_examples=25)
@given(form=st.sampled_from(RANDOM), seed=SEEDS)
def test_random_arrivals_are_sorted_inside_and_the_same_bytes_for_the_same_seed(form: Shape, seed: int) -> None:
    """Poisson, bursts, and compositions with them: a seed gives one plan to the byte, inside its window."""
    window, warm = Duration.parse("3 s"), Duration.parse("500 ms")
    due = offsets(form, window, seed, warmup=warm)
    assert np.all(np.diff(due) >= 0)
    assert np.all((due >= 0) & (due < 3.5 * NS))
    assert due.tobytes() == offsets(form, window, seed, warmup=warm).tobytes()


def test_a_random_ramp_has_its_rate_everywhere() -> None:
    """Poisson arrivals of a ramp 0 → 1000/s over 20 s: each second's count is within five deviations of its integral."""
    due = offsets(shape("ramp", from_="0/s", to="1000/s", arrivals="poisson"), Duration.parse("20 s"), seed=9)
    counts = np.histogram(due / NS, bins=20, range=(0, 20))[0]
    expected = 50 * (np.arange(20) + 0.5)
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


def test_the_shape_begins_after_the_warm_up_which_holds_its_first_rate() -> None:
    """Two seconds of warm-up at the 10/s the steps begin with, then the steps."""
    form = shape("steps", rates=["10/s", "30/s"], each="1 s")
    due = offsets(form, Duration.parse("2 s"), seed=1, warmup=Duration.parse("2 s")) / NS
    assert np.histogram(due, bins=4, range=(0, 4))[0].tolist() == [10, 10, 10, 30]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (shape("steps", rates=["1/s", "2/s"], each="5 s"), "steps needs 10 s, the window has 4 s"),
        (shape("spike", base="1/s", peak="2/s", at="3 s", for_="2 s"), "spike needs 5 s, the window has 4 s"),
        (shape("sequence", parts=[{"shape": {"kind": "constant", "rate": "1/s"}, "for": "3 s"}]), "sequence needs 3 s, the window has 4 s"),
        (shape("ramp", from_="1/s", to="2/s", over="1 min"), "ramp needs 60 s"),
    ],
)
def test_a_shape_that_does_not_fit_its_window_is_refused(form: Shape, message: str) -> None:
    """Steps that would be cut off silently are an error that says how long they are."""
    with pytest.raises(ValueError, match=message):
        offsets(form, Duration.parse("4 s"), seed=1)


def test_a_plan_that_no_memory_holds_is_refused() -> None:
    """Ten million a second for an hour is refused before anything is allocated."""
    with pytest.raises(UsageError, match=r"the plan has 3\.6e\+10 arrivals; at most 50000000"):
        offsets(shape("constant", rate="10000000/s"), Duration.parse("1 h"), seed=1)


def test_a_drifting_inverse_would_be_found() -> None:
    """Seeded defect: gaps rounded to nanoseconds and added up lose 0.33 ns each; the comparison with the exact place sees it."""
    exact = even((Piece(Fraction(3000), Fraction(3)),))
    drifting = np.cumsum(np.full(len(exact), int(NS / 3))) - int(NS / 3)
    places = [round(Fraction(number, 3) * NS) for number in range(len(exact))]
    assert np.abs(exact - places).max() <= 1
    assert np.abs(drifting - places).max() > 1_000


def test_a_weight_on_a_trace_is_refused(tmp_path: Path) -> None:
    """A trace has times and no rate: a weight would silently do nothing."""
    (tmp_path / "t.csv").write_text("t_ns\n0\n5\n")
    form = shape("sum", parts=[{"shape": {"kind": "trace", "file": "t.csv"}, "weight": 2}])
    with pytest.raises(ValueError, match="use `speed`"):
        offsets(form, Duration.parse("1 s"), seed=1, project=tmp_path)
