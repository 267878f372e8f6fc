"""Validation out of process, bounded in memory and time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.core.errors import HarnessError, UsageError
from harness.run.processes import Spawned, spawn
from harness.shacl.judging import Use
from harness.shacl.report import ShaclReport, decode_report
from harness.shacl.validate import UNUSABLE

MEMORY_BYTES = 3 << 30
TIME_S = 300.0
POLL_S = 0.05


def validate_files(
    data: Path,
    shapes: Sequence[Path],
    *,
    use: Use = "confirmed",
    time_s: float = TIME_S,
    memory_bytes: int = MEMORY_BYTES,
    stop: Callable[[], bool] = lambda: False,
) -> ShaclReport:
    """Validate one data file against shapes files. ``UsageError`` for what cannot be used; ``HarnessError`` at a bound."""
    with tempfile.TemporaryDirectory(prefix="eh-shacl-") as folder:
        out, said = Path(folder) / "report.json", Path(folder) / "said.txt"
        command = [sys.executable, "-m", "harness.shacl.validate", str(out), str(memory_bytes), use, str(data.resolve())]
        with said.open("wb") as stream:
            spawned = spawn(
                [*command, *(str(path.resolve()) for path in shapes)],
                environment={**os.environ, "PYTHONWARNINGS": "ignore"},
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )
            _wait(spawned, time_s, stop)
        code = spawned.process.returncode
        words = said.read_text(encoding="utf-8", errors="replace").strip()
        if code == UNUSABLE:
            raise UsageError(words)
        if code != 0 or not out.is_file():
            last = words.splitlines()[-1] if words else "no message"
            raise HarnessError(f"the validator ended with exit {code} (bounds: {memory_bytes >> 20} MiB, {time_s:g} s): {last}")
        return decode_report(out.read_bytes())


def _wait(spawned: Spawned, time_s: float, stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + time_s
    try:
        while time.monotonic() < deadline and not stop():
            try:
                spawned.process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                continue
            return
        raise HarnessError(f"the validator was ended before it was done (bound {time_s:g} s)")
    finally:
        spawned.end(grace_s=0.2)
