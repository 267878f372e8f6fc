"""The checkers that belong to no wing: pytest outcomes, layers, the run's own end, and whether a trial was completed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import (
    Event,
    LayerFinished,
    LayerStarted,
    RunFinished,
    RunStarted,
    TestOutcome,
    TrialBlocked,
    TrialFinished,
    TrialStarted,
)
from harness.run.protocols import CheckRow, RunView

T = TypeVar("T", bound=Event)
OUTCOMES = {
    "completed": Verdict.PASS,
    "blocked": Verdict.BLOCKED,
    "stopped": Verdict.ABORTED,
    "interrupted": Verdict.ABORTED,
    "error": Verdict.ERROR,
}


class NoParameters(msgspec.Struct, frozen=True):
    """Takes none."""


def of_kind(view: RunView, kind: type[T], trial: str | None = None) -> list[T]:
    """The events of one type, in order."""
    return [recorded.event for recorded in view.events(kind.NAME, trial=trial) if isinstance(recorded.event, kind)]


class TrialCompleted:
    """PASS when the runner walked the whole timeline; why not, otherwise."""

    name: ClassVar[str] = "trial_completed"
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters

    def check(self, view: RunView, trial: str, layer: str, parameters: NoParameters) -> Sequence[CheckRow]:  # noqa: ARG002 - Protocol
        outcome, detail, required = trial_end(view, trial)
        verdict = OUTCOMES.get(outcome, Verdict.ERROR)
        reason = "" if verdict is Verdict.PASS else f"{outcome}: {detail}".rstrip(": ")
        return [
            CheckRow(
                check=self.name,
                layer=layer,
                verdict=verdict,
                value=outcome,
                limit="completed",
                reason=reason,
                trial=trial,
                optional=not required,
            )
        ]


def trial_end(view: RunView, trial: str) -> tuple[str, str, bool]:
    """Outcome, detail, and whether a capability that the scenario requires was missing."""
    ends = of_kind(view, TrialFinished, trial)
    if not ends:
        return "interrupted", "the runner was killed", False
    required = any(event.required for event in of_kind(view, TrialBlocked, trial))
    return ends[-1].outcome, ends[-1].detail, required


class Tests:
    """A row a pytest outcome; a test that passed having examined nothing is VACUOUS."""

    name: ClassVar[str] = "tests"
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters
    __test__: ClassVar[bool] = False

    def check(self, view: RunView, trial: str, layer: str, parameters: NoParameters) -> Sequence[CheckRow]:  # noqa: ARG002 - Protocol
        seen: Counter[str] = Counter()
        rows = []
        for event in of_kind(view, TestOutcome):
            seen[event.node] += 1
            again = f" #{seen[event.node]}" if seen[event.node] > 1 else ""
            rows.append(self._row(event, f"{event.node}{again}"))
        return rows

    def _row(self, event: TestOutcome, check: str) -> CheckRow:
        vacuous = event.verdict is Verdict.PASS and event.examined == 0
        return CheckRow(
            check=check,
            layer=event.layer,
            verdict=Verdict.VACUOUS if vacuous else event.verdict,
            value="" if event.examined is None else f"{event.examined} examined",
            limit=event.title,
            reason="nothing was examined" if vacuous else event.detail,
            requirements=event.requirements,
            optional=event.optional,
        )


class Layers:
    """A row for each layer or required name that is blocked, was cut off, or held nothing; and for a run that was cut off."""

    name: ClassVar[str] = "layers"
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters

    def check(self, view: RunView, trial: str, layer: str, parameters: NoParameters) -> Sequence[CheckRow]:  # noqa: ARG002 - Protocol
        return [*_run_rows(view), *_layer_rows(view)]


def _run_rows(view: RunView) -> Iterator[CheckRow]:
    ends = of_kind(view, RunFinished)
    reason = ends[-1].reason if ends else "killed"
    if reason != "completed":
        verdict = Verdict.ERROR if reason == "error" else Verdict.ABORTED
        detail = f"{reason}: {ends[-1].detail}".rstrip(": ") if ends else "the runner was killed"
        yield CheckRow(check="run", layer="", verdict=verdict, value=reason, limit="completed", reason=detail, optional=False)


def _layer_rows(view: RunView) -> Iterator[CheckRow]:
    started = {event.layer: event for event in of_kind(view, LayerStarted)}
    ended = {event.layer: event for event in of_kind(view, LayerFinished)}
    filled = {event.layer for event in of_kind(view, TestOutcome)} | {event.layer for event in of_kind(view, TrialStarted)}
    required = {name for event in of_kind(view, RunStarted) for name in event.required}
    for layer, event in started.items():
        optional = not (event.required or layer in required)
        end = ended.get(layer)
        if end is None:
            yield _layer_row(layer, Verdict.ABORTED, "did not end", optional=False)
        elif end.blocked:
            yield _layer_row(layer, Verdict.BLOCKED, end.blocked, optional=optional)
        elif layer not in filled:
            yield _layer_row(layer, Verdict.VACUOUS, "nothing was checked", optional=optional)
    for name in sorted(required - started.keys() - filled):
        yield _layer_row(name, Verdict.BLOCKED, "required, and never began", optional=False)


def _layer_row(layer: str, verdict: Verdict, reason: str, *, optional: bool) -> CheckRow:
    return CheckRow(check=f"layer.{layer}", layer=layer, verdict=verdict, reason=reason, optional=optional)
