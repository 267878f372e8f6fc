"""A tiny foreign project: a server of the test, a harness.toml, layers of one test each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LAYERS = {
    "good": "import urllib.request\ndef test_good(target, examined):\n"
    "    examined(len(urllib.request.urlopen(target.base_url + '/', timeout=5).read()))\n",
    "bad": "def test_bad(target):\n    assert 'up' == 'down'\n",
    "blocked": "import pytest\ndef test_blocked():\n    pytest.skip('no disk')\n",
    "vacuous": "def test_vacuous(examined):\n    examined(0)\n",
    "broken": "def test_broken():\n    raise OSError('gone')\n",
    "slow": "import pathlib, time\ndef test_slow(target):\n    pathlib.Path('started').touch()\n    time.sleep(60)\n",
}


class Foreign:
    """A project in a folder with blanks, judged by ``harness`` in a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        for name, text in LAYERS.items():
            (folder / "the suites" / name).mkdir(parents=True)
            (folder / "the suites" / name / f"test_{name}.py").write_text(text)
        tables = "".join(f'[layers.{name}]\nsuite = "the suites/{name}"\n' for name in LAYERS)
        self.write(f'[target]\nbase_url = "http://127.0.0.1:{port}/"\n{tables}')

    def write(self, text: str) -> None:
        (self.folder / "harness.toml").write_text(text, encoding="utf-8")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS"))}
        mine |= {"PYTEST_ADDOPTS": "-p no:schemathesis"} | options.pop("environment", {})  # a foreign plugin, slow to import
        given = {"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": mine} | options
        return subprocess.Popen([sys.executable, "-m", "harness.cli.main", *arguments], **given)

    def harness(self, *arguments: str, **options: Any) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(timeout=90)
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Foreign]:
    folder = tmp_path / "a foreign project"
    folder.mkdir()
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split(" port ")[1].split()[0])
        yield Foreign(folder, port)
        server.kill()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``call(folder, *arguments)``: the command in this process; exit code, stdout, stderr."""
    from harness.cli.main import main

    def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
