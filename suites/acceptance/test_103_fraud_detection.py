"""103 Fraud Detection. Criteria: docs/requirements.tsv, M18-103."""

from __future__ import annotations

import pytest

from harness.core.errors import Blocked


@pytest.mark.requirement("M18-103")
def test_fraud_detection() -> None:
    """Injected fraud patterns are found and partial ones completed."""
    raise Blocked("not built yet (comes with the memory engine)")
