"""Processes of a load tool beside the runner: started with keys in the environment, watched until they end, always ended.

A tool that is not ours gets three things from here: a canary's server to ask, a bound on its time, and an end with the trial.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from harness.core.errors import HarnessError
from harness.run.processes import Spawned, spawn
from harness.run.protocols import StepContext

CANARY_RATE_PER_S = 20.0
CANARY_DELAY_MS = 5.0
CANARY_START_S = 30.0
POLL_S = 0.2


@contextlib.contextmanager
def canary_server(context: StepContext) -> Iterator[str]:
    """The address (``http://127.0.0.1:PORT``) of a server of known delay, ended when the block is left."""
    command = [sys.executable, "-m", "harness.load.canary", "--delay-ms", str(CANARY_DELAY_MS)]
    with spawn(command, folder=context.project, environment=os.environ, stdout=subprocess.PIPE, stderr=None) as spawned:
        output = spawned.process.stdout
        assert output is not None
        with output:
            yield f"http://127.0.0.1:{int(_first_line(context, output))}"


def _first_line(context: StepContext, output: IO[bytes]) -> bytes:
    deadline_ns = context.now_ns() + round(CANARY_START_S * 1e9)
    while not select.select([output], [], [], POLL_S)[0]:
        if context.stop() or context.now_ns() > deadline_ns:
            raise HarnessError("the canary's server was not ready in time")
    line = output.readline()
    if not line.strip().isdigit():
        raise HarnessError("the canary's server did not start; its message is above")
    return line


@contextlib.contextmanager
def tool(
    command: Sequence[str], context: StepContext, environment: Mapping[str, str], *, stdout: int = subprocess.DEVNULL
) -> Iterator[Spawned]:
    """A process of the tool; its error output is ours, so that its messages are seen."""
    spawned = spawn(command, folder=context.project, environment={**os.environ, **environment}, stdout=stdout, stderr=None)
    try:
        yield spawned
    finally:
        spawned.end()
        if spawned.process.stdout is not None:
            spawned.process.stdout.close()


def await_end(context: StepContext, spawned: Spawned, name: str, limit_s: float, meanwhile: Callable[[], None] | None = None) -> float:
    """Wait for the process; the CPU seconds it was last seen with. ``meanwhile`` runs every 0.2 s.

    Raises ``HarnessError`` at the limit or when the trial is being ended.
    """
    deadline_ns = context.now_ns() + round(limit_s * 1e9)
    cpu_s = 0.0
    while spawned.process.poll() is None:
        cpu_s = max(cpu_s, spawned.cpu_seconds())
        if context.stop() or context.now_ns() > deadline_ns:
            raise HarnessError(f"{name} was ended before its run was done")
        if meanwhile is not None:
            meanwhile()
        context.wait(POLL_S)
    return cpu_s


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
