"""Triples made from the API's answer, by the rules of docs/graph-rdf.md alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rdflib import Graph

from harness.core.errors import HarnessError
from suites.wing.graph_rdf import literal, node_iri, ntriples

PAGE = Path(__file__).resolve().parents[3] / "docs" / "graph-rdf.md"
NODES = [
    {"label": "Evidence", "key": "e 1/é", "properties": {"value": 0.8, "flags": ["a", "b"], "none": None}, "supporters": ["d"]},
    {"label": "Chunk", "key": "d:c0#01234567", "properties": {}, "supporters": ["d"]},
]
EDGE = {
    "type": "DERIVES_FROM",
    "source": {"label": "Evidence", "key": "e 1/é"},
    "target": {"label": "Chunk", "key": "d:c0#01234567"},
    "qualifier": "0-5",
    "properties": {"start": 0, "end": 5, "quote": "héllo"},
    "supporters": ["d"],
}


def test_the_example_of_the_page_comes_out_triple_by_triple() -> None:
    """The page's own example, from its nodes and edge: the same set of triples."""
    example = re.search(r"```ntriples\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    wanted, made = Graph().parse(data=example[1], format="nt"), Graph().parse(data=ntriples(NODES, [EDGE]), format="nt")
    assert set(made) == set(wanted)


def test_bookkeeping_nodes_are_left_out() -> None:
    """Nodes with the label Contribution never become triples."""
    assert ntriples([{"label": "Contribution", "key": "x", "properties": {}}], []) == b""


def test_text_survives_whatever_it_holds() -> None:
    """Quotes, backslashes, control characters and astral characters read back as they were."""
    text = 'a"b\\c\nd\re\tf\x00\x7f\U0001d54f\u2028'
    nodes = [{"label": "Study", "key": text, "properties": {"title": text}}]
    graph = Graph().parse(data=ntriples(nodes, []), format="nt")
    assert {str(value) for value in graph.objects(None, None) if "a" in str(value) and "urn" not in str(value)} >= {text}
    assert node_iri("Study", "ä/%").endswith("%C3%A4%2F%25")


@pytest.mark.parametrize(
    ("value", "wanted"), [(True, '"true"'), (3, '"3"'), (0.1, '"0.1"'), (1e-05, '"1e-05"'), (95.0, '"95.0"'), ("x", '"x"')]
)
def test_literals(value: object, wanted: str) -> None:
    """Each kind of value has its datatype; text is plain."""
    assert literal(value).split("^^")[0] == wanted


def test_a_value_outside_the_model_is_refused() -> None:
    """A nested object in the graph is an error, not silently text."""
    with pytest.raises(HarnessError, match="dict"):
        literal({"a": 1})
