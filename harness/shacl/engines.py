"""The engine port and its two engines: the Rust wheel ``shacl`` (fast, the default) and pySHACL (the reference).

Both get the same shapes graph and tell their results in the same words, so that they can be held against each other.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
import pyshacl
from rdflib import RDF, RDFS, SH, BNode, Graph, URIRef
from rdflib.term import Node

from harness.core.errors import HarnessError, UsageError, UsageErrors
from harness.core.text import one_line
from harness.shacl.reading import RdfFile, unreadable
from harness.shacl.shapes import ShapesGraph, ntriples
from harness.shacl.terms import canonical, comparable, keep_literals, of_node
from harness.shacl.wellformed import wrong

try:
    import shacl as wheel
except ImportError:  # no build for this platform
    INSTALLED = False
else:
    INSTALLED = True

PROBE: Final = "urn:eh:probe:"
DIRECT: Final[Mapping[str, str]] = {"turtle": "turtle", "nt": "ntriples", "nquads": "nquads"}  # read by the wheel itself
_WORD: Final = re.compile(r"sh:(\w+)")
_NAMESPACE: Final = str(SH)


class Result(msgspec.Struct, frozen=True, order=True):
    """One validation result; terms in N-Triples form. ``shape`` is the source shape; ``path`` and ``message`` are for people."""

    shape: str
    focus: str
    value: str
    component: str
    severity: str
    path: str = ""
    message: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What must agree between engines: each has its own labels for blank nodes, and its own words for messages and paths."""
        return (self.shape, comparable(self.focus), comparable(self.value), self.component, self.severity)


class Findings(msgspec.Struct, frozen=True):
    """All results, sorted (a shape used twice gives its results twice), and the focus nodes of every shape with a target that checks."""

    engine: str
    results: tuple[Result, ...]
    focus: Mapping[str, frozenset[str]]


class Engine(Protocol):
    """Judges a data graph by a shapes graph."""

    @property
    def name(self) -> str:
        """The library with its version."""
        ...

    def judge(self, shapes: ShapesGraph, data: RdfFile) -> Findings:
        """``UsageError`` for input that cannot be read; ``EngineBroke`` when the engine itself gives up."""
        ...


class EngineBroke(HarnessError):
    """An engine that ended with an error of its own: nothing was judged by it."""


def engines() -> tuple[Engine, ...]:
    """The engines of this machine, the default first."""
    return (RustShacl(), PyShacl()) if INSTALLED else (PyShacl(),)


