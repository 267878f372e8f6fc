"""Ways past the gate that earlier platforms left open; each is tried on the API with the real gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from suites.shacl.batches import valid_batch
from suites.unit.gateway.conftest import Site
from suites.unit.gateway.test_auth_problems import problem
from system.evidence.graph.gate import Gate, is_ucum

Batch = dict[str, Any]


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.fixture
def guarded(site: Site, gate: Gate) -> Site:
    site.world.gate = gate
    return site


def _edges(batch: Batch, kind: str) -> list[dict[str, Any]]:
    return [edge for edge in batch["edges"] if edge["type"] == kind]


def _grade_nine(batch: Batch) -> None:
    _edges(batch, "HAS_AE")[0]["properties"]["grade"] = 9


def _negative_denominator(batch: Batch) -> None:
    _edges(batch, "HAS_AE")[0]["properties"]["denom"] = -1


def _no_span(batch: Batch) -> None:
    batch["edges"] = [edge for edge in batch["edges"] if not (edge["type"] == "DERIVES_FROM" and edge["source"]["label"] == "Evidence")]


def _empty_quote(batch: Batch) -> None:
    for edge in _edges(batch, "DERIVES_FROM"):
        edge["properties"]["quote"] = ""


def _no_measured_outcome(batch: Batch) -> None:
    batch["edges"] = [edge for edge in batch["edges"] if edge["type"] != "MEASURES"]


def _dangling_edge(batch: Batch) -> None:
    _edges(batch, "MEASURES")[0]["target"]["key"] = "nobody wrote this outcome"


def _unit_outside_ucum(batch: Batch) -> None:
    next(node for node in batch["nodes"] if node["label"] == "Dose")["properties"]["unit_ucum"] = "furlongs"


BYPASSES: tuple[Callable[[Batch], None], ...] = (
    _grade_nine, _negative_denominator, _no_span, _empty_quote, _no_measured_outcome, _dangling_edge, _unit_outside_ucum,
)  # fmt: skip


@pytest.mark.parametrize("spoil", BYPASSES, ids=lambda one: one.__name__.strip("_"))
def test_each_bypass_is_refused_with_issues_and_a_dead_letter(guarded: Site, client: TestClient, spoil: Callable[[Batch], None]) -> None:
    """One wrong thing in a batch of everything: 422 with at least one issue, nothing written, one persisted letter."""
    batch = valid_batch("write-0001", "000001")
    spoil(batch)
    body = problem(client.post("/v1/kg/write", json=batch), 422)
    assert body["issues"]
    assert all(issue["focus_node"] and issue["shape"] and issue["message"] for issue in body["issues"])
    assert body["dead_letter_id"] in guarded.world.records.letters
    assert (guarded.world.graph.contributions, guarded.world.records.batches) == ({}, {})


@pytest.mark.parametrize("member", ["graph", "rdf", "triples", "conforms", "issues", "supporter", "validated"])
def test_a_callers_own_graph_is_never_taken(guarded: Site, client: TestClient, member: str) -> None:
    """What the gate looks at is made from nodes and edges here; a member that would say otherwise is refused by name."""
    batch = valid_batch("write-0001", "000001")
    _grade_nine(batch)
    body = problem(client.post("/v1/kg/write", json={**batch, member: {"nodes": [], "grade": 3}}), 400)
    assert body["details"][0]["field"] == f"body.{member}"


@pytest.mark.parametrize("unit", ["mm[Hg]", "mmol/L", "mg", "ug/kg/min", "10*9/L", "%", "[iU]/L", "mg/dL", "{score}"])
def test_real_units_pass(guarded: Site, client: TestClient, unit: str) -> None:
    """UCUM is not a list of five."""
    assert is_ucum(unit)
    batch = valid_batch("write-0001", "000001")
    next(node for node in batch["nodes"] if node["label"] == "Evidence")["properties"]["unit_ucum"] = unit
    assert client.post("/v1/kg/write", json=batch).status_code == 200


def test_an_outcome_is_an_edge_not_an_inline_object(guarded: Site, client: TestClient) -> None:
    """The payload as the API describes it passes, and the outcome is a node of its own in the graph."""
    assert client.post("/v1/kg/write", json=valid_batch("write-0001", "000001")).status_code == 200
    kinds = {edge.type for batch in guarded.world.graph.contributions.values() for edge in batch.edges}
    labels = {node.ref.label for batch in guarded.world.graph.contributions.values() for node in batch.nodes}
    assert "MEASURES" in kinds
    assert "Outcome" in labels


def test_counts_of_an_answer_are_what_is_in_the_graph(guarded: Site, client: TestClient) -> None:
    """Written means written: the answer's numbers equal the contribution that the graph holds."""
    answer = client.post("/v1/kg/write", json=valid_batch("write-0001", "000001")).json()
    (held,) = guarded.world.graph.contributions.values()
    assert (answer["nodes"], answer["edges"]) == (len(held.nodes), len(held.edges))
