"""Commands of the judged platform that act beside a running stack (back up, restore, reset), as ``[commands]`` names them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.run.project import CommandTable

OUTPUT_MAX = 20_000


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
        """Run to the end or the limit, with the environment of a service of the stack."""
        merged = {**os.environ, **environment}
        try:
            done = subprocess.run(
                self.arguments, env=merged, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            return CommandResult(124, _text(error.stdout))
        return CommandResult(done.returncode, _text(done.stdout))


def platform_command(table: CommandTable, *more: str) -> PlatformCommand:
    """The command of a table with ``{python}`` replaced and further arguments behind it."""
    return PlatformCommand((*(part.replace("{python}", sys.executable) for part in table.command), *more))


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")[-OUTPUT_MAX:]
