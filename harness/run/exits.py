"""The checker ``exits``, always on: a service that ended or hung outside a fault of the plan, and a supervisor that was lost, are FAIL.

It looks at the run folder only. Runs recorded before services were watched have none of its events, and get no row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import (
    LayerFinished,
    LayerStarted,
    ServiceExited,
    ServiceHung,
    StackLost,
    StackWatched,
    TrialFinished,
    TrialStarted,
)
from harness.run.builtin import NoParameters, of_kind
from harness.run.planned import NS, PlannedFaults, planned
from harness.run.protocols import CheckRow, RecordedEvent, RunView

LAYER = "system"
HANGS = "hangs: "
EXPECTED = "runs until it is stopped, or by the plan"


@dataclasses.dataclass(frozen=True, slots=True)
class _Finding:
    """What one service did by itself; ``order`` is its time."""

    service: str
    how: str
    at_ns: int
    more: str
    last_lines: str


class UnplannedExits:
    """A row for each service that fell by itself, one for a supervisor that was lost; one PASS row where all stayed."""

    name: ClassVar[str] = "exits"
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters

    def check(self, view: RunView, trial: str, layer: str, parameters: NoParameters) -> Sequence[CheckRow]:  # noqa: ARG002 - Protocol
        recorded = view.events()
        windows = planned((item.event, item.mono_ns) for item in recorded)
        rows = [*_service_rows(view, recorded, windows), *_supervisor_rows(view, recorded)]
        watched = of_kind(view, StackWatched)
        if rows or not watched:
            return rows
        number = len({name for event in watched for name in event.services})
        exits = len(of_kind(view, ServiceExited))
        value = f"{number} services watched, {exits} exits by the plan" if exits else f"{number} services watched, none ended"
        return [_row("services", Verdict.PASS, value, "")]


def _service_rows(view: RunView, recorded: Sequence[RecordedEvent], windows: PlannedFaults) -> Iterator[CheckRow]:
    by_service: dict[str, list[_Finding]] = {}
    for finding in _findings(view):
        if not windows.covers(finding.at_ns):
            by_service.setdefault(finding.service, []).append(finding)
    for service, findings in by_service.items():
        first, further = findings[0], len(findings) - 1
        again = f"; and {further} × more" if further else ""
        where = _where(recorded, first.at_ns)
        words = f"\nlast lines of its log:\n{first.last_lines}" if first.last_lines else ""
        what = "hung" if first.how.startswith(HANGS) else "ended by itself"
        reason = f"{what} {where}, outside any fault of the plan{first.more}{again}{words}"
        yield _row(f"service.{service}", Verdict.FAIL, first.how, reason)


def _findings(view: RunView) -> Iterator[_Finding]:
    found = [
        _Finding(event.service, event.how, event.at_ns, "; nothing starts it again" if event.final else "", event.last_lines)
        for event in of_kind(view, ServiceExited)
        if not event.expected
    ]
    found += [_Finding(event.service, f"{HANGS}{event.detail}", event.at_ns, "", event.last_lines) for event in of_kind(view, ServiceHung)]
    yield from sorted(found, key=lambda finding: finding.at_ns)


def _supervisor_rows(view: RunView, recorded: Sequence[RecordedEvent]) -> Iterator[CheckRow]:
    for event in of_kind(view, StackLost):
        if not event.service:
            yield _row("supervisor", Verdict.FAIL, event.cause, f"lost {_where(recorded, event.at_ns)}: the system went with it")


def _where(recorded: Sequence[RecordedEvent], at_ns: int) -> str:
    """How long after the run's start, and in which trial, layer or between."""
    layer = trial = ""
    for item in recorded:
        if item.mono_ns > at_ns:
            break
        match item.event:
            case LayerStarted(layer=name):
                layer = name
            case LayerFinished():
                layer = ""
            case TrialStarted(trial=name):
                trial = name
            case TrialFinished():
                trial = ""
    seconds = (at_ns - recorded[0].mono_ns) / NS
    place = f"in the trial {trial}" if trial else f"in the layer {layer}" if layer else "between the layers"
    return f"{seconds:.1f} s after the run began, {place}"


def _row(check: str, verdict: Verdict, value: str, reason: str) -> CheckRow:
    return CheckRow(check=check, layer=LAYER, verdict=verdict, value=value, limit=EXPECTED, reason=reason, optional=False)
