"""The driver ``open_loop``: plans arrivals, starts the canary's server and the engine, and journals what was planned and said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import msgspec
import numpy as np

from harness.core.errors import HarnessError
from harness.core.units import Duration, Rate
from harness.journal.events import LoadFinished, LoadPlanned, Window
from harness.load.arrivals import NS, Shape, choices, offsets
from harness.load.engine import CanaryPlan, EnginePlan
from harness.load.requests import bodies, request_kind
from harness.run.processes import Spawned, spawn
from harness.run.protocols import MetricSpec, StepContext

CANARY_RATE_MIN_PER_S = 20.0
CANARY_SHARE = 0.01
CANARY_DELAY_MS = 5.0
LEAD_S = 0.6  # between planning and the first arrival: the engine process has to be up
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
        kind = request_kind(context.configuration, parameters.requests)
        pool = bodies(kind, context.project)
        total_s = parameters.warmup.seconds + parameters.duration.seconds
        due = offsets(parameters.shape, parameters.rate.per_second, total_s, context.seed)
        np.save(context.folder / f"{context.step}.offsets.npy", due)
        np.save(context.folder / f"{context.step}.choices.npy", choices(len(due), len(pool), context.seed))
        canary_rate = max(CANARY_RATE_MIN_PER_S, CANARY_SHARE * parameters.rate.per_second)
        address = urlsplit(context.target.base_url)
        with _Canary(context) as canary:
            start_ns = context.now_ns() + round(LEAD_S * NS)
            plan = EnginePlan(
                trial=context.trial,
                step=context.step,
                host=address.hostname or "127.0.0.1",
                port=address.port or 80,
                kind=kind,
                bodies=tuple(body.decode() for body in pool),
                key_header=context.target.key_header,
                start_ns=start_ns,
                offsets_file=str(context.folder / f"{context.step}.offsets.npy"),
                choices_file=str(context.folder / f"{context.step}.choices.npy"),
                timeout_s=parameters.timeout.seconds,
                duration_s=total_s,
                canary=CanaryPlan("127.0.0.1", canary.port, canary_rate),
                address=context.address,
                run_folder=str(context.run_folder),
            )
            context.journal.emit(_planned(context, parameters, len(due), canary_rate))
            warm_ns = start_ns + parameters.warmup.ns
            _emit_phases(context, start_ns, warm_ns, start_ns + round(total_s * NS))
            said = _drive(context, plan, context.target.keys.get(kind.key, ""), total_s)
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


class _Canary:
    """The canary's server process and its port."""

    def __init__(self, context: StepContext) -> None:
        command = [sys.executable, "-m", "harness.load.canary", "--delay-ms", str(CANARY_DELAY_MS)]
        self._spawned = spawn(command, folder=context.project, environment=dict(os.environ), stdout=subprocess.PIPE)
        self.port = _first_number(self._spawned)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._spawned.end()
        _close(self._spawned)


def _first_number(spawned: Spawned) -> int:
    assert spawned.process.stdout is not None
    line = spawned.process.stdout.readline()
    if not line.strip().isdigit():
        spawned.end()
        raise HarnessError("the canary's server did not start")
    return int(line)


def _close(spawned: Spawned) -> None:
    if spawned.process.stdout is not None:
        spawned.process.stdout.close()


def _drive(context: StepContext, plan: EnginePlan, key: str, total_s: float) -> Mapping[str, Any]:
    """Run the engine process to its end or the trial's; its last line is what it says of itself."""
    path = context.folder / f"{context.step}.engine.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(plan, address="")))
    command = [sys.executable, "-m", "harness.load.engine", str(path)]
    environment = {**os.environ, "EH_LOAD_KEY": key, "EH_JOURNAL_ADDRESS": plan.address}
    spawned = spawn(command, folder=context.project, environment=environment, stdout=subprocess.PIPE, stderr=None)
    try:
        _await_end(context, spawned, total_s + plan.timeout_s + 15)
        assert spawned.process.stdout is not None
        lines = spawned.process.stdout.read().splitlines()
    finally:
        spawned.end()
        _close(spawned)
    if spawned.process.returncode != 0 or not lines:
        raise HarnessError(f"the load engine failed with exit {spawned.process.returncode}; its message is above")
    said: Mapping[str, Any] = json.loads(lines[-1])
    return said


def _await_end(context: StepContext, spawned: Spawned, limit_s: float) -> None:
    deadline_ns = context.now_ns() + round(limit_s * NS)
    while spawned.process.poll() is None:
        if context.stop() or context.now_ns() > deadline_ns:
            raise HarnessError("the load engine was ended before its plan was done")
        context.wait(0.1)
