"""The test run: format, lint, types, import rules, then pytest with a coverage floor. ``make test`` calls it.

``--static`` stops before pytest. Extra arguments go to pytest. Every stage runs even when an earlier one failed, so that one
run shows everything that is wrong; the exit code is 1 when any failed.

The tests run as two sessions beside each other: what only computes, at a lower priority, and what starts processes or measures time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
COVERAGE_FLOOR_PERCENT = 70

STATIC = (
    ("format", [str(BIN / "ruff"), "format", "--check", "--quiet", "."]),
    ("lint", [str(BIN / "ruff"), "check", "--quiet", "."]),
    ("types", [str(BIN / "mypy")]),
    ("import rules", [str(BIN / "lint-imports"), "--no-cache"]),
)
# Tests that only compute: none waits, measures time or starts a stack. Everything else is in the other session.
COMPUTING = (
    *("briefing", "chunking", "core", "ctgov", "extraction", "gate", "gateway", "graph", "journal", "models", "report"),
    *("retrieval", "retrieval_wing", "scenario", "shacl", "sources", "steps", "thresholds", "traceability", "versions"),
    *("load/budget", "load/compare", "load/soak", "load/shape"),
)
UNIT = "suites/unit"
NICER = 5


def main(arguments: list[str]) -> int:
    static_only = "--static" in arguments
    extra = [argument for argument in arguments if argument != "--static"]
    failed = [name for name, command in STATIC if not stage(name, command)]
    if not static_only and not (selected(extra) if extra else everything()):
        failed.append("tests")
    print(f"test: failed: {', '.join(failed)}" if failed else "test: all green", flush=True)
    return 1 if failed else 0


def stage(name: str, command: list[str]) -> bool:
    started = time.monotonic()
    code = subprocess.run(command, cwd=PROJECT, env=environment(), check=False).returncode
    return told(name, code, started)


def told(name: str, code: int, started: float) -> bool:
    print(f"test: {name}: {'ok' if code == 0 else f'FAILED (exit {code})'} after {time.monotonic() - started:.0f} s", flush=True)
    return code == 0


def environment(coverage: str = ".coverage") -> dict[str, str]:
    return {**os.environ, "PYTHONUTF8": "1", "COVERAGE_FILE": str(PROJECT / coverage)}


def pytest_command(arguments: list[str]) -> list[str]:
    return [str(BIN / "python"), "-m", "coverage", "run", "--branch", "--source=harness,system", "-m", "pytest", "-q", *arguments]


def selected(extra: list[str]) -> bool:
    """A selection of tests in one session, without a coverage floor."""
    return stage("tests", pytest_command(extra))


def everything() -> bool:
    """Both sessions, then coverage of both together."""
    started = time.monotonic()
    computing = [f"{UNIT}/{name}" for name in COMPUTING]
    others = [UNIT, *(f"--ignore={folder}" for folder in computing)]
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen(
            pytest_command(computing),
            cwd=PROJECT,
            env=environment(".coverage.computing"),
            stdout=said,
            stderr=said,
            preexec_fn=lambda: os.nice(NICER),  # noqa: PLW1509 - one thread, and os.nice needs no lock
        )
        try:
            code = subprocess.run(pytest_command(others), cwd=PROJECT, env=environment(".coverage.others"), check=False).returncode
            code = beside.wait() or code
        finally:
            beside.kill()  # harmless once it has ended
            beside.wait()
        said.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(said.read())
    return told("tests", code or coverage(), started)


def coverage() -> int:
    """The exit code of the floor over both sessions."""
    for command in (
        ["combine", "--quiet", ".coverage.computing", ".coverage.others"],
        ["report", "--skip-covered", f"--fail-under={COVERAGE_FLOOR_PERCENT}", "--format=total"],
    ):
        code = subprocess.run([str(BIN / "python"), "-m", "coverage", *command], cwd=PROJECT, env=environment(), check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
