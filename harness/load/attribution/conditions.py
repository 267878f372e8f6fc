"""What was the matter, and when: stretches of time in which something is known to have held requests up, from the run folder alone.

Two kinds. A *halt* is a stretch in which a part of the path did not run at all: a service away or stopped, a fault, a collection of
garbage, a canary that came late. A *shortage* is a sample of the host in which a resource was short: it counts only where its level
in that very sample is both ``FACTOR`` times the usual level of the trial (its median) and ``ABOVE`` over it, and then for the share of the
sample by which it is over the usual level.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from harness.journal.events import Event, FaultApplied, FaultIntended, FaultUndone, RecoveryObserved, ServiceChanged
from harness.load.attribution.spans import STREAM, covered_ns, process_spans
from harness.run.protocols import RunView

FACTOR = 2.0
ABOVE = 0.2
CANARY_FACTOR = 5.0  # a canary is late when its error is this many times the usual one
CANARY_LEAST_NS = 5_000_000
AWAY = frozenset({"exited", "unhealthy"})
SHORTAGES = {
    "cpu_steal": "CPU time stolen from this machine",
    "memory_pressure": "memory pressure of the host",
    "io_pressure": "I/O pressure of the host",
    "cpu_pressure": "CPU pressure of the host",
}

Floats = npt.NDArray[np.float64]
T = TypeVar("T", bound=Event)


class Rank(enum.IntEnum):
    """Which of several causes that explain about as much is named: what lies deeper comes first."""

    FAULT = 0
    AWAY = 1
    STOPPED = 2
    GENERATOR_PAUSE = 3
    CANARY = 4
    PROCESS_PAUSE = 5
    STEAL = 6
    SHORTAGE = 7
    WAIT_FOR_CPU = 8
    EVENT_LOOP = 9
    LAG = 10
    STAGE = 11


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """A cause and when it held: ``weights`` say which share of each stretch it can account for."""

    cause: str
    rank: Rank
    starts_ns: npt.NDArray[np.int64]
    ends_ns: npt.NDArray[np.int64]
    weights: Floats

    @classmethod
    def halts(cls, cause: str, rank: Rank, stretches: Sequence[tuple[int, int]]) -> Condition:
        """Stretches that count whole."""
        starts, ends = np.array(sorted(stretches), dtype=np.int64).reshape(-1, 2).T
        return cls(cause, rank, starts, ends, np.ones(len(starts)))

    def explained_ns(self, start_ns: int, end_ns: int) -> float:
        """How much of this stretch the condition accounts for."""
        begin, finish = np.maximum(self.starts_ns, start_ns), np.minimum(self.ends_ns, end_ns)
        touched = finish > begin
        if not touched.any():
            return 0.0
        if (self.weights[touched] == 1).all():
            return float(covered_ns(zip(begin[touched].tolist(), finish[touched].tolist(), strict=True)))
        return float(((finish - begin)[touched] * self.weights[touched]).sum())


def conditions(view: RunView, trial: str) -> Sequence[Condition]:
    """Every condition of the trial, in a fixed order."""
    return sorted(
        [
            *_faults(view, trial),
            *_away(view),
            *_stopped(view, trial),
            *_canary(view, trial),
            *_pauses(view, trial),
            *_shortages(view, trial),
            *_waits(view, trial),
        ],
        key=lambda one: (one.rank, one.cause),
    )


def _events(view: RunView, kind: type[T], trial: str | None) -> list[T]:
    return [item.event for item in view.events(kind.NAME, trial=trial) if isinstance(item.event, kind)]


def _faults(view: RunView, trial: str) -> Iterator[Condition]:
    """From the injection until it was undone, or recovered from if that came first."""
    last_ns = max((item.mono_ns for item in view.events()), default=0)
    named = {event.fault: f"fault: {event.kind} {event.target}" for event in _events(view, FaultIntended, trial)}
    recovered = {event.fault: event.recovery_s for event in _events(view, RecoveryObserved, trial) if event.counted_from == "injection"}
    undone = {event.fault: event.at_ns for event in _events(view, FaultUndone, trial)}
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for event in _events(view, FaultApplied, trial):
        end_ns = undone.get(event.fault, last_ns)
        if event.fault in recovered:
            end_ns = min(end_ns, event.at_ns + round(recovered[event.fault] * 1e9))
        found[named.get(event.fault, f"fault: {event.fault}")].append((event.at_ns, end_ns))
    for cause, stretches in found.items():
        yield Condition.halts(cause, Rank.FAULT, stretches)


def _away(view: RunView) -> Iterator[Condition]:
    """A service that had ended, or that its supervisor found unhealthy, until it was healthy again."""
    last_ns = max((item.mono_ns for item in view.events()), default=0)
    since: dict[str, int] = {}
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for event in _events(view, ServiceChanged, None):
        if event.change in AWAY:
            since.setdefault(event.service, event.at_ns)
        elif event.change == "healthy" and event.service in since:
            found[event.service].append((since.pop(event.service), event.at_ns))
    for service, start_ns in since.items():
        found[service].append((start_ns, last_ns))
    for service, stretches in found.items():
        yield Condition.halts(f"{service} was away", Rank.AWAY, stretches)


def _stopped(view: RunView, trial: str) -> Iterator[Condition]:
    samples = view.samples("services", trial)
    if not samples.num_rows:
        return
    stopped = samples.filter(pc.fill_null(samples["stopped"], False))
    for service in sorted(set(stopped["service"].to_pylist())):
        own = stopped.filter(pc.equal(stopped["service"], service))
        stretches = list(zip(own["since_ns"].to_pylist(), own["at_ns"].to_pylist(), strict=True))
        yield Condition.halts(f"{service} was stopped", Rank.STOPPED, stretches)


def _canary(view: RunView, trial: str) -> Iterator[Condition]:
    """Canaries that came late: the generator, or the machine under it, was held up for so long before they came."""
    samples = view.samples("canary", trial)
    if not samples.num_rows:
        return
    good = samples.filter(pc.and_(pc.equal(samples["outcome"], "ok"), pc.is_valid(samples["known_delay_ns"])))
    done = good["done_ns"].to_numpy()
    errors = done - good["intended_ns"].to_numpy() - good["known_delay_ns"].to_numpy()
    if not len(errors):
        return
    late = errors >= max(CANARY_FACTOR * float(np.median(errors)), CANARY_LEAST_NS)
    stretches = list(zip((done - errors)[late].tolist(), done[late].tolist(), strict=True))
    if stretches:
        yield Condition.halts("generator or machine held up (canary)", Rank.CANARY, stretches)


def _pauses(view: RunView, trial: str) -> Iterator[Condition]:
    """Spans of whole processes: their garbage collector, their event loop, whatever else they say stopped them."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for span in process_spans(view.samples(STREAM, trial)):
        found[span.role, span.stage].append((span.start_ns, span.end_ns))
    for (role, stage), stretches in sorted(found.items()):
        rank = Rank.GENERATOR_PAUSE if role == "generator" else Rank.EVENT_LOOP if stage == "event_loop" else Rank.PROCESS_PAUSE
        yield Condition.halts(f"{_PAUSES.get(stage, stage)} of {role}", rank, stretches)


