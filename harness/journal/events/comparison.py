"""Two sides beside each other, and one metric over past runs."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events.base import Event, Seconds, doc


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate between its bounds, as a share; null where nothing bounds it."""

    low: float | None
    value: float | None
    high: float | None


class ComparedSide(msgspec.Struct, frozen=True, kw_only=True):
    """Where a side's samples came from."""

    name: str
    kind: str
    recordings: int = 1
    requests: int = 0
    failed: int = 0
    duration_s: Annotated[float | None, doc("null when the samples have no times")] = None
    notes: tuple[str, ...] = ()


class ComparisonMade(Event, frozen=True, kw_only=True):
    """Two sides were compared. A change is B over A minus 1, turned so that more is worse."""

    NAME: ClassVar[str] = "comparison.made"
    a: ComparedSide
    b: ComparedSide
    metric: str
    unit: str
    answer: Annotated[str, doc("regressed, not regressed, cannot tell")]
    verdict: Verdict
    cause: str
    gate: Annotated[float, doc("share that must not be lost")]
    change: Estimate
    rounds: int
    rounds_max: int
    more_rounds: Annotated[int | None, doc("rounds that would decide; null when none would, or it is decided")]
    false_alarm: Annotated[float, doc("promised over all rounds, peeking included")]
    false_pass: float
    noise: Annotated[float | None, doc("standard deviation of one measurement, share")] = None
    control: str = ""
    control_change: Estimate | None = None
    control_moved: Annotated[str, doc("why the machine is not to be believed; empty when the control stood still")] = ""
    confidence: Annotated[float, doc("of the figures' intervals")] = 0.95
    seed: int = 0
    duration_s: Seconds | None = None


class ComparedFigure(Event, frozen=True, kw_only=True):
    """One figure of both sides; ``ratio`` is B over A, not turned."""

    NAME: ClassVar[str] = "comparison.figure"
    figure: str
    unit: Annotated[str, doc("s, 1/s, share")]
    a: Annotated[float | None, doc("null when the samples cannot give it")]
    b: float | None
    never: Annotated[tuple[str, ...], doc("sides where requests that never ended reach the figure")] = ()
    ratio: Estimate | None = None
    note: str = ""


class ComparedRound(Event, frozen=True, kw_only=True):
    """One round of a sequential comparison, and what was known after it."""

    NAME: ClassVar[str] = "comparison.round"
    number: int
    first: Annotated[str, doc("A or B: which was measured first")]
    a: float
    b: float
    change: Estimate
    answer: str
    control_a: float | None = None
    control_b: float | None = None


class TrendMade(Event, frozen=True, kw_only=True):
    """One metric over past runs, the oldest first."""

    NAME: ClassVar[str] = "trend.made"
    metric: str
    unit: str
    runs: tuple[str, ...]
    started: Annotated[tuple[str, ...], doc("UTC")]
    values: tuple[float, ...]
    skipped: Annotated[tuple[str, ...], doc("runs left out, and why")] = ()


class TrendChanged(Event, frozen=True, kw_only=True):
    """A lasting step in a trend: from ``run`` on the figure is another one."""

    NAME: ClassVar[str] = "trend.changed"
    metric: str
    index: int
    run: str
    before: float
    after: float
    change: Annotated[float, doc("after over before minus 1")]
    p_value: float
