"""109 Performance Troubleshooting Runbooks. Criteria: docs/requirements.tsv, M18-109."""

from __future__ import annotations

import pytest

from harness.core.errors import Blocked


@pytest.mark.requirement("M18-109")
def test_troubleshooting_runbooks() -> None:
    """Runbooks for slowness can be followed step by step."""
    raise Blocked("not built yet (comes with the memory engine)")
