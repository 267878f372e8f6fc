"""The first engine of the gate: the Rust wheel ``shacl``, shapes compiled once a process. Importing this module needs the wheel.

Parsing is most of what a batch costs, so what it reads is the RDF of docs/graph-rdf.md with two differences that no shape can see.
Names are short: the namespace is ``e:``, a node ``urn:eh:<Label>:<number>``, an edge ``x:<number>``; one name stands for one name, and
patterns on names look no further than the label. And triples that no shape follows are left out (:func:`followed`). The report is
told in the long names again. The text is written here, not by :mod:`system.evidence.graph.rdf`: the reference reads what that module
makes, so a slip in either shows as a difference.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring  # an N-Triples string escapes what a JSON string escapes, and may escape no less
from pathlib import Path
from typing import Final

import shacl
from rdflib import SH, BNode, Graph, URIRef
from rdflib.term import Node

from system.evidence.graph import rdf
from system.evidence.graph.engine_reference import load_shapes
from system.evidence.graph.engines import SHAPES_DIR, Issue, shape_files
from system.platform.errors import BadInput, PlatformError
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, PropertyValue
from system.stores.graph_schema import edge_iri, node_iri

SHORT: Final = "e:"  # written out below: a constant in the middle of a format costs as much as a value
_REST: Final = URIRef("http://www.w3.org/1999/02/22-rdf-syntax-ns#rest")
_STEP: Final = re.compile(r"(\^?)<([^>]*)>")


class RustShacl:
    """Compiled shapes; safe to share between threads, and the interpreter goes on while it validates."""

    def __init__(self, shapes_dir: Path = SHAPES_DIR) -> None:
        files = shape_files(shapes_dir)
        texts = [file.read_text(encoding="utf-8").replace(rdf.NAMESPACE, SHORT) for file in files]
        for file, text in zip(files, texts, strict=True):
            _compiled(text, file)  # alone first: an error names its file
        self._shapes = _compiled("\n".join(texts), shapes_dir)
        self._followed = followed(load_shapes(shapes_dir))
        self.name = f"shacl {shacl.__version__}"

    def validate(self, batch: GraphBatch, known: Sequence[NodeRef]) -> tuple[Issue, ...]:
        """As the port says. Raises ``PlatformError`` when the engine itself breaks down."""
        text = Text(batch, known, self._followed)
        try:
            report = self._shapes.validate_text(text.ntriples, format="ntriples")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the engine is no Exception
            raise PlatformError(f"{self.name}: {type(error).__name__}: {error}") from error
        return () if report.conforms else tuple(sorted({text.issue(result) for result in report.results}))


@dataclasses.dataclass(frozen=True, slots=True)
class Followed:
    """Local names of the predicates that a shape may follow, and of the classes whose instances it looks at whole (``sh:closed``)."""

    predicates: frozenset[str]
    closed: frozenset[str]
    everything: bool = False

    def of(self, class_: str) -> frozenset[str] | None:
        """The predicates to write for an instance of a class; None for all."""
        return None if self.everything or class_ in self.closed else self.predicates


def followed(shapes: Graph) -> Followed:
    """What these shapes can look at: every name they mention but for those that stand only as a class or as a member of ``sh:in``."""
    listed: set[Node | None] = set()
    for cell in shapes.objects(None, SH["in"]):
        listed.update(shapes.transitive_objects(cell, _REST))
    mentioned = {
        str(value)
        for subject, predicate, value in shapes
        if isinstance(value, URIRef) and predicate not in {SH.targetClass, SH["class"]} and subject not in listed
    }
    closed, everything = set[str](), False
    for shape in shapes.subjects(SH.closed, None):
        classes = {str(one) for one in shapes.objects(shape, SH.targetClass)}
        others = [one for one in (SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf) if (shape, one, None) in shapes]
        everything = everything or not classes or bool(others) or isinstance(shape, BNode) or (None, None, shape) in shapes
        closed |= classes
    local = len(rdf.NAMESPACE)
    names = [frozenset(name[local:] for name in found if name.startswith(rdf.NAMESPACE)) for found in (mentioned, closed)]
    return Followed(names[0], names[1], everything)


class Text:
    """A batch as N-Triples in short names; :meth:`issue` tells a result in the long ones."""

    def __init__(self, batch: GraphBatch, known: Sequence[NodeRef], followed: Followed) -> None:
        self._nodes: dict[NodeRef, str] = {}  # the short name with its brackets and a blank behind: the subject of a line
        self._edges: dict[tuple[NodeRef, str, NodeRef, str], tuple[str, GraphEdge]] = {}
        self._long: Mapping[str, Callable[[], str]] | None = None
        lines: list[str] = []
        self._write_nodes(lines, batch.nodes, followed)
        self._write_edges(lines, batch.edges, followed)
        lines.extend(f"{self._node(ref)}<e:key> {encode_basestring(ref.key)} .\n" for ref in known)
        self.ntriples = "".join(lines)

    def _write_nodes(self, lines: list[str], nodes: Sequence[GraphNode], followed: Followed) -> None:
        for node in nodes:
            ref, properties = node.ref, node.properties
            subject = self._node(ref)
            lines.append(
                f"{subject}<http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <e:{ref.label}> .\n"
                f"{subject}<e:key> {encode_basestring(ref.key)} .\n"
            )
            if not properties:
                continue
            _properties(lines, subject, properties, followed.of(ref.label))
            value = properties.get("value")
            if isinstance(value, int | float) and not isinstance(value, bool):
                slack = max(rdf.TOLERANCE_ABSOLUTE, rdf.TOLERANCE_RELATIVE * abs(value))
                lines.append(
                    f'{subject}<e:valueLower> "{float(value) - slack!r}"^^<http://www.w3.org/2001/XMLSchema#double> .\n'
                    f'{subject}<e:valueUpper> "{float(value) + slack!r}"^^<http://www.w3.org/2001/XMLSchema#double> .\n'
                )

    def _write_edges(self, lines: list[str], edges: Sequence[GraphEdge], followed: Followed) -> None:
        named, stated = self._nodes, self._edges
        for edge in edges:
            source_ref, type_, target_ref, qualifier, properties = edge.source, edge.type, edge.target, edge.qualifier, edge.properties
            source, target = named.get(source_ref) or self._node(source_ref), named.get(target_ref) or self._node(target_ref)
            identity = (source_ref, type_, target_ref, qualifier)
            found = stated.get(identity)
            if found is None:
                found = stated[identity] = (f"<x:{len(stated)}> ", edge)
            subject = found[0]
            lines.append(
                f"{subject}<http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <e:{type_}> .\n"
                f"{subject}<e:source> {source}.\n"
                f"{subject}<e:target> {target}.\n"
            )
            plain = followed.of(source_ref.label)
            if plain is None or type_ in plain:
                lines.append(f"{source}<e:{type_}> {target}.\n")
            if not properties and not qualifier:
                continue
            wanted = followed.of(type_)
            if qualifier and (wanted is None or "qualifier" in wanted):
                lines.append(f"{subject}<e:qualifier> {encode_basestring(qualifier)} .\n")
            _properties(lines, subject, properties, wanted)
            start, end, quote = properties.get("start"), properties.get("end"), properties.get("quote")
            if type(start) is int and type(end) is int and isinstance(quote, str) and quote and start < end:
                lines.append(
                    f'{subject}<e:spanLength> "{end - start}"^^<http://www.w3.org/2001/XMLSchema#integer> .\n'
                    f'{subject}<e:quoteLength> "{len(quote)}"^^<http://www.w3.org/2001/XMLSchema#integer> .\n'
                )

    def issue(self, result: shacl.Result) -> Issue:
        """One result of the engine's report."""
        value = result.value
        is_name = value is not None and value.startswith("<")
        return Issue(
            focus_node=self._told(result.focus_node[1:-1]),
            path=" / ".join(f"{inverse}{_long_term(name)}" for inverse, name in _STEP.findall(result.path or "")),
            value=self._told(value[1:-1]) if value is not None and is_name else result.value_plain or "",
            shape=(result.root_shape or "")[1:-1],
            message=result.message or "",
        )

    def _node(self, ref: NodeRef) -> str:
        found = self._nodes.get(ref)
        if found is None:
            found = self._nodes[ref] = f"<urn:eh:{ref.label}:{len(self._nodes)}> "
        return found

    def _told(self, name: str) -> str:
        if self._long is None:
            self._long = dict(self._names())
        found = self._long.get(name)
        return _long_term(name) if found is None else found()

    def _names(self) -> Iterator[tuple[str, Callable[[], str]]]:
        for ref, subject in self._nodes.items():
            yield subject[1:-2], lambda ref=ref: node_iri(ref)  # type: ignore[misc]  # bound here, not when it is called
        for subject, edge in self._edges.values():
            yield subject[1:-2], lambda edge=edge: edge_iri(edge)  # type: ignore[misc]  # bound here, not when it is called


