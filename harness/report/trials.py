"""A trial that carried load, as the page shows it: pictures, certificate, tags, and the tables that wings emitted for it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup

from harness.core.clock import NS_PER_S
from harness.core.verdict import Verdict
from harness.journal.events import (
    FaultApplied,
    LoadFinished,
    LoadGenerator,
    LoadPlanned,
    LoadStopped,
    RecoveryObserved,
    Series,
    Table,
    TrialFinished,
    TrialStarted,
    Window,
)
from harness.journal.summary import Row, Summary
from harness.report import numbers, tables
from harness.report.chart import Beside, Mark, charts, percentile_plots
from harness.report.folder import RunFolder
from harness.report.numbers import short, whole
from harness.report.panels import LanePanel, Shade, Track
from harness.report.timeline import OVERALL, Axis, Course, Timeline, course

MAX_TRIALS = 12
MAX_PICTURES = 24  # of all trials together: they bound the size of the page
MAX_TRACKS = 4
MAX_LANES = 3
MAX_SPANS = 400
TRACK_POINTS = 720
SPARSE = 100  # requests a bin: with fewer, the p99 is the slowest one
LEAST_BEYOND = 10  # requests beyond a percentile before anything is judged by it
SHADED = frozenset({"phase", "fault", "recovery"})
OVERALL_NAMES = ("p50", "p90", "p95", "p99", "p99.9", "longest")


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """One operation of one trial: drawn, in figures, and as a table for those who do not see the drawing."""

    operation: str
    svg: Markup
    figures: tuple[tuple[str, str], ...]
    percentiles: Markup
    table: tables.Grid


@dataclasses.dataclass(frozen=True, slots=True)
class Certificate:
    """May the latency figures of the trial be believed? ``tone`` is the page's word for the colour."""

    tone: str
    sentence: str
    rows: tuple[Row, ...]
    generators: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TrialView:
    """A trial that carried load."""

    started: TrialStarted
    outcome: str
    took: str
    generator: str
    has_faults: bool
    has_canary: bool
    sparse: bool
    certificate: Certificate
    pictures: tuple[Picture, ...]
    tags: tables.Grid
    tables: tuple[tables.Grid, ...]
    tracks: tuple[Series, ...]  # what the pictures show already


def trial_views(run: RunFolder, summary: Summary) -> Iterator[TrialView]:
    """The trials that carried load, in order; bounded."""
    left = MAX_PICTURES
    for started in run.of(TrialStarted)[:MAX_TRIALS]:
        found = course(run, started.trial)
        if found is not None:
            view = _view(run, summary, started, found, left)
            left -= len(view.pictures)
            yield view


def _view(run: RunFolder, summary: Summary, started: TrialStarted, found: Course, pictures: int) -> TrialView:
    trial = started.trial
    end = next((event for event in run.of(TrialFinished, trial)), None)
    windows = _windows(run, trial)
    series = tuple(_on_axis(run, trial, found.axis))
    drawn = found.timelines[:pictures]
    return TrialView(
        started=started,
        outcome=end.outcome if end else "cut off",
        took=numbers.seconds(end.duration_s if end else None),
        generator=_generator(run, trial),
        has_faults=any(window.kind == "fault" for window in windows),
        has_canary=bool(found.canary_p95_ms.size),
        sparse=all(int(timeline.requests.max()) < SPARSE for timeline in drawn),
        certificate=certificate(run, summary, trial),
        pictures=tuple(
            _picture(trial, timeline, _beside(run, trial, found, windows, series, first=number == 0))
            for number, timeline in enumerate(drawn)
        ),
        tags=_tags(found),
        tables=(*(tables.shown(event) for event in run.of(Table, trial)), *tables.first_failures(run, trial)),
        tracks=series if drawn else (),
    )


def _windows(run: RunFolder, trial: str) -> list[Window]:
    """A phase told by its driver stands for the planned one of the same name."""
    windows = run.of(Window, trial)
    said = {window.name for window in windows if window.kind == "phase" and window.tags.get("by") != "plan"}
    return [window for window in windows if window.kind != "phase" or window.tags.get("by") != "plan" or window.name not in said]


