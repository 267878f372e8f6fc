"""The sequential regression test: rounds in, one of three answers out. Pure; the same rounds give the same decision.

After each complete ABBA block the interval of the change is [estimate - c·error, estimate + u·error] with the critical values of
``boundaries``. *Not regressed*: the upper bound lies below the gate. *Regressed*: the lower bound lies above no change, and the
estimate is at least half the gate (a change that is certain and small is the next block's question). Otherwise *cannot tell*, with
the number of rounds that would do if the estimate and the noise stay as they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.load.compare.boundaries import ROUNDS_MAX, boundaries
from harness.load.compare.contrast import ROUNDS_MIN, Floats, fit, sides
from harness.load.compare.result import Answer, Control, Decision, ErrorRates, Interval, RoundPoint

OPEN, NOT_REGRESSED, REGRESSED = 0, 1, 2
_ANSWERS = {OPEN: Answer.CANNOT_TELL, NOT_REGRESSED: Answer.NOT_REGRESSED, REGRESSED: Answer.REGRESSED}
UNKNOWN = Interval(-math.inf, 0.0, math.inf)
CONTROL_SHARE = 1 / 3  # of the gate: a control that is shown to have moved by more spoils the comparison
ESTIMATE_SHARE = 1 / 2  # of the gate: a smaller estimate is no regression


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the rounds. ``gate``: the change that must not be, as a share (0.05)."""

    metric: str
    unit: str
    gate: float
    higher_is_better: bool = False
    control: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """One measurement a side. Positive numbers; +inf where requests that never ended reach the figure."""

    a: float
    b: float
    control_a: float | None = None
    control_b: float | None = None


def codes(estimate: Floats, error: Floats, look: int, gate: float) -> npt.NDArray[np.int8]:
    """The answer at one look for many tests at once: ``OPEN``, ``NOT_REGRESSED`` or ``REGRESSED``, shape as given (logarithms)."""
    table, limit = boundaries(), math.log1p(gate)
    below = estimate + table.not_regressed[look] * error < limit
    above = (estimate - table.regressed[look] * error > 0) & (estimate >= ESTIMATE_SHARE * limit)
    return np.where(below, NOT_REGRESSED, np.where(above, REGRESSED, OPEN)).astype(np.int8)


def first_of_round(number: int) -> str:
    """Which side round ``number`` (from 1) measures first: A B, B A, A B, …"""
    return "A" if number % 2 else "B"


def judge(rounds: Sequence[Round], question: Question) -> Decision:
    """The decision after these rounds (at most 12 count), with its whole course. Raises ``ValueError`` for a figure that is no number."""
    _validate(rounds)
    course = tuple(_point(rounds[:number], question) for number in range(1, min(len(rounds), ROUNDS_MAX) + 1))
    rates = ErrorRates(boundaries().false_alarm, boundaries().false_pass)
    decided = next((point for point in course if point.answer is not Answer.CANNOT_TELL), course[-1] if course else None)
    used = rounds[: decided.number] if decided else ()
    draft = Decision(
        answer=decided.answer if decided else Answer.CANNOT_TELL,
        cause="",
        metric=question.metric,
        unit=question.unit,
        gate=question.gate,
        change=decided.change if decided else UNKNOWN,
        rounds=len(used),
        rounds_max=ROUNDS_MAX,
        errors=rates,
        noise=_noise(used),
        control=_control(used, question),
        course=course[: len(used)],
    )
    return _explained(draft, used, question)


def _validate(rounds: Sequence[Round]) -> None:
    for number, one in enumerate(rounds, start=1):
        for name, value in (("A", one.a), ("B", one.b), ("control", one.control_a), ("control", one.control_b)):
            if value is not None and not value > 0:
                raise ValueError(f"round {number}: {name} is {value}; a figure to compare is above 0")


def _logs(rounds: Sequence[Round], *, control: bool = False) -> Floats:
    """Logarithms in the order of measurement, shape (1, 2 * rounds)."""
    pairs = [(one.control_a, one.control_b) if control else (one.a, one.b) for one in rounds]
    ordered = [value for number, (a, b) in enumerate(pairs) for value in ((a, b) if number % 2 == 0 else (b, a))]
    return np.log(np.array([ordered], dtype=np.float64))


def _fitted(rounds: Sequence[Round], *, control: bool = False) -> tuple[float, float, float]:
    estimate, error, noise = fit(_logs(rounds, control=control), sides(len(rounds)))
    return float(estimate[0]), float(error[0]), float(noise[0])


def _infinite(rounds: Sequence[Round]) -> bool:
    return any(math.isinf(one.a) or math.isinf(one.b) for one in rounds)


def _point(rounds: Sequence[Round], question: Question) -> RoundPoint:
    number, last = len(rounds), rounds[-1]
    answer, change = _answer(rounds, question)
    return RoundPoint(number, first_of_round(number), last.a, last.b, change, answer, last.control_a, last.control_b)


