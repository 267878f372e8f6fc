"""The probe and the checker ``attribution``: the same pure function, once for the report's table and timeline, once for the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

import msgspec

from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import Table, Window
from harness.load.attribution.causes import COUNTS_FROM, Attributed, Finding, attribute, by_cause
from harness.load.attribution.slowest import REQUESTS_LEAST
from harness.run.protocols import CheckRow, RunView, StepContext, trial_row
from harness.run.view import FolderView

NEEDED = 0.8  # M18-006: a cause for more than this share
EXAMPLES = 3
NEAR_NS = 1_000_000_000  # slow requests of one cause this close are one window
WINDOWS_MAX = 60


class Attribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step``: whose requests (all without one). ``unanswered``: how long one without an answer lasted, its time-out."""

    step: str = ""
    unanswered: Duration = Duration.parse("10 s")
    more_than: Annotated[float, msgspec.Meta(ge=0, lt=1)] = NEEDED


class AttributionChecker:
    """PASS when more than 80 % of the slow requests of the tail have a cause; VACUOUS when none of the slowest is slow."""

    name: ClassVar[str] = "attribution"
    parameters: ClassVar[type[msgspec.Struct]] = Attribution

    def check(self, view: RunView, trial: str, layer: str, parameters: Attribution) -> Sequence[CheckRow]:
        found = attribute(view, trial, parameters.step, parameters.unanswered.ns)
        verdict, value, reason = judged(found, parameters.more_than)
        name = f"attribution.{parameters.step}" if parameters.step else "attribution"
        return [trial_row(trial, layer, name, verdict, value, f"> {parameters.more_than:.0%} have a cause", reason)]


def judged(found: Finding, more_than: float) -> tuple[Verdict, str, str]:
    """(verdict, value, reason)."""
    tail, slow = found.tail, len(found.requests)
    if tail.requests < REQUESTS_LEAST:
        return Verdict.VACUOUS, f"{tail.requests} requests", f"a tail needs {REQUESTS_LEAST} requests"
    if not slow:
        return Verdict.VACUOUS, f"none of {tail.name} of {tail.requests} is slow", "there was nothing to explain"
    value = f"{found.attributed} of {slow} attributed ({found.attributed / slow:.0%}); {tail.name} of {tail.requests} requests"
    if tail.chosen > slow:
        value += f", {tail.chosen - slow} of them not slow"
    if found.attributed > more_than * slow:
        return Verdict.PASS, value, ""
    missing = [name for name, there in (("spans of the target", found.has_spans), ("samples of the host", found.has_host)) if not there]
    reason = f"{slow - found.attributed} slow requests have no cause"
    return Verdict.FAIL, value, reason + (f"; there are no {' and no '.join(missing)}" if missing else "")


class AttributionProbe:
    """Puts the table of causes and their windows into the journal, for the report."""

    name: ClassVar[str] = "attribution"
    parameters: ClassVar[type[msgspec.Struct]] = Attribution
    requires: ClassVar[frozenset[str]] = frozenset()

    def capture(self, context: StepContext, parameters: Attribution) -> None:
        found = attribute(FolderView(context.run_folder), context.trial, parameters.step, parameters.unanswered.ns)
        context.journal.emit(table(context.trial, found))
        for window in windows(context.trial, found):
            context.journal.emit(window)


def table(trial: str, found: Finding) -> Table:
    """A line a cause: how many requests, how much of the excess of the whole tail it explains, how far, which requests for example."""
    excess = sum(one.request.excess_ns for one in found.requests) or 1
    rows = []
    for cause, requests in by_cause(found.requests).items():
        explained = sum(one.share * one.request.excess_ns for one in requests)
        slowest = sorted(requests, key=lambda one: (-one.request.excess_ns, one.request.request_id))
        examples = ", ".join(f"{_named(one)} +{one.request.excess_ns / 1e6:.0f} ms" for one in slowest[:EXAMPLES])
        own = sum(one.request.excess_ns for one in requests) / excess
        rows.append((cause or "no cause found", str(len(requests)), f"{own:.1%}", f"{explained / excess:.1%}", examples, _places(requests)))
    columns = ("cause", "requests", "share of the excess", "explained", "slowest examples", "where")
    return Table(trial=trial, title="Where the slowest requests spent their time", columns=columns, rows=tuple(rows), note=_note(found))


def _note(found: Finding) -> str:
    tail = found.tail
    usual = ", ".join(f"{op} {one.response_ns / 1e6:.1f} ms" for op, one in sorted(tail.usual.items()))
    return (
        f"Of {tail.requests} requests {tail.name} ({tail.chosen}), {len(found.requests)} of them slow. "
        f"Usual response time (median): {usual}. "
        f"A cause counts when it explains at least {COUNTS_FROM:.0%} of what a request took beyond that."
    )


def _named(one: Attributed) -> str:
    return one.request.request_id or f"{one.request.op} at {one.request.intended_ns}"


def _places(requests: Sequence[Attributed]) -> str:
    return "; ".join(sorted({one.place for one in requests if one.place})[:EXAMPLES])


def windows(trial: str, found: Finding) -> Iterator[Window]:
    """Stretches of the timeline with slow requests of one cause, the worst first where there are too many."""
    stretches = [
        (sum(one.request.excess_ns for one in group), cause, group)
        for cause, requests in by_cause(found.requests).items()
        for group in _groups(requests)
    ]
    for _, cause, group in sorted(stretches, key=lambda item: (-item[0], item[1]))[:WINDOWS_MAX]:
        yield Window(
            trial=trial,
            kind="cause",
            name=cause or "no cause found",
            start_ns=group[0].request.intended_ns,
            end_ns=max(one.request.end_ns for one in group),
            tags={"requests": str(len(group)), "slowest": f"{max(one.request.excess_ns for one in group) / 1e6:.0f} ms over the usual"},
        )


def _groups(requests: Sequence[Attributed]) -> Iterator[list[Attributed]]:
    group: list[Attributed] = []
    reached = 0
    for one in sorted(requests, key=lambda one: one.request.intended_ns):
        if group and one.request.intended_ns > reached + NEAR_NS:
            yield group
            group = []
        group.append(one)
        reached = max(reached, one.request.end_ns) if len(group) > 1 else one.request.end_ns
    if group:
        yield group
