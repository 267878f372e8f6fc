"""``down``, ``status``, ``backup``, ``restore`` act on stacks of this project folder; on another's only by its id and its folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.topology import Stack
from suites.unit.waiting import reached

CONFIGURATION = """\
[target]
service = "lamp"
[topology]
file = "docker-compose.yml"
[commands]
backup = { service = "lamp", command = ["{python}", "keep.py", "backup"] }
restore = { service = "lamp", command = ["{python}", "keep.py", "restore"] }
"""
COMPOSE = """\
services:
  lamp:
    secrets: [oil]
    stop_grace_period: 1s
    x-profiles:
      embedded:
        command: ["$${PYTHON}", -c, "import signal; signal.pause()"]
        environment: {ROOM: "NAME", STACK: "$${STACK_ID}"}
secrets:
  oil: {file: ./oil}
"""
KEEP = "import os, pathlib, sys; print(sys.argv[1], os.environ['ROOM'], os.environ['STACK'], pathlib.Path.cwd().name)\n"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    yield
    for stack in Stack.recorded():
        stack.stop()


@pytest.fixture
def rooms(tmp_path: Path) -> tuple[Path, Path]:
    """Two projects, one with a blank in its path."""
    for name in ("hall", "back room"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "harness.toml").write_text(CONFIGURATION)
        (folder / "docker-compose.yml").write_text(COMPOSE.replace("NAME", name))
        (folder / "keep.py").write_text(KEEP)
    return tmp_path / "hall", tmp_path / "back room"


def up(folder: Path) -> str:
    """In a process of its own, as a person does it: the starter is gone afterwards."""
    command = [sys.executable, "-m", "harness.cli.main", "up", "--json"]
    environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["stack"])


def test_without_an_id_a_command_takes_this_projects_stack_though_another_is_newer(
    call: Call, rooms: tuple[Path, Path], tmp_path: Path
) -> None:
    """Each of the four, in either folder; and from a folder inside of the project."""
    hall, back = rooms
    first, second = up(hall), up(back)
    (hall / "inner").mkdir()
    assert json.loads(call(hall, "status", "--json")[1])["stack"] == first
    assert json.loads(call(back, "status", "--json")[1])["stack"] == second
    assert call(hall / "inner", "backup", "b")[1].split() == ["backup", "hall", first, "hall"]
    assert call(back, "restore", "b")[1].split() == ["restore", "back", "room", second, "back", "room"]
    assert call(hall, "down")[1] == f"stopped {first}\n"
    code, _, err = call(hall, "down")
    assert (code, "no stack of this project is running" in err, f"{second} of {back}" in err) == (2, True, True)
    assert [stack.stack_id for stack in Stack.recorded()] == [second]


ACTS = [("down",), ("backup", "b"), ("restore", "b")]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("where", ["hall", "nowhere"])
def test_another_projects_stack_needs_its_id_and_its_folder(
    call: Call, rooms: tuple[Path, Path], tmp_path: Path, act: tuple[str, ...], where: str
) -> None:
    """The id alone is refused with the words that would do it; so are the folder alone and a wrong folder; both together act."""
    hall, back = rooms
    (tmp_path / "nowhere").mkdir()
    here = tmp_path / where
    stack = up(back)
    named = (stack,) if act == ("down",) else ("--stack", stack)
    code, out, err = call(here, *act, *named)
    assert (code, out) == (2, "")
    assert f"belongs to {back}" in err
    assert f"--project '{back}'" in err
    assert call(here, *act, *named, "--project", str(hall))[0] == 2
    code, _, err = call(here, *act, "--project", str(back))
    assert (code, "by its id too" in err) == (2, True)
    assert [one.stack_id for one in Stack.recorded()] == [stack]
    code, out, err = call(here, *act, *named, "--project", str(back))
    assert (code, stack in out) == (0, True), err


def test_an_unknown_id_names_the_nearest_and_what_runs(call: Call, rooms: tuple[Path, Path]) -> None:
    """A typing error ends nothing."""
    stack = up(rooms[0])
    wrong = stack[:-1] + ("0" if stack[-1] != "0" else "1")
    code, _, err = call(rooms[0], "down", wrong)
    assert (code, f"did you mean '{stack}'" in err) == (2, True)
    assert len(Stack.recorded()) == 1


def test_status_lists_every_stack_this_projects_first(call: Call, rooms: tuple[Path, Path]) -> None:
    """Its exit code speaks of this project's; where it has none, the others are listed all the same, and it is 1."""
    hall, back = rooms
    mine, other = up(hall), up(back)
    code, out, _ = call(hall, "status", "--json")
    assert (code, [entry["stack"] for entry in json.loads(out)["stacks"]]) == (0, [mine, other])
    code, out, _ = call(hall, "status")
    assert out.index(mine) < out.index(other)
    assert (str(hall) in out, str(back) in out) == (True, True)
    call(hall, "down")
    code, out, _ = call(hall, "status")
    assert (code, other in out) == (1, True)
    assert call(hall, "status", other)[0] == 0
    call(back, "down")
    assert call(hall, "status")[0] == 2


def test_status_tells_of_a_supervisor_that_stands_still_and_down_ends_it(call: Call, rooms: tuple[Path, Path]) -> None:
    """Nothing hangs; the folder with the secrets goes with the stack."""
    stack = up(rooms[0])
    (info,) = [one.info for one in Stack.recorded()]
    os.kill(info.supervisor_pid, signal.SIGSTOP)
    code, out, _ = call(rooms[0], "status")
    assert (code, "is stopped (SIGSTOP)" in out) == (1, True)
    assert call(rooms[0], "down")[1] == f"stopped {stack}\n"
    assert not info.folder.exists()
    assert not psutil.pid_exists(info.supervisor_pid) or psutil.Process(info.supervisor_pid).status() == psutil.STATUS_ZOMBIE


def test_the_secrets_of_a_killed_stack_are_gone_by_themselves(call: Call, rooms: tuple[Path, Path]) -> None:
    """kill -9 of a supervisor that ``up`` started: its folder goes, and the next command knows of no stack."""
    up(rooms[0])
    (info,) = [one.info for one in Stack.recorded()]
    os.kill(info.supervisor_pid, signal.SIGKILL)
    assert reached(lambda: not info.folder.exists(), 5)
    assert call(rooms[0], "status")[0] == 2
