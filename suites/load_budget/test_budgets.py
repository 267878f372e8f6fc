"""Layer load_budget: burst and steady load against the budget file; a slow reranker against back-pressure."""

from __future__ import annotations

import pytest


@pytest.mark.usefixtures("ingested")
@pytest.mark.parametrize("name", ["budget_steady", "budget_burst"])
def test_load_stays_within_its_budget(scenario, name: str) -> None:
    """Every limit, objective and burn rate of the phase holds, by endpoint."""
    scenario(name).require_pass()


@pytest.mark.usefixtures("ingested")
def test_a_slow_reranker_trips_back_pressure_and_its_end_releases_it(scenario) -> None:
    """Blocked where the stack was started without a defect file; the bar `budget` starts one with it."""
    scenario("back_pressure").require_pass()
