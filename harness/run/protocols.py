"""What a wing implements: drivers act, probes capture, checkers judge. The runner knows none of them by name.

They are found through entry points (groups ``harness.drivers``, ``harness.probes``, ``harness.checkers``) plus the
built-in table of ``harness.run.registry``; a wing imports this module and nothing beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import Event


@dataclasses.dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric a driver declares, so that thresholds on unknown names fail when the scenario is loaded.

    ``source`` is ``samples:<stream>`` for figures computed from sample segments or ``measured`` for single values.
    """

    name: str
    unit: str  # "s", "1" (count), "%" (share), "1/s"
    source: str
    tags: tuple[str, ...] = ()
    vouched_by: str | None = None  # of a time from samples: the checker that must agree; "" = none needed, None = there is none


class Emitter(Protocol):
    """Where events go. ``emit`` returns when the event is written to the journal's file; ``sync=True`` when it is on disk."""

    def emit(self, event: Event, *, sync: bool = False) -> None: ...


class ServiceStatus(Protocol):
    """A service of the stack as the supervisor sees it."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def start_time(self) -> float: ...
    @property
    def state(self) -> str: ...
    @property
    def restarts(self) -> int: ...
    @property
    def healthy(self) -> bool: ...


class StackControl(Protocol):
    """What drivers may do to a stack that the run owns. None of it reaches anything the harness did not start."""

    @property
    def stack_id(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    def url(self, service: str) -> str: ...
    def secret(self, name: str) -> str: ...
    def services(self) -> Sequence[ServiceStatus]: ...
    def kill(self, service: str, signal: int) -> ServiceStatus: ...
    def hold(self, service: str) -> None: ...
    def release(self, service: str) -> None: ...
    def wait_healthy(self, service: str, deadline_s: float) -> ServiceStatus: ...
    def environment(self, service: str) -> Mapping[str, str]:
        """The environment its processes get: for commands of the platform that act beside it (backup, reset)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """The judged system as a client sees it: its address on this machine and the keys of its stack by role."""

    base_url: str
    keys: Mapping[str, str]  # role -> API key; never journaled
    key_header: str = "X-API-Key"


@dataclasses.dataclass(frozen=True, slots=True)
class StepContext:
    """Everything a driver or probe gets. ``stop()`` turns true when the trial is being ended: return soon then."""

    trial: str
    step: str
    target: Target
    stack: StackControl | None  # None when the target is not ours: faults are BLOCKED then
    journal: Emitter
    folder: Path  # trials/<trial>/ in the run folder: plans, evidence
    run_folder: Path
    project: Path
    data: Path | None  # folder of the data sets, None when there is none
    seed: int
    now_ns: Callable[[], int]
    wait: Callable[[float], None]  # seconds; returns early when the trial is being ended
    stop: Callable[[], bool]
    window: Callable[[str], tuple[int, int] | None]  # start and end of a finished step by name
    running: Callable[[], Iterable[str]]  # names of the steps still at work
    address: str  # of the journal's local socket, for processes of the driver's own
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # harness.toml; a wing decodes its own table strictly


class Driver(Protocol):
    """Does something to the running system on the scenario's timeline and journals it."""

    name: ClassVar[str]
    parameters: ClassVar[type[msgspec.Struct]]  # the scenario's `with:` is decoded into this, strictly
    metrics: ClassVar[tuple[MetricSpec, ...]]
    requires: ClassVar[frozenset[str]]  # capabilities, e.g. {"stack.owned"}
    # a driver of requests also has `explains: ClassVar[str]`: the checker whose `explain(view, trial, layer) -> Explained`
    # tells why they failed
    # a driver of faults also has `implies: ClassVar[tuple[str, ...]]`: the checkers that its first use brings with it

    def run(self, context: StepContext, parameters: Any) -> None:
        """Act; raise ``harness.run.errors.Blocked`` when this machine cannot, anything else is an ERROR of the trial."""


class Probe(Protocol):
    """Captures evidence into the run's folder and journals ``evidence.captured``; judges nothing."""

    name: ClassVar[str]
    parameters: ClassVar[type[msgspec.Struct]]
    requires: ClassVar[frozenset[str]]

    def capture(self, context: StepContext, parameters: Any) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class CheckRow:
    """One judged statement: a row of ``summary.json``."""

    check: str  # id, unique within the run
    layer: str
    verdict: Verdict
    value: str = ""
    limit: str = ""
    reason: str = ""
    requirements: tuple[str, ...] = ()
    trial: str = ""
    optional: bool = True
    voids: str = ""  # "latency": while this row is not PASS, no time made from samples is believed


@dataclasses.dataclass(frozen=True, slots=True)
class Explained:
    """Why requests of a trial failed, by step (the tag ``step`` of samples); those of ``whole`` for one reason each, told in ``rows``."""

    rows: tuple[CheckRow, ...] = ()
    whole: frozenset[str] = frozenset()
    met: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the other steps that met failures: what these were
    looked_at: frozenset[str] = frozenset()


def trial_row(trial: str, layer: str, name: str, verdict: Verdict, value: str = "", limit: str = "", reason: str = "") -> CheckRow:
    """The row ``<trial>.<name>``: what a checker says of one trial."""
    return CheckRow(check=f"{trial}.{name}", layer=layer, verdict=verdict, value=value, limit=limit, reason=reason, trial=trial)


class RunView(Protocol):
    """Read-only view of a run folder: all that a checker may look at."""

    @property
    def folder(self) -> Path: ...
    def events(self, *names: str, trial: str | None = None) -> Sequence[RecordedEvent]: ...
    def samples(self, stream: str, trial: str) -> Any:
        """All rows of a sample stream as a ``pyarrow.Table`` (empty streams give a table without rows)."""

    def evidence(self, name: str, trial: str) -> bytes | None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as read back: position in the journal, times, and the decoded event."""

    sequence: int
    mono_ns: int
    wall: str
    event: Event


class Checker(Protocol):
    """A pure function of the run's folder. The same folder gives the same rows, with the system long gone."""

    name: ClassVar[str]
    parameters: ClassVar[type[msgspec.Struct]]
    # one that metrics or drivers imply also has `implied(need: Need, written) -> parameters` (``harness.scenario.catalogue``)

    def check(self, view: RunView, trial: str, layer: str, parameters: Any) -> Sequence[CheckRow]: ...


class Monitor(Protocol):
    """A checker's fold run online: it sees each event once and may ask for ``stop``, ``guard_tripped`` or ``condition_met``."""

    name: ClassVar[str]

    def see(self, event: Event) -> tuple[str, str] | None:
        """``(signal, reason)`` to raise now, or None."""


class Listener(Protocol):
    """Follows a run for the outside. It judges nothing and no verdict depends on it."""

    def see(self, event: Event) -> None:
        """Each event right after it was written, in the thread that emitted it: never wait here."""

    def close(self) -> None:
        """The run is over and its journal still open; return within a bounded time."""
