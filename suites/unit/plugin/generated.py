"""Generated test files: every outcome in every phase, under hooks of other plugins; and what pytest itself counted of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import TestOutcome
from harness.run.view import FolderView

MODES: Final = {"plain": (), "xdist": ("-n", "2"), "reruns": ("--reruns", "2"), "xdist and reruns": ("-n", "2", "--reruns", "1")}

CONFTEST = """
import json
import pytest

class NoText(Exception):
    def __str__(self): raise RuntimeError("no text")

class NoRepr(Exception):
    def __repr__(self): raise ValueError("no repr")
    __str__ = __repr__

class NoArguments(Exception):
    @property
    def args(self): raise OSError("no arguments")

class BadNotes(Exception):
    @property
    def __notes__(self): raise LookupError("no notes")

class NotesOfNumbers(Exception):
    __notes__ = (1, None)

class NoClass(Exception):
    @property
    def __class__(self): raise RuntimeError("no class")

class Leaves(Exception):
    def __str__(self): raise SystemExit(3)

class TextOfNumber(Exception):
    def __str__(self): return 7

class Deep(Exception):
    def __str__(self): return str(self)

class HostileMeta(type):
    def __getattribute__(cls, name):
        if name == "__name__": raise RuntimeError("no name")
        return super().__getattribute__(name)

class Nameless(Exception, metaclass=HostileMeta): ...

class AssertionWithoutText(AssertionError):
    def __str__(self): raise RuntimeError("no text")

tries = {}

def flaky(name):
    tries[name] = tries.get(name, 0) + 1
    assert tries[name] > 1

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and "turned_red" in item.name:
        report.outcome, report.longrepr = "failed", None
    if call.when == "teardown" and "torn_by_plugin" in item.name:
        report.outcome, report.longrepr = "failed", "a plugin says no"
    if call.when == "call" and "forgiven" in item.name:
        report.outcome = "passed"
    if call.when == "call" and "waived" in item.name:
        report.outcome, report.wasxfail = "skipped", "waived by a plugin"
    return report

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    if report.when == "call" and "late_red" in report.nodeid:
        report.outcome = "failed"

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    return True if "swallowed" in item.name else None

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    if "hook_raises" in item.name: raise NoText()
    return result

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(session.config, "workerinput") or reporter is None: return
    wanted = ("failed", "error", "passed", "skipped", "xfailed", "xpassed", "subtests failed")
    whole = ("failed", "subtests failed")  # a subtest that did not fail says nothing about its test
    counted = {
        name: [report.nodeid for report in reporter.stats.get(name, []) if name in whole or not hasattr(report, "context")]
        for name in wanted
    }
    (session.config.rootpath / "counted.json").write_text(json.dumps(counted))