def _on_axis(run: RunFolder, trial: str, axis: Axis) -> Iterable[Series]:
    """The series that lie within the trial's time, recall before the others."""
    end_ns = axis.origin_ns + axis.span_s * NS_PER_S
    own = [event for event in run.of(Series, trial) if len(event.times_ns) > 1 and _within(event.times_ns, axis.origin_ns, end_ns)]
    return sorted(own, key=lambda event: not event.name.startswith("recall"))[:MAX_TRACKS]


def _within(times_ns: Sequence[int], start_ns: float, end_ns: float) -> bool:
    inside = sum(start_ns <= at <= end_ns for at in times_ns)
    return inside * 2 > len(times_ns)


def _beside(run: RunFolder, trial: str, found: Course, windows: Sequence[Window], series: Sequence[Series], *, first: bool) -> Beside:
    """What the trial as a whole has (canary, lanes, series of no operation) stands beside its busiest operation."""

    def since(at_ns: int) -> float:
        return (at_ns - found.axis.origin_ns) / NS_PER_S

    shades = [
        Shade(window.kind, window.name, since(window.start_ns), since(window.end_ns), tables.tagged(window.tags)) for window in windows
    ]
    moments = {event.fault: event.at_ns for event in run.of(FaultApplied, trial)}
    marks = [Mark(f"fault: {name}", since(at_ns)) for name, at_ns in moments.items()]
    marks += [
        Mark("recovered", since(moments[event.fault]) + event.recovery_s)
        for event in run.of(RecoveryObserved, trial)
        if event.fault in moments and event.counted_from == "injection"
    ]
    marks += [Mark("stopped early", since(event.at_ns)) for event in run.of(LoadStopped, trial)]
    drawn = Beside([shade for shade in shades if shade.kind in SHADED], marks)
    if not first:
        return drawn
    tracks = [_track(event, found.axis) for event in series]
    return dataclasses.replace(drawn, tracks=tracks, lanes=_lanes(shades), canary_p95_ms=found.canary_p95_ms)


def _lanes(shades: Sequence[Shade]) -> list[LanePanel]:
    kinds = list(dict.fromkeys(shade.kind for shade in shades if shade.kind not in SHADED))[:MAX_LANES]
    return [LanePanel(kind, tuple(shade for shade in shades if shade.kind == kind)[:MAX_SPANS]) for kind in kinds]


def _track(event: Series, axis: Axis) -> Track:
    """The series in seconds of the axis; a long one keeps the lowest and highest of each stretch."""
    pairs = [((at - axis.origin_ns) / NS_PER_S, value) for at, value in zip(event.times_ns, event.values, strict=False)]
    stretch = max(1, math.ceil(len(pairs) / (TRACK_POINTS / 2)))
    kept = pairs
    if stretch > 2:
        parts = (pairs[start : start + stretch] for start in range(0, len(pairs), stretch))
        kept = [pair for part in parts for pair in sorted({min(part, key=lambda pair: pair[1]), max(part, key=lambda pair: pair[1])})]
    name = " ".join((event.name, *(f"{key}={value}" for key, value in event.tags.items())))
    return Track(name, event.unit, tuple(at for at, _ in kept), tuple(value for _, value in kept))


def _picture(trial: str, timeline: Timeline, beside: Beside) -> Picture:
    name = timeline.operation or "requests"
    total = int(timeline.requests.sum())
    figures = [
        (f"{said} ≈" if _few(total, q) else said, "∞" if value == math.inf else numbers.seconds(value / 1000))
        for said, q, value in zip(OVERALL_NAMES, OVERALL, timeline.overall_ms, strict=True)
    ]
    (service,) = timeline.service.quantiles_ms((0.99,))
    figures += [("service p99", "∞" if service == math.inf else numbers.seconds(service / 1000))]
    figures += [("requests", whole(total)), ("failed", whole(int(timeline.errors.sum())))]
    return Picture(
        operation=name,
        svg=charts(timeline, beside, f"Response time of {name} in {trial} over time, with faults, rates and failures"),
        figures=tuple(figures),
        percentiles=percentile_plots(timeline.response, timeline.service, f"Latency of {name} in {trial} by percentile"),
        table=_table(timeline, trial, beside),
    )


def _few(requests: int, q: float) -> bool:
    """Whether a percentile stands on fewer requests than a judgement would ask for."""
    return q < 1 and requests * (1 - q) < LEAST_BEYOND * 0.999


