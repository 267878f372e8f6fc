"""Layer 6: the graph server dies under load."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.plugin.session import Trial


@pytest.mark.isolated
def test_nothing_acknowledged_is_lost_when_the_graph_server_is_killed(scenario: Callable[[str], Trial]) -> None:
    """kill -9 of the graph server under retrieval load, ingest and graph writes: detected, recovered from, nothing lost."""
    scenario("chaos_graph").require_pass()
