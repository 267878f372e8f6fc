"""111 Throughput Capacity Planning. Criteria: docs/requirements.tsv, M18-111."""

from __future__ import annotations

import pytest

from harness.core.errors import Blocked


@pytest.mark.requirement("M18-111")
def test_capacity_planning() -> None:
    """Capacity and its breaking point are known."""
    raise Blocked("not built yet (comes with the memory engine)")
