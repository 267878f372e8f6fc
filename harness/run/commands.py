"""Commands of the judged platform that act beside a running stack (back up, restore, reset), as ``[commands]`` names them."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from harness.core.ending import ENDING
from harness.core.errors import Aborted
from harness.run.processes import Spawned, spawn
from harness.run.project import CommandTable

OUTPUT_MAX = 20_000
POLL_S = 0.2
TIMED_OUT = 124


@dataclasses.dataclass(frozen=True, slots=True)
class CommandResult:
    """Exit code (124: ended at its limit) and the last 20,000 characters of what it printed."""

    exit_code: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class PlatformCommand:
    """A command line with its variables resolved."""

    arguments: tuple[str, ...]

    def run(self, environment: Mapping[str, str], folder: Path, limit_s: float) -> CommandResult:
        """Run to the end or the limit, with the environment of a service of the stack; it ends with the run that asked for it."""
        ENDING.check()
        merged = {**os.environ, **environment}
        command = (self._program(merged, folder), *self.arguments[1:])
        with tempfile.TemporaryFile() as output:
            with spawn(command, environment=merged, folder=folder, stdout=output, stderr=subprocess.STDOUT) as spawned:
                code = _waited(spawned, limit_s)
            output.seek(0)
            return CommandResult(code, _text(output.read()))

    def _program(self, environment: Mapping[str, str], folder: Path) -> str:
        name = self.arguments[0]
        found = str(folder / name) if os.sep in name else shutil.which(name, path=environment.get("PATH"))
        if found is None or not Path(found).is_file():
            raise FileNotFoundError(errno.ENOENT, "there is no such program", name)
        return found


def platform_command(table: CommandTable, *more: str) -> PlatformCommand:
    """The command of a table with ``{python}`` replaced and further arguments behind it."""
    return PlatformCommand((*(part.replace("{python}", sys.executable) for part in table.command), *more))


def _waited(spawned: Spawned, limit_s: float) -> int:
    """The exit code, or 124 at the limit. Raises ``Aborted`` when the run is being ended meanwhile."""
    until = time.monotonic() + limit_s
    while (left_s := until - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return spawned.process.wait(min(POLL_S, left_s))
        if ENDING.requested:
            raise Aborted("the run is being ended")
    return TIMED_OUT


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")[-OUTPUT_MAX:]
