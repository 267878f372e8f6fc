"""Engine processes seen from the driver: a plan divided among several of them, all started at one instant; and the canary's server."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from harness.core.clock import NS_PER_S
from harness.core.errors import HarnessError
from harness.load.engine.plan import EnginePlan, Said
from harness.run.processes import spawn
from harness.run.protocols import StepContext

CANARY_DELAY_MS = 5.0
LEAD_S = 0.1  # between telling the engines their start and the first arrival
START_S = 30.0  # bounds the start of a process on a busy machine
PROCESSES_MAX = 64


class _Process:
    """A process of a load driver that says its first line when it is ready; ended, with its pipes, when the block is left."""

    def __init__(self, context: StepContext, command: list[str], environment: Mapping[str, str]) -> None:
        self._context = context
        self._name = command[0]
        self._spawned = spawn(
            [sys.executable, "-m", *command],
            folder=context.project,
            environment={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
        )
        self._process = self._spawned.process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._spawned.end()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # both are pipes

    def first_line(self) -> bytes:
        """Wait for it; raises ``HarnessError`` when the process died, is late, or the trial is being ended."""
        assert self._process.stdout is not None
        deadline_ns = self._context.now_ns() + round(START_S * NS_PER_S)
        while not select.select([self._process.stdout], [], [], 0.1)[0]:
            if self._context.stop():
                raise HarnessError(f"the trial was ended before {self._name} was ready")
            if self._context.now_ns() > deadline_ns:
                raise HarnessError(f"{self._name} was not ready within {START_S:g} s")
        line: bytes = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise HarnessError(f"{self._name} did not start (exit {self._spawned.end()}); its message is above")
        return line


class CanaryServer(_Process):
    """The canary's server process; ``port`` waits until it listens."""

    def __init__(self, context: StepContext) -> None:
        super().__init__(context, ["harness.load.canary", "--delay-ms", str(CANARY_DELAY_MS)], {})

    def port(self) -> int:
        return int(self.first_line())


class _Engine(_Process):
    """One engine process: number ``worker`` of those that share the plan."""

    def __init__(self, context: StepContext, plan: Path, worker: int, workers: int, keys: Mapping[str, str]) -> None:
        secrets = {"EH_LOAD_KEYS": msgspec.json.encode(dict(keys)).decode(), "EH_JOURNAL_ADDRESS": context.address}
        super().__init__(context, ["harness.load.engine", str(plan), str(worker), str(workers)], secrets)

    def begin(self, start_ns: int) -> None:
        """Tell it when the first arrival is due."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its exit code says so below
            self._process.stdin.write(b"%d\n" % start_ns)
            self._process.stdin.flush()

    def stop(self) -> None:
        """Tell it that the plan ends now; it waits for what is in flight and says what it did."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"stop\n")
            self._process.stdin.flush()

    def said(self, deadline_ns: int, look: Callable[[], None]) -> Said:
        """Wait for its end or the trial's, calling ``look`` meanwhile; its last line is what it says of itself."""
        assert self._process.stdout is not None
        while self._process.poll() is None:
            look()
            if self._context.stop() or self._context.now_ns() > deadline_ns:
                raise HarnessError("the load engine was ended before its plan was done")
            self._context.wait(0.1)
        lines = self._process.stdout.read().splitlines()
        if self._process.returncode != 0 or not lines:
            raise HarnessError(f"the load engine failed with exit {self._process.returncode}; its message is above")
        return msgspec.json.decode(lines[-1], type=Said)


class Fleet:
    """The engine processes of one plan, loaded and waiting for their start; ended with the block."""

    def __init__(self, context: StepContext, plan: EnginePlan, processes: int, keys: Mapping[str, str]) -> None:
        self._context, self._plan = context, plan
        self.stopped: tuple[int, str] | None = None  # when (ns) and why the plan was ended early
        self._stack = contextlib.ExitStack()
        path = context.folder / f"{context.step}.engine.json"
        path.write_bytes(msgspec.json.encode(plan))
        with contextlib.ExitStack() as starting:
            self._engines = [starting.enter_context(_Engine(context, path, number, processes, keys)) for number in range(processes)]
            for engine in self._engines:
                engine.first_line()
            self._stack = starting.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def run(self, start_ns: int, until: Callable[[], str] = lambda: "") -> Sequence[Said]:
        """Let all begin at ``start_ns`` and wait for all; a reason that ``until`` gives ends the plan early, as ``stopped`` says then."""

        def look() -> None:
            if self.stopped is None and (reason := until()):
                self.stopped = (self._context.now_ns(), reason)
                for engine in self._engines:
                    engine.stop()

        for engine in self._engines:
            engine.begin(start_ns)
        deadline_ns = start_ns + round((self._plan.duration_s + self._plan.timeout_s + 15) * NS_PER_S)
        return [engine.said(deadline_ns, look) for engine in self._engines]
