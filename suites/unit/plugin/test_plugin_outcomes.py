"""What pytest counts is what the run says: generated tests, hostile exceptions, strange ids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.core.text import safe_str, visible
from harness.journal.summary import decode_summary
from suites.unit.plugin import generated

NO_SCHEMATHESIS = "-p no:schemathesis"  # a foreign plugin that takes seconds to import
CONFIGURATION = '[target]\nbase_url = "http://127.0.0.1:9"\n'


def environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS", "COV"))}
    return mine | {"PYTEST_ADDOPTS": NO_SCHEMATHESIS}


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:locust", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, env=environment())


def project(folder: Path, text: str, configuration: str = CONFIGURATION) -> Path:
    (folder / "harness.toml").write_text(configuration, encoding="utf-8")
    (folder / "pytest.ini").write_text(generated.INI, encoding="utf-8")
    (folder / "test_a.py").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("mode", generated.MODES)
def test_the_run_counts_what_pytest_counts(tmp_path: Path, mode: str) -> None:
    """For generated tests of every outcome in every phase under hooks of other plugins, no outcome differs from pytest's."""
    generated.write(tmp_path, seed=4711 + len(mode), tests=60)
    compared = generated.compare(tmp_path, mode, environment())
    assert compared.tests > 40
    assert compared.differences == ()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("@pytest.mark.xfail(strict=True)\ndef test_a(harness_session): ...", "FAIL"),
        ("@pytest.mark.xfail(strict=True, reason='old')\nclass TestIt:\n    def test_a(self, harness_session): ...", "FAIL"),
        ("@pytest.mark.xfail\ndef test_a(harness_session): ...", "PASS"),
        ("@pytest.mark.xfail\ndef test_a(harness_session): assert 0", "BLOCKED"),
        ("@pytest.mark.xfail(raises=OSError)\ndef test_a(harness_session): assert 0", "FAIL"),
        ("def test_a(harness_session, subtests):\n    with subtests.test(i=1): assert 0\n    with subtests.test(i=2): ...", "FAIL"),
        ("import unittest\nclass T(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_a(self): ...", "FAIL"),
    ],
)
def test_what_pytest_calls_failed_is_failed(tmp_path: Path, text: str, verdict: str) -> None:
    """A strict XPASS, a failed subtest, an unexpected success: failed by a report without an exception, FAIL in the run too."""
    done = pytest_in(project(tmp_path, f"import pytest\n{text}\n"), "--harness-run")
    (outcome,) = generated.outcomes(tmp_path).values()
    assert (outcome.verdict.value, done.returncode == 1) == (verdict, verdict == "FAIL"), done.stdout


HOSTILE = {
    "text": "def __str__(self): raise RuntimeError('no')",
    "repr": "def __repr__(self): raise RuntimeError('no')\n    __str__ = __repr__",
    "arguments": "args = property(lambda self: 1 / 0)",
    "notes": "__notes__ = property(lambda self: 1 / 0)",
    "exit": "def __str__(self): raise SystemExit(3)",
    "number": "def __str__(self): return 7",
    "endless": "def __str__(self): return str(self)",
}


@pytest.mark.parametrize("where", ["call", "setup", "teardown"])
@pytest.mark.parametrize("asked", ["", "--harness-run"])
def test_a_hostile_exception_is_a_failed_test_and_no_more(tmp_path: Path, where: str, asked: str) -> None:
    """Exceptions whose text, repr, arguments, notes or class raise fail their own tests; the session counts all the others."""
    classes = "".join(f"class {name.title()}(Exception):\n    {body}\n" for name, body in HOSTILE.items())
    tests = "".join(
        f"@pytest.fixture\ndef fixture_{name}():\n    {_raise('setup', where, name)}\n    yield\n    {_raise('teardown', where, name)}\n"
        f"def test_{name}(fixture_{name}): {_raise('call', where, name)}\n"
        for name in HOSTILE
    )
    done = pytest_in(project(tmp_path, f"import pytest\n{classes}\n{tests}\ndef test_after(): ...\n"), *([asked] if asked else []))
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{len(HOSTILE)} {'failed' if where == 'call' else 'error'}" in done.stdout
    if asked:
        found = {node.split("::test_")[1]: outcome.verdict.value for node, outcome in generated.outcomes(tmp_path).items()}
        assert found == dict.fromkeys(HOSTILE, "ERROR") | {"after": "PASS"}
    else:
        assert not (tmp_path / "reports").exists()


