"""The driver ``open_loop``: plans arrivals, starts the canary's server and the engine, and journals what was planned and said."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from harness.core.errors import HarnessError
from harness.core.units import Duration, Rate
from harness.journal.events import LoadFinished, LoadPlanned, Window
from harness.load.arrivals import NS, Shape, choices, offsets
from harness.load.engine import CanaryPlan, EnginePlan
from harness.load.requests import bodies, local_address, request_kind
from harness.run.processes import spawn
from harness.run.protocols import MetricSpec, StepContext

CANARY_RATE_MIN_PER_S = 20.0
CANARY_SHARE = 0.01
CANARY_DELAY_MS = 5.0
LEAD_S = 0.1  # between telling the engine its start and the first arrival
START_S = 30.0  # bounds the start of a process on a busy machine
TAGS = ("op", "step", "outcome")


class OpenLoop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arrivals at a rate, whatever the answers do. ``duration`` counts from the end of ``warmup``."""

    rate: Rate
    duration: Duration
    requests: str
    warmup: Duration = Duration.parse("0 s")
    shape: Shape = "constant"
    timeout: Duration = Duration.parse("10 s")
    seed_stream: str = "load"


class OpenLoopDriver:
    """Drives one kind of request open-loop, a canary beside it."""

    name: ClassVar[str] = "open_loop"
    parameters: ClassVar[type[msgspec.Struct]] = OpenLoop
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("response_time", "s", "samples:requests", TAGS),
        MetricSpec("service_time", "s", "samples:requests", TAGS),
        MetricSpec("schedule_lag", "s", "samples:requests", TAGS),
        MetricSpec("errors", "%", "samples:requests", TAGS),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: OpenLoop) -> None:
        """Raises ``UsageError`` for an unknown request kind, ``HarnessError`` when the engine did not finish its plan."""
        address = local_address(context.target.base_url)
        kind = request_kind(context.configuration, parameters.requests)
        kind = msgspec.structs.replace(kind, path=address.prefix + kind.path)
        pool = bodies(kind, context.project)
        total_s = parameters.warmup.seconds + parameters.duration.seconds
        due = offsets(parameters.shape, parameters.rate.per_second, total_s, context.seed)
        np.save(context.folder / f"{context.step}.offsets.npy", due)
        np.save(context.folder / f"{context.step}.choices.npy", choices(len(due), len(pool), context.seed))
        canary_rate = max(CANARY_RATE_MIN_PER_S, CANARY_SHARE * parameters.rate.per_second)
        with _Canary(context) as canary:
            plan = EnginePlan(
                trial=context.trial,
                step=context.step,
                host=address.host,
                port=address.port,
                kind=kind,
                bodies=tuple(body.decode() for body in pool),
                key_header=context.target.key_header,
                offsets_file=str(context.folder / f"{context.step}.offsets.npy"),
                choices_file=str(context.folder / f"{context.step}.choices.npy"),
                timeout_s=parameters.timeout.seconds,
                duration_s=total_s,
                canary=CanaryPlan("127.0.0.1", canary.port, canary_rate),
                address=context.address,
                run_folder=str(context.run_folder),
            )
            context.journal.emit(_planned(context, parameters, len(due), canary_rate))
            with _Engine(context, plan, context.target.keys.get(kind.key, "")) as engine:
                start_ns = context.now_ns() + round(LEAD_S * NS)
                _emit_phases(context, start_ns, start_ns + parameters.warmup.ns, start_ns + round(total_s * NS))
                said = engine.run(start_ns, total_s + plan.timeout_s + 15)
        context.journal.emit(
            LoadFinished(
                trial=context.trial,
                step=context.step,
                engine="ours",
                intended=int(said["intended"]),
                sent=int(said["sent"]),
                completed=int(said["completed"]),
                cpu_share=float(said["cpu_share"]),
            )
        )


def _planned(context: StepContext, parameters: OpenLoop, count: int, canary_rate: float) -> LoadPlanned:
    return LoadPlanned(
        trial=context.trial,
        step=context.step,
        engine="ours",
        rate_per_s=parameters.rate.per_second,
        warmup_s=parameters.warmup.seconds,
        duration_s=parameters.duration.seconds,
        requests=count,
        canary_rate_per_s=canary_rate,
    )


def _emit_phases(context: StepContext, start_ns: int, warm_ns: int, end_ns: int) -> None:
    """The windows that thresholds may name: fixed in the plan, journaled before the first request."""
    for name, begin, finish in (("warmup", start_ns, warm_ns), ("steady", warm_ns, end_ns)):
        if finish > begin:
            tags = {"step": context.step}
            context.journal.emit(Window(trial=context.trial, kind="phase", name=name, start_ns=begin, end_ns=finish, tags=tags))


class _Process:
    """A process of this driver that says its first line when it is ready; ended, with its pipes, when the block is left."""

    def __init__(self, context: StepContext, command: list[str], environment: Mapping[str, str], stderr: int | None) -> None:
        self._context = context
        self._spawned = spawn(
            [sys.executable, "-m", *command],
            folder=context.project,
            environment={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        self._process = self._spawned.process
        try:
            self._said = self._first_line(command[0])
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._spawned.end()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # both are pipes

    def _first_line(self, name: str) -> bytes:
        assert self._process.stdout is not None
        deadline_ns = self._context.now_ns() + round(START_S * NS)
        while not select.select([self._process.stdout], [], [], 0.1)[0]:
            if self._context.stop():
                raise HarnessError(f"the trial was ended before {name} was ready")
            if self._context.now_ns() > deadline_ns:
                raise HarnessError(f"{name} was not ready within {START_S:g} s")
        line: bytes = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise HarnessError(f"{name} did not start (exit {self._spawned.end()}); its message is above")
        return line


class _Canary(_Process):
    """The canary's server process and its port."""

    def __init__(self, context: StepContext) -> None:
        super().__init__(context, ["harness.load.canary", "--delay-ms", str(CANARY_DELAY_MS)], {}, None)
        self.port = int(self._said)


class _Engine(_Process):
    """The engine process, loaded and waiting for its start."""

    def __init__(self, context: StepContext, plan: EnginePlan, key: str) -> None:
        path = context.folder / f"{context.step}.engine.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(plan, address="")))
        super().__init__(context, ["harness.load.engine", str(path)], {"EH_LOAD_KEY": key, "EH_JOURNAL_ADDRESS": plan.address}, None)

    def run(self, start_ns: int, limit_s: float) -> Mapping[str, Any]:
        """Let it begin at ``start_ns``, wait for its end or the trial's; its last line is what it says of itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its exit code says so below
            self._process.stdin.write(b"%d\n" % start_ns)
            self._process.stdin.flush()
        self._await_end(limit_s)
        lines = self._process.stdout.read().splitlines()
        if self._process.returncode != 0 or not lines:
            raise HarnessError(f"the load engine failed with exit {self._process.returncode}; its message is above")
        said: Mapping[str, Any] = json.loads(lines[-1])
        return said

    def _await_end(self, limit_s: float) -> None:
        deadline_ns = self._context.now_ns() + round(limit_s * NS)
        while self._process.poll() is None:
            if self._context.stop() or self._context.now_ns() > deadline_ns:
                raise HarnessError("the load engine was ended before its plan was done")
            self._context.wait(0.1)
