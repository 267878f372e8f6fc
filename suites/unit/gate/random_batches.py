"""Random batches in the gate's own vocabulary: sound ones, and ones broken in every way its shapes know, and in odder ways.

A batch is one to three studies of :func:`suites.shacl.batches.valid_batch` under changes drawn from a seeded generator: the negatives
of every shape, any property of any element set to any value of the pool, elements moved, renamed, repeated and taken away.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping

import msgspec

from suites.shacl.batches import NEGATIVES, changed, valid_batch
from system.gateway.routes_graph import batch_of
from system.gateway.schemas import GraphWrite
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, PropertyValue
from system.stores.graph_schema import EDGE_TYPES, LABELS, external_refs

VALUES: tuple[PropertyValue, ...] = (
    *(None, "", "x", "0", " ", "HR", "inclusion", "NCT00000001", "NCT00000001\n", "PMC7", "7", "10.1000/x y", "10.1000/x"),
    *("mg", "mg\n", "milligrams", "é", "🧪", "e\u0301", 'quote " and \\ back', "tab\tline\nfeed\r", "\u2028", "\x7f\x01", "<urn:x>", "_:b"),
    *("a" * 64, "A" * 64, "m" * 80, "m" * 81, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "d:c1#0123abcd", "34068-7"),
    *(0, 1, -1, 3, 5, 6, 9, 40, 41, 400, 2**31, 2**53, 2**53 + 1, 2**62, 2**62 + 1, -(2**62)),
    *(0.0, -0.0, 1.0, 1, 0.5, -0.5, 0.8, 0.805, 1e-300, 1e300, 5e-324, 99.999999999999, 100.0, 9007199254740992.0),
    *(True, False, (), ("a",), ("a", "a"), ("HR", "OR"), ("", "é")),
)
NUMBERS: tuple[PropertyValue, ...] = tuple(value for value in VALUES if isinstance(value, int | float))
COMPARED = (
    ("value", "ci_low", "ci_high"),
    ("ci_low", "ci_high"),
    ("value", "effect_type"),
    ("age_min_years", "age_max_years"),
    ("count", "denom"),
    ("start", "end", "quote"),
    ("start", "end"),
)
UNKNOWN = ("zz_top", "denominator", "x")


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A batch and the nodes outside it that are in the graph."""

    batch: GraphBatch
    known: tuple[NodeRef, ...]


