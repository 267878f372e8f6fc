"""Two loops beside the consumers: the outbox relay and the graph applier.

Several workers may run them at once: relaying twice is harmless (events are told apart by their id where they take effect), and
applying a batch twice writes the same graph.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading

from system.evidence.steps import Ports, apply_late, refuse_batch, sweep_superseded
from system.platform.errors import BadInput, PlatformError, Unavailable
from system.platform.ports import EventLog, StagedBatch

LOG = logging.getLogger("system.worker")

RELAY_LIMIT = 256
RELAY_POLL_S = 0.2
APPLY_POLL_S = 0.5
APPLY_LIMIT = 32
APPLY_AFTER_S = 1.0  # younger batches are still in the hands of whoever staged them
PAUSE_S = 0.5


class Relay:
    """Moves committed outbox events to the event log, in order; ``wake`` makes it look at once."""

    def __init__(self, log: EventLog, ports: Ports, stop: threading.Event) -> None:
        self._log = log
        self._ports = ports
        self._stop = stop
        self._wake = threading.Event()

    def wake(self) -> None:
        self._wake.set()

    def run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.relay_once():
                    self._wake.wait(RELAY_POLL_S)
                    self._wake.clear()
            except Unavailable as error:
                LOG.warning("relay waits: %s", error)
                self._stop.wait(PAUSE_S)
            except PlatformError:
                LOG.exception("relay")
                self._stop.wait(PAUSE_S)

    def relay_once(self) -> int:
        """Relay what is pending now; returns how many events."""
        pending = self._ports.records.outbox_pending(RELAY_LIMIT)
        if pending:
            self._log.append([item.event for item in pending])
            self._ports.records.outbox_relayed([item.position for item in pending])
        return len(pending)


class Applier:
    """Lets the graph follow batches that were staged while it was away, and completes their documents."""

    def __init__(self, ports: Ports, stop: threading.Event) -> None:
        self._ports = ports
        self._stop = stop
        self._swept = False

    def run(self) -> None:
        while not self._stop.wait(APPLY_POLL_S):
            try:
                if not self._swept:
                    sweep_superseded(self._ports)
                    self._swept = True
                for staged in self._ports.records.staged_batches(APPLY_LIMIT):
                    if self._stop.is_set():
                        return
                    if _age_s(staged) >= APPLY_AFTER_S:
                        self._apply(staged)
            except Unavailable as error:
                LOG.warning("applier waits: %s", error)
                self._swept = False  # it may have been cut off between writing a batch and looking whether its document still stands
                self._stop.wait(PAUSE_S)
            except PlatformError:
                LOG.exception("applier")

    def _apply(self, staged: StagedBatch) -> None:
        """A batch that the graph will never take becomes a dead letter, so that it does not hold up the ones behind it."""
        try:
            apply_late(self._ports, staged)
        except BadInput as error:
            LOG.warning("batch of %s becomes a dead letter: %s", staged.batch.supporter, error)
            refuse_batch(self._ports, staged, error)


def _age_s(staged: StagedBatch) -> float:
    return (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(staged.staged_at)).total_seconds()