def _table(timeline: Timeline, trial: str, beside: Beside) -> tables.Grid:
    """The picture as a table: a row a bin of time."""
    axis = timeline.axis
    p50, p90, p99 = timeline.percentiles_ms
    service = timeline.service_ms[-1]
    faults = [shade for shade in beside.shades if shade.kind == "fault"]
    rows = []
    for number in range(axis.bins):
        start, end = number * axis.bin_s, (number + 1) * axis.bin_s
        rates = (column[number] / axis.bin_s for column in (timeline.requests, timeline.answered))
        latencies = (column[number] for column in (p50, p90, p99, timeline.longest_ms, service))
        under = ", ".join(shade.name for shade in faults if shade.start_s < end and shade.end_s > start)
        tracks = (_mean(track, start, end) for track in beside.tracks)
        rows.append((short(start), *map(short, rates), *map(_ms, latencies), str(timeline.errors[number]), *tracks, under))
    latency = ("p50 ms", "p90 ms", "p99 ms", "longest ms", "service p99 ms", "failed")
    tracked = (f"{track.name} {track.unit}" for track in beside.tracks)
    columns = ("from s", "offered/s", "answered/s", *latency, *tracked, "fault")
    numeric = frozenset(range(len(columns) - 1))
    return tables.Grid(f"{timeline.operation} in {trial} over time", columns, tuple(rows), numeric).slim()


def _ms(value: float) -> str:
    return "–" if math.isnan(value) else short(float(value))


def _mean(track: Track, start_s: float, end_s: float) -> str:
    inside = [value for at, value in zip(track.times_s, track.values, strict=True) if start_s <= at < end_s]
    return short(sum(inside) / len(inside)) if inside else "–"


def _tags(found: Course) -> tables.Grid:
    rows = []
    for tag in found.tags:
        times = tag.time.quantiles_ms((0.5, 0.9, 0.99, 1.0))
        share = f"{100 * tag.requests / found.requests:.2f} %"
        said = (numbers.seconds(value / 1000) if math.isfinite(value) else "–" for value in times)
        rows.append((tag.operation, tag.step, tag.outcome, whole(tag.requests), share, *said))
    columns = ("operation", "step", "outcome", "requests", "share", "p50", "p90", "p99", "longest")
    note = "Times from the intended start to the end, of the requests that ended."
    return tables.Grid("By operation, step and outcome", columns, tuple(rows), frozenset(range(3, 9)), note)


def certificate(run: RunFolder, summary: Summary, trial: str) -> Certificate:
    """What the run's own judgement of the load says, in one plain sentence."""
    rows = tuple(row for row in summary.rows if row.trial == trial and ".certificate." in row.check)
    generators = tuple(_saturation(event) for event in run.of(LoadGenerator, trial))
    if not rows:
        return Certificate("none", "No certificate was asked for here: nothing vouches for these latency figures.", rows, generators)
    doubts = [row.reason or f"{row.value}, wanted {row.limit}" for row in rows if row.verdict is not Verdict.PASS]
    if doubts:
        return Certificate("doubt", f"These latency figures prove nothing: {'; '.join(doubts)}.", rows, generators)
    sentence = (
        "These latency figures may be believed: every request was sent and on time, "
        "and what this machine itself delayed, as the canary shows it, stays within the band."
    )
    return Certificate("good", sentence, rows, generators)


def _saturation(event: LoadGenerator) -> str:
    return (
        f"{event.step}, process {event.worker}: {100 * event.cpu_share:.0f} % of a core, "
        f"{event.connections_most} of {event.connections_max} connections, "
        f"{whole(event.gc_pauses)} collections, {numbers.seconds(event.gc_max_s)} the longest, "
        f"lag p99 {numbers.seconds(event.lag_p99_s)}, {event.peak_rss_bytes / 2**20:.0f} MiB"
        f"{', at real-time priority' if event.realtime else ''}"
    )


def _generator(run: RunFolder, trial: str) -> str:
    """What the generators planned and say of themselves."""
    ends = {event.step: event for event in run.of(LoadFinished, trial)}
    sentences = []
    for plan in run.of(LoadPlanned, trial):
        end = ends.get(plan.step)
        done = f"; {end.sent} of {end.intended} sent, generator at {100 * end.cpu_share:.0f} % of a core" if end else "; did not finish"
        sentences.append(f"{plan.step}: {plan.engine}, {plan.rate_per_s:g}/s for {plan.duration_s:g} s after {plan.warmup_s:g} s{done}")
    return " · ".join(sentences)
