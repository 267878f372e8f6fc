"""``report.html``: one self-contained page. No script, no request; every text is cleaned and escaped in one place (``_final``)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.core import jsonio
from harness.core.text import clean
from harness.core.verdict import Verdict
from harness.journal.events import Series
from harness.journal.requirements import Status
from harness.journal.summary import Summary
from harness.report import numbers, page, tables
from harness.report.folder import RunFolder
from harness.report.svg import sparkline
from harness.report.tests import durations
from harness.report.trials import TrialView, trial_views

REPORT = "report.html"
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


def publish_html(folder: Path, summary: Summary) -> None:
    """Write ``report.html`` into the run folder; the same folder gives the same bytes.

    Cut off at a limit in time, or by Ctrl-C, it writes the page without the trials' pictures: better than none.
    """
    try:
        text = render(folder, summary)
    except Exception:
        raise
    except BaseException:
        jsonio.write_atomic(folder / REPORT, render(folder, summary, brief=True).encode())
        raise
    jsonio.write_atomic(folder / REPORT, text.encode())


def render(folder: Path, summary: Summary, *, brief: bool = False) -> str:
    """The page as text; ``brief``: without the trials' figures, whose samples take the time."""
    run = RunFolder(folder)
    trials = [] if brief else list(trial_views(run, summary))
    if brief:
        run.problems.append("there was no time for the trials' pictures: `harness report` draws them")
    drawn = frozenset(view.started.trial for view in trials)
    exceptions = page.exceptions(summary)
    matrix = run.matrix()
    groups = page.requirement_groups(matrix)
    return (
        environment()
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
            series=_series(run, trials),
            touched=[group for group in groups if group.touched],
            untouched=[group for group in groups if not group.touched],
            matrix=matrix,
            compact=list(page.compact(summary, durations(run))),
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
    found = (*tables.tables(run, drawn), tables.measured(run), tables.distributions(run), tables.windows(run, drawn))
    return [grid for grid in found if grid is not None]


def _series(run: RunFolder, trials: Sequence[TrialView]) -> list[tuple[Series, Markup]]:
    """The series that no trial's picture shows already."""
    drawn = {id(event) for view in trials for event in view.tracks}
    return [(event, sparkline(event.times_ns, event.values)) for event in tables.series(run) if id(event) not in drawn]


def _final(value: object) -> object:
    """The one escaping layer: foreign text is cleaned here, then escaped by Jinja; nothing else is marked safe."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def environment() -> jinja2.Environment:
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
