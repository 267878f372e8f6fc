"""Endings of a run in a toy project: signals, tests that catch KeyboardInterrupt, streams that are closed or full, full disks."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from scripts.bars.endings import WAYS, Trial, toy_trial
from suites.unit.waiting import wait_for

SWALLOW = """
import pathlib, time
def test_swallow(target):
    pathlib.Path('started').touch()
    while True:
        try:
            time.sleep(30)
        except BaseException:
            pass
def test_after(): pathlib.Path('after').touch()
"""


@pytest.mark.parametrize(
    ("way", "phase", "tests"),
    [
        ("SIGINT x3", "test", "obedient"),
        ("SIGINT", "fault", "stubborn"),
        ("SIGHUP", "start", "obedient"),
        ("SIGTERM", "reporting", "stubborn"),
        ("SIGKILL", "load", "obedient"),
    ],
)
def test_a_run_ends_readable_with_nothing_left(way: str, phase: str, tests: str) -> None:
    """However it is asked, in whatever phase: exit code, a whole report, a verdict that recheck repeats, no process, port or folder."""
    trial = toy_trial(way, phase, tests)
    slow = [item for item in trial.problems if "from the last signal" in item]  # a bar's question: this machine may be busy
    assert [item for item in trial.problems if item not in slow] == []
    assert trial.verdict == "ABORTED"


def test_every_way_of_the_table_is_a_signal_and_a_trial_says_its_line() -> None:
    """The table of the bar names five ways; a line holds what a reader needs."""
    assert len(WAYS) == 5
    assert "PROBLEM: late" in Trial("SIGINT", "load", "obedient", 130, 1.0, 0.1, "ABORTED", ("late",)).line()


def test_a_test_that_swallows_every_exception_is_the_last_one(foreign: Any) -> None:
    """``except BaseException`` in a loop: the run ends from another thread, and the next test does not start."""
    (foreign.folder / "the suites/slow/test_slow.py").write_text(SWALLOW)
    with foreign.start("verify", "--only", "slow", "--json") as process:
        wait_for(lambda: (foreign.folder / "started").exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert json.loads(out)["verdict"] == "ABORTED"
    assert not (foreign.folder / "after").exists()


@pytest.mark.parametrize("how", ["raise KeyboardInterrupt", "import pytest; pytest.exit('enough')"])
def test_a_test_that_ends_the_session_leaves_no_pass(foreign: Any, how: str) -> None:
    """Tests that were not run because another one ended the session are not passed over: the run is interrupted."""
    (foreign.folder / "the suites/good/test_a_end.py").write_text(f"def test_end(target):\n    {how}\n")
    code, out, err = foreign.harness("verify", "--only", "good", "--json")
    assert (code, json.loads(out)["verdict"]) == (130, "ABORTED"), err


def test_a_late_signal_is_only_counted(foreign: Any) -> None:
    """Signals while a run ends already change neither exit code nor report."""
    with foreign.start("verify", "--only", "slow") as process:
        wait_for(lambda: (foreign.folder / "started").exists() or process.poll() is not None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err.decode()) == (130, False)
    assert foreign.harness("recheck", "reports/latest")[0] == 0


BURST = """
import os, signal, sys, threading, time
from harness.core.ending import ENDING
numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
def burst():
    for _ in range(200):
        for number in numbers:
            os.kill(os.getpid(), number)
with ENDING.listening(exit_code=7):
    try:
        threading.Thread(target=burst, daemon=True).start()
        lock = threading.Lock()
        while True:
            with lock, threading.Condition():
                threading.Event().wait(0.0001)
    except KeyboardInterrupt:
        ENDING.notice()
        print("asked", ENDING.requested, flush=True)
        os._exit(0)
"""


def test_signals_that_interrupt_each_other_hang_nothing() -> None:
    """Hundreds of signals in one burst, some inside the handler of another: the main thread gets one exception and goes on."""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (0, "asked True\n"), done.stderr


def test_a_killed_run_gets_its_report(foreign: Any) -> None:
    """After SIGKILL ``harness report`` judges the journal: ABORTED, a page, and a copy that recheck accepts; the evidence is untouched."""
    with foreign.start("verify", "--only", "good", "--only", "slow") as process:
        wait_for(lambda: (foreign.folder / "started").exists() or process.poll() is not None)
        process.kill()
    (run,) = [path for path in (foreign.folder / "reports").iterdir() if path.is_dir()]
    before = sorted(path.name for path in run.rglob("*"))
    code, out, err = foreign.harness("report", str(run), "--to", "copy")
    assert (code, out.startswith("ABORTED")) == (0, True), err
    assert "</html>" in (foreign.folder / "copy" / "report.html").read_text(encoding="utf-8")
    assert foreign.harness("recheck", "copy")[0] == 0
    assert sorted(path.name for path in run.rglob("*")) == before


@pytest.mark.parametrize(("layer", "expected"), [("good", 0), ("bad", 1)])
def test_a_full_stdout_keeps_the_verdict_and_is_told(foreign: Any, layer: str, expected: int) -> None:
    """``--json > /dev/full``: the exit code is the verdict's, one line on stderr says what was lost."""
    with Path("/dev/full").open("wb") as full, foreign.start("verify", "--only", layer, "--json", stdout=full) as process:
        err = process.communicate(timeout=90)[1].decode()
    assert (process.returncode, "Traceback" in err) == (expected, False), err
    assert "stdout cannot be written: No space left on device" in err.splitlines()[-1]


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>&- 2>/dev/full"])
def test_closed_streams_keep_the_verdict_and_the_journal(foreign: Any, closed: str) -> None:
    """With descriptors 0, 1 or 2 closed no file of the run takes their place: exit 1, and recheck finds the folder whole."""
    command = f'exec "$0" -m harness.cli.main verify --only bad --json {closed}'
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS"))}
    from sys import executable

    environment["PYTEST_ADDOPTS"] = "-p no:schemathesis"
    done = subprocess.run(["sh", "-c", command, executable], cwd=foreign.folder, env=environment, timeout=90, check=False)
    assert done.returncode == 1
    assert foreign.harness("recheck", "reports/latest")[0] == 0


@pytest.mark.parametrize(("tests", "kib"), [(100, 3), (100, 24), (4, 12)])
def test_a_full_disk_is_told_with_its_path(foreign: Any, tests: int, kib: int) -> None:
    """No file, be it journal or page, may grow beyond a few KiB: exit 5, the path in a line, no traceback, no ``latest``."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib << 10, kib << 10))

    many = f"import pytest\n@pytest.mark.parametrize('n', range({tests}))\ndef test_n(target, n): ...\n"
    (foreign.folder / "the suites/good/test_many.py").write_text(many)
    code, _, err = foreign.harness("verify", "--only", "good", preexec_fn=limit)
    assert (code, "Traceback" in err) == (5, False), err
    assert "reports/" in err.splitlines()[-1]
    assert "File too large" in err.splitlines()[-1]
    assert not (foreign.folder / "reports" / "latest").exists()


def test_main_in_a_test_installs_no_handlers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Called with arguments, as tests do, the command leaves the process's signals alone."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["doctor"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
