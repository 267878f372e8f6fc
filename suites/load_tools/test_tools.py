"""Load by Locust and k6, judged from samples as our own is: minutes, so only `harness verify --full` or `--only load_tools` runs it.

Without Locust or k6 a trial is BLOCKED with the command that installs it. The bar `load_tools` runs all scripts, and a slowdown.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("ingested")


def test_retrieve_holds_the_burst_objectives_by_locust(scenario) -> None:
    """Fifty Locust users ask the intent mix for two minutes; burst objectives hold on the schedule they were due by."""
    scenario("load_locust_burst").require_pass()


@pytest.mark.parametrize("name", ["load_k6_retrieve_latency", "load_k6_concurrency", "load_k6_ingest_throughput"])
def test_objectives_hold_by_k6_and_by_its_samples(scenario, name: str) -> None:
    """k6's own thresholds hold, the samples agree, nothing was dropped."""
    scenario(name).require_pass()
