"""A shapes graph as it is judged: which shapes there are, which look at something, which check nothing and why.

Shapes without a name get one for the run (``urn:eh:shape:3``), so that a result of any engine tells which shape it is of; people read
another (``the property name of Trial``). Targets by being a class are written out: engines know different kinds of class.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rdflib import OWL, RDF, RDFS, SH, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from harness.shacl.lists import members
from harness.shacl.reading import RdfFile, merged
from harness.shacl.terms import of_node
from harness.shacl.vocabulary import CONSTRAINTS, FLAGS, LISTS_OF_SHAPES, NOT_EVALUATED, PATHS, SHAPES, TARGETS, WORDS, local

SKOLEM: Final = "urn:eh:shape:"
MAX_DEPTH: Final = 64
MAX_PATH: Final = 8  # levels of a path that people read
_KINDS: Final = frozenset({SH.NodeShape, SH.PropertyShape})
_TRUE: Final = "true"  # "1" switches nothing on (W3C suite, uniqueLang-002)


@dataclasses.dataclass(frozen=True)
class Idle:
    """A shape, or a part of one, that judged nothing."""

    shape: Node
    reason: str


class ShapesGraph:
    """Read once; the graph is not changed after that."""

    def __init__(self, files: Sequence[RdfFile]) -> None:
        self.files = tuple(files)
        self.graph = _named(merged(files))
        self.shapes = frozenset(_found(self.graph))
        self.missing = frozenset(shape for shape in self.shapes if (shape, None, None) not in self.graph)
        classes = _classes(self.graph)
        for shape in self.shapes:
            self.graph.add((shape, RDF.type, SH.PropertyShape if (shape, SH.path, None) in self.graph else SH.NodeShape))
            if shape in classes:
                self.graph.add((shape, SH.targetClass, shape))

    @functools.cached_property
    def targeted(self) -> tuple[Node, ...]:
        """Shapes with a target of their own, sorted by name."""
        return tuple(sorted((shape for shape in self.shapes if self.targets(shape)), key=str))

    @functools.cached_property
    def active(self) -> tuple[Node, ...]:
        """The targeted ones that check something: those whose focus nodes are counted."""
        return tuple(shape for shape in self.targeted if self.checks(shape))

    def targets(self, shape: Node) -> frozenset[tuple[Node, Node]]:
        """(predicate, value) of each target."""
        return frozenset((predicate, value) for predicate in TARGETS for value in self.graph.objects(shape, predicate))

    def deactivated(self, shape: Node) -> bool:
        return any(str(value) == _TRUE for value in self.graph.objects(shape, SH.deactivated))

    def checks(self, shape: Node, depth: int = 0) -> bool:
        """Whether a shape that is used can ever give a result."""
        if self.deactivated(shape) or depth > MAX_DEPTH:
            return False
        if any(self._states(shape, word) for word in CONSTRAINTS) or any(True for _ in self._custom(shape)):
            return True
        if (shape, SH.qualifiedValueShape, None) in self.graph and (shape, SH.path, None) in self.graph:
            return any(self._states(shape, word) for word in (SH.qualifiedMinCount, SH.qualifiedMaxCount))
        return any(self.checks(part, depth + 1) for word in (SH.property, SH.node) for part in self.graph.objects(shape, word))

    def _states(self, shape: Node, word: URIRef) -> bool:
        """A flag that is false states nothing, nor does a least count of 0, nor a query that is deactivated."""
        values = list(self.graph.objects(shape, word))
        if word in {SH.closed, SH.uniqueLang}:
            return any(str(value) == _TRUE for value in values)
        if word in {SH.minCount, SH.qualifiedMinCount}:
            return any(str(value).lstrip("+0") for value in values)
        return any(not self.deactivated(value) for value in values) if word == SH.sparql else bool(values)

    def _custom(self, shape: Node) -> Iterator[Node]:
        """Parameters of constraint components that the graph declares itself."""
        for component in self.graph.subjects(RDF.type, SH.ConstraintComponent):
            for parameter in self.graph.objects(component, SH.parameter):
                yield from (path for path in self.graph.objects(parameter, SH.path) if (shape, path, None) in self.graph)

    def parts(self, shape: Node) -> Iterator[Node]:
        """The shapes that a shape uses."""
        for word in SHAPES:
            yield from (value for value in self.graph.objects(shape, word) if not isinstance(value, Literal))
        for word in LISTS_OF_SHAPES:
            for head in self.graph.objects(shape, word):
                yield from (item for item in members(self.graph, head) if not isinstance(item, Literal))

    def reached_from(self, shape: Node, words: Sequence[URIRef] | None = None) -> frozenset[Node]:
        """The shape and all that it uses, over ``words`` only where given."""
        found, open_ = {shape}, [shape]
        while open_:
            one = open_.pop()
            parts = self.parts(one) if words is None else (part for word in words for part in self.graph.objects(one, word))
            new = [part for part in parts if part not in found]
            found.update(new)
            open_ += new
        return frozenset(found)

    @functools.cached_property
    def idle(self) -> tuple[Idle, ...]:
        """Everything that is written as a shape and judges nothing, by name and with the reason."""
        used = frozenset(part for shape in self.targeted for part in self.reached_from(shape))
        found = [idle for shape in sorted(self.shapes, key=self.name) for idle in self._idle(shape, used)]
        return (*found, *self._strangers())

    def _strangers(self) -> Iterator[Idle]:
        """What is no shape and speaks words that SHACL does not have: perhaps it was meant to be one."""
        for subject, predicate, value in sorted(self.graph, key=str):
            word = next((word for word in (predicate, value if predicate == RDF.type else None) if unknown(word)), None)
            if word is not None and subject not in self.shapes:
                yield Idle(subject, f"{local(str(word))} is no word of SHACL")

    def _idle(self, shape: Node, used: frozenset[Node]) -> Iterator[Idle]:
        if shape not in used:
            if not any(shape in set(self.parts(other)) for other in self.shapes if other != shape):
                words = self._not_evaluated(shape)
                other = f"{', '.join(words)} is not evaluated, and it has no other target" if words else "it has no target"
                yield Idle(shape, f"{other}, and no shape with a target uses it")
            return
        if self.deactivated(shape):
            yield Idle(shape, "it is deactivated")
        elif (words := self._not_evaluated(shape)) and not self.checks(shape):
            yield Idle(shape, f"{', '.join(words)} is not evaluated, and it has no other constraint")
        elif shape in self.missing and not str(shape).startswith(SKOLEM):
            yield Idle(shape, "it is used, and no file describes it")
        elif not self.checks(shape) and not any(shape != part and not self.checks(part) for part in self._own_parts(shape)):
            yield Idle(shape, "it has no constraint")
        elif not self.checks(shape):
            yield Idle(shape, "nothing that it uses checks anything")
        elif words:
            yield Idle(shape, f"{', '.join(words)} is not evaluated")
        elif any(self.deactivated(query) for query in self.graph.objects(shape, SH.sparql)):
            yield Idle(shape, "its sh:sparql is deactivated")

    def _own_parts(self, shape: Node) -> Iterator[Node]:
        yield from (part for word in (SH.property, SH.node) for part in self.graph.objects(shape, word))

    def _not_evaluated(self, shape: Node) -> list[str]:
        return sorted({local(word) for word in self.graph.predicates(shape, None) if word in NOT_EVALUATED})

    @functools.cached_property
    def names(self) -> Mapping[Node, str]:
        """What people read: the IRI of a shape with a name; the property and the owner of one without, each name once."""
        names: dict[Node, str] = {}
        taken: set[str] = set()
        for shape in sorted(self.shapes, key=str):
            name, number = self._name(shape, 0), 1
            while name in taken:
                number += 1
                name = f"{self._name(shape, 0)} ({number})"
            taken.add(name)
            names[shape] = name
        return names

    def name(self, shape: Node) -> str:
        return self.names.get(shape) or str(shape)

    def _name(self, shape: Node, depth: int) -> str:
        if not str(shape).startswith(SKOLEM):
            return str(shape)
        owner = next((other for other in sorted(self.shapes, key=str) if shape in set(self.parts(other)) and other != shape), None)
        path = self.graph.value(shape, SH.path)
        what = f"the property {self.path_text(path)}" if path is not None else "the shape without a name"
        if owner is not None and depth < MAX_DEPTH:
            return f"{what} of {self._name(owner, depth + 1)}"
        told = [f"{local(predicate)} {_short(value)}" for predicate, value in sorted(self.targets(shape), key=str)]
        return f"{what} with {', '.join(told)}" if told else what

    def path_text(self, path: Node | None, depth: int = 0) -> str:
        """A property path in the form of SPARQL, local names only; one that leads in a circle ends in an ellipsis."""
        if path is None or depth > MAX_PATH:
            return "" if path is None else "…"
        if isinstance(path, URIRef | Literal):
            return str(path)
        for word, form in zip(PATHS, ("^{}", "({})", "({})*", "({})+", "({})?"), strict=True):
            inner = self.graph.value(path, word)
            if inner is not None:
                some = list(members(self.graph, inner)) if word == SH.alternativePath else [inner]
                return form.format("|".join(self.path_text(item, depth + 1) for item in some))
        return "/".join(self.path_text(item, depth + 1) for item in members(self.graph, path))

    @property
    def closes_values(self) -> bool:
        """Whether a property shape is closed: the Rust engine reads that otherwise than SHACL 4.8.1 (docs/shacl.md)."""
        return any((shape, SH.path, None) in self.graph and self._states(shape, SH.closed) for shape in self.graph.subjects(SH.closed))

    @functools.cached_property
    def engine_text(self) -> str:
        """As N-Triples."""
        return ntriples(self.engine_graph())

    def engine_graph(self) -> Graph:
        """What engines are given: without what none of them evaluates, and without what says nothing and makes pySHACL give up."""
        graph = Graph()
        for subject, predicate, value in self.graph:
            if predicate not in NOT_EVALUATED and not self._off(subject, predicate, value):
                graph.add((subject, predicate, value))
        return graph

    def _off(self, subject: Node, predicate: Node, value: Node) -> bool:
        """Statements without a meaning of their own, for which one engine or the other gives up, or which it takes for on."""
        if predicate in FLAGS:
            return str(value) != _TRUE  # "1" is no true here; pySHACL takes it for one
        if predicate == SH.ignoredProperties:
            return not self._states(subject, SH.closed)
        if predicate == SH.qualifiedValueShape:
            return not any((subject, word, None) in self.graph for word in (SH.qualifiedMinCount, SH.qualifiedMaxCount))
        return predicate == SH.sparql and self.deactivated(value)


def ntriples(graph: Graph) -> str:
    return "".join(f"{of_node(s)} {of_node(p)} {of_node(o)} .\n" for s, p, o in graph)


def _named(graph: Graph) -> Graph:
    """The graph with a name for every shape that has none; paths and lists keep theirs: an IRI there would mean another thing."""
    blanks = sorted((shape for shape in _found(graph) if isinstance(shape, BNode)), key=str)
    names: dict[Node, Node] = {blank: URIRef(f"{SKOLEM}{number}") for number, blank in enumerate(blanks)}
    named = Graph()
    for subject, predicate, value in graph:
        named.add((names.get(subject, subject), predicate, names.get(value, value)))
    return named


def _found(graph: Graph) -> Iterator[Node]:
    """Every shape: by its type, its target, its constraints, or because a shape uses it (SHACL 2.1)."""
    for kind in _KINDS:
        yield from graph.subjects(RDF.type, kind)
    for word in (*TARGETS, *CONSTRAINTS, *SHAPES, *NOT_EVALUATED):
        for subject in graph.subjects(word, None):
            if not _parameter(graph, subject):
                yield subject
    for word in SHAPES:
        yield from (value for value in graph.objects(None, word) if not isinstance(value, Literal))
    for word in LISTS_OF_SHAPES:
        for head in graph.objects(None, word):
            yield from (item for item in members(graph, head) if not isinstance(item, Literal))


def _parameter(graph: Graph, node: Node) -> bool:
    """Parameters of a component, and function expressions, use words of shapes and are none."""
    return (None, SH.parameter, node) in graph or (node, RDF.type, SH.Parameter) in graph or (None, SH.expression, node) in graph


def _classes(graph: Graph) -> frozenset[Node]:
    """Everything that is a class: of rdfs:Class, owl:Class, or a kind of class below them."""
    kinds = {kind for top in (RDFS.Class, OWL.Class) for kind in graph.transitive_subjects(RDFS.subClassOf, top)}
    return frozenset(node for kind in kinds for node in graph.subjects(RDF.type, kind))


def unknown(word: Node | None) -> bool:
    """Whether a word is of SHACL's namespace and not one of its words."""
    return isinstance(word, URIRef) and str(word).startswith(str(SH)) and str(word) not in WORDS


def _short(node: Node) -> str:
    return str(node).rstrip("#/").replace("#", "/").rpartition("/")[2] or str(node)