def _answer(rounds: Sequence[Round], question: Question) -> tuple[Answer, Interval]:
    table = boundaries()
    if _infinite(rounds):
        return _unending(rounds), UNKNOWN
    if len(rounds) < ROUNDS_MIN:
        return Answer.CANNOT_TELL, UNKNOWN
    estimate, error, _ = _fitted(rounds)
    estimate = -estimate if question.higher_is_better else estimate
    look = max((place for place, at in enumerate(table.looks) if at <= len(rounds)), default=0)
    change = _change(estimate, error, table.regressed[look], table.not_regressed[look])
    control = _control(rounds, question)
    if len(rounds) not in table.looks or (control is not None and control.moved):
        return Answer.CANNOT_TELL, change
    code = int(codes(np.array([estimate]), np.array([error]), look, question.gate)[0])
    return _ANSWERS[code], change


def _unending(rounds: Sequence[Round]) -> Answer:
    """Figures without end have no logarithm: regressed when they are all of B's and none of A's."""
    all_of_b = all(math.isinf(one.b) and math.isfinite(one.a) for one in rounds)
    return Answer.REGRESSED if all_of_b and len(rounds) >= boundaries().looks[0] else Answer.CANNOT_TELL


def _change(estimate: float, error: float, down: float, up: float) -> Interval:
    return Interval(math.expm1(estimate - down * error), math.expm1(estimate), math.expm1(min(estimate + up * error, 700.0)))


def _noise(rounds: Sequence[Round]) -> float | None:
    return None if len(rounds) < ROUNDS_MIN or _infinite(rounds) else _fitted(rounds)[2]


def _control(rounds: Sequence[Round], question: Question) -> Control | None:
    """The control's own change; ``moved`` when it is shown to differ between the sides, or is itself noisier than the gate."""
    if len(rounds) < ROUNDS_MIN or any(one.control_a is None or one.control_b is None for one in rounds):
        return None
    name = question.control or "control"
    estimate, error, noise = _fitted(rounds, control=True)
    table = boundaries()
    look = max((place for place, at in enumerate(table.looks) if at <= len(rounds)), default=0)
    change = _change(estimate, error, table.not_regressed[look], table.not_regressed[look])
    limit = math.log1p(question.gate)
    moved = ""
    if noise > limit:
        moved = f"{name}, which is the same work every time, varies by {noise:.1%} from one measurement to the next"
    elif abs(estimate) > CONTROL_SHARE * limit and not change.low <= 0 <= change.high:
        moved = f"{name}, which is the same work beside both sides, differs by {change.estimate:+.1%} between them"
    return Control(name, change, noise, moved)


def _explained(draft: Decision, rounds: Sequence[Round], question: Question) -> Decision:
    """The sentence, and for `cannot tell` how many more rounds."""
    gate, change = f"{question.gate:.0%}", draft.change
    if draft.answer is Answer.NOT_REGRESSED:
        return dataclasses.replace(draft, cause=f"the change is at most {change.high:+.1%}, below the gate of {gate}")
    if draft.answer is Answer.REGRESSED:
        bounds = (
            "requests of B never end" if _infinite(rounds) else f"{change.estimate:+.1%}, at least {change.low:+.1%}; the gate is {gate}"
        )
        return dataclasses.replace(draft, cause=bounds)
    cause, more = _open(draft, rounds, question)
    return dataclasses.replace(draft, cause=cause, more_rounds=more)


def _open(draft: Decision, rounds: Sequence[Round], question: Question) -> tuple[str, int | None]:
    left = ROUNDS_MAX - len(rounds)
    if _infinite(rounds):
        return f"requests that never ended reach {question.metric} in some rounds and not in others", left or None
    if draft.control is not None and draft.control.moved:
        return f"the control moved: {draft.control.moved}", left or None
    if len(rounds) < boundaries().looks[0]:
        return f"no answer before round {boundaries().looks[0]}", boundaries().looks[0] - len(rounds)
    more = rounds_needed(rounds, question)
    low, high = draft.change.low, draft.change.high
    cause = f"the change lies between {low:+.1%} and {high:+.1%}, the gate is {question.gate:.0%}"
    if more is None:
        cause += f"; one measurement varies by {draft.noise or 0:.1%}: longer rounds or a quieter machine are needed"
    return cause, more


def rounds_needed(rounds: Sequence[Round], question: Question) -> int | None:
    """How many more rounds decide if estimate and noise stay as they are; None when the twelve cannot."""
    estimate, _, noise = _fitted(rounds)
    estimate = -estimate if question.higher_is_better else estimate
    for look, at in enumerate(boundaries().looks):
        error = noise * math.sqrt(2 / at)
        if at > len(rounds) and codes(np.array([estimate]), np.array([error]), look, question.gate)[0] != OPEN:
            return at - len(rounds)
    return None
