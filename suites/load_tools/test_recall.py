"""Recall on the requests that carry the load: minutes, so only with --full. The bar ``recall_under_fault`` prints it second by second."""

from __future__ import annotations

import pytest


@pytest.mark.isolated
def test_recall_falls_without_a_retriever_and_comes_back_with_it(scenario) -> None:
    """Against an exact oracle: whole before the sparse model is killed, fallen while it is away, whole again after its return."""
    scenario("load_recall").require_pass()
