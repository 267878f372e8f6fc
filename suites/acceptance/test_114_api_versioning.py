"""114 API Versioning and Deprecation. Criteria: docs/requirements.tsv, M18-114."""

from __future__ import annotations

import pytest

from harness.core.errors import Blocked


@pytest.mark.requirement("M18-114")
def test_api_versioning() -> None:
    """Old clients keep working and are warned before anything ends."""
    raise Blocked("not built yet (comes with the memory engine)")