def _raise(phase: str, where: str, name: str) -> str:
    return f"raise {name.title()}('x')" if phase == where else "pass"


IDS = {
    "::1": "test_x[::1]",
    "a::b": "test_x[a::b]",
    "c::d[e]": "test_x[c::d[e]]",
    "]::[": "test_x[]::[]",
    "\x1b[31mred": r"test_x[\x1b[31mred]",
    "\x00nul": r"test_x[\x00nul]",
    "\u202eright": r"test_x[\u202eright]",
    "two\nlines": r"test_x[two\nlines]",
    "n\u00e4h": "test_x[n\u00e4h]",
    "\udce9lone": r"test_x[\udce9lone]",
}


def test_ids_are_whole_in_every_report(tmp_path: Path) -> None:
    """``::`` in brackets, control characters and surrogates: the same readable name in JUnit and Allure, the parent is the file."""
    text = f"import pytest\n@pytest.mark.parametrize('x', [1] * {len(IDS)}, ids={[*IDS]!a})\ndef test_x(x): ...\n"
    done = pytest_in(project(tmp_path, text), "--harness-run", "-p", "no:terminal")
    assert done.returncode == 0, done.stdout + done.stderr
    latest = tmp_path / "reports" / "latest"
    cases = {(case.get("classname"), case.get("name")) for case in ET.parse(latest / "junit.xml").iter("testcase")}
    assert cases == {("test_a.py", name) for name in IDS.values()}
    allure = [json.loads(path.read_text(encoding="utf-8")) for path in (latest / "allure-results").glob("*-result.json")]
    assert {item["name"] for item in allure} == set(IDS.values())
    assert {label["value"] for item in allure for label in item["labels"] if label["name"] == "suite"} == {"test_a.py"}
    page = (latest / "report.html").read_text(encoding="utf-8")
    assert all(name.replace("&", "&amp;") in page for name in (r"test_x[\x1b[31mred]", "test_x[::1]"))


def test_a_test_that_was_set_up_and_never_called_looked_at_nothing(tmp_path: Path) -> None:
    """``--setup-only`` is VACUOUS, not PASS."""
    pytest_in(project(tmp_path, "def test_a(): ...\n"), "--harness-run", "--setup-only")
    assert [outcome.verdict.value for outcome in generated.outcomes(tmp_path).values()] == ["VACUOUS"]


def test_what_ran_before_a_run_was_asked_for_is_in_it(tmp_path: Path) -> None:
    """The third test asks for a run: it holds the failure of the first and the pass of the second."""
    pytest_in(project(tmp_path, "def test_a(): assert 0\ndef test_b(): ...\ndef test_c(harness_session): ...\n"))
    rows = decode_summary((tmp_path / "reports" / "latest" / "summary.json").read_bytes()).rows
    assert {row.check: row.verdict.value for row in rows} == {
        "test_a.py::test_a": "FAIL",
        "test_a.py::test_b": "PASS",
        "test_a.py::test_c": "PASS",
    }


def test_a_module_that_skips_itself_is_blocked_by_name(tmp_path: Path) -> None:
    """``importorskip`` at module level is a BLOCKED row with its reason, not an absence."""
    project(tmp_path, "def test_a(): ...\n")
    (tmp_path / "test_b.py").write_text("import pytest\npytest.importorskip('nothing_of_this_name')\n", encoding="utf-8")
    pytest_in(tmp_path, "--harness-run")
    blocked = generated.outcomes(tmp_path)["test_b.py"]
    assert (blocked.verdict.value, "nothing_of_this_name" in blocked.detail) == ("BLOCKED", True)


