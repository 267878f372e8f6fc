"""The acceptance scripts and their runner, driven as a person does: real processes, judged by exit code and last line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from suites.unit.waiting import wait_for

PROJECT = Path(__file__).parents[3]
SCRIPTS = PROJECT / "scripts" / "acceptance"
RUNNER = PROJECT / "scripts" / "run_m18_production_acceptance.sh"
NAMES = [
    "101_knowledge_graph",
    "102_recommendation_engine",
    "103_fraud_detection",
    "104_crash_recovery",
    "105_resource_exhaustion",
    "106_network_partition",
    "107_backup_restore",
    "108_monitoring_validation",
    "109_troubleshooting_runbooks",
    "110_latency_budgets",
    "111_capacity_planning",
    "112_competitive_benchmarks",
    "113_zero_downtime_migration",
    "114_api_versioning",
    "115_client_integration",
]
PASSING = 'def test_a():\n    """It holds."""\n\ndef test_b():\n    """It holds too."""\n'
OUTCOMES = {
    "passes": (PASSING, 0, "PASS", "all 2 criteria met"),
    "fails": (PASSING + 'def test_c():\n    """It breaks."""\n    assert 1 == 2, "one is not two"\n', 1, "FAIL", "one is not two"),
    "blocked": (PASSING + "import pytest\ndef test_c():\n    pytest.skip('no disk')\n", 3, "BLOCKED", "no disk"),
    "nothing": ("", 4, "VACUOUS", "no criterion was checked"),
    "error": (
        "import pytest\n@pytest.fixture\ndef f():\n    raise OSError('gone')\ndef test_c(f):\n    pass\n",
        5,
        "ERROR",
        "OSError: gone",
    ),
    "collection": ("import nothing_of_this_name\n", 5, "ERROR", "cannot be collected"),
    "dies": ("import os\ndef test_c():\n    os._exit(77)\n", 5, "ERROR", "exit code 77"),
}


def call(script: Path, *arguments: str, suite: Path | None = None, cwd: Path | None = None) -> tuple[int, list[str], str]:
    """Exit code, lines of stdout, stderr."""
    environment = os.environ | {"EH_ACCEPTANCE_PYTHON": sys.executable}
    if suite is not None:
        environment["EH_ACCEPTANCE_SUITE"] = str(suite)
    done = subprocess.run([str(script), *arguments], capture_output=True, text=True, timeout=100, env=environment, cwd=cwd, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.requirement("M18-R.2")
def test_there_is_one_executable_script_a_task():
    """Fifteen scripts by the names of the index, in strict mode, each with a test selection of its own."""
    assert sorted(path.stem for path in SCRIPTS.glob("[0-9]*.sh")) == NAMES
    for name in NAMES:
        path = SCRIPTS / f"{name}.sh"
        assert os.access(path, os.X_OK)
        assert "set -euo pipefail" in path.read_text()
        assert (PROJECT / "suites" / "acceptance" / f"test_{name}.py").is_file()


@pytest.mark.requirement("M18-R.2")
def test_a_task_that_is_not_built_says_so():
    """Exit 3 and a last line with number, title and reason: never a pass."""
    code, lines, _ = call(SCRIPTS / "101_knowledge_graph.sh")
    assert code == 3
    assert lines[-1] == "BLOCKED: 101 Knowledge Graph Construction: not built yet (comes with the memory engine)"


@pytest.mark.requirement("M18-R.2")
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_exit_code_follows_the_tests(tmp_path, outcome):
    """Passing, failing, blocked, empty and broken selections each have their exit code and last line."""
    content, code, verdict, reason = OUTCOMES[outcome]
    (tmp_path / "test_102_recommendation_engine.py").write_text(content)
    found, lines, _ = call(SCRIPTS / "102_recommendation_engine.sh", suite=tmp_path)
    assert found == code
    assert lines[-1].startswith(f"{verdict}: ")
    assert reason in lines[-1]
    if outcome == "passes":
        assert [line.strip() for line in lines[1:3]] == ["✓ It holds.", "✓ It holds too."]
        assert "exit code 0" in lines[-2]
    if outcome == "fails":
        assert "  ✗ It breaks.  FAIL: one is not two" in lines[3]


@pytest.mark.requirement("M18-R.2")
def test_a_wrong_argument_is_usage():
    """Exit 2, and help exits 0."""
    assert call(SCRIPTS / "103_fraud_detection.sh", "--bogus")[0] == 2
    assert call(SCRIPTS / "103_fraud_detection.sh", "--help")[0] == 0


@pytest.mark.requirement("M18-R.2")
def test_a_path_with_blanks_and_another_folder_work(tmp_path):
    """The scripts find the project by their own place, wherever they are called from."""
    project = tmp_path / "a project, with blanks"
    shutil.copytree(PROJECT / "scripts", project / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "suites" / "acceptance", project / "suites" / "acceptance", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(PROJECT / "pytest.ini", project / "pytest.ini")
    (project / "harness").symlink_to(PROJECT / "harness")
    code, lines, _ = call(project / "scripts" / "acceptance" / "104_crash_recovery.sh", cwd=tmp_path)
    assert code == 3
    assert lines[-1].startswith("BLOCKED: 104 ")


@pytest.mark.requirement("M18-R.1")
def test_one_command_runs_every_task():
    """Fifteen lines, totals, and the exit code of the worst task."""
    code, lines, _ = call(RUNNER)
    assert code == 3
    assert [line.split()[1] for line in lines[:-1]] == [name[:3] for name in NAMES]
    assert lines[-1].startswith("BLOCKED: 0 of 15 passed, 0 failed, 0 errors, 0 inconclusive, 15 blocked")


@pytest.mark.requirement("M18-R.1")
@pytest.mark.parametrize(
    ("outcomes", "code", "last"),
    [
        (("passes", "passes", "passes"), 0, "PASS: 3 of 3 passed"),
        (("nothing", "blocked", "passes"), 4, "INCONCLUSIVE: 1 of 3 passed"),
        (("error", "nothing", "blocked"), 5, "ERROR: 0 of 3 passed, 0 failed, 1 errors, 1 inconclusive, 1 blocked"),
        (("error", "fails", "blocked"), 1, "FAIL: 0 of 3 passed, 1 failed, 1 errors"),
    ],
)
def test_the_worst_task_decides(tmp_path, outcomes, code, last):
    """FAIL before ERROR before inconclusive before BLOCKED before PASS; a phase takes its three tasks."""
    for name, outcome in zip(NAMES[6:9], outcomes, strict=True):
        (tmp_path / f"test_{name}.py").write_text(OUTCOMES[outcome][0])
    found, lines, _ = call(RUNNER, "--phase", "3", suite=tmp_path)
    assert found == code
    assert len(lines) == 4
    assert lines[-1].startswith(last)


@pytest.mark.requirement("M18-R.1")
@pytest.mark.parametrize("arguments", [("--phase", "6"), ("--phase", "x"), ("--phase",), ("--phase=0",), ("all",)])
def test_a_wrong_phase_is_usage(arguments):
    """Exit 2 with what is wrong and how to call it."""
    code, lines, error = call(RUNNER, *arguments)
    assert (code, lines) == (2, [])
    assert "Usage:" in error


@pytest.mark.requirement("M18-R.1")
def test_help_names_the_phases():
    """--help exits 0 and lists the phases and exit codes."""
    code, lines, _ = call(RUNNER, "--help")
    assert code == 0
    assert any("--phase 5   113–115" in line for line in lines)


@pytest.mark.requirement("M18-R.1")
def test_an_interrupt_ends_the_suite(tmp_path):
    """Ctrl-C gives exit 130, and no further task is begun."""
    began = tmp_path / "began"
    waiting = f"import pathlib, threading\ndef test_a():\n    pathlib.Path({str(began)!r}).touch()\n    threading.Event().wait(60)\n"
    (tmp_path / "test_113_zero_downtime_migration.py").write_text(waiting)
    environment = os.environ | {"EH_ACCEPTANCE_PYTHON": sys.executable, "EH_ACCEPTANCE_SUITE": str(tmp_path)}
    command = [str(RUNNER), "--phase", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    wait_for(began.exists, 30)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output.splitlines()[-1].startswith("ABORTED")
