"""The reference engine of the gate: pySHACL over the triples of :mod:`system.evidence.graph.rdf`, every batch a graph of its own."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import pyshacl
from rdflib import SH, XSD, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from system.evidence.graph import rdf
from system.evidence.graph.engines import SHAPES_DIR, Issue, shape_files
from system.platform.errors import BadInput
from system.platform.ports import GraphBatch, NodeRef

_DATATYPES: Final = {name: XSD[name] for name in ("integer", "double", "boolean")}
_END_OF_TEXT: Final = re.compile(r"(?<!\\)((?:\\\\)*)\$")


class PyShacl:
    """pySHACL with shapes parsed once; it keeps no state between calls."""

    def __init__(self, shapes_dir: Path = SHAPES_DIR) -> None:
        self._shapes = load_shapes(shapes_dir)
        self._pythonic = _for_python(self._shapes)
        self.name = reference_name()

    def validate(self, batch: GraphBatch, known: Sequence[NodeRef]) -> tuple[Issue, ...]:
        """As the port says."""
        return self.validate_triples(rdf.triples(batch, known))

    def validate_triples(self, triples: Iterable[rdf.Triple]) -> tuple[Issue, ...]:
        """The same for a graph that is no batch."""
        data = to_graph(triples)
        conforms, report, _ = pyshacl.validate(data, shacl_graph=self._pythonic, inplace=True, advanced=False, meta_shacl=False, js=False)
        return () if conforms else _issues(cast("Graph", report), self._shapes)


def reference_name() -> str:
    """``pyshacl <version>``."""
    return f"pyshacl {importlib.metadata.version('pyshacl')}"


def load_shapes(shapes_dir: Path) -> Graph:
    """All Turtle files of a folder as one graph; raises ``BadInput`` naming the file that cannot be read."""
    graph = Graph()
    files = shape_files(shapes_dir)
    if not files:
        raise BadInput("there are no shapes", str(shapes_dir), "point to the folder with the Turtle files")
    for file in files:
        try:
            graph.parse(file, format="turtle")
        except Exception as error:  # rdflib raises its own, unrelated kinds
            raise BadInput(f"shapes cannot be parsed: {error}", str(file), "correct the Turtle") from error
    return graph


def python_pattern(pattern: str) -> str:
    """A pattern of the shapes as Python has to be told it: its ``$`` also stands before a last line feed, XPath's does not."""
    return _END_OF_TEXT.sub(r"\1\\Z", pattern)


def to_graph(triples: Iterable[rdf.Triple]) -> Graph:
    """An rdflib graph of the triples, without parsing text."""
    graph, iri = Graph(), functools.cache(URIRef)
    for subject, predicate, value in triples:
        term: Node = iri(value) if isinstance(value, str) else _literal(value)
        graph.add((iri(subject), iri(predicate), term))
    return graph


def named_shape(shapes: Graph, shape: Node | None) -> Node | None:
    """The nearest enclosing shape with a name."""
    for _ in range(8):  # deeper nesting is not used
        if not isinstance(shape, BNode):
            break
        shape = next(iter(shapes.subjects(None, shape)), None)
    return shape


class _Figure(Literal):
    """A number or a truth value. SPARQL, by which SHACL compares, orders none against the other; rdflib does, by their names."""

    __slots__ = ()

    def eq(self, other: Any) -> bool:
        if self._strange_to(other):
            raise TypeError("a truth value and a number cannot be compared")  # pySHACL takes it for a violation, as it should
        return bool(super().eq(other))

    def __lt__(self, other: Any) -> bool:
        return not self._strange_to(other) and super().__lt__(other)

    def __le__(self, other: Any) -> bool:
        return not self._strange_to(other) and super().__le__(other)

    def _strange_to(self, other: Any) -> bool:
        return isinstance(other, Literal) and (self.datatype == XSD.boolean) != (other.datatype == XSD.boolean)


def _literal(value: rdf.Literal) -> Literal:
    # xsd:string is what a plain literal means in RDF 1.1; rdflib takes the two forms for different terms, the shapes use the plain one.
    if value.datatype == "string":
        return Literal(value.lexical, normalize=False)
    return _Figure(value.lexical, datatype=_DATATYPES[value.datatype], normalize=False)


def _for_python(shapes: Graph) -> Graph:
    """A copy whose patterns mean to Python what they mean to XPath."""
    copy = Graph()
    for subject, predicate, value in shapes:
        pattern = Literal(python_pattern(str(value))) if predicate == SH.pattern else value
        copy.add((subject, predicate, pattern))
    return copy


def _issues(report: Graph, shapes: Graph) -> tuple[Issue, ...]:
    """The report's own results; what a result gives as ``sh:detail`` explains it and is none of them."""
    return tuple(sorted({_issue(report, shapes, result) for result in report.objects(None, SH.result)}))


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


def _path(graph: Graph, path: Any) -> str:
    if path is None or not isinstance(path, BNode):
        return "" if path is None else str(path)
    inverse = graph.value(path, SH.inversePath)
    return f"^{inverse}" if inverse is not None else " / ".join(_path(graph, part) for part in graph.items(path))
