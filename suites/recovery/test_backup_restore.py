"""Layer 7: every store is lost and comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.plugin.session import Trial


@pytest.mark.isolated
def test_all_stores_come_back_from_a_backup(scenario: Callable[[str], Trial]) -> None:
    """Backed up under writes, destroyed, restored into empty stores: all that was acknowledged before is served again."""
    scenario("backup_restore").require_pass()
