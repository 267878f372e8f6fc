"""The test run: format, lint, types, import rules, then pytest with a coverage floor. ``make test`` calls it.

``--static`` stops before pytest. Extra arguments go to pytest. Every stage runs even when an earlier one failed, so that one
run shows everything that is wrong; the exit code is 1 when any failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
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


def main(arguments: list[str]) -> int:
    static_only = "--static" in arguments
    extra = [argument for argument in arguments if argument != "--static"]
    failed = [name for name, command in STATIC if not stage(name, command)]
    if not static_only and not stage("tests", tests(extra)):
        failed.append("tests")
    print(f"test: failed: {', '.join(failed)}" if failed else "test: all green", flush=True)
    return 1 if failed else 0


def tests(extra: list[str]) -> list[str]:
    """Pytest under coverage; a selection of tests has no coverage floor."""
    return [str(BIN / "python"), "-m", "coverage", "run", "--branch", "--source=harness,system", "-m", "pytest", "-q", *extra]


def stage(name: str, command: list[str]) -> bool:
    started = time.monotonic()
    environment = {**os.environ, "PYTHONUTF8": "1", "COVERAGE_FILE": str(PROJECT / ".coverage")}
    code = subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode
    if code == 0 and name == "tests" and len(command) <= len(tests([])):
        code = subprocess.run(
            [str(BIN / "python"), "-m", "coverage", "report", "--skip-covered", f"--fail-under={COVERAGE_FLOOR_PERCENT}", "--format=total"],
            cwd=PROJECT,
            env=environment,
            check=False,
        ).returncode
    print(f"test: {name}: {'ok' if code == 0 else f'FAILED (exit {code})'} after {time.monotonic() - started:.0f} s", flush=True)
    return code == 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
