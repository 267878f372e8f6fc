from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdflib import Graph
from rdflib.compare import isomorphic

from system.evidence.graph import rdf
from system.evidence.graph.engine_reference import load_shapes, to_graph
from system.evidence.graph.gate import Gate, check_batch, pack, unpack_issues
from system.platform.errors import BadInput, GateRefused
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef


def _never(_ref: NodeRef) -> bool:
    return False


def test_empty_batch_is_bad_input(gate: Gate) -> None:
    """Nothing to check is not a pass."""
    with pytest.raises(BadInput, match="empty"):
        gate.check(GraphBatch("w", (), ()), _never)


def test_grade_nine_is_refused_with_place_and_remedy(gate: Gate, draft: Any) -> None:
    """The issue names focus node, path, value, shape and what to do."""
    with pytest.raises(GateRefused) as refused:
        gate.check(draft.edge("HAS_AE", grade=9).batch(), _never)
    (issue,) = refused.value.issues
    assert issue.focus_node.startswith("urn:eh:edge:")
    assert issue.path == rdf.NAMESPACE + "grade"
    assert issue.value == "9"
    assert issue.shape.endswith("#AeGrade")
    assert "1 to 5" in issue.message


@pytest.mark.parametrize("name", ["quoteLength", "spanLength", "type", "key", "supporters", "source", "Grade", "a b", ""])
def test_property_names_cannot_imitate_the_gate_s_own_terms(name: str, gate: Gate, draft: Any) -> None:
    """Derived and reserved names are no property names: a caller cannot supply what the gate computes."""
    with pytest.raises(BadInput, match="reserved"):
        gate.check(draft.edge("HAS_AE", **{name: 1}).batch(), _never)


def test_hostile_label_and_key_stay_data(gate: Gate, draft: Any) -> None:
    """A label outside the grammar is refused; any key is percent-encoded and cannot leave its IRI."""
    with pytest.raises(BadInput, match="no label"):
        gate.check(draft.rename("condition", "x", label="Condition {}) DETACH DELETE n //").batch(), _never)
    gate.check(draft.rename("condition", '> <urn:x> "a" .\n<urn:eh:é').batch(), _never)


def test_known_node_outside_the_batch_is_no_dangling_end(gate: Gate, draft: Any) -> None:
    """An edge may end at a node that the graph has already, and only then."""
    outside = draft.without("outcome")
    with pytest.raises(GateRefused):
        gate.check(outside.batch(), _never)
    gate.check(outside.batch(), lambda ref: ref == draft.nodes["outcome"].ref)


def test_one_node_stated_twice_differently_is_refused(gate: Gate, draft: Any) -> None:
    """Two statements about one node in one batch are the caller's to settle."""
    batch = draft.batch()
    twice = msgspec.structs.replace(batch, nodes=(*batch.nodes, GraphNode(draft.nodes["arm"].ref, {"name": "Other"})))
    with pytest.raises(BadInput, match="twice"):
        gate.check(twice, _never)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63, "\ud800", "a\0b"])
def test_values_no_store_can_hold_are_bad_input(value: Any, gate: Gate, draft: Any) -> None:
    """NaN, infinities, integers over 64 bits, lone surrogates and NUL are refused by name."""
    with pytest.raises(BadInput):
        gate.check(draft.node("arm", name=value).batch(), _never)


def test_quote_length_counts_code_points(gate: Gate, draft: Any) -> None:
    """A quote outside the basic plane is as long as its code points."""
    gate.check(draft.edge("DERIVES_FROM evidence", start=0, end=3, quote="a🧪é").batch(), _never)


def test_rounded_interval_is_tolerated(gate: Gate, draft: Any) -> None:
    """A limit that rounding moved past the value is not a contradiction."""
    gate.check(draft.node("evidence", value=0.8, ci_low=0.805).batch(), _never)


def test_worker_process_form_agrees(draft: Any) -> None:
    """The picklable function answers in another process what the gate answers in this one."""
    jobs = [
        pack(draft.batch()),
        pack(draft.edge("HAS_AE", grade=9).batch()),
        pack(draft.without("outcome").batch(), [draft.nodes["outcome"].ref]),
    ]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = [unpack_issues(pool.submit(check_batch, *job).result(timeout=60)) for job in jobs]
    assert [len(answer) for answer in answers] == [0, 1, 0]
    with pytest.raises(BadInput, match="empty"):
        unpack_issues(check_batch(*pack(GraphBatch("w", (), ()))))


def test_threads_do_not_disturb_each_other(gate: Gate, draft: Any) -> None:
    """One gate serves several threads; each gets the verdict of its own batch."""

    def verdict(grade: int) -> bool:
        try:
            gate.check(draft.edge("HAS_AE", grade=grade).batch(), _never)
        except GateRefused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(verdict, [1, 9] * 6)) == [True, False] * 6


def test_a_document_of_500_elements_takes_less_than_a_second_and_a_half(gate: Gate, draft: Any) -> None:
    """The gate is no bottleneck."""
    place = {"start": 0, "end": 5, "quote": "héllo"}
    nodes, edges = list(draft.nodes.values()), list(draft.edges.values())
    for index in range(100):
        ref = NodeRef("Evidence", f"e{index}x")
        nodes.append(GraphNode(ref, draft.nodes["evidence"].properties))
        edges += [
            GraphEdge("MEASURES", ref, draft.nodes["outcome"].ref, "", {}),
            GraphEdge("WAS_GENERATED_BY", ref, draft.nodes["activity"].ref, "", {}),
        ]
        edges.append(GraphEdge("DERIVES_FROM", ref, draft.nodes["chunk"].ref, "", place))
    batch = GraphBatch(
        "w", tuple(nodes), tuple(edges) + tuple(GraphEdge("REPORTS", draft.nodes["study"].ref, n.ref, "", {}) for n in nodes[13:])
    )
    assert len(batch.nodes) + len(batch.edges) >= 500
    began = time.process_time()
    gate.check(batch, _never)
    assert time.process_time() - began < 1.5


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_text_form_and_graph_form_say_the_same(text: str) -> None:
    """N-Triples parsed by rdflib equal the graph made without parsing, for any text."""
    batch = GraphBatch(
        "w", (GraphNode(NodeRef("Condition", text or "x"), {"name": text, "n": 1, "f": 0.5, "b": True, "l": ("a", text)}),), ()
    )
    made = list(rdf.triples(batch))
    assert isomorphic(Graph().parse(data=rdf.ntriples(made), format="nt"), to_graph(made))


def test_a_second_engine_agrees(gate: Gate, draft: Any) -> None:
    """Where the Rust engine is installed, it finds the same shapes broken."""
    shacl = pytest.importorskip("shacl", reason="the second SHACL engine is not installed")
    from system.evidence.graph.gate import SHAPES_DIR

    shapes = shacl.Shapes.from_turtle(load_shapes(SHAPES_DIR).serialize(format="turtle"))
    for changed in (draft, draft.edge("HAS_AE", grade=9), draft.without("MEASURES"), draft.node("evidence", unit_ucum="milligrams")):
        ours: tuple[Any, ...] = ()
        try:
            gate.check(changed.batch(), _never)
        except GateRefused as refused:
            ours = refused.issues
        report = shapes.validate_text(rdf.ntriples(rdf.triples(changed.batch())), format="ntriples")
        assert {issue.shape for issue in ours} == {result.source_shape.strip("<>") for result in report.results}
