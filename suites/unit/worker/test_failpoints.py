"""The failpoint port: private, armed once, and really a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from system.failpoints import Failpoints, armed_at
from system.platform.ports import WRITING_CALLS


@pytest.fixture
def control() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="eh-fp-") as folder:  # a unix socket's path is short
        yield Path(folder) / "worker.sock"


def ask(path: Path, *lines: str) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5.0)
        client.connect(str(path))
        with client.makefile("rwb") as stream:
            answers = []
            for line in lines:
                stream.write(line.encode() + b"\n")
                stream.flush()
                answers.append(json.loads(stream.readline()))
    return answers


class Store:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def put(self, name: str, *, data: bytes = b"") -> str:
        self.calls.append(name)
        return name

    def get(self, name: str) -> str:
        return name


def test_the_socket_belongs_to_its_owner_alone_and_the_umask_stays(control: Path) -> None:
    """Mode 0600, and files made afterwards have the modes they always had."""
    before = os.umask(0o022)
    os.umask(before)
    armed_at(control)
    assert stat.S_IMODE(control.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(control.stat().st_mode)
    assert os.umask(before) == before


def test_writing_calls_are_traced_and_reading_ones_are_not(control: Path) -> None:
    """The trace has every writing call in order; arguments and results pass through; reset forgets."""
    points = armed_at(control)
    store = Store()
    port = points.wrap("objects", store)
    assert (port.put("a", data=b"x"), port.get("b"), port.put("c")) == ("a", "b", "c")
    assert ask(control, '{"trace": true}', '{"reset": true}', '{"trace": true}') == [
        {"calls": ["objects.put", "objects.put"]},
        {"ok": True},
        {"calls": []},
    ]


def test_every_writing_call_of_every_port_is_a_point() -> None:
    """The list of writing calls is what is wrapped, for every port."""
    points = Failpoints()
    for name, calls in WRITING_CALLS.items():
        port = points.wrap(name, type("Port", (), {call: staticmethod(lambda: None) for call in (*calls, "read_only")})())
        for call in (*calls, "read_only"):
            getattr(port, call)()
    assert points.command({"trace": True})["calls"] == [f"{name}.{call}" for name, calls in WRITING_CALLS.items() for call in calls]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "7", '{"arm": {}}', '{"arm": 3}', '{"other": 1}', '{"arm": {"point": "a", "moment": "b", "hit": "x", "action": "c"}}'],
)
def test_a_wrong_command_is_answered_and_the_port_lives_on(control: Path, line: str) -> None:
    """Rubbish gets an error; the next command on the same connection works."""
    armed_at(control)
    wrong, right = ask(control, line, '{"trace": true}')
    assert "error" in wrong
    assert right == {"calls": []}


CHILD = """
import sys
from pathlib import Path
from system.failpoints import armed_at
class Store:
    def put(self, name):
        print(name, flush=True)
port = armed_at(Path(sys.argv[1])).wrap("objects", Store())
for name in "abcd":
    port.put(name)
print("end", flush=True)
"""


def child(control: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CHILD, str(control)], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("moment", "written"), [("before", "a\nb\n"), ("after", "a\nb\nc\n")])
def test_an_arming_file_kills_once_at_the_third_call(control: Path, moment: str, written: str) -> None:
    """SIGKILL before or after the third put; the file is gone, so the restarted process runs to its end, over the old socket."""
    waiting = control.with_suffix(".arm")
    waiting.write_text(json.dumps({"arm": {"point": "objects.put", "moment": moment, "hit": 3, "action": "crash"}}) + "\n")
    first = child(control)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, written)
    assert not waiting.exists()
    second = child(control)
    assert (second.returncode, second.stdout) == (0, "a\nb\nc\nd\nend\n")