def cases(seed: int, count: int) -> Iterator[Case]:
    """``count`` cases; the same for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        yield _case(chance, number)


def _case(chance: random.Random, number: int) -> Case:
    names = sorted(NEGATIVES)
    parts = []
    for study in range(chance.choice((1, 1, 1, 2, 3))):
        made = valid_batch(f"write-{number:06d}", f"{(number * 3 + study) % 10**6:06d}")
        if chance.random() < 0.3:
            made = changed(made, NEGATIVES[chance.choice(names)][0])
        parts.append(batch_of(GraphWrite.model_validate(made)))
    nodes = {node.ref: node for part in parts for node in part.nodes}
    batch = GraphBatch(parts[0].supporter, tuple(nodes.values()), tuple(edge for part in parts for edge in part.edges))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3, 5))):
        batch = chance.choice(_CHANGES)(batch, chance)
    return Case(batch, tuple(ref for ref in external_refs(batch) if chance.random() < 0.5))


def _node_property(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    if not batch.nodes:
        return batch
    at = chance.randrange(len(batch.nodes))
    node = batch.nodes[at]
    return _with_node(batch, at, msgspec.structs.replace(node, properties=_other(node.properties, chance)))


def _edge_property(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    at = chance.randrange(len(batch.edges))
    edge = batch.edges[at]
    return _with_edge(batch, at, msgspec.structs.replace(edge, properties=_other(edge.properties, chance)))


def _other(properties: Mapping[str, PropertyValue], chance: random.Random) -> dict[str, PropertyValue]:
    made = dict(properties)
    name = chance.choice([*made, *_PROPERTIES, *UNKNOWN] if chance.random() < 0.5 or not made else [*made])
    made[name] = chance.choice(VALUES)
    return made


def _compared(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    """Two or three properties that shapes compare with each other, each with a value of any kind."""
    names = chance.choice(COMPARED)
    holders = [at for at, node in enumerate(batch.nodes) if names[0] in node.properties]
    if holders:
        at = chance.choice(holders)
        node = batch.nodes[at]
        return _with_node(batch, at, msgspec.structs.replace(node, properties={**node.properties, **_values(names, chance)}))
    holders = [at for at, edge in enumerate(batch.edges) if names[0] in edge.properties]
    if not holders:
        return batch
    at = chance.choice(holders)
    edge = batch.edges[at]
    return _with_edge(batch, at, msgspec.structs.replace(edge, properties={**edge.properties, **_values(names, chance)}))


def _values(names: tuple[str, ...], chance: random.Random) -> dict[str, PropertyValue]:
    return {name: chance.choice(NUMBERS if chance.random() < 0.8 else VALUES) for name in names}


def _edge_end(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    at = chance.randrange(len(batch.edges))
    refs = [node.ref for node in batch.nodes] or [batch.edges[at].source]
    ref = chance.choice([chance.choice(refs), NodeRef(chance.choice(LABELS), chance.choice(("elsewhere", 'a "b"\n> c', "é/%41")))])
    return _with_edge(batch, at, msgspec.structs.replace(batch.edges[at], **{chance.choice(("source", "target")): ref}))


def _edge_kind(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    at = chance.randrange(len(batch.edges))
    return _with_edge(batch, at, msgspec.structs.replace(batch.edges[at], type=chance.choice((*EDGE_TYPES, "LIKES", "X"))))


def _edge_again(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    """One edge stated twice, the second time perhaps with another property or under another qualifier."""
    edge = chance.choice(batch.edges)
    properties = _other(edge.properties, chance) if chance.random() < 0.7 else edge.properties
    qualifier = chance.choice((edge.qualifier, edge.qualifier, "other", 'é "\n'))
    return msgspec.structs.replace(batch, edges=(*batch.edges, msgspec.structs.replace(edge, properties=properties, qualifier=qualifier)))


def _edge_gone(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    at = chance.randrange(len(batch.edges))
    return msgspec.structs.replace(batch, edges=batch.edges[:at] + batch.edges[at + 1 :]) if len(batch.edges) > 1 else batch


def _node_gone(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    gone = chance.choice(batch.nodes) if batch.nodes else None
    return msgspec.structs.replace(batch, nodes=tuple(node for node in batch.nodes if node is not gone))


def _node_renamed(batch: GraphBatch, chance: random.Random) -> GraphBatch:
    """Another key or label, and the edges that touched the node go with it or stay behind."""
    if not batch.nodes:
        return batch
    at = chance.randrange(len(batch.nodes))
    old = batch.nodes[at].ref
    label = chance.choice((old.label, old.label, chance.choice(LABELS), "Opinion"))
    new = NodeRef(
        label, chance.choice((old.key, "k", 'a "b"\n> c', "NCT00000009", f"{old.key}\n", "é/%41", "ctgov:x#1:0123456789ab:c0#01234567"))
    )
    if any(node.ref == new for node in batch.nodes):
        return batch
    edges = batch.edges
    if chance.random() < 0.7:
        edges = tuple(
            msgspec.structs.replace(
                edge, source=new if edge.source == old else edge.source, target=new if edge.target == old else edge.target
            )
            for edge in edges
        )
    return msgspec.structs.replace(_with_node(batch, at, msgspec.structs.replace(batch.nodes[at], ref=new)), edges=edges)


def _with_node(batch: GraphBatch, at: int, node: GraphNode) -> GraphBatch:
    return msgspec.structs.replace(batch, nodes=(*batch.nodes[:at], node, *batch.nodes[at + 1 :]))


def _with_edge(batch: GraphBatch, at: int, edge: GraphEdge) -> GraphBatch:
    return msgspec.structs.replace(batch, edges=(*batch.edges[:at], edge, *batch.edges[at + 1 :]))


Change = Callable[[GraphBatch, random.Random], GraphBatch]
_CHANGES: tuple[Change, ...] = (
    *(_node_property,) * 4,
    *(_edge_property,) * 3,
    *(_compared,) * 3,
    _edge_end,
    _edge_kind,
    _edge_again,
    _edge_gone,
    _node_gone,
    _node_renamed,
)
_WHOLE = valid_batch("write-000000", "000000")
_PROPERTIES = tuple(sorted({name for item in (*_WHOLE["nodes"], *_WHOLE["edges"]) for name in item["properties"]}))
