"""Scaling to the machine: a rate above half of the measured knee is brought down to half of it, and the factor is said.

The knee is what this run measured last: the estimate of ``capacity`` of a knee search, or a figure ``knee`` (1/s); or one that the
scenario gives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from harness.core.units import Rate, unit
from harness.journal.events import Measured, Note
from harness.journal.reader import read_journal
from harness.run.folder import JOURNAL
from harness.run.protocols import StepContext

METRIC = "knee"
SEARCHED = "capacity"
SHARE = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """``factor`` 1 means as written; ``knee_per_s`` 0 that no knee is known."""

    factor: float = 1.0
    knee_per_s: float = 0.0


def factor_for(rate_per_s: float, knee_per_s: float) -> float:
    """1 where the rate is at most half the knee, else what brings it there."""
    return min(1.0, SHARE * knee_per_s / rate_per_s) if knee_per_s > 0 else 1.0


def scale_of(context: StepContext, rate_per_s: float, given: Rate | None, *, wanted: bool) -> Scale:
    """The scale of a step, journaled as the figure ``load_scale`` with a sentence; 1 without a word where none is wanted."""
    if not wanted:
        return Scale()
    knee = given.per_second if given is not None else measured_knee(context)
    factor = factor_for(rate_per_s, knee)
    if not knee:
        text = f"{context.step}: no knee was measured in this run: {rate_per_s:g}/s stays as written"
    elif factor < 1:
        text = f"{context.step}: {rate_per_s:g}/s is above half the knee of {knee:g}/s: scaled by {factor:.3f} to {rate_per_s * factor:g}/s"
    else:
        text = f"{context.step}: {rate_per_s:g}/s is at most half the knee of {knee:g}/s: not scaled"
    context.journal.emit(Note(trial=context.trial, text=text))
    tags = {"step": context.step}
    context.journal.emit(Measured(trial=context.trial, metric="load_scale", unit="1", value=factor, tags=tags))
    return Scale(factor, knee)


def measured_knee(context: StepContext) -> float:
    """The last knee of this run in 1/s, of this trial or an earlier one; 0 when there is none."""
    events = [line.event for line in read_journal(context.run_folder / JOURNAL).lines]
    return last_knee(event for event in events if isinstance(event, Measured))


def last_knee(figures: Iterable[Measured]) -> float:
    """The last knee among figures, in 1/s; 0 when there is none."""
    knees = [
        figure for figure in figures if figure.metric == METRIC or (figure.metric == SEARCHED and figure.tags.get("bound") == "estimate")
    ]
    return knees[-1].value * float(unit(knees[-1].unit).scale) if knees else 0.0