"""
BODIES = (
    "pass",
    "assert 1 == 2",
    "raise OSError('gone')",
    "pytest.fail('no')",
    "pytest.skip('no disk')",
    "pytest.xfail('known')",
    "raise SystemExit(2)",
    "raise NoText()",
    "raise NoRepr()",
    "raise NoArguments('x')",
    "raise BadNotes('x')",
    "raise NotesOfNumbers('x')",
    "raise Leaves()",
    "raise TextOfNumber()",
    "raise Deep()",
    "raise Nameless('x')",
    "raise AssertionWithoutText()",
    "raise ExceptionGroup('two', [NoText(), OSError('x')])",
    "flaky(request.node.nodeid)",
    "subtest_fails(subtests)",
    "raise Blocked('no cgroups')",
)
PHASES = ("pass",) * 6 + ("assert 1 == 2", "raise OSError('gone')", "pytest.skip('none')", "raise NoText()", "raise Blocked('none')")
MARKS = ("",) * 5 + (
    "@pytest.mark.xfail(reason='known')",
    "@pytest.mark.xfail(strict=True, reason='known')",
    "@pytest.mark.xfail(raises=OSError)",
    "@pytest.mark.xfail(run=False)",
    "@pytest.mark.skip(reason='never')",
)
HOOKS = ("",) * 5 + ("turned_red", "torn_by_plugin", "forgiven", "waived", "late_red", "swallowed", "hook_raises")
IDS = ("",) * 4 + ("::1", "a::b[c]", "[::]", "tab\\tnew\\nline", "\\x1b[31mred", "\\u202e", "näh", " blank ")
INI = (
    "[pytest]\naddopts = -p no:locust -p no:cacheprovider -p no:schemathesis --import-mode=importlib\nxfail_strict = false\n"
    "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n"
)


def write(folder: Path, seed: int, tests: int) -> None:
    """A project of generated tests in two files and a class, the same for the same seed."""
    draw = random.Random(seed)
    files = {"t[1]/test_a.py": "", "test_b.py": ""}
    for number in range(tests):
        name = draw.choice(list(files))
        files[name] += _test(draw, number)
    head = "import pytest\nfrom harness.core.errors import Blocked\nfrom conftest import *\n"
    head += "def subtest_fails(subtests):\n    for i in (1, 2):\n        with subtests.test(i=i): assert i != 2\n"
    files |= {"conftest.py": CONFTEST, "pytest.ini": INI, "harness.toml": '[target]\nbase_url = "http://127.0.0.1:9"\n'}
    files["test_gone.py"] = draw.choice(("import nothing_of_this_name\n", "import pytest\npytest.skip('whole', allow_module_level=True)\n"))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + text if path.name in {"test_a.py", "test_b.py"} else text, encoding="utf-8")


def _test(draw: random.Random, number: int) -> str:
    hook, mark, identifier = draw.choice(HOOKS), draw.choice(MARKS), draw.choice(IDS)
    name = f"test_{number}_{hook}".rstrip("_")
    before, after, body = draw.choice(PHASES), draw.choice(PHASES), draw.choice(BODIES)
    fixture = f"@pytest.fixture\ndef fixture_{number}(request):\n    {before}\n    yield\n    {after}\n\n"
    parameters = f'@pytest.mark.parametrize("value", [1], ids=["{identifier}"])\n' if identifier else ""
    arguments = f"fixture_{number}, request, subtests" + (", value" if identifier else "")
    if draw.random() < 0.3:
        parts = (fixture, f"class TestOf{number}:\n", f"{mark}\n{parameters}def {name}(self, {arguments}):\n    {body}\n\n")
        return parts[0] + parts[1] + "".join(f"    {line}\n" if line else "" for line in parts[2].splitlines())
    return f"{fixture}{mark}\n{parameters}def {name}({arguments}):\n    {body}\n\n"


class Compared(msgspec.Struct, frozen=True):
    """How many tests there were, and each on which pytest and the run do not agree."""

    tests: int
    differences: tuple[str, ...]


def compare(folder: Path, mode: str, environment: dict[str, str]) -> Compared:
    """Run the generated tests as one run, and hold each outcome against what pytest counted."""
    command = [sys.executable, "-m", "pytest", "-q", "--harness-run", "--continue-on-collection-errors", *MODES[mode]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False, env=environment)
    counted = folder / "counted.json"
    if done.returncode != 1 or not counted.is_file():
        return Compared(0, (f"pytest ended with {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}",))
    return _compared(json.loads(counted.read_text(encoding="utf-8")), outcomes(folder))


def outcomes(folder: Path) -> dict[str, TestOutcome]:
    """The outcomes of the newest run, by node id; each stands there once."""
    view = FolderView((folder / "reports" / "latest").resolve())
    found = [item.event for item in view.events(TestOutcome.NAME) if isinstance(item.event, TestOutcome)]
    assert len({outcome.node for outcome in found}) == len(found), "a test has two outcomes"
    return {outcome.node: outcome for outcome in found}


def _compared(counted: dict[str, list[str]], ours: dict[str, TestOutcome]) -> Compared:
    from harness.core.text import visible

    by_pytest = {name: {visible(node) for node in nodes} for name, nodes in counted.items()}
    failed = by_pytest["failed"] | by_pytest["error"] | by_pytest["subtests failed"]
    blocked = (by_pytest["skipped"] | by_pytest["xfailed"]) - failed
    passed = (by_pytest["passed"] | by_pytest["xpassed"]) - failed - blocked
    found = []
    for node in sorted(failed | blocked | passed | ours.keys()):
        verdict = ours[node].verdict if node in ours else None
        right = (
            verdict in {Verdict.FAIL, Verdict.ERROR}
            if node in failed
            else verdict is (Verdict.BLOCKED if node in blocked else Verdict.PASS if node in passed else "not counted")
        )
        if not right:
            word = "failed" if node in failed else "skipped" if node in blocked else "passed" if node in passed else "did not count it"
            found.append(f"{node}: pytest {word}, the run says {verdict}")
    return Compared(len(failed | blocked | passed), tuple(found))