def test_a_system_is_not_shared_between_workers_and_the_run_says_so(tmp_path: Path) -> None:
    """Under ``-n`` a test that asks for a run is an ERROR of the run that the controller keeps; the others are counted."""
    text = "def test_a(harness_session): ...\ndef test_b(): ...\ndef test_c(): assert 0\n"
    done = pytest_in(project(tmp_path, text), "-n", "2")
    assert "1 failed, 1 passed, 1 error" in done.stdout
    found = generated.outcomes(tmp_path)
    assert {node[-1]: outcome.verdict.value for node, outcome in found.items()} == {"a": "ERROR", "b": "PASS", "c": "FAIL"}
    assert "run them without -n" in found["test_a.py::test_a"].detail


def test_workers_without_a_project_are_left_alone(tmp_path: Path) -> None:
    """``-n`` in a folder without harness.toml: pytest's own exit code and no folder of ours."""
    (tmp_path / "test_a.py").write_text("def test_a(): ...\ndef test_b(harness_session): ...\n", encoding="utf-8")
    done = pytest_in(tmp_path, "-n", "2")
    assert (done.returncode, "1 passed, 1 error" in done.stdout) == (1, True), done.stdout
    assert not (tmp_path / "reports").exists()


def test_text_is_made_visible_and_never_raises() -> None:
    """``visible`` keeps two names apart that differ in what cannot be seen; ``safe_str`` answers for every object."""
    names = [*IDS, "a\x1b[0m", "a\x1b[1m", "plain", "n\u00e4h"]
    assert len({visible(name) for name in names}) == len(set(names))
    assert all(visible(name).encode("utf-8") for name in names)
    for number, body in enumerate(HOSTILE.values()):
        space: dict[str, type[Exception]] = {}
        exec(f"class Hostile(Exception):\n    {body}\n", space)
        assert isinstance(safe_str(space["Hostile"]("x")), str), number


FLAKY = """
import pytest
tries = []
@pytest.fixture
def flaky_fixture():
    tries.append(1)
    assert len(tries) > 1
def test_bad(): assert 0
def test_flaky(flaky_fixture): ...
def test_good(): ...
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_test_that_is_tried_again_has_one_outcome_that_of_its_last_try(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """``--reruns``: failed tries are no rows and no passes; a fixture that fails once makes nothing VACUOUS."""
    pytest_in(project(tmp_path, FLAKY), "--harness-run", "--reruns", "1", *workers)
    found = {node.rpartition("_")[2]: outcome.verdict.value for node, outcome in generated.outcomes(tmp_path).items()}
    assert found == {"bad": "FAIL", "flaky": "PASS", "good": "PASS"}


@pytest.mark.parametrize(
    ("hook", "failed"),
    [
        ("def pytest_sessionfinish(session): session.testsfailed += 1; session.exitstatus = 1", "pytest session"),
        ("def pytest_sessionfinish(session): session.exitstatus = 1", "pytest session"),
        ("def pytest_report_teststatus(report):\n    if report.when == 'call': return 'failed', 'F', 'SLOW'", "test_a.py::test_a"),
    ],
)
def test_a_plugin_that_fails_the_session_or_a_status_fails_the_run(tmp_path: Path, hook: str, failed: str) -> None:
    """Too little coverage, a status of its own: what pytest's exit code or last line calls failed is a FAIL by name."""
    folder = project(tmp_path, "def test_a(): ...\n")
    (folder / "conftest.py").write_text(f"{hook}\n", encoding="utf-8")
    done = pytest_in(folder, "--harness-run")
    assert {node for node, outcome in generated.outcomes(tmp_path).items() if outcome.verdict.value == "FAIL"} == {failed}, done.stdout
    assert "harness: FAIL" in done.stdout
