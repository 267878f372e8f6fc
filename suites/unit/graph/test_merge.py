from __future__ import annotations

import hashlib
import random

from hypothesis import given
from hypothesis import strategies as st

from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef
from system.stores.graph_merge import claims_of, merged, stored_form
from system.stores.graph_plan import contribution, footprint, footprint_properties
from system.stores.graph_schema import edge_iri, edge_key, node_iri

values = st.one_of(
    st.text(max_size=5),
    st.integers(-9, 9),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.text(max_size=3), min_size=1, max_size=2).map(tuple),
)
claims = st.dictionaries(
    st.text("abc", min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["name", "year", "phase"]), values, max_size=3),
    min_size=1,
    max_size=4,
)


@given(claims, st.randoms())
def test_stored_form_does_not_depend_on_order_and_keeps_every_claim(one: dict, rng: random.Random) -> None:
    """Whoever came first, the stored properties are the same, and each supporter's claim can be read back."""
    other = dict(rng.sample(sorted(one.items()), len(one)))
    assert stored_form("k", one) == stored_form("k", other)
    assert claims_of(stored_form("k", one)) == one


@given(claims)
def test_smallest_supporter_that_states_a_property_wins(one: dict) -> None:
    """Property by property, the first supporter in order that states it is believed."""
    for name, value in merged(one).items():
        assert value == one[min(supporter for supporter in one if name in one[supporter])][name]


def test_agreeing_claims_are_not_stored_twice() -> None:
    """The usual case, everybody says the same, costs nothing."""
    assert "claims" not in stored_form("k", {"a": {"n": 1}, "b": {"n": 1}})


@given(st.randoms())
def test_contribution_does_not_depend_on_the_order_of_statements(rng: random.Random) -> None:
    """Nodes and edges in any order, also said twice differently, make the same contribution and digest."""
    refs = [NodeRef("Condition", key) for key in "abc"]
    nodes = [GraphNode(ref, {"name": name}) for ref in refs for name in ("x", "y")]
    edges = [GraphEdge("ABOUT", refs[0], ref, "", {"n": n}) for ref in refs for n in (1, 2)]
    one = contribution(GraphBatch("w", tuple(nodes), tuple(edges)))
    rng.shuffle(nodes)
    rng.shuffle(edges)
    other = contribution(GraphBatch("w", tuple(nodes), tuple(edges)))
    assert one == other
    read = footprint(footprint_properties(one))
    assert (read.digest, read.nodes, read.edges) == (one.digest, frozenset(one.nodes), frozenset(one.edges))


def test_identity_is_as_the_page_says() -> None:
    """Node and edge names are those of docs/graph-rdf.md, computed by hand."""
    edge = GraphEdge("MEASURES", NodeRef("Evidence", "e 1/é"), NodeRef("Outcome", "os"), "", {})
    assert node_iri(edge.source) == "urn:eh:Evidence:e%201%2F%C3%A9"
    digest = hashlib.sha256(b"urn:eh:Evidence:e%201%2F%C3%A9\nMEASURES\nurn:eh:Outcome:os\n").hexdigest()
    assert edge_key(edge) == digest[:24]
    assert edge_iri(edge) == f"urn:eh:edge:{digest[:12]}"
