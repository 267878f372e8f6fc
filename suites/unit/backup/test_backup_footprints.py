"""Reconciliation finds every claim that the graph's bookkeeping does not cover, and every one it covers in vain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from system.deploy.backup_graph import GraphElement
from system.deploy.reconcile import footprints, torn_bookkeeping
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef
from system.stores import graph_plan as plan
from system.stores.graph_schema import CONTRIBUTION

STUDY, ARM = NodeRef("Study", "NCT00000001"), NodeRef("Arm", "arm-1")


def batch(supporter: str) -> GraphBatch:
    nodes = (GraphNode(STUDY, {"title": "t"}), GraphNode(ARM, {"title": "a"}))
    return GraphBatch(supporter, nodes, (GraphEdge("HAS_ARM", STUDY, ARM, "", {}),))


def exported(*supporters: str) -> list[GraphElement]:
    """What a graph holds after these supporters wrote the same batch: bookkeeping, nodes, edges."""
    made = [plan.contribution(batch(name)) for name in supporters]
    books = [GraphElement(CONTRIBUTION, plan.footprint_properties(one)) for one in made]
    nodes = [GraphElement(ref.label, {"key": ref.key, "supporters": list(supporters)}) for ref in (ARM, STUDY)]
    (type_, source, target, key), *_ = made[0].edges
    edge = GraphElement(type_, {"key": key, "supporters": list(supporters)}, (source.label, source.key), (target.label, target.key))
    return [*books, *nodes, edge]


def seen(elements: list[GraphElement]) -> Iterator[GraphElement]:
    return iter(elements)


def test_a_whole_graph_has_nothing_torn() -> None:
    """Bookkeeping and claims agree after ordinary writes."""
    found = footprints(seen(exported("a", "b")))
    assert found.torn == set()
    assert found.digests == {name: plan.contribution(batch(name)).digest for name in ("a", "b")}


@pytest.mark.parametrize("lost", [2, 3, 4])
def test_a_missing_element_tears_all_its_supporters(lost: int) -> None:
    """A node or an edge that the bookkeeping names and the graph lacks is found."""
    elements = exported("a", "b")
    del elements[lost]
    assert footprints(seen(elements)).torn == {"a", "b"}


def test_claims_without_bookkeeping_are_found_and_named_with_their_ends() -> None:
    """What was written while an export ran has claims and no bookkeeping; its repair names nodes, edges and the edges' ends."""
    found = footprints(seen(exported("a")[1:]))
    assert found.torn == {"a"}
    made = plan.footprint(torn_bookkeeping("a", found))
    assert made.nodes == {STUDY, ARM}
    assert {edge[0] for edge in made.edges} == {"HAS_ARM"}
    assert made.digest not in found.digests.values()
