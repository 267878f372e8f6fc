"""Thresholds of a trial as rows of the summary."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from harness.core.units import unit
from harness.core.verdict import Verdict
from harness.journal.events import Measured
from harness.run.protocols import CheckRow, MetricSpec, RunView
from harness.thresholds.evaluate import TIME, Finding, judge_values, result_dimension
from harness.thresholds.figures import Values, filtered, values_of
from harness.thresholds.grammar import Threshold


class ThresholdView(RunView, Protocol):
    """A view that also knows when phases were."""

    def phase(self, name: str, trial: str) -> tuple[int, int] | None: ...


def check_threshold(view: ThresholdView, trial: str, threshold: Threshold, metric: MetricSpec) -> Finding:
    """Judge one threshold over a trial; raises ``MetricError`` where the samples cannot give the metric."""
    span = None
    if threshold.phase is not None:
        span = view.phase(threshold.phase, trial)
        if span is None:
            return Finding(Verdict.VACUOUS, "", f"the phase {threshold.phase} never began")
    values = _sampled(view, trial, threshold, metric) if metric.source != "measured" else _measured(view, trial, threshold)
    return judge_values(threshold, metric.unit, values, span)


def is_latency(threshold: Threshold, spec: MetricSpec) -> bool:
    """Whether a certificate that is not PASS voids it: a time made from samples."""
    return spec.source != "measured" and result_dimension(threshold, spec.unit) == TIME


def threshold_row(check: str, layer: str, trial: str, threshold: Threshold, finding: Finding) -> CheckRow:
    """A finding as a row; the limit column holds the statement without the metric's name."""
    limit = str(threshold)
    return CheckRow(check=check, layer=layer, verdict=finding.verdict, value=finding.value, limit=limit, reason=finding.reason, trial=trial)


def _sampled(view: RunView, trial: str, threshold: Threshold, metric: MetricSpec) -> Values:
    stream = metric.source.removeprefix("samples:")
    table = view.samples(stream, trial)
    return values_of(threshold.metric, filtered(table, dict(threshold.tags)) if table.num_rows else table)


def _measured(view: RunView, trial: str, threshold: Threshold) -> Values:
    """Figures in base units by the unit each event names."""
    wanted = set(threshold.tags)
    times: list[int] = []
    values: list[float] = []
    for recorded in view.events(Measured.NAME, trial=trial):
        event = recorded.event
        if isinstance(event, Measured) and event.metric == threshold.metric and wanted <= set(event.tags.items()):
            times.append(recorded.mono_ns)
            values.append(event.value * float(unit(event.unit).scale))
    return Values(np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))
