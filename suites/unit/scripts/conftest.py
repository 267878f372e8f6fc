"""The scripts, loaded as modules whose project is a folder of the test."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[3]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_script_{name}", PROJECT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setup_script(tmp_path: Path) -> ModuleType:
    """``scripts/setup.py`` for a project in a folder with blanks; nothing is installed there yet."""
    module = _load("setup")
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in module.LOCKS:
        (folder / name).write_text(name)
    module.PROJECT, module.VENV = folder, folder / ".venv"  # type: ignore[attr-defined]
    module.STAMP = module.VENV / "share" / "evidence-harness" / "setup.stamp"  # type: ignore[attr-defined]
    module.MODELS = module.VENV / "models"  # type: ignore[attr-defined]
    return module


@pytest.fixture
def test_script() -> ModuleType:
    """``scripts/test.py`` as a module of its own."""
    return _load("test")
