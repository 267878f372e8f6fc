"""What a comparison found, as frozen data: for the terminal, for ``--json`` and for whoever draws a page of it. Nothing here computes.

A *change* is B's figure over A's minus 1, turned so that more is worse: +0.05 is 5 % slower, or 5 % less throughput.
"""

from __future__ import annotations

import dataclasses
import enum

from harness.core.verdict import Verdict


class Answer(enum.StrEnum):
    """The three answers of a regression test."""

    REGRESSED = "regressed"
    NOT_REGRESSED = "not regressed"
    CANNOT_TELL = "cannot tell"

    @property
    def verdict(self) -> Verdict:
        """FAIL, PASS, INCONCLUSIVE: its exit code is the command's."""
        return _VERDICTS[self]


_VERDICTS = {Answer.REGRESSED: Verdict.FAIL, Answer.NOT_REGRESSED: Verdict.PASS, Answer.CANNOT_TELL: Verdict.INCONCLUSIVE}


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between its bounds; infinite where nothing is known yet."""

    low: float
    estimate: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class ErrorRates:
    """What the test promises over all rounds together, peeking after each included."""

    false_alarm: float  # `regressed` although nothing changed
    false_pass: float  # `not regressed` although the change is as large as the gate


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """The fixed workload measured beside both sides. ``change``: how much more it took beside B than beside A."""

    name: str
    change: Interval
    spread: float  # robust standard deviation of one measurement, as a share
    moved: str = ""  # why the machine is not to be believed; empty when the control stood still


@dataclasses.dataclass(frozen=True, slots=True)
class RoundPoint:
    """One round: one measurement a side, in the order in which they were made, and what was known after it."""

    number: int  # from 1
    first: str  # "A" or "B": which side was measured first
    a: float
    b: float
    change: Interval
    answer: Answer
    control_a: float | None = None
    control_b: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """The answer with everything it stands on. ``more_rounds``: for `cannot tell`, None when no number of rounds helps."""

    answer: Answer
    cause: str  # one sentence
    metric: str
    unit: str
    gate: float  # share, e.g. 0.05
    change: Interval
    rounds: int
    rounds_max: int
    errors: ErrorRates
    more_rounds: int | None = None
    noise: float | None = None  # estimated standard deviation of one measurement, as a share
    control: Control | None = None
    course: tuple[RoundPoint, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """Where a side's samples came from and what they are."""

    name: str  # as given by the person
    kind: str  # run folder, segments, k6 JSON, k6 CSV, Locust CSV, hgrm, hlog, numbers, JSON, JSON Lines, CSV
    recordings: int  # trials or files: each may serve as a round
    requests: int
    failed: int
    duration_s: float | None  # None when the file has no times
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class FigureRow:
    """One line of the table. ``a`` and ``b`` in ``unit``: None when the samples cannot give it, infinite when requests that never ended
    reach it. ``ratio`` is B over A (not turned: 1.05 is 5 % more), with its bootstrap interval.
    """

    figure: str  # p50, p90, p99, p99.9, max, throughput, errors
    unit: str  # "s", "1/s", "share"
    a: float | None
    b: float | None
    ratio: Interval | None
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides beside each other."""

    a: Side
    b: Side
    rows: tuple[FigureRow, ...]
    decision: Decision
    confidence: float  # of the intervals in the rows, e.g. 0.95
    seed: int


@dataclasses.dataclass(frozen=True, slots=True)
class GateResult:
    """What ``harness gate`` decided, and how long it took."""

    a: str
    b: str
    decision: Decision
    duration_s: float
    limit_s: float
    seed: int


@dataclasses.dataclass(frozen=True, slots=True)
class ChangePoint:
    """A lasting step in a history: from ``run`` on the figure is another one. ``change`` is after / before - 1, not turned."""

    index: int
    run: str
    before: float
    after: float
    change: float
    p_value: float


@dataclasses.dataclass(frozen=True, slots=True)
class History:
    """One metric over past runs, the oldest first."""

    metric: str
    unit: str
    runs: tuple[str, ...]
    started: tuple[str, ...]  # UTC
    values: tuple[float, ...]
    points: tuple[ChangePoint, ...]
    skipped: tuple[str, ...] = ()  # runs without the metric or that cannot be read, and why
