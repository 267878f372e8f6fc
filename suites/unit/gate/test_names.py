"""Names and values no store can hold: the quick question about the whole batch and the slow look at each thing agree."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.platform.errors import BadInput
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef
from system.stores.graph_schema import KEY_LIMIT_CHARS, check_names

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"properties": {"p": float("nan")}}, "/nodes/1/properties/p"),
    "minus infinity beside infinity": ({"properties": {"p": float("-inf"), "q": float("inf")}}, "/nodes/1/properties/p"),
    "2^63": ({"properties": {"p": 2**63}}, "/nodes/1/properties/p"),
    "-2^63": ({"properties": {"p": -(2**63)}}, "/nodes/1/properties/p"),
    "2^64": ({"properties": {"p": 2**64}}, "/nodes/1/properties/p"),
    "surrogate": ({"properties": {"p": "a\udc80"}}, "/nodes/1/properties/p"),
    "NUL in a list": ({"properties": {"p": ("a", "b\0")}}, "/nodes/1/properties/p"),
    "reserved": ({"properties": {"lock": 1}}, "/nodes/1/properties/lock"),
    "capital": ({"properties": {"Name": 1}}, "/nodes/1/properties/Name"),
    "label": ({"ref": NodeRef("condition", "k")}, "/nodes/1/label"),
    "empty key": ({"ref": NodeRef("Condition", "")}, "/nodes/1/key"),
    "long key": ({"ref": NodeRef("Condition", "k" * (KEY_LIMIT_CHARS + 1))}, "/nodes/1/key"),
    "surrogate in a key": ({"ref": NodeRef("Condition", "\ud800")}, "/nodes/1/key"),
}
GOOD = [float("1e308"), -1e308, 2**63 - 1, -(2**63) + 1, True, None, (), ("é", "🧪"), "\\u0000", '\\"\\u0000', "\x01\x7f", "\u2028", ""]
ref = NodeRef("Condition", "k")


def batch(*nodes: GraphNode, edges: tuple[GraphEdge, ...] = (), supporter: str = "w") -> GraphBatch:
    return GraphBatch(supporter, (GraphNode(NodeRef("Arm", "a"), {"name": "x"}), *nodes), edges)


@pytest.mark.parametrize("what", BAD)
def test_what_no_store_can_hold_is_refused_with_its_place(what: str) -> None:
    """A JSON pointer to the first thing that is wrong."""
    change, place = BAD[what]
    with pytest.raises(BadInput) as bad:
        check_names(batch(msgspec.structs.replace(GraphNode(ref, {}), **change)))
    assert bad.value.place == place


@pytest.mark.parametrize(
    ("edge", "place"),
    [
        (GraphEdge("likes", ref, ref, "", {}), "/edges/0/type"),
        (GraphEdge("LIKES", ref, NodeRef("X\n", "k"), "", {}), "/edges/0/target/label"),
        (GraphEdge("LIKES", NodeRef("Arm", "\0"), ref, "", {}), "/edges/0/source/key"),
        (GraphEdge("LIKES", ref, ref, "\ud800", {}), "/edges/0/qualifier"),
        (GraphEdge("LIKES", ref, ref, "", {"x": float("inf")}), "/edges/0/properties/x"),
    ],
)
def test_edges_are_looked_at_as_nodes_are(edge: GraphEdge, place: str) -> None:
    """Type, ends, qualifier, properties."""
    with pytest.raises(BadInput) as bad:
        check_names(batch(edges=(edge,)))
    assert bad.value.place == place


@pytest.mark.parametrize("supporter", ["", "s" * (KEY_LIMIT_CHARS + 1)])
def test_a_supporter_without_a_name_is_refused(supporter: str) -> None:
    """Whose batch it is must be storable too."""
    with pytest.raises(BadInput) as bad:
        check_names(batch(supporter=supporter))
    assert bad.value.place == "/supporter"


@pytest.mark.parametrize("value", GOOD, ids=repr)
def test_what_a_store_can_hold_passes(value: Any) -> None:
    """Also a text that spells an escape, and two floats whose sum is infinite."""
    check_names(batch(GraphNode(ref, {"p": value, "q": 1e308, "r": 1e308})))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(),
    st.lists(st.text(st.characters(exclude_categories=[]))).map(tuple),
)


@given(st.dictionaries(st.one_of(st.sampled_from(["p", "q", "lock", "Key", "a b"]), st.text(max_size=3)), VALUES, max_size=4))
def test_the_quick_question_lets_nothing_pass_that_the_slow_look_refuses(properties: dict[str, Any]) -> None:
    """For any properties: refused exactly when one of them alone is refused."""

    def refused(of: dict[str, Any]) -> bool:
        try:
            check_names(batch(GraphNode(ref, of)))
        except BadInput:
            return True
        return False

    assert refused(properties) == any(refused({name: value}) for name, value in properties.items())
    assert refused(properties) == any(_bad(name) or _unfit(value) for name, value in properties.items())


def _bad(name: str) -> bool:
    snake = name[:1].isascii() and name[:1].islower() and all(c.isascii() and (c.islower() or c.isdigit() or c == "_") for c in name)
    return not snake or len(name) > 64 or name in {"key", "supporters", "claims", "lock", "source", "target", "qualifier", "type"}


def _unfit(value: Any) -> bool:
    if isinstance(value, float):
        return value != value or value in {float("inf"), float("-inf")}
    if isinstance(value, int):
        return abs(value) >= 2**63
    texts = [value] if isinstance(value, str) else value or ()
    return any(c == "\0" or 0xD800 <= ord(c) <= 0xDFFF for text in texts for c in text)
