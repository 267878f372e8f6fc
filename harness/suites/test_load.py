"""Generic layer ``load``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.suites.tables import load_scenario_text

if TYPE_CHECKING:
    from harness.plugin.session import Session

pytestmark = pytest.mark.layer("load")


def test_load(scenario: Any, harness_session: Session, tmp_path: Path) -> None:
    """The request kind of [load] holds its objectives under open-loop arrivals, with a canary in band."""
    path = tmp_path / "load.yaml"
    path.write_text(load_scenario_text(harness_session.project.tables), encoding="utf-8")
    scenario(path).require_pass()
