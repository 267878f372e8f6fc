"""A stack of the imagination on a fake clock, and a real journal to act into."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from harness.core.clock import FakeClock
from harness.journal.events import Event
from harness.journal.hub import JournalHub
from harness.run.protocols import StepContext, Target
from harness.run.view import FolderView


@dataclasses.dataclass(frozen=True)
class Status:
    name: str = "graph"
    pid: int = 100
    start_time: float = 5.0
    state: str = "running"
    restarts: int = 0
    healthy: bool = True


class FakeStack:
    """One service ``graph``. After ``kill`` it is down at once, a new one comes after ``restart_s``, healthy ``serve_s`` later."""

    stack_id = "fake"
    folder = Path()

    def __init__(self, clock: FakeClock, restart_s: float | None = 0.5, serve_s: float = 1.0) -> None:
        self._clock, self._restart_s, self._serve_s = clock, restart_s, serve_s
        self.killed: list[tuple[str, int]] = []
        self._killed_ns: int | None = None
        self.before = Status()
        self.recycle_after = 10**9  # how many looks until another process has the pid
        self._looks = 0

    def services(self) -> Sequence[Status]:
        self._looks += 1
        if self._looks > self.recycle_after:
            return [dataclasses.replace(self.before, start_time=77.0), Status("other", 7)]
        return [self._graph(), Status("other", 7)]

    def _graph(self) -> Status:
        if self._killed_ns is None:
            return self.before
        since_s = (self._clock.monotonic_ns() - self._killed_ns) / 1e9
        if self._restart_s is None or since_s < self._restart_s:
            return Status(pid=0, start_time=0.0, state="down", healthy=False)
        healthy = since_s >= self._restart_s + self._serve_s
        return Status(pid=200, start_time=9.0, state="running" if healthy else "starting", restarts=1, healthy=healthy)

    def kill(self, service: str, signal: int) -> Status:
        self.killed.append((service, signal))
        self._killed_ns = self._clock.monotonic_ns()
        return self._graph()

    def url(self, service: str) -> str:
        raise NotImplementedError(service)

    def secret(self, name: str) -> str:
        raise NotImplementedError(name)

    def hold(self, service: str) -> None:
        raise NotImplementedError(service)

    def release(self, service: str) -> None:
        raise NotImplementedError(service)

    def wait_healthy(self, service: str, deadline_s: float) -> Status:
        raise NotImplementedError(service)

    def environment(self, service: str) -> Mapping[str, str]:
        raise NotImplementedError(service)


class Drill:
    """The context of the step ``kill`` in the trial ``t``; time moves only by waiting."""

    def __init__(self, folder: Path) -> None:
        self.run_folder = folder
        for name in ("segments", "evidence"):
            (folder / name).mkdir()
        self.clock = FakeClock(start_ns=100_000_000_000)
        self.hub = JournalHub(folder / "journal.jsonl", self.clock)
        self.stopping = threading.Event()

    def context(self, stack: FakeStack | None, base_url: str = "http://127.0.0.1:9", ready: str = "") -> StepContext:
        return StepContext(
            trial="t",
            step="kill",
            target=Target(base_url, {}),
            stack=stack,
            journal=self.hub,
            folder=self.run_folder,
            run_folder=self.run_folder,
            project=self.run_folder,
            data=None,
            seed=1,
            now_ns=self.clock.monotonic_ns,
            wait=lambda seconds: self.clock.wait(seconds, self.stopping) and None,
            stop=self.stopping.is_set,
            window=lambda _step: None,
            running=lambda: (),
            address=self.hub.address,
            configuration={"target": {"ready": ready}},
        )

    def emit(self, *events: Event) -> None:
        for event in events:
            self.hub.emit(event)

    def view(self) -> FolderView:
        return FolderView(self.run_folder)


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Drill]:
    made = Drill(tmp_path)
    yield made
    made.hub.close()


@pytest.fixture
def fake_stack(drill: Drill) -> Callable[..., FakeStack]:
    """``fake_stack(restart_s=, serve_s=)`` on the drill's clock."""
    return lambda **times: FakeStack(drill.clock, **times)
