"""``reports/example``: the kept run folder is whole, and today's checkers come to the same verdict byte for byte."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.recheck import project_or_installed_registry
from harness.run.recheck import recheck

EXAMPLE = Path(__file__).parents[3] / "reports" / "example"
SMALL_BYTES = 1_000_000


def test_it_is_judged_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recheck of the example is identical; where it is not on purpose, `python -m scripts.example` makes it anew."""
    monkeypatch.chdir(EXAMPLE.parents[1])
    result = recheck(EXAMPLE, None, project_or_installed_registry())
    assert (result.identical, result.problems[:3]) == (True, ())
    assert result.summary is not None
    assert result.summary.verdict == "PASS"


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    """The verifier that lies in the folder accepts it, and not when one byte of a sample differs."""
    copy = shutil.copytree(EXAMPLE, tmp_path / "example")
    verify = [sys.executable, str(copy / "verify_run.py"), str(copy)]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
    victim = next(path for path in sorted((copy / "evidence").rglob("*")) if path.is_file())
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 1


def test_it_is_small() -> None:
    """The example stays under a megabyte."""
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < SMALL_BYTES
