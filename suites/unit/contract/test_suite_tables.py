"""The scenarios that generic suites and `harness evaluate` write are scenarios; wrong tables say what is wrong."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.cli.evaluate import arguments, scenario_text
from harness.core.errors import Blocked, UsageError
from harness.run.registry import Registry
from harness.scenario.loader import parse_scenario
from harness.suites.tables import contract_scenario, kill_scenario_text, load_scenario_text

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "foreign" / "harness.toml"


@pytest.fixture
def tables() -> dict[str, Any]:
    return tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


def test_generated_scenarios_load(tables: dict[str, Any], registry: Registry) -> None:
    """Each text is accepted by the loader: names, units, phases and thresholds are right."""
    for text in (contract_scenario(), load_scenario_text(tables), kill_scenario_text(tables)):
        assert parse_scenario(text.encode(), "generated.yaml", registry).checks
    steady = parse_scenario(load_scenario_text(tables).encode(), "load.yaml", registry).phases[0]
    assert (steady.from_ns, steady.to_ns) == (1_000_000_000, 13_000_000_000)


def test_the_evaluation_scenario_loads(registry: Registry, tmp_path: Path) -> None:
    """`harness evaluate retrieval` writes a scenario that the loader accepts, also for a path with blanks."""
    parser = argparse.ArgumentParser()
    arguments(parser, "evaluate")
    namespace = parser.parse_args(["retrieval", str(tmp_path), "--documents", "50"])
    found = parse_scenario(scenario_text(tmp_path / "a set", namespace).encode(), "e.yaml", registry)
    assert found.timeline[0].parameters["documents"] == 50


def test_wrong_tables_name_key_and_remedy(tables: dict[str, Any]) -> None:
    """A misspelt key names its table; several request kinds must be named; none is BLOCKED."""
    with pytest.raises(UsageError, match=r"\[load\].*speed"):
        load_scenario_text({**tables, "load": {"speed": "10 /s"}})
    with pytest.raises(UsageError, match="several request kinds"):
        load_scenario_text({**tables, "requests": {"a": {}, "b": {}}})
    with pytest.raises(Blocked, match=r"no \[requests"):
        load_scenario_text({"target": {}})
    with pytest.raises(Blocked, match="nothing of ours to kill"):
        kill_scenario_text({"target": {"base_url": "http://127.0.0.1:1"}})
