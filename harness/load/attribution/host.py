"""The driver ``host``: the condition of the machine and of the stack's processes, sampled beside the load by a process of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from harness.core.errors import Blocked, HarnessError
from harness.load.attribution.readings import PROC
from harness.load.attribution.sampler import READY
from harness.run.processes import Spawned, spawn
from harness.run.protocols import MetricSpec, StepContext

START_S = 30.0
END_S = 35.0  # its segments are closed by then
LOOK_S = 0.2  # how often the pids of the services are compared
SHARE = ("cpu_busy", "cpu_steal", "cpu_pressure", "io_pressure", "memory_pressure", "disk_busy")


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``beside``: the step that carries the load; sampling ends with it."""

    beside: str


class HostDriver:
    """Streams ``host`` and ``services``. Without a stack of ours only the host is sampled."""

    name: ClassVar[str] = "host"
    parameters: ClassVar[type[msgspec.Struct]] = Host
    metrics: ClassVar[tuple[MetricSpec, ...]] = tuple(MetricSpec(name, "%", "samples:host") for name in SHARE)
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: Host) -> None:
        """Raises ``Blocked`` where there is no /proc, ``HarnessError`` when the sampler does not start or fails."""
        if not (PROC / "stat").exists():
            raise Blocked("the host is sampled from /proc, which this system does not have")
        spawned = spawn(
            [sys.executable, "-m", "harness.load.attribution.sampler", str(context.run_folder), context.trial],
            folder=context.project,
            environment={**os.environ, "EH_JOURNAL_ADDRESS": context.address},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
        )
        with spawned:
            _await_ready(context, spawned)
            _keep_telling(context, spawned, parameters.beside)
            _finish(spawned)


def _await_ready(context: StepContext, spawned: Spawned) -> None:
    output = spawned.process.stdout
    assert output is not None
    deadline_ns = context.now_ns() + round(START_S * 1e9)
    while not select.select([output], [], [], 0.1)[0]:
        if context.stop() or context.now_ns() > deadline_ns:
            raise HarnessError("the host's sampler was not ready in time")
    if output.readline().strip() != READY.encode():
        raise HarnessError(f"the host's sampler did not start (exit {spawned.end()}); its message is above")


def _keep_telling(context: StepContext, spawned: Spawned, beside: str) -> None:
    """Who is to be watched, whenever a service has another process."""
    said: Mapping[str, int] = {}
    while context.window(beside) is None and not context.stop():
        now = {} if context.stack is None else {status.name: status.pid for status in context.stack.services()}
        if now != said:
            assert spawned.process.stdin is not None
            spawned.process.stdin.write(json.dumps(now).encode() + b"\n")
            spawned.process.stdin.flush()
            said = now
        if spawned.process.poll() is not None:
            raise HarnessError(f"the host's sampler ended with exit {spawned.process.returncode}; its message is above")
        context.wait(LOOK_S)


def _finish(spawned: Spawned) -> None:
    process = spawned.process
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        code = process.wait(END_S)
    except subprocess.TimeoutExpired:
        raise HarnessError(f"the host's sampler did not end within {END_S:g} s") from None
    finally:
        process.stdout.close()
    if code:
        raise HarnessError(f"the host's sampler failed with exit {code}; its message is above")
