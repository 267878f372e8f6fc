"""pytest sessions in processes of their own: the plugin does nothing until it is asked, and then tells what happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.journal.events import TestOutcome
from harness.journal.summary import Summary, decode_summary
from harness.run.recheck import recheck
from harness.run.view import FolderView
from suites.unit.waiting import wait_for

CONFIGURATION = """
requirements = "ids.tsv"
[target]
base_url = "http://127.0.0.1:9"
[layers.shop]
suite = "shop"
"""
IDS = "id\tgroup\ttext\tthreshold\tevidence\nOPS-2.1\tOPS\tsomething\t\texecuted\nOPS-2.3\tOPS\tmore\t\texecuted\n"
INI = "[pytest]\naddopts = -p no:locust -p no:cacheprovider --import-mode=importlib --strict-markers\nfilterwarnings = error\n"
OUTCOMES = '''
import pytest
from harness.core.errors import Blocked
from harness.core.verdict import Verdict
from harness.plugin.session import NotPassed

@pytest.mark.requirement("OPS-2.1", "OPS-2.3")
def test_pass(harness_session):
    """It holds.

    More is not the title."""

def test_fail():
    assert 1 == 2, "one is not two \\x1b[31mred\\x1b[0m"

@pytest.fixture
def broken():
    raise OSError("gone")

def test_broken_setup(broken): ...
def test_error(): raise RuntimeError("boom")
def test_skip(): pytest.skip("no disk")
def test_blocked(): raise Blocked("no cgroups here")
def test_not_passed(): raise NotPassed(Verdict.INCONCLUSIVE, "canary out of band")
def test_vacuous(examined): examined(0)
def test_examined(examined):
    examined(2)
    examined(3)

@pytest.fixture
def torn():
    yield
    raise OSError("left something")

def test_teardown(torn): ...

@pytest.fixture
def torn_after_fail():
    yield
    raise OSError("left something")

def test_fail_and_teardown(torn_after_fail):
    pytest.fail("both")

@pytest.mark.layer("elsewhere")
def test_marked(): ...
'''
Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """``project({file: text})``: a project in a folder with blanks."""

    def make(files: dict[str, str]) -> Path:
        folder = tmp_path / "a project"
        for name, text in {"harness.toml": CONFIGURATION, "ids.tsv": IDS, "pytest.ini": INI, **files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    return make


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *arguments]


def environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS"))}
    return mine | {"PYTEST_ADDOPTS": "-p no:schemathesis"}  # a foreign plugin that takes seconds to import


def run(folder: Path, *arguments: str, program: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    given = program or command(*arguments)
    return subprocess.run(given, cwd=folder, capture_output=True, text=True, timeout=60, check=False, env=environment())


def summary(folder: Path) -> Summary:
    return decode_summary((folder / "reports" / "latest" / "summary.json").read_bytes())


def test_plain_pytest_is_left_alone(project: Project) -> None:
    """Tests that ask for no fixture of ours leave no folder and no word of ours, also where there is no harness.toml."""
    folder = project({"shop/test_a.py": "def test_a(): ...\n"})
    done = run(folder)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr
    assert not (folder / "reports").exists()
    assert "harness:" not in done.stdout
    (folder / "harness.toml").unlink()
    assert run(folder).returncode == 0


def test_every_outcome_is_an_event_with_its_verdict(project: Project) -> None:
    """Pass, fail, errors in set-up, call and tear-down, skip, BLOCKED, a taken-over verdict, nothing examined: each as what it is."""
    folder = project({"shop/test_all.py": OUTCOMES})
    done = run(folder)
    assert done.returncode == 1, done.stdout
    latest = (folder / "reports" / "latest").resolve()
    events = [item.event for item in FolderView(latest).events("test.outcome")]
    found = {event.node.split("::")[1]: event for event in events if isinstance(event, TestOutcome)}
    assert {name: event.verdict.value for name, event in found.items()} == {
        "test_pass": "PASS",
        "test_fail": "FAIL",
        "test_broken_setup": "ERROR",
        "test_error": "ERROR",
        "test_skip": "BLOCKED",
        "test_blocked": "BLOCKED",
        "test_not_passed": "INCONCLUSIVE",
        "test_vacuous": "VACUOUS",
        "test_examined": "PASS",
        "test_teardown": "ERROR",
        "test_fail_and_teardown": "FAIL",
        "test_marked": "PASS",
    }
    assert found["test_pass"].title == "It holds."
    assert found["test_pass"].requirements == ("OPS-2.1", "OPS-2.3")
    assert "one is not two red" in found["test_fail"].detail
    assert "OSError: gone" in found["test_broken_setup"].detail
    assert (found["test_skip"].detail, found["test_blocked"].detail) == ("no disk", "no cgroups here")
    assert found["test_examined"].examined == 5
    assert (found["test_pass"].layer, found["test_marked"].layer) == ("shop", "elsewhere")
    judged = summary(folder)
    assert (judged.verdict.value, judged.exit_code, judged.blocked) == ("FAIL", 1, 2)
    assert recheck(latest).problems == ()
    assert f"harness: FAIL  {latest}/report.html" in done.stdout.replace(str(folder / "reports" / "latest"), str(latest))


def test_an_unknown_requirement_is_an_error_of_usage(project: Project) -> None:
    """A wrong id stops the session before any test, names the test and the nearest id, and leaves no run."""
    text = 'import pytest\n@pytest.mark.requirement("OPS-2.l")\ndef test_a(harness_session): ...\n'
    folder = project({"shop/test_a.py": text})
    done = run(folder)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "did you mean 'OPS-2." in done.stderr
    assert "test_a" in done.stderr
    assert not (folder / "reports").exists()


def test_an_unknown_requirement_stops_verify_as_wrong_usage(project: Project) -> None:
    """``harness verify`` of such a suite is wrong usage (exit 2), not a verdict about the system."""
    folder = project({"shop/test_a.py": 'import pytest\n@pytest.mark.requirement("NO-1")\ndef test_a(): ...\n'})
    done = run(folder, program=[sys.executable, "-m", "harness.cli.main", "verify"])
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "NO-1" in done.stderr


def test_a_suite_that_cannot_be_collected_is_an_error_and_hides_no_other(project: Project) -> None:
    """The broken module is an ERROR row with its reason; the tests of the others are run and judged."""
    files = {"shop/test_a.py": "import nothing_of_this_name\n", "bakery/test_b.py": "def test_b(): ...\n"}
    folder = project({**files, "harness.toml": CONFIGURATION + '[layers.bakery]\nsuite = "bakery"\n'})
    done = run(folder, program=[sys.executable, "-m", "harness.cli.main", "verify", "--json"])
    rows = {row.check: row for row in summary(folder).rows}
    broken = next(row for row in rows.values() if row.layer == "collection")
    assert (done.returncode, broken.verdict.value) == (5, "ERROR")
    assert "nothing_of_this_name" in broken.reason
    assert rows["bakery/test_b.py::test_b"].verdict.value == "PASS"


def test_a_pytest_that_breaks_inside_is_no_verdict_of_the_system(project: Project) -> None:
    """An internal error of the test runner ends as ERROR (exit 5), never as a pass of what ran before."""
    conftest = "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_setup(item):\n    pass\n"
    conftest += "def pytest_runtest_logfinish(nodeid):\n    raise RuntimeError('the runner is broken')\n"
    folder = project({"shop/test_a.py": "def test_a(): ...\ndef test_b(): ...\n", "shop/conftest.py": conftest})
    done = run(folder, program=[sys.executable, "-m", "harness.cli.main", "verify"])
    assert done.returncode == 5, done.stderr
    assert summary(folder).verdict.value == "ERROR"


def test_ctrl_c_leaves_an_aborted_run_that_can_be_read(project: Project) -> None:
    """Ctrl-C in a test ends the run as interrupted: ABORTED, with its report, and recheck agrees."""
    text = "import time, pathlib\ndef test_a(harness_session): ...\n"
    text += "def test_b(harness_session):\n    pathlib.Path('started').touch()\n    time.sleep(60)\n"
    folder = project({"shop/test_a.py": text})
    process = subprocess.Popen(command(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    try:
        wait_for(lambda: (folder / "started").exists() or process.poll() is not None)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert time.monotonic() - began < 5
    latest = folder / "reports" / "latest"
    judged = summary(folder)
    assert (judged.finished, judged.verdict.value, judged.exit_code) == ("interrupted", "ABORTED", 5)
    assert {path.name for path in latest.iterdir()} >= {"report.html", "junit.xml", "manifest.json", "verify_run.py"}
    assert recheck(latest).problems == ()


SLOW_JUDGE = """
import pathlib, threading
from harness.run import run
whole = run.judge_trials
def slow(*arguments):
    if not pathlib.Path('judging').exists():
        pathlib.Path('judging').touch()
        threading.Event().wait(60)
    return whole(*arguments)
run.judge_trials = slow
"""


def test_ctrl_c_after_the_tests_leaves_a_run_that_can_be_read(project: Project) -> None:
    """Ctrl-C while the run is judged: pytest's own exit code for it, an interrupted run with its report, and recheck agrees."""
    folder = project({"shop/test_a.py": "def test_a(harness_session): ...\n", "conftest.py": SLOW_JUDGE})
    process = subprocess.Popen(command(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    try:
        wait_for(lambda: (folder / "judging").exists() or process.poll() is not None)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert time.monotonic() - began < 5
    assert "Traceback" not in output
    judged = summary(folder)
    assert (judged.finished, judged.verdict.value) == ("interrupted", "ABORTED")
    assert (folder / "reports" / "latest" / "report.html").is_file()
    assert recheck(folder / "reports" / "latest").problems == ()
