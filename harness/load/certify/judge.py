"""Holds what an engine reported against the truth: valid, self-declared invalid, or lying."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from harness.load.certify.engines import Reported
from harness.load.certify.truth import QUANTILES, Truth

TOLERANCE_MS = 1.0
TOLERANCE_SHARE = 0.01
JUDGED = ("p50", "p99", "max")  # the others are shown
UNSAID_SHARE = 0.001  # of the intended requests; below it no judged percentile moves
Standing = Literal["valid", "self-declared invalid", "lying"]


def tolerance_ms(figure_ms: float) -> float:
    """How far a report may be off at a figure: 1 % of it or 1 ms, whichever is larger."""
    return max(TOLERANCE_MS, TOLERANCE_SHARE * figure_ms)


class Compared(msgspec.Struct, frozen=True):
    """One figure, ms: what was reported and the bounds of the truth; ``within`` is None where there is nothing to compare."""

    name: str
    reported: float | None
    true: float | None
    upper: float | None
    judged: bool

    @property
    def error_ms(self) -> float | None:
        """How far the report lies outside the bounds of the truth: negative when it is too low, 0 inside."""
        if self.reported is None or self.true is None or self.upper is None:
            return None
        if self.reported < self.true:
            return self.reported - self.true
        return max(0.0, self.reported - self.upper)

    @property
    def tolerance_ms(self) -> float:
        return tolerance_ms(self.true or 0.0)

    @property
    def within(self) -> bool | None:
        """Whether the report is near enough."""
        error = self.error_ms
        return None if error is None else abs(error) <= self.tolerance_ms


class Judgement(msgspec.Struct, frozen=True):
    """``reasons``: every way in which the report departs from the truth, also where the engine had said that it may."""

    standing: Standing
    declared: str
    reasons: tuple[str, ...]
    figures: tuple[Compared, ...]

    @property
    def sentence(self) -> str:
        """The standing with its cause, in one line."""
        if self.standing == "valid":
            return "valid"
        return f"{self.standing}: {self.declared}" if self.standing == "self-declared invalid" else f"lying: {'; '.join(self.reasons)}"


def judge(reported: Reported, truth: Truth) -> Judgement:
    """A report is believed when it is right, respected when it says that it may be wrong, and called a lie otherwise."""
    compared = tuple(
        Compared(name, reported.figures.get(name), truth.figures.get(name), truth.upper.get(name), name in JUDGED)
        for name, _, _ in QUANTILES
    )
    reasons = (*_wrong_figures(compared), *_unsaid(reported, truth))
    if reported.invalid:
        return Judgement("self-declared invalid", reported.invalid, reasons, compared)
    return Judgement("lying" if reasons else "valid", "", reasons, compared)


def _wrong_figures(compared: tuple[Compared, ...]) -> Iterator[str]:
    for figure in compared:
        if not figure.judged:
            continue
        if figure.within is None:
            yield f"{figure.name}: {'not reported' if figure.reported is None else 'nothing was answered that it could be'}"
        elif not figure.within:
            yield f"{figure.name} reported {shown(figure.reported)} ms, true {shown(figure.true)} ms"


def _unsaid(reported: Reported, truth: Truth) -> Iterator[str]:
    """What happened to intended requests and stands nowhere in the report."""
    allowed = UNSAID_SHARE * truth.intended
    counts = (
        ("were never sent", truth.never_sent, reported.unsent + reported.failed),
        ("got no good answer", truth.failed, reported.failed),
        ("were rate limited", truth.rate_limited, reported.rate_limited + reported.failed),
        ("were answered", truth.answered, reported.answers),
    )
    for what, true, said in counts:
        if true - said > allowed:
            yield f"{true} of {truth.intended} requests {what}, the engine tells of {said}"


def shown(value: float | None) -> str:
    """A time in ms for people: four digits."""
    if value is None:
        return "-"
    return "never" if math.isinf(value) else f"{value:.2f}" if value < 100 else f"{value:.1f}"
