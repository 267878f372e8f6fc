"""Layer load_budget: burst and steady load against the budget file. (A slow reranker has to be planted: the bar `budget` does that.)"""

from __future__ import annotations

import pytest


@pytest.mark.usefixtures("ingested")
@pytest.mark.parametrize("name", ["budget_steady", "budget_burst"])
def test_load_stays_within_its_budget(scenario, name: str) -> None:
    """Every limit, objective and burn rate of the phase holds, by endpoint."""
    scenario(name).require_pass()
