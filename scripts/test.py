"""The test run: format, lint, types, import rules, then pytest with a coverage floor. ``make test`` calls it.

``--static`` stops before pytest. Extra arguments go to pytest. Every stage runs even when an earlier one failed, so that one
run shows everything that is wrong; the exit code is 1 when any failed.

The tests run as three sessions beside each other, for most of them wait: what only computes and what drives commands, both at a lower
priority, and what starts stacks or measures time.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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
# Sessions beside the one of all other tests. None of these measures time.
BESIDE: dict[str, tuple[str, ...]] = {
    "computing": (
        *("briefing", "chunking", "core", "ctgov", "extraction", "gate", "gateway", "graph", "journal", "models", "relations", "report"),
        *("retrieval", "retrieval_wing", "scenario", "shacl", "sources", "steps", "thresholds", "traceability", "versions"),
        *("load/budget", "load/compare", "load/soak", "load/shape"),
    ),
    "commands": ("acceptance", "bars", "cli", "contract", "plugin", "scripts"),
}
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
    """All sessions, then coverage of them together."""
    started = time.monotonic()
    folders = {name: [f"{UNIT}/{folder}" for folder in found] for name, found in BESIDE.items()}
    others = [UNIT, *(f"--ignore={folder}" for found in folders.values() for folder in found)]
    with contextlib.ExitStack() as ending:
        beside = [ending.enter_context(session(name, found)) for name, found in folders.items()]
        code = subprocess.run(pytest_command(others), cwd=PROJECT, env=environment(".coverage.others"), check=False).returncode
        for process in beside:
            code = process.wait() or code
    return told("tests", code or coverage(), started)


@contextlib.contextmanager
def session(name: str, folders: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A session that goes on meanwhile; what it said is printed at its end."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            pytest_command(folders),
            cwd=PROJECT,
            env=environment(f".coverage.{name}"),
            stdout=said,
            stderr=said,
            preexec_fn=lambda: os.nice(NICER),  # noqa: PLW1509 - one thread, and os.nice needs no lock
        )
        try:
            yield process
        finally:
            process.kill()  # harmless once it has ended
            process.wait()
            said.seek(0)
            print(f"test: the session {name!r}:", flush=True)
            sys.stdout.buffer.write(said.read())
            sys.stdout.flush()


def coverage() -> int:
    """The exit code of the floor over all sessions."""
    for command in (
        ["combine", "--quiet", *(f".coverage.{name}" for name in (*BESIDE, "others"))],
        ["report", "--skip-covered", f"--fail-under={COVERAGE_FLOOR_PERCENT}", "--format=total"],
    ):
        code = subprocess.run([str(BIN / "python"), "-m", "coverage", *command], cwd=PROJECT, env=environment(), check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
