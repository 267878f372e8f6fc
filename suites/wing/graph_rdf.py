"""The probe ``graph_capture``: the whole stored graph, read through the API, as N-Triples by the rules of ``docs/graph-rdf.md``.

Written from that page alone: the platform's own code that makes triples is not used and was not read, so that the two can disagree.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from harness.core.errors import HarnessError
from harness.core.units import Duration
from harness.run.protocols import StepContext
from harness.shacl.capture import capture_graph
from suites.wing.api import Api

EH = "https://evidence-harness.example/ns#"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
XSD = "http://www.w3.org/2001/XMLSchema#"
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
BOOKKEEPING = "Contribution"  # label of the store's own nodes
NOT_PROPERTIES = frozenset({"key", "supporters", "claims", "lock", "qualifier"})
_SPECIAL = re.compile(r'[\x00-\x1f\x7f"\\]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
TOLERANCE = 0.01


class GraphCapture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``shapes``: folder of Turtle files, relative to the project. ``time``: bound of the validation."""

    shapes: str = "system/evidence/shapes"
    time: Duration = Duration.parse("300 s")


class GraphCaptureProbe:
    """Stores the graph, the shapes and the validator's report; judges nothing."""

    name: ClassVar[str] = "graph_capture"
    parameters: ClassVar[type[msgspec.Struct]] = GraphCapture
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def capture(self, context: StepContext, parameters: GraphCapture) -> None:
        """Raises ``HarnessError`` without shapes, ``httpx`` errors when the platform cannot be read."""
        shapes = sorted((context.project / parameters.shapes).glob("*.ttl"))
        if not shapes:
            raise HarnessError(f"there are no shapes in {parameters.shapes}")
        with Api(context.target, "reader") as api:
            nodes, edges = api.graph()
        capture_graph(context, self.name, ntriples(nodes, edges), shapes, time_s=parameters.time.seconds)


def ntriples(nodes: Iterable[Mapping[str, Any]], edges: Iterable[Mapping[str, Any]]) -> bytes:
    """The graph as sorted N-Triples; nodes and edges as ``GET /v1/kg/export`` gives them."""
    lines = {line for node in nodes if node["label"] != BOOKKEEPING for line in _node(node)}
    lines |= {line for edge in edges for line in _edge(edge)}
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


def node_iri(label: str, key: str) -> str:
    """``urn:eh:<Label>:<key>``, the key percent-encoded byte by byte."""
    return f"urn:eh:{label}:" + "".join(chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in key.encode())


def edge_iri(source: str, kind: str, target: str, qualifier: str) -> str:
    """``urn:eh:edge:<sha12>`` over the IRIs of the ends, the type and the qualifier."""
    return "urn:eh:edge:" + hashlib.sha256(f"{source}\n{kind}\n{target}\n{qualifier}".encode()).hexdigest()[:12]


def _node(node: Mapping[str, Any]) -> Iterator[str]:
    subject = node_iri(node["label"], node["key"])
    yield f"<{subject}> <{RDF_TYPE}> <{EH}{node['label']}> ."
    yield _triple(subject, "key", str(node["key"]))
    yield from _properties(subject, node["properties"])
    value = node["properties"].get("value")
    if isinstance(value, int | float) and not isinstance(value, bool):
        tolerance = max(TOLERANCE, TOLERANCE * abs(float(value)))
        yield _triple(subject, "valueLower", float(value) - tolerance)
        yield _triple(subject, "valueUpper", float(value) + tolerance)


def _edge(edge: Mapping[str, Any]) -> Iterator[str]:
    source, target = (node_iri(edge[end]["label"], edge[end]["key"]) for end in ("source", "target"))
    kind, qualifier, properties = str(edge["type"]), str(edge.get("qualifier") or ""), edge["properties"]
    subject = edge_iri(source, kind, target, qualifier)
    yield f"<{source}> <{EH}{kind}> <{target}> ."
    yield f"<{subject}> <{RDF_TYPE}> <{EH}{kind}> ."
    yield f"<{subject}> <{EH}source> <{source}> ."
    yield f"<{subject}> <{EH}target> <{target}> ."
    if qualifier:
        yield _triple(subject, "qualifier", qualifier)
    yield from _properties(subject, properties)
    start, end, quote = (properties.get(name) for name in ("start", "end", "quote"))
    if type(start) is int and type(end) is int and start < end and isinstance(quote, str) and quote:
        yield _triple(subject, "spanLength", end - start)
        yield _triple(subject, "quoteLength", len(quote))


def _properties(subject: str, properties: Mapping[str, Any]) -> Iterator[str]:
    for name, value in properties.items():
        if name in NOT_PROPERTIES or value is None:
            continue
        for item in value if isinstance(value, list | tuple) else (value,):
            yield _triple(subject, name, item)


def _triple(subject: str, name: str, value: object) -> str:
    return f"<{subject}> <{EH}{name}> {literal(value)} ."


def literal(value: object) -> str:
    """A stored value as an N-Triples literal; raises ``HarnessError`` for a value the model does not have."""
    match value:
        case bool():
            return f'"{str(value).lower()}"^^<{XSD}boolean>'
        case int():
            return f'"{value}"^^<{XSD}integer>'
        case float():
            return f'"{value!r}"^^<{XSD}double>'
        case str():
            return f'"{_SPECIAL.sub(_escaped, value)}"'
        case _:
            raise HarnessError(f"the graph holds a value of type {type(value).__name__}: {value!r}")


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return _ESCAPES.get(character, f"\\u{ord(character):04X}")
