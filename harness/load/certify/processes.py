"""The processes of a certificate: the reference server, and engines run to their end with a bound."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

import msgspec

from harness.core.errors import HarnessError
from harness.load.certify.script import ServerScript
from harness.run.processes import Spawned, spawn
from harness.run.protocols import StepContext

READY_S = 30.0
LOG_S = 60.0  # how long the server may take to write its log
POLL_S = 0.05


class ReferenceProcess:
    """The reference server as a process of its own; ended, whatever happens, when the block is left."""

    def __init__(self, context: StepContext, script: ServerScript, token: str) -> None:
        self._context = context
        self._script_path = context.folder / f"{context.step}.server.json"
        self._log_path = context.folder / f"{context.step}.server.tsv.gz"
        self._script_path.write_bytes(msgspec.json.encode(script))
        self._token = token
        self.port = 0

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "harness.load.certify.server", str(self._script_path), str(self._log_path)]
        environment = {**os.environ, "EH_REFERENCE_TOKEN": self._token}
        pipe = subprocess.PIPE
        self._spawned = spawn(command, folder=self._context.project, environment=environment, stdin=pipe, stdout=pipe, stderr=None)
        try:
            self.port = int(read_line(self._context, self._spawned, READY_S, "the reference server"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._spawned.end()
        for pipe in (self._spawned.process.stdin, self._spawned.process.stdout):
            with contextlib.suppress(BrokenPipeError, AttributeError):
                pipe.close()  # type: ignore[union-attr]  # both are pipes

    def cpu_seconds(self) -> float:
        """CPU time of the server so far."""
        return self._spawned.cpu_seconds()

    def finish(self) -> bytes:
        """Let it write its log and take it; the file itself goes, the log is stored as evidence."""
        assert self._spawned.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._spawned.process.stdin.write(b"end\n")
            self._spawned.process.stdin.flush()
        read_line(self._context, self._spawned, LOG_S, "the log of the reference server")
        content = self._log_path.read_bytes()
        self._log_path.unlink()
        return content


def read_line(context: StepContext, spawned: Spawned, limit_s: float, what: str) -> bytes:
    """The next line a process says; ``HarnessError`` when it ends, at the limit, or when the trial is being ended."""
    output: IO[bytes] | None = spawned.process.stdout
    assert output is not None
    deadline_ns = context.now_ns() + round(limit_s * 1e9)
    while not select.select([output], [], [], 0.1)[0]:
        if context.stop():
            raise HarnessError(f"the trial was ended before {what} was there")
        if context.now_ns() > deadline_ns:
            raise HarnessError(f"{what} was not there within {limit_s:g} s")
    line = output.readline()
    if not line.endswith(b"\n"):
        raise HarnessError(f"{what} did not come (exit {spawned.end()}); its message is above")
    return line


def run_engine(
    context: StepContext, command: Sequence[str], environment: Mapping[str, str], limit_s: float, output: Path, name: str
) -> tuple[int, float]:
    """Run a load engine to its end, its output in a file: (exit code, CPU seconds). ``HarnessError`` beyond the limit."""
    with output.open("wb") as stream:
        spawned = spawn(command, folder=context.folder, environment={**os.environ, **environment}, stdout=stream, stderr=subprocess.STDOUT)
        deadline_ns = context.now_ns() + round(limit_s * 1e9)
        cpu_s = 0.0
        try:
            while spawned.process.poll() is None:
                cpu_s = max(cpu_s, spawned.cpu_seconds())
                if context.stop() or context.now_ns() > deadline_ns:
                    raise HarnessError(f"{name} was ended before its run was done")
                context.wait(POLL_S)
        finally:
            spawned.end()
    return spawned.process.returncode, cpu_s


def last_lines(path: Path, count: int = 5) -> str:
    """The end of a process's output, for the message of its failure."""
    return " | ".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])[-600:]
