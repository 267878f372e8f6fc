"""One consumer a partition: leased, in order, committed only behind the effect.

A step that raises ``Unavailable`` is repeated with growing pauses and nothing behind it on the same partition overtakes it. A step
that raises anything unexpected is tried three times, then the document fails with that reason: one bad document never
stops the partition.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Self

from system.evidence.intake import fail_submission
from system.evidence.steps import Ports, withdraw
from system.platform.errors import BadInput, PlatformError, Unavailable
from system.platform.ports import EventLog, LogEntry, OutboxEvent, Transition
from system.worker.table import Entry

LOG = logging.getLogger("system.worker")

LEASE_S = 3.0
READ_WAIT_S = 0.5
READ_LIMIT = 32
ATTEMPTS_MAX = 3
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 2.0
_TERMINAL = frozenset({"completed", "failed", "skipped"})


@dataclasses.dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """Who consumes what: ``group`` is shared by workers with the same roles, ``owner`` is this process."""

    group: str
    owner: str
    partition: int


class Consumer:
    """Runs the steps of one partition until ``stop`` is set. ``effect`` is called after each committed effect (wakes the relay)."""

    def __init__(
        self,
        settings: ConsumerSettings,
        entries: Mapping[str, Entry],
        log: EventLog,
        ports: Ports,
        stop: threading.Event,
        effect: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._entries = entries
        self._log = log
        self._ports = ports
        self._stop = stop
        self._effect = effect

    def run(self) -> None:
        """Acquire the lease, consume, and acquire again after every interruption, until told to stop."""
        pause_s = PAUSE_FIRST_S
        while not self._stop.is_set():
            try:
                token = self._log.acquire(self._settings.group, self._settings.partition, self._settings.owner, LEASE_S)
                if token is not None:
                    self._consume(token)
                pause_s = PAUSE_FIRST_S
            except Unavailable as error:
                LOG.warning("partition %d waits: %s", self._settings.partition, error)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            except PlatformError as error:  # a lost lease: somebody else has the partition now
                LOG.info("partition %d released: %s", self._settings.partition, error)
            self._stop.wait(pause_s)

    def _consume(self, token: int) -> None:
        keeper = LeaseKeeper(self._log, self._settings, token)
        with keeper:
            while not self._stop.is_set() and keeper.held:
                entries = self._log.read(self._settings.group, self._settings.partition, READ_LIMIT, READ_WAIT_S)
                for entry in entries:
                    if self._stop.is_set() or not keeper.held:
                        return
                    if not self._handle(entry.event, keeper):
                        return
                    self._commit(entry, token)

    def _commit(self, entry: LogEntry, token: int) -> None:
        self._log.commit(self._settings.group, self._settings.partition, entry.position, token)

    def _handle(self, event: OutboxEvent, keeper: LeaseKeeper) -> bool:
        """True when the event is dealt with; False when stopped or the lease was lost first."""
        entry = self._entries.get(event.topic)
        if entry is None:
            return True
        failures = 0
        pause_s = PAUSE_FIRST_S
        while not self._stop.is_set() and keeper.held:
            try:
                entry.step(event, self._ports)
            except Unavailable as error:
                LOG.warning("%s of %s waits: %s", entry.topic, event.key, error)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            except Exception as error:
                failures += 1
                LOG.exception("%s of %s failed (%d of %d)", entry.topic, event.key, failures, ATTEMPTS_MAX)
                if failures >= ATTEMPTS_MAX and self._give_up(event, error):
                    return True
            else:
                self._effect()
                return True
            self._stop.wait(pause_s)
        return False

    def _give_up(self, event: OutboxEvent, error: Exception) -> bool:
        """Fail the document with the reason. False while even that cannot be written."""
        reason = BadInput(f"{type(error).__name__}: {error}"[:500], event.topic, "a defect of the platform: report it with this document")
        if event.topic == "document.deleted":
            return True  # whoever has this id now is another; what is left of the old one is reconciliation's
        try:
            if event.topic == "submission.received":
                fail_submission(event, reason, self._ports)
            row = self._ports.records.ledger_row(event.key)
            if row is not None and row.state not in _TERMINAL:
                via = ("fetching",) if row.state == "pending" else ("parsing",) if row.state == "fetched" else ()
                self._ports.records.transition(
                    Transition(
                        row.doc_id, row.version, "failed", (), None, reason.reason(), event.event_id, (*via, *_into_failed(row.state))
                    )
                )
            withdraw(event.key, self._ports)
        except Unavailable:
            return False
        self._effect()
        return True


def _into_failed(state: str) -> tuple[str, ...]:
    """States between ``state`` and failed that the ledger asks for."""
    return ("embedding",) if state == "ir_ready" else ()


class LeaseKeeper:
    """Renews a lease in the background while a step runs; ``held`` turns false when it is lost."""

    def __init__(self, log: EventLog, settings: ConsumerSettings, token: int) -> None:
        self._log = log
        self._settings = settings
        self._token = token
        self._done = threading.Event()
        self.held = True
        self._thread = threading.Thread(target=self._renew, name=f"lease-{settings.partition}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._done.set()
        self._thread.join(timeout=LEASE_S)
        try:
            self._log.release(self._settings.group, self._settings.partition, self._settings.owner, self._token)
        except PlatformError:
            LOG.info("lease of partition %d runs out by itself", self._settings.partition)

    def _renew(self) -> None:
        while not self._done.wait(LEASE_S / 3):
            try:
                self.held = self._log.renew(self._settings.group, self._settings.partition, self._settings.owner, self._token, LEASE_S)
            except PlatformError:
                self.held = False
            if not self.held:
                return
