"""Layer 5: open-loop load on retrieve, its figures certified; the same load in Locust beside it."""

from __future__ import annotations

import pytest


@pytest.mark.usefixtures("ingested")
def test_retrieve_holds_its_objectives_under_open_loop_load(scenario) -> None:
    """Retrieve answers ten arrivals a second within its objectives, and the figures carry a certificate."""
    scenario("load_retrieve").require_pass()
