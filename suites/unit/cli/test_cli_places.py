"""A few places of the bar `places`: a run passes there and leaves nothing. The bound of unit tests is theirs alone."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from scripts.bars.places import passes

PLACES = {
    "a project that pytest would misread": {"project": "[a] $HOME::b ü"},
    "a TMPDIR too long for a socket": {"temporary": "=140"},
    "a locale without UTF-8": {
        "project": "ö",
        "temporary": "tmp ö",
        "variables": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    },
}


@pytest.mark.parametrize("name", PLACES)
def test_a_run_passes_in_an_odd_place(name: str) -> None:
    """PASS, its summary below ``latest``, no traceback, no process or file left."""
    assert passes(**PLACES[name]) == []


def test_only_unit_tests_are_bounded(request: pytest.FixtureRequest) -> None:
    """Layered suites take longer than two minutes: plain ``pytest suites/…`` cuts none of them."""
    marker = request.node.get_closest_marker("timeout")
    assert marker is not None
    assert marker.args == (120,)
    ini = configparser.ConfigParser()
    ini.read(Path(__file__).parents[3] / "pytest.ini", encoding="utf-8")
    assert "timeout" not in ini["pytest"]
