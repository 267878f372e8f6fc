"""Inside one write transaction: which elements a batch touches and what each of them becomes. No client library here."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from system.platform.ports import GraphBatch, GraphEdge, NodeRef, PropertyValue
from system.stores.graph_merge import Claims, claims_of, stored_form
from system.stores.graph_schema import edge_key, external_refs, node_iri, plain

EdgeRef = tuple[str, NodeRef, NodeRef, str]  # type, source, target, key
Group = tuple[str, str, str]  # edge type, source label, target label


@dataclasses.dataclass(frozen=True, slots=True)
class Contribution:
    """What one supporter states: properties by node and by edge. ``external`` nodes are leant on, not stated."""

    supporter: str
    digest: str
    nodes: Mapping[NodeRef, dict[str, PropertyValue]]
    edges: Mapping[EdgeRef, dict[str, PropertyValue]]
    qualifiers: Mapping[str, str]  # edge key -> qualifier
    external: frozenset[NodeRef]


@dataclasses.dataclass(frozen=True, slots=True)
class Footprint:
    """What a supporter contributed before: read from its bookkeeping node, empty for a new supporter."""

    digest: str = ""
    nodes: frozenset[NodeRef] = frozenset()
    edges: frozenset[EdgeRef] = frozenset()


def contribution(batch: GraphBatch) -> Contribution:
    """The batch with elements merged by key (per property the smallest value wins) and order taken out."""
    nodes: dict[NodeRef, dict[str, PropertyValue]] = {ref: {} for ref in external_refs(batch)}
    external = frozenset(nodes)
    for node in batch.nodes:
        nodes[node.ref] = least(nodes.get(node.ref, {}), plain(node.properties))
    edges: dict[EdgeRef, dict[str, PropertyValue]] = {}
    qualifiers: dict[str, str] = {}
    for edge in batch.edges:
        ref = edge_ref(edge)
        edges[ref] = least(edges.get(ref, {}), plain(edge.properties))
        qualifiers[ref[3]] = edge.qualifier
    return Contribution(batch.supporter, _digest(nodes, edges), nodes, edges, qualifiers, external)


def least(one: Mapping[str, PropertyValue], other: Mapping[str, PropertyValue]) -> dict[str, PropertyValue]:
    """Both property sets; where they differ, the value whose JSON is smaller: no order of statements shows."""
    result = dict(one)
    for name, value in other.items():
        if name not in result or msgspec.json.encode(value) < msgspec.json.encode(result[name]):
            result[name] = value
    return result


def edge_ref(edge: GraphEdge) -> EdgeRef:
    return edge.type, edge.source, edge.target, edge_key(edge)


def edge_group(ref: EdgeRef) -> Group:
    return ref[0], ref[1].label, ref[2].label


def next_claims(stored: Mapping[str, Any], supporter: str, stated: dict[str, PropertyValue] | None) -> Claims:
    """The claims on an element after ``supporter`` states ``stated`` (None: states nothing any more)."""
    claims = claims_of(stored)
    claims.pop(supporter, None)
    if stated is not None:
        claims[supporter] = stated
    return claims


def node_row(ref: NodeRef, claims: Claims) -> dict[str, Any]:
    return {"key": ref.key, "form": stored_form(ref.key, claims)}


def edge_row(ref: EdgeRef, claims: Claims, qualifier: str) -> dict[str, Any]:
    form = stored_form(ref[3], claims) | {"qualifier": qualifier}
    return {"source": ref[1].key, "target": ref[2].key, "key": ref[3], "form": form}


def by_label(refs: Iterable[NodeRef]) -> Iterator[tuple[str, list[NodeRef]]]:
    """Refs a label, everything sorted: transactions that touch the same nodes do so in the same order."""
    groups: dict[str, list[NodeRef]] = defaultdict(list)
    for ref in sorted(refs):
        groups[ref.label].append(ref)
    yield from sorted(groups.items())


def by_group(refs: Iterable[EdgeRef]) -> Iterator[tuple[Group, list[EdgeRef]]]:
    groups: dict[Group, list[EdgeRef]] = defaultdict(list)
    for ref in sorted(refs):
        groups[edge_group(ref)].append(ref)
    yield from sorted(groups.items())


def by_source(refs: Iterable[EdgeRef], size: int) -> Iterator[list[dict[str, Any]]]:
    """Statements' rows {source, keys}: the edges of one source together, at most ``size`` edges a statement."""
    for part in slices(sorted(refs, key=lambda ref: (ref[1], ref[3])), size):
        yield [{"source": key, "keys": [ref[3] for ref in group]} for key, group in itertools.groupby(part, key=lambda ref: ref[1].key)]


def slices(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def footprint_properties(made: Contribution) -> dict[str, Any]:
    """The bookkeeping node's properties: the refs as JSON, one string each."""
    return {
        "key": made.supporter,
        "digest": made.digest,
        "nodes": [msgspec.json.encode(ref).decode() for ref in sorted(made.nodes)],
        "edges": [msgspec.json.encode(ref).decode() for ref in sorted(made.edges)],
    }


def footprint(stored: Mapping[str, Any]) -> Footprint:
    nodes = frozenset(msgspec.json.decode(text, type=NodeRef) for text in stored.get("nodes") or ())
    edges = frozenset(msgspec.json.decode(text, type=EdgeRef) for text in stored.get("edges") or ())
    return Footprint(str(stored.get("digest") or ""), nodes, edges)


def _digest(nodes: Mapping[NodeRef, object], edges: Mapping[EdgeRef, object]) -> str:
    content = (sorted((node_iri(ref), value) for ref, value in nodes.items()), sorted((ref[3], value) for ref, value in edges.items()))
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
