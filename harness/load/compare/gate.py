"""The gate's loop: measure A B, B A, A B, … with the control beside each, until the test can tell, or rounds or time are used up.

It knows no tool: a ``Measure`` makes one recording of one side, a ``Control`` times the fixed workload. Clock and both are given.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

from harness.core.errors import HarnessError
from harness.load.compare.boundaries import ROUNDS_MAX
from harness.load.compare.recording import Recording
from harness.load.compare.result import Answer, Decision, GateResult
from harness.load.compare.sequential import Question, Round, first_of_round, judge
from harness.load.compare.two import figure_of

LIMIT_S = 15 * 60.0


class Measure(Protocol):
    """Makes one recording. ``slot`` names it (``r03-A``); ``left_s`` is the time that is left, seconds."""

    def __call__(self, side: str, slot: str, left_s: float) -> Recording: ...


class GateError(HarnessError):
    """A measurement that gave no figure: names side and round."""


@dataclasses.dataclass(frozen=True, slots=True)
class GatePlan:
    """What the gate asks. ``warmup``: one measurement a side that does not count, because the first of anything is slower."""

    names: tuple[str, str]
    question: Question
    limit_s: float = LIMIT_S
    rounds_max: int = ROUNDS_MAX
    warmup: bool = True
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """What the gate uses of the world."""

    measure: Measure
    control: Callable[[], float] | None
    now_s: Callable[[], float]
    say: Callable[[str], None]


def run_gate(plan: GatePlan, machine: Machine) -> GateResult:
    """Measure until decided. A measurement that fails raises what ``measure`` raises, or ``GateError``."""
    began = machine.now_s()
    slots = _Slots(plan, machine, began)
    if plan.warmup:
        machine.say("warm-up: A, B")
        for side in "AB":
            slots.figure(side, 0)
    rounds: list[Round] = []
    decision = judge(rounds, plan.question)
    longest_s = 0.0
    while len(rounds) < min(plan.rounds_max, ROUNDS_MAX):
        started = machine.now_s()
        if rounds and started - began + longest_s > plan.limit_s:
            decision = _out_of_time(decision, plan, began, started)
            break
        rounds.append(slots.round(len(rounds) + 1))
        longest_s = max(longest_s, machine.now_s() - started)
        decision = _doubted(judge(rounds, plan.question), slots.doubts)
        machine.say(_line(rounds, decision))
        if decision.answer is not Answer.CANNOT_TELL:
            break
    return GateResult(plan.names[0], plan.names[1], decision, machine.now_s() - began, plan.limit_s, plan.seed)


class _Slots:
    """One measurement after the other, the control in front of each."""

    def __init__(self, plan: GatePlan, machine: Machine, began: float) -> None:
        self._plan, self._machine, self._began = plan, machine, began
        self.doubts: list[str] = []

    def round(self, number: int) -> Round:
        found: dict[str, tuple[float, float | None]] = {}
        for side in "AB" if first_of_round(number) == "A" else "BA":
            control = self._machine.control() if self._machine.control else None
            found[side] = self.figure(side, number), control
        return Round(found["A"][0], found["B"][0], found["A"][1], found["B"][1])

    def figure(self, side: str, number: int) -> float:
        left_s = self._plan.limit_s - (self._machine.now_s() - self._began)
        recording = self._machine.measure(side, f"r{number:02d}-{side}", left_s)
        metric = self._plan.question.metric
        value = figure_of(recording, metric)
        if value is None or not value > 0:
            raise GateError(
                f"round {number}, side {side}: {recording.requests} requests give no {metric}; measure longer or judge another --metric"
            )
        if recording.doubt and number:
            self.doubts.append(f"round {number}, side {side}: {recording.doubt}")
        return value


def _doubted(decision: Decision, doubts: list[str]) -> Decision:
    """A generator that was delayed in more than one measurement of six spoils the figures: nothing is told from them."""
    if len(doubts) * 6 <= 2 * max(decision.rounds, 1) or decision.answer is Answer.CANNOT_TELL:
        return decision
    cause = f"{len(doubts)} of {2 * decision.rounds} measurements are not to be believed ({doubts[-1]})"
    return dataclasses.replace(decision, answer=Answer.CANNOT_TELL, cause=cause, more_rounds=None)


def _out_of_time(decision: Decision, plan: GatePlan, began: float, now: float) -> Decision:
    cause = f"{decision.cause}; the time is up ({now - began:.0f} s of {plan.limit_s:.0f} s)"
    return dataclasses.replace(decision, cause=cause)


def _line(rounds: list[Round], decision: Decision) -> str:
    last, unit = rounds[-1], decision.unit
    scale, word = (1000, "ms") if unit == "s" else (1, unit)
    known = decision.change
    bounds = f"change {known.estimate:+.1%} [{known.low:+.1%}, {known.high:+.1%}]" if math.isfinite(known.low) else ""
    return f"round {len(rounds)}: A {last.a * scale:.4g} {word}, B {last.b * scale:.4g} {word} {bounds} {decision.answer}".replace(
        "  ", " "
    )
