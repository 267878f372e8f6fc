"""When something was being done to the stack on purpose: an exit or a silence within is no finding of its own.

Folded over the events of a run, online and again when it is judged. A window opens with a fault of a trial and ends with its undo (or with
the trial); or with what a driver asked the supervisor to do to a service (signal, hold, restart), and ends when that is healthy again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from harness.journal.events import Event, FaultApplied, FaultIntended, FaultUndone, ServiceChanged, TrialFinished, Window

NS = 1_000_000_000
AFTER_NS = 2 * NS  # what depends on a service that comes back may still fall
SIGNAL_MAX_NS = 30 * NS  # by then a signalled process has ended, or never will by that signal
RECOVERY_MAX_NS = 120 * NS  # a service that is not back by then excuses no other one any more
_HARMLESS = frozenset({"SIGCONT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGURG"})


@dataclasses.dataclass(slots=True)
class _Span:
    start_ns: int
    end_ns: int | None  # None: still open
    limit_ns: int | None = None  # how long it may stay open

    def covers(self, at_ns: int) -> bool:
        ends = [end for end in (self.end_ns, None if self.limit_ns is None else self.start_ns + self.limit_ns) if end is not None]
        return self.start_ns <= at_ns and all(at_ns <= end for end in ends)


class PlannedFaults:
    """``see`` every event in order; ``covers`` tells whether a moment lies within a window known so far."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str, str], _Span] = {}
        self._closed: list[_Span] = []
        self._up: set[str] = set()
        self._intended: set[tuple[str, str]] = set()

    def covers(self, at_ns: int) -> bool:
        return any(span.covers(at_ns) for span in (*self._open.values(), *self._closed))

    def see(self, event: Event, mono_ns: int) -> None:
        """``mono_ns``: when it was written."""
        match event:
            case FaultIntended(trial=trial, fault=fault, at_ns=at_ns) | FaultApplied(trial=trial, fault=fault, at_ns=at_ns):
                self._intended.add((trial, fault))
                self._begin(("fault", trial, fault), at_ns)
            case FaultUndone(trial=trial, fault=fault, at_ns=at_ns):
                self._end(("fault", trial, fault), at_ns + AFTER_NS)
            case TrialFinished(trial=trial):
                for key in [key for key in self._open if key[:2] == ("fault", trial)]:
                    self._end(key, mono_ns + AFTER_NS)
            case Window(kind="fault", trial=trial, name=name, start_ns=start_ns, end_ns=end_ns):
                if (trial, name) not in self._intended:
                    self._closed.append(_Span(start_ns, end_ns + AFTER_NS))
            case ServiceChanged():
                self._changed(event)

    def _changed(self, event: ServiceChanged) -> None:
        service, at_ns = event.service, event.at_ns
        match event.change:
            case "signalled" if event.detail == "SIGCONT":
                self._end(("pause", "", service), at_ns + AFTER_NS)
            case "signalled" if event.detail == "SIGSTOP":
                self._begin(("pause", "", service), at_ns)
            case "signalled" if event.detail in _HARMLESS:
                pass
            case "signalled" | "asked_to_restart":
                self._begin(("signal", "", service), at_ns, SIGNAL_MAX_NS)
            case "held":
                self._begin(("held", "", service), at_ns)
            case "released" if service in self._up:
                self._end(("held", "", service), at_ns + AFTER_NS)
            case "released":
                self._end(("held", "", service), at_ns)
                self._begin(("back", "", service), at_ns, RECOVERY_MAX_NS)
            case "exited":
                self._fell(service, at_ns)
            case "started":
                self._up.add(service)
            case "healthy":
                self._up.add(service)
                for kind in ("signal", "back"):
                    self._end((kind, "", service), at_ns + AFTER_NS)

    def _fell(self, service: str, at_ns: int) -> None:
        self._up.discard(service)
        span = self._open.get(("signal", "", service))
        if span is not None and span.covers(at_ns):
            span.limit_ns = at_ns - span.start_ns + RECOVERY_MAX_NS
        elif span is not None:
            self._end(("signal", "", service), at_ns)
        self._end(("pause", "", service), at_ns + AFTER_NS)  # a process that is gone is not stopped any more

    def _begin(self, key: tuple[str, str, str], at_ns: int, limit_ns: int | None = None) -> None:
        if key[0] == "signal" and key in self._open:
            self._end(key, at_ns)
        self._open.setdefault(key, _Span(at_ns, None, limit_ns))

    def _end(self, key: tuple[str, str, str], at_ns: int) -> None:
        span = self._open.pop(key, None)
        if span is not None:
            span.end_ns = at_ns
            self._closed.append(span)


def planned(events: Iterator[tuple[Event, int]]) -> PlannedFaults:
    """All windows of a run, from its events and the times at which they were written."""
    found = PlannedFaults()
    for event, mono_ns in events:
        found.see(event, mono_ns)
    return found
