"""The checker ``knee``: every step judged again from its samples, and the knee estimated again from the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from harness.core.units import Rate, Share
from harness.core.verdict import Verdict
from harness.journal.events import KneeStep
from harness.load.shape.knee import Interval, Knee, Tried, estimate
from harness.load.shape.knee_driver import knee_text
from harness.load.shape.knee_step import Limits, StepSpan, judge_step
from harness.run.protocols import CheckRow, RunView, trial_row


class KneeCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step``: the step that searched. ``least``: the capacity that is needed, if any.

    ``width``: how wide the interval of the breaking point may be where no least capacity is given.
    """

    step: str
    least: Rate | None = None
    width: Share = Share.parse("30 %")


class KneeChecker:
    """FAIL when the capacity is certainly below ``least``, or the journal and the samples disagree; INCONCLUSIVE when nobody can tell."""

    name: ClassVar[str] = "knee"
    parameters: ClassVar[type[msgspec.Struct]] = KneeCheck

    def check(self, view: RunView, trial: str, layer: str, parameters: KneeCheck) -> Sequence[CheckRow]:
        said = [recorded.event for recorded in view.events(KneeStep.NAME, trial=trial)]
        steps = [event for event in said if isinstance(event, KneeStep) and event.search == parameters.step]
        verdict, value, reason = _judged(view, trial, steps, parameters)
        limit = f"capacity >= {parameters.least}" if parameters.least is not None else f"known within {parameters.width}"
        return [trial_row(trial, layer, "knee", verdict, value, limit, reason)]


def _judged(view: RunView, trial: str, steps: Sequence[KneeStep], parameters: KneeCheck) -> tuple[Verdict, str, str]:
    if not steps:
        return Verdict.VACUOUS, "no step", f"no step of {parameters.step} was journaled"
    again = retried(view, trial, steps)
    for event, one in zip(steps, again, strict=True):
        if event.outcome != one.outcome:
            return Verdict.FAIL, "", f"{event.step}: the journal says {event.outcome}, its samples say {one.outcome} ({one.reason})"
    found = estimate(again)
    verdict, reason = _verdict(found, again, parameters)
    return verdict, f"{knee_text(found)}; {len(steps)} steps", reason


def retried(view: RunView, trial: str, steps: Sequence[KneeStep]) -> list[Tried]:
    """The outcome of each step, from the samples alone."""
    requests, canaries = view.samples("requests", trial), view.samples("canary", trial)
    found = []
    for event in steps:
        span = StepSpan(event.step, event.start_ns, event.end_ns, event.planned)
        outcome, reason = judge_step(requests, canaries, span, Limits(event.p95_s, event.errors, event.shortfall, event.band_s))
        found.append(Tried(event.rate_per_s, outcome, reason))
    return found


def _verdict(found: Knee, tried: Sequence[Tried], parameters: KneeCheck) -> tuple[Verdict, str]:
    least = parameters.least.per_second if parameters.least is not None else None
    held = max((one.rate for one in tried if one.outcome == "holds"), default=0.0)
    broke = min((one.rate for one in tried if one.outcome == "breaks"), default=float("inf"))
    if found.bound == "above" and least is not None and held >= least:
        return Verdict.PASS, ""
    if found.bound == "below" and least is not None and broke <= least:
        return Verdict.FAIL, found.reason
    if found.capacity is None or found.breaking_point is None:
        return Verdict.INCONCLUSIVE, found.reason
    return _beside(found.capacity, found.breaking_point, least, parameters.width.fraction)


def _beside(capacity: Interval, breaking: Interval, least: float | None, width: float) -> tuple[Verdict, str]:
    if least is not None and capacity.high < least:
        return Verdict.FAIL, f"the capacity is at most {capacity.high:.4g}/s"
    if least is not None and capacity.low < least:
        return Verdict.INCONCLUSIVE, f"{least:.4g}/s lies inside the interval of the capacity: more steps may tell"
    if least is None and breaking.width > width:
        return Verdict.INCONCLUSIVE, f"the interval of the breaking point is {100 * breaking.width:.0f} % wide"
    return Verdict.PASS, ""
