"""Generic layer ``contract``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.suites.tables import contract_scenario

pytestmark = pytest.mark.layer("contract")


def test_contract(scenario: Any, tmp_path: Path) -> None:
    """Every operation of the OpenAPI document keeps it, and refuses what it must refuse in the one form."""
    path = tmp_path / "contract.yaml"
    path.write_text(contract_scenario(), encoding="utf-8")
    scenario(path).require_pass()
