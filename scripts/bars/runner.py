"""Runs one bar as a subprocess: its lines are passed on, its last JSON line is the result. A bar that says nothing has failed."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.bars.model import Bar, Result
from scripts.bars.state import PROJECT, Tree

DETAIL_MAX = 4000
LINES_KEPT = 400
END_WITHIN_S = 20.0
Say = Callable[[str], None]


def command_of(bar: Bar) -> list[str]:
    """The command with the programs of this venv filled in."""
    programs = {"python": sys.executable, "harness": str(Path(sys.executable).parent / "harness")}
    return [part.format_map(programs) if part.startswith("{") else part for part in bar.command]


def run_bar(bar: Bar, tree: Tree, say: Say, log: Path) -> Result:
    """Run to the end or to the bar's limit; never raises for what the bar does."""
    began = time.monotonic()
    if not bar.command:
        figure, passed, detail = "not built yet", None, "this bar is named, but nothing runs it yet"
    else:
        code, lines, ended = _execute(command_of(bar), bar.limit_s, say, log)
        figure, passed, detail = outcome(code, lines)
        if not ended:
            figure, passed, detail = f"stopped after {bar.limit_s:.0f} s", False, "\n".join(lines[-20:])
    date = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    shown = shlex.join(bar.command).replace("'{python}'", "python").replace("'{harness}'", "harness")
    seconds = round(time.monotonic() - began, 1)
    return Result(bar.name, bar.text, shown, figure, passed, detail[:DETAIL_MAX], tree.identity, tree.commit, tree.dirty, seconds, date)


def outcome(code: int, lines: list[str]) -> tuple[str, bool | None, str]:
    """(figure, passed, detail) from the last JSON line; a result that disagrees with the exit code is a failure."""
    last = next((line for line in reversed(lines) if line.startswith("{")), "")
    try:
        said = json.loads(last)
        figure, passed, detail = str(said["figure"]), said["passed"], said.get("detail", "")
    except (ValueError, KeyError, TypeError):
        return f"no result (exit {code})", False, "\n".join(lines[-20:])
    if passed not in {True, False, None} or (passed is True and code != 0):
        return f"{figure} (exit {code})", False, "the result does not agree with the exit code"
    return figure, passed, detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)


def _execute(command: list[str], limit_s: float, say: Say, log: Path) -> tuple[int, list[str], bool]:
    """(exit code, last lines, whether it ended by itself)."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    expired = threading.Event()
    lines: list[str] = []
    child: subprocess.Popen[str] | None = None
    timer: threading.Timer | None = None
    try:
        with log.open("w", encoding="utf-8") as output:
            with _uninterrupted():  # a Ctrl-C between the start and the assignment would leave a child that nobody knows
                child = _child(command, environment)
                timer = threading.Timer(limit_s, _expire, (expired, child))
                timer.daemon = True
                timer.start()
            assert child.stdout is not None
            for raw in child.stdout:
                line = raw.rstrip("\n")
                output.write(raw)
                lines = [*lines[-LINES_KEPT:], line]
                if not line.startswith("{"):
                    say(line)
            code = child.wait(timeout=END_WITHIN_S)
    finally:
        if timer is not None:
            timer.cancel()
        if child is not None:
            _end(child)
    return code, lines, not expired.is_set()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block is done."""
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        raise KeyboardInterrupt


def _expire(expired: threading.Event, child: subprocess.Popen[str]) -> None:
    expired.set()
    _signal_group(child, signal.SIGTERM)


def _child(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def _end(child: subprocess.Popen[str]) -> None:
    """Ctrl-C or a limit: ask, then insist. The stacks of a bar end with it (they are owned by its processes)."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if child.poll() is not None:
            break
        _signal_group(child, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=END_WITHIN_S)
    if child.stdout is not None:
        child.stdout.close()


def _signal_group(child: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
