"""102 Recommendation Engine. Criteria: docs/requirements.tsv, M18-102."""

from __future__ import annotations

import pytest

from harness.core.errors import Blocked


@pytest.mark.requirement("M18-102")
def test_recommendation_engine() -> None:
    """Recommendations follow recent taste on real ratings."""
    raise Blocked("not built yet (comes with the memory engine)")
