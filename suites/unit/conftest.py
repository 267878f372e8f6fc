"""Unit tests are bounded: one that hangs fails after two minutes. The layered suites have deadlines of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

LIMIT_S = 120
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))
