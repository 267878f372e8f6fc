"""Which shape a result counts for: the one with a target whose focus node was judged, also where several shapes share a property shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from rdflib import SH, Graph, URIRef
from rdflib.paths import AlternativePath, InvPath, MulPath, Path, SequencePath
from rdflib.term import Node

from harness.shacl.engines import Findings, Result, focus_nodes
from harness.shacl.lists import members
from harness.shacl.reading import RdfFile
from harness.shacl.shapes import ShapesGraph
from harness.shacl.terms import of_node

Times = Literal["*", "+", "?"]
_REPEATED: Final[tuple[tuple[URIRef, Times], ...]] = (
    (SH.zeroOrMorePath, "*"),
    (SH.oneOrMorePath, "+"),
    (SH.zeroOrOnePath, "?"),
)


class Owners:
    """Answers for the results of one validation; what it needs of the data is read only where shapes are shared below the first level."""

    def __init__(self, shapes: ShapesGraph, data: RdfFile, findings: Findings) -> None:
        self._shapes, self._data, self._focus = shapes, data, findings.focus
        self._reached = {shape: shapes.reached_from(shape, (SH.property,)) for shape in shapes.active}
        self._below: dict[tuple[Node, Node], frozenset[str]] = {}

    def of(self, result: Result) -> tuple[Node, ...]:
        """The shapes with a target that the result is of; the source shape itself where there is none."""
        source = URIRef(result.shape[1:-1])
        candidates = [shape for shape, parts in self._reached.items() if source in parts]
        if len(candidates) <= 1:
            return tuple(candidates) or (source,)
        direct = [shape for shape in candidates if self._first_level(shape, source) and result.focus in self._focus[of_node(shape)]]
        nested = [shape for shape in candidates if shape not in direct and result.focus in self._nodes_below(shape, source)]
        return tuple(dict.fromkeys([*direct, *nested])) or tuple(candidates)

    def _first_level(self, shape: Node, source: Node) -> bool:
        return source == shape or (shape, SH.property, source) in self._shapes.graph

    def _nodes_below(self, shape: Node, source: Node) -> frozenset[str]:
        """The focus nodes that ``source`` gets below ``shape``: the ends of the paths on the way."""
        key = (shape, source)
        if key not in self._below:
            data = self._data.graph
            starts = focus_nodes(data, self._shapes, shape)
            self._below[key] = frozenset(of_node(node) for chain in self._chains(shape, source) for node in self._ends(data, starts, chain))
        return self._below[key]

    def _chains(self, shape: Node, source: Node) -> Iterator[tuple[Node, ...]]:
        """The property shapes between the two, in order; SHACL does not allow a circle."""
        for part in self._shapes.graph.objects(shape, SH.property):
            if part == source:
                yield ()
            elif source in self._shapes.reached_from(part, (SH.property,)):
                yield from ((part, *rest) for rest in self._chains(part, source))

    def _ends(self, data: Graph, starts: set[Node], chain: tuple[Node, ...]) -> set[Node]:
        nodes = starts
        for part in chain:
            path = to_path(self._shapes.graph, self._shapes.graph.value(part, SH.path))
            nodes = {end for node in nodes for end in data.objects(node, path)}
        return nodes


def to_path(shapes: Graph, path: Node | None) -> Path | URIRef:
    """A property path of a shapes graph as rdflib evaluates it."""
    if isinstance(path, URIRef):
        return path
    inverse, alternative = shapes.value(path, SH.inversePath), shapes.value(path, SH.alternativePath)
    if inverse is not None:
        return InvPath(to_path(shapes, inverse))
    if alternative is not None:
        return AlternativePath(*(to_path(shapes, item) for item in members(shapes, alternative)))
    for word, times in _REPEATED:
        inner = shapes.value(path, word)
        if inner is not None:
            return MulPath(to_path(shapes, inner), times)
    if path is None:
        raise ValueError("a property shape without a path")
    return SequencePath(*(to_path(shapes, item) for item in members(shapes, path)))
