from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from suites.unit.memory_ports import Killed, World
from system.worker.consumer import Consumer, ConsumerSettings
from system.worker.relay import Applier, Relay
from system.worker.table import ROLES, Entry, entries_for

CORPUS = Path(__file__).parents[3] / "samples" / "corpus"
LIVES_MAX = 60
ROUNDS_MAX = 60


class Told(threading.Event):
    """A stop event whose waits take no time: they are written down, and after ``turns`` of them it is set."""

    def __init__(self, turns: int = 10_000) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._turns = turns

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        if len(self.pauses) >= self._turns:
            self.set()
        return self.is_set()


def consume(world: World, entries: Mapping[str, Entry], partition: int, stop: Told | None = None) -> Told:
    """One consumer until its partition has nothing left."""
    told = stop or Told()
    world.events.idle = told.set
    Consumer(ConsumerSettings("all", "me", partition), entries, world.wire("events"), world.ports(), told, lambda: None).run()
    return told


@dataclasses.dataclass
class Worker:
    """A worker process over a world: relay, consumers and applier by turns, until nothing moves any more."""

    world: World
    entries: Mapping[str, Entry] = dataclasses.field(default_factory=lambda: entries_for(frozenset(ROLES)))
    deaths: int = 0

    def live(self) -> None:
        """One life; ``Killed`` ends it."""
        for _ in range(ROUNDS_MAX):
            before = self._progress()
            relay = Relay(self.world.wire("events"), self.world.ports(), Told())
            while relay.relay_once():
                pass
            for partition in range(self.world.events.partitions):
                consume(self.world, self.entries, partition)
            Applier(self.world.ports(), Told(turns=3)).run()
            if self._progress() == before:
                return
        raise AssertionError("the worker never comes to rest")

    def run(self, back: Callable[[], None] = lambda: None) -> None:
        """Lives until one ends in peace; then what was away is back, and again."""
        for returned in (False, True):
            for _ in range(LIVES_MAX):
                try:
                    self.live()
                    break
                except Killed:
                    self.deaths += 1
            else:
                raise AssertionError("no life ends in peace")
            if not returned:
                self.world.away = set()
                back()

    def _progress(self) -> tuple[object, ...]:
        records = self.world.records
        staged = [one.batch.supporter for one in records.staged_batches(100)]
        return (len(records.relayed), dict(self.world.events.committed), staged, {key: row.version for key, row in records.rows.items()})


@pytest.fixture
def payload() -> bytes:
    return (CORPUS / "pubmed" / "velotril-sleep.xml").read_bytes()
