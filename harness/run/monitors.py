"""Monitors see every event of a trial online; each raise is journaled, so that replaying the journal gives the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.journal.events import Event, MonitorRaised
from harness.run.protocols import Emitter, Monitor
from harness.run.registry import Registry
from harness.scenario.catalogue import Reference
from harness.scenario.model import CheckUse
from harness.scenario.parameters import decode_parameters

STOP, GUARD, CONDITION = "stop", "guard_tripped", "condition_met"
ENDING = frozenset({STOP, GUARD})


@runtime_checkable
class OnlineChecker(Protocol):
    """A checker that can be folded online: it makes the monitor of a trial from its own parameters."""

    def monitor(self, run_folder: str, trial: str, parameters: Any) -> Monitor: ...


def online(checks: Iterable[CheckUse], registry: Registry, run_folder: Path, trial: str) -> Iterator[Monitor]:
    """The monitors that a scenario's checks bring."""
    for use in checks:
        checker = registry.checker(use.checker)
        if isinstance(checker, OnlineChecker):
            parameters = decode_parameters(registry.parameters(Reference("checker", use.checker)), use.parameters)
            yield checker.monitor(str(run_folder), trial, parameters)


class Watch:
    """Feeds events to monitors one at a time; a raise that ends the trial calls ``stop`` with the reason."""

    def __init__(self, trial: str, monitors: Iterable[Monitor], journal: Emitter, stop: Callable[[str], None]) -> None:
        self._trial, self._monitors, self._journal, self._stop = trial, tuple(monitors), journal, stop
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Observer of the hub. Monitors never see ``monitor.raised``: they could answer each other for ever."""
        if isinstance(event, MonitorRaised) or getattr(event, "trial", self._trial) != self._trial:
            return
        with self._lock:
            raised = [(monitor.name, answer) for monitor in self._monitors if (answer := self._ask(monitor, event)) is not None]
        for name, (signal, reason) in raised:
            self._journal.emit(MonitorRaised(trial=self._trial, monitor=name, signal=signal, reason=reason))
            if signal in ENDING:
                self._stop(f"{name}: {reason}")

    def _ask(self, monitor: Monitor, event: Event) -> tuple[str, str] | None:
        try:
            return monitor.see(event)
        except Exception as error:  # noqa: BLE001 - a monitor that fails guards nothing any more: the trial must end
            return GUARD, f"the monitor failed: {type(error).__name__}: {error}"
