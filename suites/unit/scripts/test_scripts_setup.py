"""Set-up: does nothing when all is as the locks say, asks the machine first, and says what to do in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

REAL = Path(__file__).parents[3]


class Steps:
    """Stands for pip and venv: records commands, makes what they would make."""

    def __init__(self, script: ModuleType) -> None:
        self.commands: list[list[str]] = []
        self.script = script
        self.fails_at = ""

    def run(self, command: list[str], **options: Any) -> SimpleNamespace:
        self.commands.append(command)
        if self.fails_at and self.fails_at in command:
            options["stdout"].write(b"no matching distribution\nthe registry is away\n")
            return SimpleNamespace(returncode=1)
        if "venv" in command:
            self.script.python().parent.mkdir(parents=True)
            self.script.python().write_text("")
        return SimpleNamespace(returncode=0)


@pytest.fixture
def steps(setup_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Steps:
    made = Steps(setup_script)
    monkeypatch.setattr(setup_script.subprocess, "run", made.run)
    monkeypatch.setattr(sys, "argv", ["setup"])
    monkeypatch.setattr(setup_script.shutil, "disk_usage", lambda _path: SimpleNamespace(free=50 << 30))
    return made


def test_a_clean_clone_is_set_up_once_in_order(setup_script: ModuleType, steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    """venv, locked libraries by hash, the project, the weights; the second call runs nothing, not even a check of the machine."""
    assert setup_script.main() == 0
    assert ["venv" in command for command in steps.commands] == [True, False, False, False]
    assert "--require-hashes" in steps.commands[1]
    assert "downloads about" in capsys.readouterr().out
    steps.commands.clear()
    assert setup_script.main() == 0
    assert steps.commands == []
    assert capsys.readouterr().out == ""


def test_check_says_ready_or_needed_and_changes_nothing(setup_script: ModuleType, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3 before, 0 after; ``--check`` writes nothing."""
    monkeypatch.setattr(sys, "argv", ["setup", "--check"])
    before = sorted(setup_script.PROJECT.rglob("*"))
    assert setup_script.main() == 3
    assert (sorted(setup_script.PROJECT.rglob("*")), steps.commands) == (before, [])
    assert setup_script.setup() == 0
    assert setup_script.main() == 0


@pytest.mark.parametrize("change", ["requirements.lock", "models.lock", "pyproject.toml", "python", "stamp", "place"])
def test_what_the_stamp_stands_for_makes_set_up_needed_again(setup_script: ModuleType, steps: Steps, change: str) -> None:
    """Another lock file, a lost Python or stamp, or a moved project is not ready."""
    assert setup_script.setup() == 0
    assert setup_script.ready()
    if change == "python":
        setup_script.python().unlink()
    elif change == "stamp":
        setup_script.STAMP.write_text("half")
    elif change == "place":
        moved = setup_script.PROJECT.with_name("moved")
        setup_script.PROJECT.rename(moved)
        setup_script.PROJECT = moved  # type: ignore[attr-defined]
        setup_script.VENV = moved / ".venv"  # type: ignore[attr-defined]
        setup_script.STAMP = moved / ".venv/share/evidence-harness/setup.stamp"  # type: ignore[attr-defined]
    else:
        (setup_script.PROJECT / change).write_text("changed")
    assert not setup_script.ready()


@pytest.mark.parametrize("name", ["requirements.lock", "system.models.weights"])
def test_a_failed_step_leaves_no_stamp_and_is_taken_up_again(
    setup_script: ModuleType, steps: Steps, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The last lines of the log, one line with the remedy, exit 2; a second call finishes."""
    steps.fails_at = name
    assert setup_script.main() == 2
    said = capsys.readouterr().err
    assert "the registry is away" in said
    assert "with a working package registry run it again" in said.splitlines()[-1]
    assert not setup_script.STAMP.exists()
    steps.fails_at = ""
    assert setup_script.main() == 0
    assert setup_script.ready()


def without(name: str) -> Any:
    def broken(given: str, *arguments: Any, **options: Any) -> Any:
        if given == name:
            raise ImportError(name)
        return real(given, *arguments, **options)

    real = __import__
    return broken


PROBES: dict[str, tuple[str, Any]] = {
    "needs Python 3.11 or newer, this is": ("sys.version_info", (3, 10, 4)),
    "install the package python3-venv": ("builtins.__import__", without("ensurepip")),
    "Windows is supported through WSL2": ("os.name", "nt"),
    "needs glibc 2.34 or newer, this machine has 2.31": ("platform.libc_ver", lambda: ("glibc", "2.31")),
    "needs 3 GiB free beside the project, there are 1.0 GiB": ("shutil.disk_usage", lambda _path: SimpleNamespace(free=1 << 30)),
    "is not writable: clone the project into a folder of your own": ("os.access", lambda *_arguments: False),
}


@pytest.mark.parametrize("message", PROBES)
def test_a_machine_that_will_not_do_is_named_before_anything_is_made(
    setup_script: ModuleType, steps: Steps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], message: str
) -> None:
    """Old Python, no ensurepip, old glibc, a full or read-only disk: one line with the remedy, exit 2, nothing is made."""
    name, value = PROBES[message]
    with monkeypatch.context() as patch:
        patch.setattr(name, value)
        with pytest.raises(setup_script.SetupFailed) as failed:
            setup_script.check_machine()
    assert message in str(failed.value)
    assert "\n" not in str(failed.value)

    def refuse() -> None:
        raise failed.value

    monkeypatch.setattr(setup_script, "check_machine", refuse)
    assert setup_script.main() == 2
    assert capsys.readouterr().err == f"setup: {failed.value}\n"
    assert steps.commands == []
    assert not setup_script.VENV.exists()


@pytest.mark.parametrize("libc", [("", ""), ("glibc", "2.34"), ("glibc", "2.41"), ("musl", "1.2")])
def test_a_machine_that_will_do_is_let_through(
    setup_script: ModuleType, steps: Steps, monkeypatch: pytest.MonkeyPatch, libc: tuple[str, str]
) -> None:
    """Newer C libraries, and none that can be named, pass."""
    monkeypatch.setattr("platform.libc_ver", lambda: libc)
    setup_script.check_machine()


def test_ctrl_c_says_that_it_goes_on(
    setup_script: ModuleType, steps: Steps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 130 and no stamp."""

    def interrupted(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup_script.subprocess, "run", interrupted)
    assert setup_script.main() == 130
    assert "it goes on where it stopped" in capsys.readouterr().err
    assert not setup_script.STAMP.exists()


def test_the_place_of_the_data_is_written_once_and_never_again(setup_script: ModuleType, steps: Steps) -> None:
    """The sibling folder with the data sets is remembered; a file that a person wrote stays as it is, byte for byte."""
    target = setup_script.PROJECT / "harness.local.toml"
    setup_script.write_data_location()
    assert not target.exists()
    data = setup_script.PROJECT.parent / "shared" / "datasets"
    data.mkdir(parents=True)
    (data / "SHA256SUMS").write_text("")
    setup_script.write_data_location()
    assert 'dir = "../shared/datasets"' in target.read_text()
    target.write_text("# mine\n")
    setup_script.write_data_location()
    setup_script.setup()
    assert target.read_text() == "# mine\n"


def test_it_runs_on_the_standard_library_alone() -> None:
    """``python3 -I -S`` with no site packages can load it and answer ``--check``."""
    code = "import sys; sys.path.insert(0, '.'); sys.argv = ['s', '--check']; from scripts.setup import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=REAL, capture_output=True, check=False, timeout=30, env=os.environ)
    assert done.returncode in {0, 3}, done.stderr
