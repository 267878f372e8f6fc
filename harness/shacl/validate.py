"""The validating process: ``python -m harness.shacl.validate OUT LIMIT_BYTES DATA SHAPES…`` runs pySHACL and writes a ``ShaclReport``.

A process of its own, so that a graph that blows up memory or time ends here. Exit 3: an input cannot be read (message on stderr).
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import resource
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyshacl
from rdflib import RDF, RDFS, SH, BNode, Graph
from rdflib.term import Node

from harness.shacl.report import MAX_VIOLATIONS, ShaclReport, ShapeResult, Violation

UNREADABLE = 3
FORMATS = {
    ".ttl": "turtle",
    ".nt": "nt",
    ".n3": "n3",
    ".rdf": "xml",
    ".xml": "xml",
    ".jsonld": "json-ld",
    ".json": "json-ld",
    ".nq": "nquads",
}
_TARGETS = (SH.targetClass, SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf)
MAX_CLIMB = 32
MAX_TEXT = 500


def main(arguments: Sequence[str]) -> int:
    out, limit, data, *shapes = arguments
    with contextlib.suppress(ValueError, OSError):  # a lower hard limit, or a platform without it: the time bound remains
        resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    try:
        data_graph, shapes_graph = read_graph([Path(data)]), read_graph([Path(path) for path in shapes])
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return UNREADABLE
    Path(out).write_bytes(msgspec.json.encode(validate(data_graph, shapes_graph)))
    return 0


class UnreadableError(Exception):
    """An input file that is no RDF; says the file and what the parser said."""


def read_graph(paths: Sequence[Path]) -> Graph:
    """All files into one graph; the format comes from the suffix, ``.gz`` is unpacked."""
    graph = Graph()
    for path in paths:
        kind = FORMATS.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)
        if kind is None:
            raise UnreadableError(f"{path.name}: unknown kind of file; known: {', '.join(sorted(FORMATS))}")
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            graph.parse(data=content, format=kind)
        except MemoryError:
            raise  # the bound, not the file
        except Exception as error:  # noqa: BLE001 - rdflib's parsers raise whatever they like
            raise UnreadableError(f"{path.name}: {type(error).__name__}: {str(error)[:MAX_TEXT]}") from None
    return graph


def validate(data: Graph, shapes: Graph) -> ShaclReport:
    """Validate without inference and without SPARQL extensions; count the focus nodes of each shape by its own targets."""
    conforms, results, _ = pyshacl.validate(data, shacl_graph=shapes, inference="none", advanced=False, inplace=True, meta_shacl=False)
    if not isinstance(results, Graph):
        raise TypeError(f"pySHACL gave no report: {results}")
    found = sorted(_violations(results, shapes), key=lambda item: (item.shape, item.focus_node, item.path, item.value))
    count = Counter(item.shape for item in found)
    targeted = sorted({str(shape): shape for shape in _targeted(shapes)}.items())
    return ShaclReport(
        validator=f"pySHACL {importlib.metadata.version('pyshacl')}",
        triples=len(data),
        conforms=bool(conforms),
        shapes=tuple(ShapeResult(name, len(focus_nodes(data, shapes, shape)), count[name]) for name, shape in targeted),
        violation_count=len(found),
        violations=tuple(found[:MAX_VIOLATIONS]),
    )


def _targeted(shapes: Graph) -> Iterator[Node]:
    """Shapes with a target: a statement of one, or a shape that is a class itself."""
    for predicate in _TARGETS:
        yield from shapes.subjects(predicate, None)
    for kind in (SH.NodeShape, SH.PropertyShape):
        yield from (shape for shape in shapes.subjects(RDF.type, kind) if (shape, RDF.type, RDFS.Class) in shapes)


def focus_nodes(data: Graph, shapes: Graph, shape: Node) -> set[Node]:
    """The nodes of ``data`` that the shape looks at (SHACL 2.1.3)."""
    classes = set(shapes.objects(shape, SH.targetClass))
    if (shape, RDF.type, RDFS.Class) in shapes:
        classes.add(shape)
    found = {
        node for kind in classes for below in data.transitive_subjects(RDFS.subClassOf, kind) for node in data.subjects(RDF.type, below)
    }
    found |= set(shapes.objects(shape, SH.targetNode))
    for predicate in shapes.objects(shape, SH.targetSubjectsOf):
        found |= set(data.subjects(predicate, None))
    for predicate in shapes.objects(shape, SH.targetObjectsOf):
        found |= set(data.objects(None, predicate))
    return found


def _violations(results: Graph, shapes: Graph) -> Iterator[Violation]:
    targeted = set(_targeted(shapes))
    for result in results.subjects(RDF.type, SH.ValidationResult):
        source = results.value(result, SH.sourceShape)
        yield Violation(
            focus_node=_text(results.value(result, SH.focusNode)),
            path=_text(results.value(result, SH.resultPath)),
            value=_text(results.value(result, SH.value)),
            shape=_text(_owner(source, shapes, targeted)),
            message=_text(results.value(result, SH.resultMessage)),
        )


def _owner(source: Node | None, shapes: Graph, targeted: set[Node]) -> Node | None:
    """The shape with a target that a nested shape belongs to."""
    level = {source} if source is not None else set()
    for _ in range(MAX_CLIMB):
        if found := sorted(level & targeted, key=str):
            return found[0]
        level = {parent for node in level for parent in shapes.subjects(None, node)}
        if not level:
            break
    return source


def _text(node: Node | None) -> str:
    if node is None:
        return ""
    return "(blank node)" if isinstance(node, BNode) else str(node)[:MAX_TEXT]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
