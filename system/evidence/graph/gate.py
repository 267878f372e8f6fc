"""The SHACL gate: every batch passes it before it is written; one violation refuses the whole batch.

A caller hands over nodes and edges, never RDF: the data graph is made here (:mod:`system.evidence.graph.rdf`). The engine is
pySHACL over shapes parsed once a process. :func:`check_batch` is for worker processes: bytes in, bytes out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol, cast

import msgspec
import pyshacl
from rdflib import RDF, SH, XSD, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from system.evidence.graph import rdf
from system.platform.errors import BadInput, GateIssue, GateRefused
from system.platform.ports import GraphBatch, NodeRef
from system.stores.graph_schema import check_names, external_refs

SHAPES_DIR: Final = Path(__file__).resolve().parent.parent / "shapes"
ISSUE_LIMIT: Final = 1_000  # a report stays readable; the batch is refused by the first one already

_DATATYPES: Final = {name: XSD[name] for name in ("integer", "double", "boolean")}


class Issue(msgspec.Struct, frozen=True, order=True):
    """A :class:`GateIssue` that travels between processes."""

    focus_node: str
    path: str
    value: str
    shape: str
    message: str


class ShaclEngine(Protocol):
    """Validates triples against the shapes it was made with; an empty answer means they conform."""

    def validate(self, triples: Iterable[rdf.Triple]) -> tuple[Issue, ...]: ...


class PyShacl:
    """The reference engine. One instance serves one thread at a time per call: it keeps no state between calls."""

    def __init__(self, shapes_dir: Path) -> None:
        self._shapes = load_shapes(shapes_dir)

    def validate(self, triples: Iterable[rdf.Triple]) -> tuple[Issue, ...]:
        data = to_graph(triples)
        conforms, report, _ = pyshacl.validate(data, shacl_graph=self._shapes, inplace=True, advanced=False, meta_shacl=False, js=False)
        return () if conforms else _issues(cast("Graph", report), self._shapes)


class Gate:
    """Refuses batches that break a shape. ``known`` says whether a node outside the batch is in the graph already."""

    def __init__(self, shapes_dir: Path = SHAPES_DIR, engine: ShaclEngine | None = None) -> None:
        self._engine = engine or PyShacl(shapes_dir)

    def check(self, batch: GraphBatch, known: Callable[[NodeRef], bool]) -> None:
        """Returns for a batch that may be written.

        Raises ``BadInput`` for an empty batch or names outside the grammar, ``GateRefused`` with every violation otherwise.
        """
        check_names(batch)
        _check_unique(batch)
        issues = self._engine.validate(rdf.triples(batch, [ref for ref in external_refs(batch) if known(ref)]))
        if issues:
            raise GateRefused(tuple(as_gate_issue(issue) for issue in issues[:ISSUE_LIMIT]))


def as_gate_issue(issue: Issue) -> GateIssue:
    return GateIssue(issue.focus_node, issue.path, issue.value, issue.shape, issue.message)


def check_batch(batch: bytes, known: bytes = b"[]") -> bytes:
    """The gate for a worker process: MessagePack of a batch and of the known outside refs in, MessagePack of issues out.

    Make the arguments with :func:`pack`, read the answer with :func:`unpack_issues`. ``BadInput`` comes back as one
    issue with the shape ``BadInput``, because its place and remedy would not survive pickling.
    """
    decoded = msgspec.msgpack.decode(batch, type=GraphBatch)
    refs = frozenset(msgspec.msgpack.decode(known, type=list[NodeRef]))
    try:
        _process_gate().check(decoded, refs.__contains__)
    except GateRefused as refused:
        issues = [Issue(i.focus_node, i.path, i.value, i.shape, i.message) for i in refused.issues]
        return msgspec.msgpack.encode(issues)
    except BadInput as bad:
        return msgspec.msgpack.encode([Issue("", bad.place, "", "BadInput", f"{bad.error}: {bad.remedy}")])
    return msgspec.msgpack.encode([])


def pack(batch: GraphBatch, known: Iterable[NodeRef] = ()) -> tuple[bytes, bytes]:
    """The two arguments of :func:`check_batch`."""
    return msgspec.msgpack.encode(batch), msgspec.msgpack.encode(list(known))


def unpack_issues(answer: bytes) -> tuple[Issue, ...]:
    """The issues of :func:`check_batch`; empty means the batch may be written. Raises ``BadInput`` if that was the answer."""
    issues = msgspec.msgpack.decode(answer, type=tuple[Issue, ...])
    if issues and issues[0].shape == "BadInput":
        error, _, remedy = issues[0].message.partition(": ")
        raise BadInput(error, issues[0].path, remedy)
    return issues


def load_shapes(shapes_dir: Path) -> Graph:
    """All Turtle files of a folder as one graph; raises ``BadInput`` naming the file that cannot be read."""
    graph = Graph()
    files = sorted(shapes_dir.glob("*.ttl"))
    if not files:
        raise BadInput("there are no shapes", str(shapes_dir), "point to the folder with the Turtle files")
    for file in files:
        try:
            graph.parse(file, format="turtle")
        except Exception as error:  # rdflib raises its own, unrelated kinds
            raise BadInput(f"shapes cannot be parsed: {error}", str(file), "correct the Turtle") from error
    return graph


@functools.cache
def is_ucum(unit: str) -> bool:
    """Whether the gate takes ``unit`` as a UCUM code: the pattern is read from the shapes, so there is one list."""
    return len(unit) <= 80 and _ucum().search(unit) is not None


def to_graph(triples: Iterable[rdf.Triple]) -> Graph:
    """An rdflib graph of the triples, without parsing text."""
    graph, iri = Graph(), functools.cache(URIRef)
    for subject, predicate, value in triples:
        term: Node = iri(value) if isinstance(value, str) else _literal(value)
        graph.add((iri(subject), iri(predicate), term))
    return graph


def _literal(value: rdf.Literal) -> Literal:
    # xsd:string is what a plain literal means in RDF 1.1; rdflib takes the two forms for different terms, the shapes use the plain one.
    datatype = None if value.datatype == "string" else _DATATYPES[value.datatype]
    return Literal(value.lexical, datatype=datatype, normalize=False)


def _check_unique(batch: GraphBatch) -> None:
    """Two statements about one node in one batch would be merged silently: the caller must decide."""
    seen: dict[NodeRef, int] = {}
    for index, node in enumerate(batch.nodes):
        if node.ref in seen and batch.nodes[seen[node.ref]].properties != node.properties:
            raise BadInput(f"the node {node.ref.label} {node.ref.key} is given twice", f"/nodes/{index}", "give each node once")
        seen[node.ref] = index


def _issues(report: Graph, shapes: Graph) -> tuple[Issue, ...]:
    found = {_issue(report, shapes, result) for result in report.subjects(RDF.type, SH.ValidationResult)}
    return tuple(sorted(found))


def _issue(report: Graph, shapes: Graph, result: Node) -> Issue:
    shape = named_shape(shapes, report.value(result, SH.sourceShape))
    message = report.value(result, SH.resultMessage)
    value = report.value(result, SH.value)
    return Issue(
        focus_node=str(report.value(result, SH.focusNode)),
        path=_path(report, report.value(result, SH.resultPath)),
        value="" if value is None else str(value),
        shape=str(shape),
        message=str(shapes.value(shape, SH.message) or message or ""),
    )


def named_shape(shapes: Graph, shape: Node | None) -> Node | None:
    """The nearest enclosing shape with a name."""
    for _ in range(8):  # deeper nesting is not used
        if not isinstance(shape, BNode):
            break
        shape = next(iter(shapes.subjects(None, shape)), None)
    return shape


def _path(graph: Graph, path: Any) -> str:
    if path is None or not isinstance(path, BNode):
        return "" if path is None else str(path)
    inverse = graph.value(path, SH.inversePath)
    return f"^{inverse}" if inverse is not None else " / ".join(_path(graph, part) for part in graph.items(path))


@functools.cache
def _process_gate() -> Gate:
    return Gate()


@functools.cache
def _ucum() -> re.Pattern[str]:
    shapes = Graph().parse(SHAPES_DIR / "units_ucum.ttl", format="turtle")
    pattern = next(iter(shapes.objects(None, SH.pattern)))
    return re.compile(str(pattern))
