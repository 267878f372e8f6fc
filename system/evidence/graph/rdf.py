"""GraphBatch to RDF, for the gate. The page docs/graph-rdf.md states the same rules for whoever re-validates from outside.

Namespace ``https://evidence-harness.example/ns#`` (prefix ``eh``). A node is ``urn:eh:<Label>:<key>``; every edge is the plain
triple ``source eh:TYPE target`` and a node ``urn:eh:edge:<sha12>`` with ``eh:source`` and ``eh:target`` that carries its properties.
Derived terms (camelCase, so no property can imitate them) make arithmetic checkable without SPARQL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, PropertyValue
from system.stores.graph_schema import edge_iri, node_iri, plain

NAMESPACE = "https://evidence-harness.example/ns#"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
XSD = "http://www.w3.org/2001/XMLSchema#"
TOLERANCE_ABSOLUTE = 0.01  # rounding of published figures
TOLERANCE_RELATIVE = 0.01

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})


@dataclasses.dataclass(frozen=True, slots=True)
class Literal:
    """A literal by lexical form and the local name of its XML Schema datatype (string, integer, double, boolean)."""

    lexical: str
    datatype: str


Triple = tuple[str, str, str | Literal]  # subject IRI, predicate IRI, object IRI or literal


def triples(batch: GraphBatch, known: Iterable[NodeRef] = ()) -> Iterator[Triple]:
    """Every triple of the batch; ``known`` nodes of the graph outside it get their ``eh:key`` and nothing else."""
    for node in batch.nodes:
        yield from node_triples(node)
    for edge in batch.edges:
        yield from edge_triples(edge)
    for ref in known:
        yield node_iri(ref), NAMESPACE + "key", Literal(ref.key, "string")


def node_triples(node: GraphNode) -> Iterator[Triple]:
    """Type, key, properties and, where there is a numeric ``value``, its rounding bounds."""
    subject = node_iri(node.ref)
    yield subject, RDF_TYPE, NAMESPACE + node.ref.label
    yield subject, NAMESPACE + "key", Literal(node.ref.key, "string")
    yield from _properties(subject, node.properties)
    value = node.properties.get("value")
    if isinstance(value, int | float) and not isinstance(value, bool):
        slack = max(TOLERANCE_ABSOLUTE, TOLERANCE_RELATIVE * abs(value))
        yield subject, NAMESPACE + "valueLower", literal(float(value) - slack)
        yield subject, NAMESPACE + "valueUpper", literal(float(value) + slack)


def edge_triples(edge: GraphEdge) -> Iterator[Triple]:
    """The plain triple and the edge's own node; with start, end and quote also their two lengths in code points."""
    subject, source, target = edge_iri(edge), node_iri(edge.source), node_iri(edge.target)
    yield source, NAMESPACE + edge.type, target
    yield subject, RDF_TYPE, NAMESPACE + edge.type
    yield subject, NAMESPACE + "source", source
    yield subject, NAMESPACE + "target", target
    if edge.qualifier:
        yield subject, NAMESPACE + "qualifier", Literal(edge.qualifier, "string")
    yield from _properties(subject, edge.properties)
    start, end, quote = (edge.properties.get(name) for name in ("start", "end", "quote"))
    if type(start) is int and type(end) is int and isinstance(quote, str) and quote and start < end:
        yield subject, NAMESPACE + "spanLength", literal(end - start)
        yield subject, NAMESPACE + "quoteLength", literal(len(quote))


def literal(value: str | float) -> Literal:
    """The literal of a scalar; a bool is no integer."""
    if isinstance(value, bool):
        return Literal("true" if value else "false", "boolean")
    if isinstance(value, int):
        return Literal(str(value), "integer")
    return Literal(repr(value), "double") if isinstance(value, float) else Literal(value, "string")


def ntriples(statements: Iterable[Triple]) -> str:
    """N-Triples text, one statement a line, in the order given."""
    return "".join(f"<{subject}> <{predicate}> {_object(value)} .\n" for subject, predicate, value in statements)


def _properties(subject: str, properties: Mapping[str, PropertyValue]) -> Iterator[Triple]:
    for name, value in plain(properties).items():
        for member in value if isinstance(value, tuple) else (value,):
            if member is not None:
                yield subject, NAMESPACE + name, literal(member)


def _object(value: str | Literal) -> str:
    if isinstance(value, str):
        return f"<{value}>"
    text = f'"{value.lexical.translate(_ESCAPES)}"'
    return text if value.datatype == "string" else f"{text}^^<{XSD}{value.datatype}>"
