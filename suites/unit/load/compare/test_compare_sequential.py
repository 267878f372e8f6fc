"""The sequential regression test: its answers, its error rates in small, what it refuses, and that peeking costs nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load.compare.boundaries import LOOKS, ROUNDS_MAX, boundaries, critical, statistics
from harness.load.compare.contrast import fit, sides
from harness.load.compare.result import Answer
from harness.load.compare.sequential import NOT_REGRESSED, REGRESSED, Question, Round, judge, rounds_needed
from harness.load.compare.simulation import answers, noise, side_memory

P99 = Question("p99", "s", 0.05)
ROWS = 2_000


def rounds_of(change: float = 0.0, size: float = 0.02, count: int = ROUNDS_MAX, seed: int = 1, control: float | None = None) -> list[Round]:
    """Seeded rounds; ``control``: how much longer the control takes beside B."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        a, b = np.exp(random.normal(0, size, 2)) * [0.1, 0.1 * (1 + change)]
        one, other = np.exp(random.normal(0, 0.004, 2)) * [0.02, 0.02 * (1 + (control or 0.0))]
        made.append(Round(a, b, one, other) if control is not None else Round(a, b))
    return made


def logs_of(rounds: list[Round]) -> np.ndarray:
    pairs = [(one.a, one.b) if number % 2 == 0 else (one.b, one.a) for number, one in enumerate(rounds)]
    return np.log(np.array(pairs).reshape(1, -1))


@pytest.mark.parametrize(("kind", "phi"), [("gaussian", 0.0), ("ar1", 0.5), ("ar1", -0.5), ("t3", 0.0)])
@pytest.mark.parametrize("size", [0.02, 0.2])
def test_nothing_changed_is_hardly_ever_called_a_regression(kind: str, phi: float, size: float) -> None:
    """Of 2,000 comparisons of a side with itself at most 0.3 % are called regressed, whatever the noise (the bar counts 10,000)."""
    course = answers(noise(kind, ROWS, np.random.default_rng(5), phi) * size, 0.05)
    assert course.share(REGRESSED) <= 0.003


@pytest.mark.parametrize("kind", ["gaussian", "t3"])
def test_five_percent_at_two_percent_noise_is_found_by_round_twelve(kind: str) -> None:
    """A change as large as the gate is called regressed in at least 94 % of 2,000 and passes in less than 1 %."""
    course = answers(noise(kind, ROWS, np.random.default_rng(6)) * 0.02, 0.05, 0.05)
    assert course.share(REGRESSED) >= 0.94
    assert course.share(NOT_REGRESSED) <= 0.01


def test_without_its_critical_values_the_test_would_be_rash() -> None:
    """The same statistic against the textbook's 2.3 errors after every look alarms far too often: the table is what keeps it honest."""
    values = statistics(noise("gaussian", ROWS, np.random.default_rng(7)))
    assert (values > 2.326).any(axis=1).mean() > 0.02
    assert (values > np.array(boundaries().regressed)).any(axis=1).mean() <= 0.002


def test_interleaving_turns_memory_of_the_machine_into_care() -> None:
    """AR(1) noise of the machine narrows the differences; memory that each side keeps for itself cannot be cancelled and alarms."""
    random = np.random.default_rng(8)
    machine = answers(noise("ar1", ROWS, random, 0.5) * 0.02, 0.05).share(REGRESSED)
    apart = answers(side_memory(ROWS, random, 0.5) * 0.02, 0.05).share(REGRESSED)
    assert machine <= 0.001 < apart


def test_the_stored_table_comes_from_its_script() -> None:
    """A small calibration agrees with the stored table within its own scatter, and the table says how it was made."""
    values = np.concatenate([statistics(noise("gaussian", 20_000, np.random.default_rng(9)))])
    both = np.concatenate([values, -values])
    again = critical(both, boundaries().false_pass)
    assert boundaries().looks == LOOKS
    assert again[-1] == pytest.approx(boundaries().not_regressed[-1], abs=0.15)
    assert all(first > second for first, second in zip(boundaries().regressed, boundaries().regressed[1:], strict=False))
    assert all(one > other for one, other in zip(boundaries().regressed, boundaries().not_regressed, strict=True))


@pytest.mark.parametrize(("change", "answer"), [(0.0, NOT_REGRESSED), (0.05, REGRESSED), (0.10, REGRESSED)])
def test_one_comparison_and_many_are_judged_by_the_same_rule(change: float, answer: int) -> None:
    """``judge`` on single rounds says what the vectorised simulation says, and ends in the same round."""
    agreed = 0
    for seed in range(12):
        rounds = rounds_of(change, seed=seed)
        course = answers(logs_of(rounds), 0.05)
        decision = judge(rounds, P99)
        code = {Answer.REGRESSED: REGRESSED, Answer.NOT_REGRESSED: NOT_REGRESSED}.get(decision.answer, 0)
        assert code == int(course.codes[0])
        assert not code or decision.rounds == int(course.rounds[0])
        agreed += code == answer
    assert agreed >= 10


def test_rounds_after_the_answer_change_nothing() -> None:
    """A decision stands: what is measured after it is not looked at, so that nobody can measure until it pleases."""
    rounds = rounds_of(0.10)
    decision = judge(rounds, P99)
    assert decision.answer is Answer.REGRESSED
    assert judge([*rounds[: decision.rounds], *rounds_of(-0.5)], P99) == decision


