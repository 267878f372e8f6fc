"""Generic layer ``kill``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.suites.tables import kill_scenario_text

if TYPE_CHECKING:
    from harness.plugin.session import Session

pytestmark = pytest.mark.layer("kill")


def test_kill(scenario: Any, harness_session: Session, tmp_path: Path) -> None:
    """The service of [kill] is killed under load and the system recovers by itself in time."""
    path = tmp_path / "kill.yaml"
    path.write_text(kill_scenario_text(harness_session.project.tables), encoding="utf-8")
    scenario(path).require_pass()
