"""The stored graph, captured whole and validated again outside the platform, by triples made from the documentation."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.requirement("OPS-2.3", "OPS-2.1")
@pytest.mark.usefixtures("ingested")
def test_the_stored_graph_keeps_every_shape(scenario: Any) -> None:
    """No violation in the graph that the documents of this run made, and no shape that looked at nothing."""
    scenario("shacl").require_pass()
