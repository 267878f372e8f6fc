"""The checker ``recall_under_fault``: recall was whole before a fault, fell under it, and came back after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np

from harness.core.verdict import Verdict
from harness.journal.events import FaultApplied, FaultUndone
from harness.run.protocols import CheckRow, RunView, trial_row

ANSWERS_LEAST = 20  # in each of the three stretches
BEFORE_NS = 5_000_000_000  # what was under way when it began belongs to neither side
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class RecallUnderFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``fault``: the step that took something away. ``whole``: mean recall@20 before and after it; ``fallen``: below that under it."""

    fault: str
    whole: Share = 0.99
    fallen: Share = 0.97


class RecallUnderFaultChecker:
    """VACUOUS when recall did not fall (nothing was at risk), FAIL when it was not whole before or did not come back.

    The 5 s before the fault are in no part: their requests may have been under way when it began.
    """

    name: ClassVar[str] = "recall_under_fault"
    parameters: ClassVar[type[msgspec.Struct]] = RecallUnderFault

    def check(self, view: RunView, trial: str, layer: str, parameters: RecallUnderFault) -> Sequence[CheckRow]:
        window = _window(view, trial, parameters.fault)
        verdict, value, reason = judged(view.samples("recall", trial), window, parameters)
        limit = f"mean recall@20 >= {parameters.whole:.2f} before and after, < {parameters.fallen:.2f} under the fault"
        return [trial_row(trial, layer, f"recall_under_fault.{parameters.fault}", verdict, value, limit, reason)]


def _window(view: RunView, trial: str, fault: str) -> tuple[int, int] | None:
    """From the fault to the end of its undo; None when it was never done or never undone."""
    applied = [item.event for item in view.events(FaultApplied.NAME, trial=trial)]
    undone = [item.event for item in view.events(FaultUndone.NAME, trial=trial)]
    starts = [event.at_ns for event in applied if isinstance(event, FaultApplied) and event.fault == fault]
    ends = [event.at_ns for event in undone if isinstance(event, FaultUndone) and event.fault == fault]
    return (starts[0], ends[-1]) if starts and ends else None


def judged(samples: Any, window: tuple[int, int] | None, parameters: RecallUnderFault) -> tuple[Verdict, str, str]:
    """(verdict, value, reason)."""
    if window is None:
        return Verdict.VACUOUS, "", f"the fault {parameters.fault} was not applied and undone"
    if not samples.num_rows:
        return Verdict.VACUOUS, "", "no recall was measured"
    at, values = samples["intended_ns"].to_numpy(), samples["recall@20"].to_numpy()
    parts = [values[at < window[0] - BEFORE_NS], values[(at >= window[0]) & (at < window[1])], values[at >= window[1]]]
    if min(len(part) for part in parts) < ANSWERS_LEAST:
        counts = ", ".join(str(len(part)) for part in parts)
        return Verdict.INCONCLUSIVE, f"{counts} answers before, under, after", f"each needs {ANSWERS_LEAST}"
    before, under, after = (float(np.mean(part)) for part in parts)
    value = f"{before:.4f} before, {under:.4f} under, {after:.4f} after ({len(values)} answers)"
    if min(before, after) < parameters.whole:
        return (
            Verdict.FAIL,
            value,
            "the answers were not whole before the fault" if before < parameters.whole else "recall did not come back",
        )
    if under >= parameters.fallen:
        return Verdict.VACUOUS, value, "recall did not fall under the fault: nothing was at risk"
    return Verdict.PASS, value, ""
