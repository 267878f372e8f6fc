"""Where in a file something stands: parsers of RDF keep no lines, so the text is searched for the words that name it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rdflib import BNode, Graph, URIRef
from rdflib.term import Node

from harness.shacl.reading import RdfFile
from harness.shacl.shapes import SKOLEM
from harness.shacl.vocabulary import local


def place(files: Sequence[RdfFile], graph: Graph, shape: Node, word: URIRef | None = None, value: Node | None = None) -> tuple[str, int]:
    """File name and line of a statement (of its shape where the statement is not found); line 0 where nothing is."""
    for file in files:
        text = file.text
        starts = [found for node in _owners(graph, shape) for found in _positions(text, node)]
        start = starts[0] if starts else -1
        if start < 0 and not _anonymous(shape):
            continue
        line = _statement(text, max(start, 0), word, value)
        if line or start >= 0:
            return file.path.name, line or text.count("\n", 0, start) + 1
    return files[0].path.name if files else "", 0


def _anonymous(node: Node) -> bool:
    return isinstance(node, BNode) or str(node).startswith(SKOLEM)


def _owners(graph: Graph, shape: Node) -> list[Node]:
    """The shape itself where it has a name, else the nearest ones that have and lead to it."""
    level, seen = {shape}, {shape}
    while level:
        named = sorted((node for node in level if isinstance(node, URIRef) and not _anonymous(node)), key=str)
        if named:
            return list(named)
        level = {parent for node in level for parent in graph.subjects(None, node)} - seen
        seen |= level
    return []


def _positions(text: str, node: Node) -> list[int]:
    """Where a name stands as the subject of a statement (first on its line) before where it stands at all."""
    name = re.escape(re.split(r"[#/:]", str(node))[-1])
    token = rf"(?:<[^>\s]*{name}>|[\w.-]*:{name})(?![\w-])"
    return [found.start() for form in (rf"(?m)^[ \t]*{token}", token) for found in re.finditer(form, text)]


def _statement(text: str, start: int, word: URIRef | None, value: Node | None) -> int:
    """The line of the first statement behind ``start`` with that predicate (and value, where one is found); 0 for none."""
    if word is None:
        return 0
    name = re.escape(local(word)[3:])
    token = re.compile(rf"(?:[\w.-]*:{name}|#{name}>)(?![\w-])")
    places = [found.start() for found in token.finditer(text, start)]
    if value is not None:
        said = re.escape(re.split(r"[#/:]", str(value))[-1])
        near = [position for position in places if re.search(said, text[position : position + 300])]
        places = near or places
    return text.count("\n", 0, places[0]) + 1 if places else 0
