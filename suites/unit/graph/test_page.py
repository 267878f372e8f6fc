from __future__ import annotations

import re
from pathlib import Path

from system.evidence.graph import rdf
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef
from system.stores.graph_schema import EDGE_TYPES, LABELS, RESERVED

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "graph-rdf.md").read_text(encoding="utf-8")


def test_example_of_the_page_is_what_the_triple_maker_says() -> None:
    """The worked example is made by the code, line by line."""
    evidence, chunk = NodeRef("Evidence", "e 1/é"), NodeRef("Chunk", "d:c0#01234567")
    edge = GraphEdge("DERIVES_FROM", evidence, chunk, "0-5", {"start": 0, "end": 5, "quote": "héllo"})
    batch = GraphBatch("w", (GraphNode(evidence, {"value": 0.8, "flags": ("a", "b")}), GraphNode(chunk, {})), (edge,))
    (example,) = re.findall(r"```ntriples\n(.*?)```", PAGE, re.DOTALL)
    assert sorted(example.splitlines()) == sorted(rdf.ntriples(rdf.triples(batch)).splitlines())


def test_page_lists_the_model() -> None:
    """Labels, edge types, reserved names and the tolerance on the page are those of the code."""
    assert f"Labels: `{' '.join(LABELS)}`" in PAGE
    assert f"Edge types: `{' '.join(EDGE_TYPES)}`" in PAGE
    (reserved,) = re.findall(r"none of `([a-z ]+)`", PAGE)
    assert set(reserved.split()) == RESERVED
    assert f"max({rdf.TOLERANCE_ABSOLUTE}, {rdf.TOLERANCE_RELATIVE} * |v|)" in PAGE
