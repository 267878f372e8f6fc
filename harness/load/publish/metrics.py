"""The metrics of a run as time series, from its folder: latency and rates of each operation by bin, and what wings measured.

Names begin with ``harness_``; durations are in seconds, a request that never ended is +Inf, as in the thresholds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core.clock import NS_PER_S
from harness.journal.events import Measured, RunStarted, Series, TrialStarted, Window
from harness.load.publish.wire import TimeSeries, metric_name, stale
from harness.report.folder import RunFolder
from harness.report.timeline import QUANTILES, Course, Timeline, course

NS_PER_MS = 1_000_000
SERIES_MAX = 2_000


@dataclasses.dataclass(frozen=True, slots=True)
class _Labels:
    """The labels that every series of a run has, and the wall time at the zero of its monotonic clock."""

    common: Mapping[str, str]
    epoch_ns: int

    def series(self, name: str, own: Mapping[str, str], samples: Iterator[tuple[int, float]]) -> TimeSeries:
        """A series; where it has a course its end is marked, one step behind the last value. Times are CLOCK_MONOTONIC ns."""
        points = (((self.epoch_ns + at) // NS_PER_MS, value) for at, value in samples)
        found = TimeSeries.of(f"harness_{name}", {**self.common, **own}, points)
        if len(found.samples) < 2:
            return found  # a single figure is shown as long as Prometheus shows any
        (before, _), (last, _) = found.samples[-2:]
        return stale(found, 2 * last - before)


def run_series(folder: Path, epoch_ns: int, labels: Mapping[str, str]) -> Iterator[TimeSeries]:
    """All series of a run, bounded; the journal may still be open."""
    run = RunFolder(folder)
    ids = [event.run for event in run.of(RunStarted)]
    own = _Labels({**labels, "run": ids[0] if ids else folder.name}, epoch_ns)
    left = SERIES_MAX
    for one in _all(run, own):
        if one.samples and left:
            left -= 1
            yield one


def _all(run: RunFolder, own: _Labels) -> Iterator[TimeSeries]:
    for started in run.of(TrialStarted):
        found = course(run, started.trial)
        if found is not None:
            yield from _of_trial(found, own, {"trial": started.trial, "scenario": started.scenario})
    for event in run.of(Series):
        pairs = ((at, value) for at, value in zip(event.times_ns, event.values, strict=False) if math.isfinite(value))
        labels = _named(event.tags) | {"trial": event.trial, "series": event.name, "unit": event.unit}
        yield own.series("series", labels, pairs)
    yield from _windows(run, own)
    yield from _measured(run, own)


def _named(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a wing as labels; their names cannot take over ours."""
    return {f"tag_{metric_name(name)}": value for name, value in tags.items()}


def _of_trial(found: Course, own: _Labels, labels: Mapping[str, str]) -> Iterator[TimeSeries]:
    for timeline in found.timelines:
        yield from _of_operation(timeline, own, {**labels, "op": timeline.operation})
    if found.canary_p95_ms.size:
        errors = zip(_ends(found.axis.origin_ns, found.axis.bin_s), found.canary_p95_ms.tolist(), strict=False)
        points = ((at, value / 1000) for at, value in errors if not math.isnan(value))
        yield own.series("canary_error_seconds", {**labels, "quantile": "0.95"}, points)


def _of_operation(timeline: Timeline, own: _Labels, labels: Mapping[str, str]) -> Iterator[TimeSeries]:
    axis = timeline.axis
    times = list(zip(range(axis.bins), _ends(axis.origin_ns, axis.bin_s), strict=False))
    kinds = (("response_time_seconds", (*timeline.percentiles_ms, timeline.longest_ms)), ("service_time_seconds", timeline.service_ms))
    for name, columns in kinds:
        for q, column in zip((*QUANTILES, 1.0), columns, strict=False):
            points = ((at, float(column[number]) / 1000) for number, at in times if not math.isnan(column[number]))
            yield own.series(name, {**labels, "quantile": f"{q:g}"}, points)
    rates = (("offered", timeline.requests), ("sent", timeline.sent), ("answered", timeline.answered), ("failed", timeline.errors))
    for name, counts in rates:
        yield own.series(f"{name}_requests_per_second", labels, ((at, float(counts[number]) / axis.bin_s) for number, at in times))


def _ends(origin_ns: int, bin_s: float) -> Iterator[int]:
    """The end of each bin: what is known of it is known then."""
    number = 0
    while True:
        number += 1
        yield origin_ns + round(number * bin_s * NS_PER_S)


def _windows(run: RunFolder, own: _Labels) -> Iterator[TimeSeries]:
    """1 while a fault window lasts."""
    for event in run.of(Window):
        if event.kind == "fault":
            points = ((at, 1.0) for at in range(event.start_ns, event.end_ns, NS_PER_S))
            yield own.series("fault_window", {"trial": event.trial, "fault": event.name}, points)


def _measured(run: RunFolder, own: _Labels) -> Iterator[TimeSeries]:
    """Single figures, at the moment at which they were journaled."""
    for mono_ns, event in run.moments(Measured):
        if math.isfinite(event.value):
            labels = _named(event.tags) | {"trial": event.trial, "metric": event.metric, "unit": event.unit}
            yield own.series("measured", labels, iter([(mono_ns, event.value)]))
