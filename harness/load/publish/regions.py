"""Which annotations a run has: a pure fold of its events. The run, its trials, phases, and of each fault its injection and recovery."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from harness.core.text import one_line
from harness.journal.events import (
    Event,
    FaultApplied,
    FaultIntended,
    FaultUndone,
    RecoveryObserved,
    TrialFinished,
    TrialStarted,
    Window,
)
from harness.load.publish.grafana import Annotation

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
COMMON = "harness"
UNFINISHED = "unfinished"
RUN_KEY = "run"
OPEN_MAX = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """Something to tell Grafana. ``opens``: a new annotation, complete where it has an end; else the end of the one with this key."""

    key: str
    annotation: Annotation
    opens: bool


class Regions:
    """``see`` events in order; times are CLOCK_MONOTONIC ns, ``epoch_ns`` is the wall time at its zero."""

    def __init__(self, run: str, epoch_ns: int) -> None:
        self._run, self._epoch_ns = run, epoch_ns
        self._open: dict[str, Annotation] = {}
        self._scenarios: dict[str, str] = {}
        self._kinds: dict[tuple[str, str], FaultIntended] = {}
        self._applied: dict[tuple[str, str], int] = {}

    def begin(self, now_ns: int) -> Iterator[Step]:
        """The run itself."""
        yield from self._opened(RUN_KEY, f"run {self._run}", now_ns)

    def see(self, event: Event, now_ns: int) -> Iterator[Step]:
        """What one event adds; most add nothing."""
        match event:
            case TrialStarted(trial=trial, scenario=scenario):
                self._scenarios[trial] = scenario
                yield from self._opened(f"trial/{trial}", f"trial {trial}", now_ns, *self._of(trial))
            case TrialFinished(trial=trial, outcome=outcome):
                for key in [key for key in self._open if key.startswith(f"fault/{trial}/")]:
                    yield from self._closed(key, now_ns, UNFINISHED)
                yield from self._closed(f"trial/{trial}", now_ns, f"outcome:{outcome}")
            case Window(trial=trial, kind="phase", name=name, start_ns=start, end_ns=end):
                tags = self._tags(*self._of(trial), f"phase:{name}")
                annotation = Annotation(one_line(f"phase {name} of {trial}"), self._ms(start), tags, self._ms(end))
                yield Step(f"phase/{trial}/{name}", annotation, opens=True)
            case FaultIntended(trial=trial, fault=fault):
                self._kinds[trial, fault] = event
            case FaultApplied(trial=trial, fault=fault, at_ns=at):
                self._applied[trial, fault] = at
                yield from self._fault(trial, fault, "inject", at)
            case FaultUndone(trial=trial, fault=fault, at_ns=at):
                yield from self._closed(f"fault/{trial}/{fault}/inject", at)
            case RecoveryObserved(trial=trial, fault=fault):
                yield from self._recovered(event, now_ns)

    def end(self, now_ns: int) -> Iterator[Step]:
        """The end of the run: what is still open ends here and says so."""
        for key in [key for key in self._open if key != RUN_KEY]:
            yield from self._closed(key, now_ns, UNFINISHED)
        yield from self._closed(RUN_KEY, now_ns)

    def _recovered(self, event: RecoveryObserved, now_ns: int) -> Iterator[Step]:
        """Recovery counts from the injection of a kill, from the undo of a held fault; its length is known when it is over."""
        intended = self._kinds.get((event.trial, event.fault))
        what = f"{intended.kind} {intended.target}" if intended else event.fault
        applied = self._applied.get((event.trial, event.fault))
        from_injection = event.counted_from == "injection" and applied is not None
        start_ns = applied if from_injection and applied is not None else now_ns - round(event.recovery_s * NS_PER_S)
        tags = self._tags(*self._of(event.trial), f"fault:{intended.kind if intended else event.fault}", "phase:recover")
        end_ms = self._ms(start_ns + round(event.recovery_s * NS_PER_S))
        text = one_line(f"recovery from {what}: {event.recovery_s:.1f} s, detected after {event.detection_s:.1f} s")
        yield Step(f"recovery/{event.trial}/{event.fault}", Annotation(text, self._ms(start_ns), tags, end_ms), opens=True)

    def _fault(self, trial: str, fault: str, phase: str, at_ns: int) -> Iterator[Step]:
        intended = self._kinds.get((trial, fault))
        what = f"{intended.kind} {intended.target}" if intended else fault
        tags = (*self._of(trial), f"fault:{intended.kind if intended else fault}", f"phase:{phase}")
        yield from self._opened(f"fault/{trial}/{fault}/{phase}", f"fault {what}", at_ns, *tags)

    def _opened(self, key: str, text: str, at_ns: int, *tags: str) -> Iterator[Step]:
        if len(self._open) < OPEN_MAX:
            self._open[key] = Annotation(one_line(text), self._ms(at_ns), self._tags(*tags))
            yield Step(key, self._open[key], opens=True)

    def _closed(self, key: str, at_ns: int, *tags: str) -> Iterator[Step]:
        annotation = self._open.pop(key, None)
        if annotation is not None:
            end_ms = max(annotation.start_ms, self._ms(at_ns))
            yield Step(key, dataclasses.replace(annotation, end_ms=end_ms, tags=(*annotation.tags, *tags)), opens=False)

    def _of(self, trial: str) -> tuple[str, ...]:
        return (f"scenario:{self._scenarios.get(trial, trial)}",) if trial else ()

    def _tags(self, *tags: str) -> tuple[str, ...]:
        return tuple(one_line(tag, 100) for tag in (COMMON, f"run:{self._run}", *tags))

    def _ms(self, at_ns: int) -> int:
        return (self._epoch_ns + at_ns) // NS_PER_MS
