"""The checker ``soak``: leaks and drifts in the series of a trial. Reads `series` events, or the p99 a window of its requests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from harness.core.clock import NS_PER_S
from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import Series
from harness.load.soak.detect import LIMITS, Finding, Kind, judge_limit, trend_of
from harness.load.soak.trend import Trend
from harness.load.soak.windows import Floats, TooShort
from harness.run.protocols import CheckRow, RunView, trial_row
from harness.thresholds.figures import quantile, values_of

TO_MB: Mapping[str, float] = {
    "B": 1e-6,
    "bytes": 1e-6,
    "kB": 1e-3,
    "KiB": 1024e-6,
    "MB": 1.0,
    "MiB": 1.048576,
    "GB": 1e3,
    "GiB": 1073.741824,
}
QUANTILE = Fraction(99, 100)
REQUESTS_MIN = 100  # a window; p99 of fewer is the largest of them


class Soak(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``series``: name of `series` events (all of a trial with these ``tags`` are one series); empty: p99 of the requests every ``window``.

    ``speed``: 144 when a day is run in ten minutes. ``warmup``: what is left out at the start.
    """

    kind: Literal["leak", "drift"]
    series: str = ""
    tags: Mapping[str, str] = {}
    window: Duration = Duration.parse("60 s")
    warmup: Duration = Duration.parse("0 s")
    speed: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Sampled:
    """A series in seconds and in MB (a leak) or s (a drift)."""

    seconds: Floats
    values: Floats


class SoakChecker:
    """Judges both limits of DESIGN §10, a row each."""

    name: ClassVar[str] = "soak"
    parameters: ClassVar[type[msgspec.Struct]] = Soak

    def check(self, view: RunView, trial: str, layer: str, parameters: Soak) -> Sequence[CheckRow]:
        """Rows ``<trial>.soak.<kind>.<series>.<limit>``; VACUOUS without the series, INCONCLUSIVE where it is too short."""
        name = f"soak.{parameters.kind}.{parameters.series or 'p99'}"
        limits = LIMITS[parameters.kind]

        def rows(verdict: Verdict, reason: str) -> list[CheckRow]:
            return [trial_row(trial, layer, f"{name}.{limit.name}", verdict, "", f"< {limit.name}", reason) for limit in limits]

        try:
            sampled = _without_warmup(_sampled(view, trial, parameters), parameters)
        except UnknownUnit as error:
            return rows(Verdict.ERROR, str(error))
        if not len(sampled.seconds):
            return rows(Verdict.VACUOUS, "there is no such series in this trial")
        try:
            found = trend_of(parameters.kind, sampled.seconds, sampled.values, speed=parameters.speed)
        except TooShort as error:
            return rows(Verdict.INCONCLUSIVE, str(error))
        except ValueError as error:
            return rows(Verdict.ERROR, str(error))
        return [_row(name, layer, trial, parameters.kind, found, judge_limit(found, limit)) for limit in limits]


class UnknownUnit(ValueError):
    """A series whose unit is no size."""


def _sampled(view: RunView, trial: str, parameters: Soak) -> Sampled:
    if not parameters.series:
        return _from_requests(view.samples("requests", trial), parameters.window.seconds)
    events = [recorded.event for recorded in view.events(Series.NAME, trial=trial)]
    chosen = [event for event in events if isinstance(event, Series) and _fits(event, parameters)]
    factors = [_factor(event.unit, parameters.kind) for event in chosen]
    times = [np.asarray(event.times_ns, dtype=np.float64) / NS_PER_S for event in chosen]
    values = [np.asarray(event.values, dtype=np.float64) * factor for event, factor in zip(chosen, factors, strict=True)]
    return Sampled(np.concatenate(times), np.concatenate(values)) if chosen else Sampled(np.zeros(0), np.zeros(0))


def _fits(event: Series, parameters: Soak) -> bool:
    return event.name == parameters.series and all(event.tags.get(key) == value for key, value in parameters.tags.items())


def _factor(unit: str, kind: Kind) -> float:
    if kind == "drift":
        return 1.0
    if unit not in TO_MB:
        raise UnknownUnit(f"a leak is judged in MB; the unit of this series is {unit!r} (known: {', '.join(TO_MB)})")
    return TO_MB[unit]


def _from_requests(table: Any, window_s: float) -> Sampled:
    """p99 of the response time every window by intended start; without windows of too few requests, and those where failures reach it."""
    found = values_of("response_time", table) if table.num_rows else None
    if found is None or not len(found):
        return Sampled(np.zeros(0), np.zeros(0))
    first = int(found.times_ns.min())
    places = ((found.times_ns - first) / (window_s * NS_PER_S)).astype(np.int64)
    order = np.argsort(places, kind="stable")
    bounds = np.flatnonzero(np.diff(places[order])) + 1
    seconds, values = [], []
    for part in np.split(order, bounds):
        p99 = quantile(found.values[part], QUANTILE) if len(part) >= REQUESTS_MIN else np.inf
        if np.isfinite(p99):
            seconds.append((first / NS_PER_S) + float(places[part[0]] + 0.5) * window_s)
            values.append(p99)
    return Sampled(np.array(seconds), np.array(values))


def _without_warmup(sampled: Sampled, parameters: Soak) -> Sampled:
    if not len(sampled.seconds):
        return sampled
    chosen = sampled.seconds >= sampled.seconds.min() + parameters.warmup.seconds
    return Sampled(sampled.seconds[chosen], sampled.values[chosen])


def _row(name: str, layer: str, trial: str, kind: Kind, found: Trend, finding: Finding) -> CheckRow:
    limit = finding.limit.name
    return trial_row(trial, layer, f"{name}.{limit}", finding.verdict, _said(kind, found), f"< {limit}", finding.reason)


def _said(kind: Kind, found: Trend) -> str:
    jumps = "; steps taken out: " + ", ".join(f"{size:+.3g} at {hour:.1f} h" for hour, size in found.steps) if found.steps else ""
    if kind == "leak":
        return f"{found.slope:+.2f} MB/h ({found.low:+.2f} to {found.high:+.2f}) over {found.level:.0f} MB{jumps}"
    low, slope, high = (100 * value / abs(found.level) if found.level else 0.0 for value in (found.low, found.slope, found.high))
    return f"{slope:+.3f} %/h ({low:+.3f} to {high:+.3f}){jumps}"
