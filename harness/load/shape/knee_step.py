"""One step of a knee search: judged from its samples, and watched by a monitor that raises ``condition_met`` once its outcome is certain.

A step holds when at most 5 % of its planned requests miss the p95 limit (an error, a time-out or an unsent one misses it), its share of
errors and its shortfall are within theirs, and its own certificate stands: canary in band, lag in band. Because the number of planned
requests is fixed, "breaks" is certain as soon as more have missed than may (curtailed sampling: the outcome is the same as that of
the whole step, only earlier); "holds" is certain only at its end.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.journal.events import Event, SamplesSegment, Window
from harness.journal.segments import empty, read_segment
from harness.load.shape.knee import Outcome
from harness.run.monitors import CONDITION

MISSING_SHARE = 0.05  # p95
CANARIES_LEAST = 40  # of a step that was ended early; a whole one has CANARIES
CANARIES = 220
REQUESTS_LEAST = 200  # p95 needs 10/(1 - 0.95)
Bools = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """``p95_s``: response time from the intended start. ``errors``, ``shortfall``: shares of the planned requests.

    ``band_s``: how far canaries may err and how late requests may be sent.
    """

    p95_s: float
    errors: float
    shortfall: float
    band_s: float

    @property
    def requests_least(self) -> int:
        """How many requests a step needs before its outcome means anything."""
        return max(REQUESTS_LEAST, round(3 / self.errors) if self.errors > 0 else 0)


@dataclasses.dataclass(frozen=True, slots=True)
class StepSpan:
    """What counts of a step: the tag of its samples, the window of intended starts (ns), the requests planned in it."""

    step: str
    start_ns: int
    end_ns: int
    planned: int


@dataclasses.dataclass(slots=True)
class Counts:
    """What the samples of a step add up to so far."""

    rows: int = 0
    slow: int = 0  # missed the p95 limit
    errors: int = 0
    unsent: int = 0
    late: int = 0  # sent later than the band allows
    canaries: int = 0
    wild: int = 0  # canaries out of band

    def add_requests(self, samples: Any, span: StepSpan, limits: Limits) -> None:
        mine = _inside(samples, span) & _equals(samples, "step", span.step)
        good, unsent = _equals(samples, "outcome", "ok"), _equals(samples, "outcome", "unsent")
        intended, sent, done = (_ns(samples, name) for name in ("intended_ns", "sent_ns", "done_ns"))
        in_time = good & (done - intended <= limits.p95_s * 1e9)
        self.rows += int(mine.sum())
        self.slow += int((mine & ~in_time).sum())
        self.errors += int((mine & ~good).sum())
        self.unsent += int((mine & unsent).sum())
        self.late += int((mine & (sent > 0) & (sent - intended > limits.band_s * 1e9)).sum())

    def add_canaries(self, samples: Any, span: StepSpan, limits: Limits) -> None:
        mine = _inside(samples, span)
        intended, done, held = (_ns(samples, name) for name in ("intended_ns", "done_ns", "known_delay_ns"))
        in_band = _equals(samples, "outcome", "ok") & (done - intended - held <= limits.band_s * 1e9)
        self.canaries += int(mine.sum())
        self.wild += int((mine & ~in_band).sum())

    def broken(self, span: StepSpan, limits: Limits) -> str:
        """Why the step breaks whatever is still to come; blank when it may yet hold."""
        if self.errors > limits.errors * span.planned:
            return f"{self.errors} of {span.planned} requests failed"
        if self.unsent > limits.shortfall * span.planned:
            return f"{self.unsent} of {span.planned} requests were never sent"
        if self.slow > MISSING_SHARE * span.planned:
            return f"{self.slow} of {span.planned} requests took longer than {limits.p95_s * 1000:g} ms, or failed"
        return ""

    def uncertified(self) -> str:
        """Why nothing can be said of the system; blank when the generator was sound."""
        if self.canaries < CANARIES_LEAST:
            return f"{self.canaries} canaries, {CANARIES_LEAST} are needed"
        if self.wild > MISSING_SHARE * self.canaries:
            return f"the canary is out of band: {self.wild} of {self.canaries}"
        if self.late > 0.01 * self.rows:
            return f"{self.late} of {self.rows} requests were sent late"
        return ""


def judge_step(requests: Any, canaries: Any, span: StepSpan, limits: Limits) -> tuple[Outcome, str]:
    """The outcome of a step from its samples (tables of the streams), with the reason. Pure."""
    counts = Counts()
    counts.add_requests(requests, span, limits)
    counts.add_canaries(canaries, span, limits)
    if doubt := counts.uncertified():
        return "inconclusive", doubt
    if reason := counts.broken(span, limits):
        return "breaks", reason
    if counts.rows < span.planned:
        return "inconclusive", f"{counts.rows} of {span.planned} requests left a row"
    if counts.rows < limits.requests_least:
        return "inconclusive", f"{counts.rows} requests, {limits.requests_least} are needed"
    return "holds", f"{counts.slow} of {counts.rows} missed {limits.p95_s * 1000:g} ms, {counts.errors} failed"


class StepMonitor:
    """Folds the segments of one step as they are closed; raises ``condition_met`` once when the rest cannot change the outcome.

    It learns when the step is from the window ``steady`` that its driver journals before the first request.
    """

    name: ClassVar[str] = "knee_step"

    def __init__(self, run_folder: Path, trial: str, step: str, planned: int, limits: Limits) -> None:
        self._folder, self._trial, self._step, self._planned, self._limits = run_folder, trial, step, planned, limits
        self._counts = Counts()
        self._paths: dict[str, list[Path]] = {"requests": [], "canary": []}
        self.span: StepSpan | None = None
        self.met = ""

    def see(self, event: Event) -> tuple[str, str] | None:
        """Called for one event at a time (``Watch`` holds a lock)."""
        if isinstance(event, Window) and (event.kind, event.name) == ("phase", "steady") and event.tags.get("step") == self._step:
            self.span = StepSpan(self._step, event.start_ns, event.end_ns, self._planned)
        if self.span is None or not isinstance(event, SamplesSegment) or event.stream not in self._paths:
            return None
        path = self._folder / event.path
        self._paths[event.stream].append(path)
        if self.met:
            return None
        add = self._counts.add_requests if event.stream == "requests" else self._counts.add_canaries
        add(read_segment(path)[0], self.span, self._limits)
        self.met = self._certain(self.span)
        return (CONDITION, f"{self._step}: {self.met}") if self.met else None

    def tables(self) -> tuple[Any, Any]:
        """Requests and canaries of the step, as far as their segments are closed."""
        found = [[read_segment(path)[0] for path in self._paths[stream]] for stream in ("requests", "canary")]
        requests, canaries = (
            pa.concat_tables(tables, promote_options="default") if tables else empty(stream)
            for tables, stream in zip(found, ("requests", "canary"), strict=True)
        )
        return requests, canaries

    def _certain(self, span: StepSpan) -> str:
        """A break needs enough canaries to be believed; a canary that cannot come back into band makes the step useless."""
        counts = self._counts
        if counts.wild > MISSING_SHARE * CANARIES:
            return f"the canary is out of band: {counts.wild} of {counts.canaries}"
        return counts.broken(span, self._limits) if counts.canaries >= CANARIES_LEAST else ""


def _inside(samples: Any, span: StepSpan) -> Bools:
    intended = _ns(samples, "intended_ns")
    return np.asarray((intended >= span.start_ns) & (intended < span.end_ns))


def _equals(samples: Any, column: str, word: str) -> Bools:
    return np.asarray(pc.equal(samples[column], word).to_numpy(zero_copy_only=False) if samples.num_rows else [], dtype=np.bool_)


def _ns(samples: Any, column: str) -> npt.NDArray[np.int64]:
    return np.asarray(samples[column].fill_null(0).to_numpy() if samples.num_rows else [], dtype=np.int64)