def _properties(lines: list[str], subject: str, properties: Mapping[str, PropertyValue], wanted: frozenset[str] | None) -> None:
    for name, value in properties.items():
        if wanted is not None and name not in wanted:
            continue
        kind = type(value)
        if kind is str:
            lines.append(f"{subject}<e:{name}> {encode_basestring(value)} .\n")  # type: ignore[arg-type]  # kind says it is a text
        elif kind is int:
            lines.append(f'{subject}<e:{name}> "{value}"^^<http://www.w3.org/2001/XMLSchema#integer> .\n')
        elif kind is float:
            lines.append(f'{subject}<e:{name}> "{value!r}"^^<http://www.w3.org/2001/XMLSchema#double> .\n')
        elif kind is bool:
            lines.append(f'{subject}<e:{name}> "{"true" if value else "false"}"^^<http://www.w3.org/2001/XMLSchema#boolean> .\n')
        elif isinstance(value, tuple):
            lines.extend(f"{subject}<e:{name}> {encode_basestring(member)} .\n" for member in value)


def _long_term(name: str) -> str:
    return rdf.NAMESPACE + name[len(SHORT) :] if name.startswith(SHORT) else name


def _compiled(text: str, place: Path) -> shacl.Shapes:
    try:
        return shacl.Shapes.from_turtle(text)
    except ValueError as error:
        raise BadInput(f"shapes cannot be parsed: {error}", str(place), "correct the Turtle") from error
