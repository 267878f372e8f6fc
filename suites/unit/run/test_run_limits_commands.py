"""Work with a limit in any thread; commands of the platform that leave no process behind."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from harness.run.commands import PlatformCommand
from harness.run.limits import OutOfTime, within
from suites.unit.waiting import reached

CHILD = "import os, subprocess, sys, pathlib; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
CHILD += "pathlib.Path('child').write_text(str(p.pid)); print('größe', flush=True); p.wait()"


WAITING = """
import sys, threading
from harness.run.limits import OutOfTime, within
found = []
def work():
    try:
        within(0.1, lambda: threading.Event().wait(60))
    except OutOfTime as error:
        found.append(type(error).__name__)
thread = threading.Thread(target=work, daemon=True)
thread.start() if sys.argv[1] == "elsewhere" else work()
thread.ident and thread.join(10)
print(found)
"""


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_work_over_its_limit_is_out_of_time_in_every_thread(where: str) -> None:
    """A wait of a minute is left within its limit, in the main thread and in another one (in a process that no tracer slows down)."""
    done = subprocess.run([sys.executable, "-c", WAITING, where], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "['OutOfTime']\n", done.stderr


def test_work_over_its_limit_writes_nothing_more() -> None:
    """In another thread too it has ended when its limit is told: what it wrote later would be in no manifest."""
    ended, found, written = threading.Event(), [], [0] * 50

    def writes() -> None:
        try:
            for number in itertools.count():
                written[number % 50] = number
        finally:
            ended.set()

    def work() -> None:
        try:
            within(0.1, writes)
        except OutOfTime:
            found.append(ended.is_set())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(20)
    assert found == [True]


def test_work_within_its_limit_gives_what_it_gives() -> None:
    """The value, or the error, with a limit and without one."""
    assert within(5.0, lambda: 3) == within(None, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(5.0, lambda: {}["x"])


def test_a_guard_against_errors_does_not_swallow_the_limit() -> None:
    """``except Exception``, as checkers are guarded, is no way around it."""
    assert not issubclass(OutOfTime, Exception)


def test_a_command_at_its_limit_takes_its_children_along(tmp_path: Path) -> None:
    """Exit 124 with what was printed so far; what the command started is gone too."""
    result = PlatformCommand((sys.executable, "-c", CHILD)).run({"PYTHONUTF8": "1"}, tmp_path, 3.0)
    assert (result.exit_code, result.text.strip()) == (124, "größe")
    child = int((tmp_path / "child").read_text())
    assert reached(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_a_command_is_found_on_the_path_or_beside_the_project(tmp_path: Path) -> None:
    """A bare name by PATH, ``./name`` in the folder; a name that is nowhere is said."""
    script = tmp_path / "say"
    script.write_text("#!/bin/sh\necho said; exit 3\n")
    script.chmod(0o755)
    assert PlatformCommand(("./say",)).run({}, tmp_path, 10.0).exit_code == 3
    assert PlatformCommand(("say",)).run({"PATH": f"{tmp_path}:{os.defpath}"}, tmp_path, 10.0).text == "said\n"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        PlatformCommand(("nowhere",)).run({}, tmp_path, 1.0)
