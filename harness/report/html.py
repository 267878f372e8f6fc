"""``report.html``: one self-contained page. No script, no request; every text is cleaned and escaped in one place (``_final``)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.core import jsonio
from harness.core.clock import NS_PER_S
from harness.core.text import clean
from harness.core.verdict import Verdict
from harness.journal.events import FaultApplied, LoadFinished, LoadPlanned, RecoveryObserved, TrialFinished, TrialStarted, Window
from harness.journal.requirements import Status
from harness.journal.summary import Summary
from harness.report import numbers, page, tables
from harness.report.chart import LINES, Mark, Shade, charts, sparkline
from harness.report.folder import RunFolder
from harness.report.timeline import Timeline, timelines

REPORT = "report.html"
MAX_DRAWN_TRIALS = 12
WORDS = {
    Verdict.PASS: "good",
    Verdict.FAIL: "bad",
    Verdict.ERROR: "bad",
    Verdict.ABORTED: "bad",
    Verdict.INCONCLUSIVE: "doubt",
    Verdict.VACUOUS: "doubt",
    Verdict.BLOCKED: "blocked",
}
STATUS_WORDS = {
    Status.VERIFIED: "good",
    Status.FAILING: "bad",
    Status.VACUOUS: "doubt",
    Status.UNPROVEN: "doubt",
    Status.BLOCKED: "blocked",
    Status.UNTESTED: "none",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Drawing:
    """One operation of one trial, drawn."""

    operation: str
    svg: Markup
    figures: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TrialView:
    """A trial that carried load."""

    started: TrialStarted
    outcome: str
    took: str
    generator: str
    has_faults: bool
    has_canary: bool
    sparse: bool  # too few requests a second for a p99 of its own
    drawings: tuple[Drawing, ...]


def publish_html(folder: Path, summary: Summary) -> None:
    """Write ``report.html`` into the run folder; the same folder gives the same bytes."""
    jsonio.write_atomic(folder / REPORT, render(folder, summary).encode())


def render(folder: Path, summary: Summary) -> str:
    """The page as text."""
    run = RunFolder(folder)
    trials = list(_trials(run))
    drawn = frozenset(view.started.trial for view in trials)
    exceptions = page.exceptions(summary)
    matrix = run.matrix()
    groups = page.requirement_groups(matrix)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            s=summary,
            sentence=page.sentence(summary),
            headlines=page.headlines(summary),
            exceptions=exceptions[: page.SHOWN_EXCEPTIONS],
            repeats=page.repeats(run, summary),
            hidden=exceptions[page.SHOWN_EXCEPTIONS :],
            layers=page.layer_lines(summary),
            trials=trials,
            grids=_grids(run),
            quality=tables.quality(run),
            others=_others(run, drawn),
            series=[(event, sparkline(event.times_ns, event.values)) for event in tables.series(run)],
            touched=[group for group in groups if group.touched],
            untouched=[group for group in groups if not group.touched],
            matrix=matrix,
            compact=list(page.compact(summary, page.durations(run))),
            notes=page.notes(run),
            foreign=run.foreign(),
            problems=list(dict.fromkeys(run.problems)),
        )
    )


def _grids(run: RunFolder) -> list[tables.Grid]:
    found = (tables.faults(run), tables.stages(run), tables.services(run), tables.contract(run), tables.shapes(run))
    return [grid for grid in found if grid is not None]


def _others(run: RunFolder, drawn: frozenset[str]) -> list[tables.Grid]:
    """What wings emitted in generic shapes."""
    found = (*tables.tables(run), tables.measured(run), tables.distributions(run), tables.windows(run, drawn))
    return [grid for grid in found if grid is not None]


def _trials(run: RunFolder) -> Iterator[TrialView]:
    ends = {event.trial: event for event in run.of(TrialFinished)}
    for started in run.of(TrialStarted)[:MAX_DRAWN_TRIALS]:
        found = list(timelines(run, started.trial))
        if found:
            end = ends.get(started.trial)
            shades = _windows(run, started.trial)
            yield TrialView(
                started=started,
                outcome=end.outcome if end else "cut off",
                took=numbers.seconds(end.duration_s if end else None),
                generator=_generator(run, started.trial),
                has_faults=any(window.kind == "fault" for window in shades),
                has_canary=bool(found[0].canary_p95_ms.size),
                sparse=all(int(timeline.requests.max()) < 100 for timeline in found),
                drawings=tuple(_drawing(run, started, timeline, shades) for timeline in found),
            )


def _windows(run: RunFolder, trial: str) -> list[Window]:
    """A phase told by its driver stands for the planned one of the same name."""
    windows = run.of(Window, trial)
    said = {window.name for window in windows if window.kind == "phase" and window.tags.get("by") != "plan"}
    return [window for window in windows if window.kind != "phase" or window.tags.get("by") != "plan" or window.name not in said]


def _drawing(run: RunFolder, started: TrialStarted, timeline: Timeline, windows: list[Window]) -> Drawing:
    def since(at_ns: int) -> float:
        return (at_ns - timeline.origin_ns) / NS_PER_S

    shades = [Shade(window.kind, window.name, since(window.start_ns), since(window.end_ns)) for window in windows]
    marks = [Mark(f"fault: {event.fault}", since(event.at_ns)) for event in run.of(FaultApplied, started.trial)]
    moments = {event.fault: event.at_ns for event in run.of(FaultApplied, started.trial)}
    marks += [
        Mark("recovered", since(moments[event.fault]) + event.recovery_s)
        for event in run.of(RecoveryObserved, started.trial)
        if event.fault in moments and event.counted_from == "injection"
    ]
    title = f"Response time of {timeline.operation} in {started.trial} by second"
    total, errors = int(timeline.requests.sum()), int(timeline.errors.sum())
    figures = [
        (name, "∞" if value == math.inf else numbers.seconds(value / 1000)) for name, value in zip(LINES, timeline.overall_ms, strict=True)
    ]
    figures += [("requests", numbers.whole(total)), ("failed", numbers.whole(errors))]
    return Drawing(timeline.operation or "requests", charts(timeline, shades, marks, title), tuple(figures))


def _generator(run: RunFolder, trial: str) -> str:
    """What the generators planned and say of themselves."""
    ends = {event.step: event for event in run.of(LoadFinished, trial)}
    sentences = []
    for plan in run.of(LoadPlanned, trial):
        end = ends.get(plan.step)
        done = f"; {end.sent} of {end.intended} sent, generator at {100 * end.cpu_share:.0f} % of a core" if end else "; did not finish"
        sentences.append(f"{plan.step}: {plan.engine}, {plan.rate_per_s:g}/s for {plan.duration_s:g} s after {plan.warmup_s:g} s{done}")
    return " · ".join(sentences)


def _final(value: object) -> object:
    """The one escaping layer: foreign text is cleaned here, then escaped by Jinja; nothing else is marked safe."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        autoescape=True,
        finalize=_final,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    order = [Status.VERIFIED, Status.UNPROVEN, Status.FAILING, Status.VACUOUS, Status.BLOCKED, Status.UNTESTED]
    environment.globals.update(words=WORDS, status_words=STATUS_WORDS, Status=Status, statuses=order, style=_style())
    environment.filters.update(seconds=numbers.seconds, quantity=numbers.quantity, short=numbers.short, whole=numbers.whole)
    return environment


def _style() -> Markup:
    return Markup((Path(__file__).parent / "templates" / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