_PAUSES: Mapping[str, str] = {"gc": "garbage collection", "event_loop": "late event loop"}


def _shortages(view: RunView, trial: str) -> Iterator[Condition]:
    samples = view.samples("host", trial)
    for column, cause in SHORTAGES.items():
        if samples.num_rows:
            rank = Rank.STEAL if column == "cpu_steal" else Rank.SHORTAGE
            yield from _shortage(samples, column, cause, rank)


def _waits(view: RunView, trial: str) -> Iterator[Condition]:
    """Threads of a service that were ready and had no processor."""
    samples = view.samples("services", trial)
    if not samples.num_rows:
        return
    for service in sorted(set(samples["service"].to_pylist())):
        own = samples.filter(pc.equal(samples["service"], service))
        yield from _shortage(own, "cpu_wait", f"{service} waited for a processor", Rank.WAIT_FOR_CPU)


def _shortage(samples: Any, column: str, cause: str, rank: Rank) -> Iterator[Condition]:
    given = samples.filter(pc.is_valid(samples[column]))
    if not given.num_rows:
        return
    levels = np.minimum(given[column].to_numpy(), 1.0)  # of several threads that wait, one may be at work for the request
    usual = float(np.median(levels))
    short = (levels >= FACTOR * usual) & (levels >= usual + ABOVE)
    if short.any():
        starts, ends = given["since_ns"].to_numpy()[short], given["at_ns"].to_numpy()[short]
        yield Condition(cause, rank, starts, ends, (levels - usual)[short])
