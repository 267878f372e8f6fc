"""Workers that take turns at every port call: which goes next is drawn, so that any interleaving can be had and had again.

A worker is a thread that only runs while it has the turn. ``doom`` lets one die at a call, as a process does: what it was doing is
begun anew by its next life, what it had written stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

from suites.unit.memory_ports import Killed, World
from system.evidence import steps
from system.platform.errors import NotFound, PlatformError, Unavailable
from system.worker.table import TABLE

CALLS_MAX = 20_000
STEPS = {entry.topic: entry.step for entry in TABLE}


class Ended(BaseException):
    """Nothing is left to do."""


class Turns:
    """Draws who goes next until everybody idles."""

    def __init__(self, world: World, seed: int, deaths: int = 0) -> None:
        self.world = world
        self._random = random.Random(seed)
        self._workers: list[Worker] = []
        self._back = threading.Semaphore(0)
        self._deaths_left = deaths
        self._calls = 0

    def add(self, name: str, work: Callable[[steps.Ports], bool]) -> None:
        """``work`` does one piece of work and says whether there was any."""
        self._workers.append(Worker(self, name, work))

    def run(self) -> None:
        for worker in self._workers:
            worker.start()
        while not all(worker.idle or worker.problem for worker in self._workers):
            self._calls += 1
            assert self._calls < CALLS_MAX, "they never come to rest"
            self._give(self._random.choice(self._workers))
        for worker in self._workers:
            worker.ending = True
            self._give(worker)
            worker.thread.join()
        problems = [worker.problem for worker in self._workers if worker.problem is not None]
        if problems:
            raise problems[0]

    def _give(self, worker: Worker) -> None:
        if self._deaths_left and not worker.idle and not worker.ending and self._random.random() < 0.02:
            self._deaths_left -= 1
            worker.doom = True
        if worker.thread.is_alive():
            worker.turn.release()
            self._back.acquire()

    def changed(self) -> None:
        """Somebody wrote: whoever idled looks again."""
        for worker in self._workers:
            worker.idle = worker.problem is not None

    def pause(self, worker: Worker) -> None:
        """Called by the worker before each port call."""
        self._back.release()
        worker.turn.acquire()
        if worker.ending:
            raise Ended
        if worker.doom:
            worker.doom = False
            raise Killed(worker.name)

    def done(self) -> None:
        self._back.release()


@dataclasses.dataclass
class Worker:
    """One process: its lives, and whether it has found nothing to do since somebody last wrote."""

    turns: Turns
    name: str
    work: Callable[[steps.Ports], bool]
    idle: bool = False
    ending: bool = False
    doom: bool = False
    problem: BaseException | None = None
    turn: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None:
        self.thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        self.thread.start()

    def _live(self) -> None:
        self.turn.acquire()
        try:
            while not self.ending:
                self._once()
        except Ended:
            pass
        except BaseException as problem:  # noqa: BLE001 - raised again by who drew the turns
            self.problem, self.idle = problem, True
        self.turns.done()

    def _once(self) -> None:
        ports = steps.Ports(**{field.name: _Drawn(self, field.name) for field in dataclasses.fields(steps.Ports)})
        try:
            if not self.work(ports):
                self.idle = True
                self.turns.pause(self)
        except (Killed, Unavailable):
            return


class _Drawn:
    """A port whose every call waits for the worker's turn."""

    def __init__(self, worker: Worker, name: str) -> None:
        self._worker, self._name = worker, name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(getattr(self._worker.turns.world, self._name), attribute)

        def call(*arguments: Any, **named: Any) -> Any:
            self._worker.turns.pause(self._worker)
            if self._name in self._worker.turns.world.away:
                raise Unavailable(self._name, "connection refused")
            before = _fingerprint(self._worker.turns.world)
            try:
                return value(*arguments, **named)
            finally:
                if _fingerprint(self._worker.turns.world) != before:
                    self._worker.turns.changed()

        return call


def _fingerprint(world: World) -> tuple[object, ...]:
    statuses = tuple((key, batch.status) for key, batch in world.records.batches.items())
    rows = tuple((key, row.version, row.marks) for key, row in world.records.rows.items())
    return len(world.records.outbox), rows, statuses, tuple(sorted(world.away))


class Consumer:
    """The events of these documents in order, each until its step has ended; a second consumer of them is one that lost its lease."""

    def __init__(self, world: World, mine: Callable[[str], bool]) -> None:
        self._world, self._mine, self._at = world, mine, 0

    def __call__(self, ports: steps.Ports) -> bool:
        while self._at < len(self._world.records.outbox):
            event = self._world.records.outbox[self._at]
            if self._mine(event.key) and event.topic in STEPS:
                with contextlib.suppress(NotFound):  # removed under it: the consumer tries again, and finds it gone
                    STEPS[event.topic](event, ports)
                    self._at += 1
                return True
            self._at += 1
        return False


class Applying:
    """The applier: sweeps when its process begins, then looks for what waits."""

    def __init__(self) -> None:
        self._process: Mapping[str, Any] | None = None
        self._swept = False

    def __call__(self, ports: steps.Ports) -> bool:
        try:
            if not self._swept:
                steps.sweep_superseded(ports)
                self._swept = True
            waiting = ports.records.staged_batches(32)
            for staged in waiting:
                steps.apply_late(ports, staged)
        except (Killed, Unavailable):
            self._swept = False
            raise
        return bool(waiting)


def outages(world: World, port: str, times: int) -> Callable[[steps.Ports], bool]:
    """A port that goes and comes back so often; it is there in the end."""
    left = 2 * times

    def work(ports: steps.Ports) -> bool:
        nonlocal left
        if not left:
            return False
        for _ in range(12):  # a while of the others' calls
            ports.objects.exists("raw/none")
        left -= 1
        world.away ^= {port}
        return True

    return work


def removing(wanted: Callable[[], str | None]) -> Callable[[steps.Ports], bool]:
    """Whoever removes a document asks again until it is gone."""
    gone = False

    def work(ports: steps.Ports) -> bool:
        nonlocal gone
        doc_id = wanted()
        if gone or doc_id is None:
            return False
        with contextlib.suppress(PlatformError):
            steps.delete_document(doc_id, ports)
        gone = True
        return True

    return work