def test_answers_come_after_whole_abba_blocks_only() -> None:
    """No answer before round 4 nor after an odd one, however clear the difference."""
    course = judge(rounds_of(1.0, size=0.0001), P99).course
    assert [point.answer is Answer.CANNOT_TELL for point in course] == [True] * (len(course) - 1) + [False]
    assert course[-1].number in LOOKS
    assert [point.first for point in course][:4] == ["A", "B", "A", "B"]


@given(st.floats(1e-6, 1e6), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_the_unit_of_the_figures_does_not_matter(factor: float, seed: int) -> None:
    """All figures times any factor: the same answer, the same change."""
    rounds = rounds_of(0.05, seed=seed)
    scaled = [Round(one.a * factor, one.b * factor) for one in rounds]
    one, other = judge(rounds, P99), judge(scaled, P99)
    assert one.answer == other.answer
    assert one.change.estimate == pytest.approx(other.change.estimate, abs=1e-9)


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_side_against_itself_mirrors_when_the_sides_are_exchanged(seed: int) -> None:
    """Exchanging A and B (and the order within rounds) turns the logarithm of the change around."""
    rounds = rounds_of(0.03, seed=seed)
    estimate, error, _ = fit(logs_of(rounds), sides(len(rounds)))
    other, same, _ = fit(logs_of(rounds), sides(len(rounds), first="B"))
    assert estimate[0] == pytest.approx(-other[0], abs=1e-12)
    assert error[0] == pytest.approx(same[0], rel=1e-9)


def test_a_straight_drift_of_the_machine_is_no_difference_of_the_sides() -> None:
    """Every measurement 1 % slower than the one before: neither side is."""
    drifting = np.exp(0.01 * np.arange(24) + np.random.default_rng(3).normal(0, 0.002, 24))
    rounds = [Round(*(drifting[2 * n : 2 * n + 2] if n % 2 == 0 else drifting[2 * n : 2 * n + 2][::-1])) for n in range(12)]
    decision = judge(rounds, P99)
    assert decision.answer is Answer.NOT_REGRESSED
    assert abs(decision.change.estimate) < 0.004


def test_one_wild_measurement_does_not_decide() -> None:
    """A round ten times as slow on one side leaves the answer where the others are."""
    rounds = rounds_of(0.0, size=0.005)
    rounds[2] = Round(rounds[2].a, rounds[2].b * 10)
    assert judge(rounds, P99).answer is Answer.NOT_REGRESSED


def test_more_throughput_is_better() -> None:
    """With higher-is-better figures 10 % more passes and 10 % less is a regression."""
    question = Question("throughput", "1/s", 0.05, higher_is_better=True)
    assert judge(rounds_of(0.10), question).answer is Answer.NOT_REGRESSED
    assert judge(rounds_of(-0.10), question).answer is Answer.REGRESSED


def test_a_control_that_moves_takes_the_answer_away() -> None:
    """The fixed workload takes 6 % longer beside B: a difference of the sides says nothing then, and the cause names the control."""
    calm, moved = judge(rounds_of(0.10, control=0.0), P99), judge(rounds_of(0.10, control=0.06), P99)
    assert calm.answer is Answer.REGRESSED
    assert calm.control is not None
    assert not calm.control.moved
    assert moved.answer is Answer.CANNOT_TELL
    assert "control" in moved.cause


def test_cannot_tell_says_how_many_more_rounds() -> None:
    """Before the first look, between looks, and when no number of rounds helps."""
    assert judge([], P99).more_rounds == 4
    assert judge(rounds_of(count=3), P99).more_rounds == 1
    some = judge(rounds_of(0.05, count=5), P99)
    assert some.answer is Answer.CANNOT_TELL
    assert some.more_rounds in {1, 3, 5, 7}
    loud = judge(rounds_of(0.02, size=0.3), P99)
    assert loud.answer is Answer.CANNOT_TELL
    assert loud.more_rounds is None
    assert rounds_needed(rounds_of(0.02, size=0.3), P99) is None
    assert "quieter machine" in loud.cause


def test_figures_without_end_are_regressed_only_when_all_of_them_are_of_b() -> None:
    """p99 is infinite when more than 1 % never ended: always and of B only is a regression, now and then is no answer."""
    always = [Round(1.0, math.inf)] * 4
    assert judge(always, P99).answer is Answer.REGRESSED
    mixed = judge([Round(1.0, 1.0), *always], P99)
    assert mixed.answer is Answer.CANNOT_TELL
    assert "never ended" in mixed.cause
    assert judge([Round(math.inf, 1.0)] * 12, P99).answer is Answer.CANNOT_TELL


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_figures_that_are_no_figures_are_refused(bad: float) -> None:
    """Zero, negative and not-a-number have no ratio: the round is named."""
    with pytest.raises(ValueError, match="round 2"):
        judge([Round(1.0, 1.0), Round(1.0, bad)], P99)


def test_equal_figures_without_any_noise_are_not_regressed() -> None:
    """A constant is a measurement too."""
    assert judge([Round(1.0, 1.0)] * 4, P99).answer is Answer.NOT_REGRESSED