class RustShacl:
    """Reads the data itself. Focus nodes are counted by probes: shapes with the same targets that no node conforms to."""

    @property
    def name(self) -> str:
        return f"shacl {wheel.__version__}"

    def judge(self, shapes: ShapesGraph, data: RdfFile) -> Findings:
        probes: dict[frozenset[tuple[Node, Node]], str] = {}
        for shape in shapes.active:
            probes.setdefault(shapes.targets(shape), f"<{PROBE}{len(probes)}>")
        compiled = self._compiled(shapes, shapes.engine_text + "".join(map(_probe, probes, probes.values())))
        counted: dict[str, set[str]] = {probe: set() for probe in probes.values()}
        results = []
        for found in self._results(compiled, data):
            source = str(found.source_shape)
            if source in counted:
                counted[source].add(found.focus_node)
            else:
                results.append(_of_rust(shapes, found))
        focus = {of_node(shape): frozenset(counted[probes[shapes.targets(shape)]]) for shape in shapes.active}
        return Findings(self.name, tuple(sorted(results)), focus)

    def _compiled(self, shapes: ShapesGraph, text: str) -> wheel.Shapes:
        try:
            return wheel.Shapes.from_text(text, format="ntriples")
        except ValueError as error:
            raise _refused(shapes, str(error)) from None
        except BaseException as error:
            raise _broke(self.name, error) from error

    def _results(self, compiled: wheel.Shapes, data: RdfFile) -> list[wheel.Result]:
        kind = DIRECT.get(data.kind)
        try:
            text = data.text if kind else ntriples(data.graph)
            found: list[wheel.Result] = compiled.validate_text(text, format=kind or "ntriples", base=data.base).results
        except ValueError as error:
            raise unreadable(data, error) from None
        except (UsageError, KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # a panic of the wheel is no Exception
            raise _broke(self.name, error) from error
        return found


def _probe(targets: frozenset[tuple[Node, Node]], name: str) -> str:
    lines = [f"{name} {of_node(RDF.type)} {of_node(SH.NodeShape)} .\n", f"{name} {of_node(SH['in'])} {of_node(RDF.nil)} .\n"]
    return "".join([*lines, *(f"{name} {of_node(predicate)} {of_node(value)} .\n" for predicate, value in targets)])


def _of_rust(shapes: ShapesGraph, found: wheel.Result) -> Result:
    shape = canonical(found.source_shape)
    return Result(
        shape=shape,
        focus=canonical(found.focus_node),
        value=canonical(found.value),
        component=str(found.component_iri),
        severity=str(found.severity_iri),
        path=_path(shapes, shape) or canonical(found.path),
        message=str(found.message or ""),
    )


def _path(shapes: ShapesGraph, shape: str) -> str:
    """The path of a source shape as people read it."""
    return shapes.path_text(shapes.graph.value(URIRef(shape[1:-1]), SH.path)) if shape.startswith("<") else ""


def _refused(shapes: ShapesGraph, said: str) -> UsageError:
    """What an engine will not compile: each statement with the word it names that it refuses by itself too."""
    word = _WORD.search(said)
    predicate = URIRef(_NAMESPACE + word[1]) if word else SH.sparql  # of what is wrong inside a query no word is said
    found = sorted(shapes.graph.subject_objects(predicate), key=str) if word or "SPARQL" in said else []
    errors = []
    for shape, value in found:
        alone = said if len(found) == 1 else _refused_alone(shapes, shape, predicate, value)
        if alone:
            errors.append(wrong(shapes, shape, f"cannot be used: {one_line(alone, 500)}", "correct it", predicate, value))
    if not errors:
        return UsageError(f"the shapes cannot be used: {one_line(said, 500)}", file=shapes.files[0].path.name, remedy="correct the shape")
    return UsageErrors(errors) if len(errors) > 1 else errors[0]


def _refused_alone(shapes: ShapesGraph, shape: Node, predicate: Node, value: Node) -> str:
    """What the engine says of one statement alone; empty where it takes it."""
    alone, graph = URIRef(f"{PROBE}alone"), Graph()
    for word, said in ((RDF.type, SH.PropertyShape), (SH.path, alone), (predicate, value)):
        graph.add((alone, word, said))
    for flags in shapes.graph.objects(shape, SH.flags):
        graph.add((alone, SH.flags, flags))
    if isinstance(value, BNode):
        reached = set(shapes.graph.transitive_objects(value, None))
        for triple in shapes.graph:
            if triple[0] in reached:
                graph.add(triple)
    try:
        wheel.Shapes.from_text(ntriples(graph), format="ntriples")
    except ValueError as error:
        return str(error)
    return ""


def _broke(name: str, error: BaseException) -> EngineBroke:
    return EngineBroke(f"{name} gave up: {type(error).__name__}: {one_line(str(error), 500)}")


class PyShacl:
    """The reference; slow, and independent of the other in every part: its own parser, its own focus nodes."""

    @property
    def name(self) -> str:
        return f"pySHACL {_pyshacl_version()}"

    def judge(self, shapes: ShapesGraph, data: RdfFile) -> Findings:
        graph = data.graph
        keep_literals()
        try:
            _, report, _ = pyshacl.validate(
                graph, shacl_graph=shapes.engine_graph(), inference="none", advanced=False, inplace=True, meta_shacl=False, js=False
            )
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # pySHACL raises what it likes
            raise _broke(self.name, error) from error
        finally:
            keep_literals()
        if not isinstance(report, Graph):
            raise EngineBroke(f"{self.name} gave no report: {one_line(str(report), 500)}")
        results = [_of_pyshacl(shapes, report, result) for result in report.objects(None, SH.result)]
        focus = {of_node(shape): frozenset(map(of_node, focus_nodes(graph, shapes, shape))) for shape in shapes.active}
        return Findings(self.name, tuple(sorted(results)), focus)


@functools.cache
def _pyshacl_version() -> str:
    """Read once: it takes longer than judging a small graph."""
    return importlib.metadata.version("pyshacl")


def _of_pyshacl(shapes: ShapesGraph, report: Graph, result: Node) -> Result:
    shape = of_node(report.value(result, SH.sourceShape))
    messages = sorted(map(str, report.objects(result, SH.resultMessage)))
    path = report.value(result, SH.resultPath)
    return Result(
        shape=shape,
        focus=of_node(report.value(result, SH.focusNode)),
        value=of_node(report.value(result, SH.value)),
        component=str(report.value(result, SH.sourceConstraintComponent)),
        severity=str(report.value(result, SH.resultSeverity)),
        path=_path(shapes, shape) or (str(path) if isinstance(path, URIRef) else ""),
        message=messages[0] if messages else "",
    )


def focus_nodes(data: Graph, shapes: ShapesGraph, shape: Node) -> set[Node]:
    """The nodes of ``data`` that the shape looks at (SHACL 2.1.3)."""
    found: set[Node] = set()
    for predicate, value in shapes.targets(shape):
        if predicate == SH.targetClass:
            below = data.transitive_subjects(RDFS.subClassOf, value)
            found |= {node for kind in below for node in data.subjects(RDF.type, kind)}
        elif predicate == SH.targetNode:
            found.add(value)
        else:
            statements = data.subject_objects(value)
            found |= {subject if predicate == SH.targetSubjectsOf else target for subject, target in statements}
    return found
