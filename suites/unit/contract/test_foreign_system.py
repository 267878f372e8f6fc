"""The example service, judged by ``harness verify`` in a process of its own, outside the repository: as it is, and with seeded defects."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "foreign"
SHORTER = {
    "time_s = 10": 'time_s = 8\nphases = ["coverage", "fuzzing"]',
    'duration = "12 s"': 'duration = "11 s"',
    'duration = "8 s"': 'duration = "4 s"',
    'at = "3 s"': 'at = "1 s"',
}
pytestmark = [pytest.mark.slow, pytest.mark.isolated]


def _installed() -> bool:
    try:
        importlib.metadata.distribution("evidence-harness")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.fixture
def verify(tmp_path: Path) -> Any:
    """``verify(layer…, file=, old=, new=)``: exit code and summary of the layers, with one text of one file replaced."""
    if not _installed():
        pytest.skip("the distribution is not installed in this environment: its pytest plugin is not found")
    folder = tmp_path / "a foreign project"
    shutil.copytree(EXAMPLE, folder)

    def run(*layers: str, file: str = "harness.toml", old: str = "", new: str = "") -> tuple[int, dict[str, Any]]:
        _replace(folder / "harness.toml", SHORTER)
        if old:
            _replace(folder / file, {old: new})
        chosen = [part for layer in layers for part in ("--only", layer)]
        command = [sys.executable, "-m", "harness.cli.main", "verify", *chosen, "--json", "--seed", "5"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS"))}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=110, check=False)
        assert done.stdout, done.stderr.decode()[-2000:]
        return done.returncode, json.loads(done.stdout)

    return run


def _replace(path: Path, changes: dict[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def test_the_example_passes(verify: Any) -> None:
    """A well-behaved service passes contract and kill without code of its own; load passes or says that this machine is too noisy."""
    _, summary = verify("contract", "load", "kill")
    rows = {layer: {row["verdict"] for row in summary["rows"] if row["layer"] == layer} for layer in ("contract", "load", "kill")}
    assert rows["contract"] == rows["kill"] == {"PASS"}, summary["rows"]
    assert "PASS" in rows["load"]
    assert rows["load"] <= {"PASS", "INCONCLUSIVE"}


@pytest.mark.parametrize(
    ("layer", "file", "old", "new"),
    [
        ("contract", "service.py", 'if role == "writer" else', "if role else"),
        ("load", "service.py", "return self.send(201, NOTES[-1])", "return self.send(200, NOTES[-1])"),
        ("kill", "docker-compose.yml", "restart: always", 'restart: "no"'),
    ],
)
def test_a_seeded_defect_goes_red(verify: Any, layer: str, file: str, old: str, new: str) -> None:
    """A defect of each field turns its layer red."""
    code, summary = verify(layer, file=file, old=old, new=new)
    assert code in {1, 5}
    assert summary["verdict"] in {"FAIL", "ERROR"}


def test_the_service_stays_small() -> None:
    """The example is what it says: at most 100 lines."""
    assert len((EXAMPLE / "service.py").read_text(encoding="utf-8").splitlines()) <= 100
