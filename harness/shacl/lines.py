"""Where in a file something stands: parsers of RDF keep no lines, so the text is searched for the words that name it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rdflib import RDF, SH, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from harness.shacl.reading import RdfFile
from harness.shacl.shapes import SKOLEM
from harness.shacl.vocabulary import local

_TURTLE: Final = frozenset({"turtle", "trig", "n3", "nt", "nquads"})
_HIDDEN: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""' + r"|'''(?:[^\\]|\\.)*?'''" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'|<[^>\s]*>|#[^\n]*", re.DOTALL
)
_INSIDE: Final = re.compile(r"[^\n]")
_BRACKET: Final = re.compile(r"[\[\]]")
_END: Final = re.compile(r"[;\[\]]|\.(?=\s|$)")


def place(files: Sequence[RdfFile], graph: Graph, shape: Node, word: URIRef | None = None, value: Node | None = None) -> tuple[str, int]:
    """File name and line of a statement (of its shape where the statement is not found); line 0 where nothing is."""
    for file in files:
        text = _masked(file.text) if file.kind in _TURTLE else file.text
        starts = [found for node in _owners(graph, shape) for found in _positions(text, node)]
        start = starts[0] if starts else -1
        if start < 0 and not _anonymous(shape):
            continue
        block = _block(file.text, text, max(start, 0), graph, shape, word, value) if _anonymous(shape) else None
        if block is not None:
            begin, own = block
            return file.path.name, _statement(file.text, own, 0, word, value) or _line(text, begin)
        outer = _outer(text)
        line = _statement(file.text, outer, max(start, 0), word, value) or _statement(file.text, text, max(start, 0), word, value)
        if line or start >= 0:
            return file.path.name, line or _line(text, start)
    return files[0].path.name if files else "", 0


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _masked(text: str) -> str:
    """The text without comments and without what stands in quotes, every position where it was."""
    return _HIDDEN.sub(lambda found: found[0] if found[0][0] == "<" else _blanked(found[0]), text)


def _blanked(text: str) -> str:
    return _INSIDE.sub(" ", text)


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


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Everything in square brackets, brackets included, innermost first."""
    open_: list[int] = []
    for found in _BRACKET.finditer(text):
        if found[0] == "[":
            open_.append(found.start())
        elif open_:
            yield open_.pop(), found.end()


def _outer(text: str) -> str:
    """The text without what stands in brackets."""
    for start, end in sorted(_spans(text)):
        text = text[: start + 1] + _blanked(text[start + 1 : end - 1]) + text[end - 1 :]
    return text


def _block(
    original: str, text: str, start: int, graph: Graph, shape: Node, word: URIRef | None, value: Node | None
) -> tuple[int, str] | None:
    """Where the brackets begin that hold just the words of a shape without a name, and the text with only them, at its old positions."""
    words = {str(predicate) for predicate in graph.predicates() if str(predicate).startswith(str(SH))}
    known = {name.rpartition("#")[2] for name in words}
    wanted = {str(predicate).rpartition("#")[2] for predicate in graph.predicates(shape) if str(predicate) in words}
    path = graph.value(shape, SH.path)
    found = []
    for begin, end in sorted(_spans(text)):
        own = _blanked(text[: begin + 1]) + _outer(text[begin + 1 : end - 1])
        said = {name for name in re.findall(r"(?:\b\w*:|#)(\w+)", own) if name in known}
        if begin >= start and said == wanted and (not isinstance(path, URIRef) or path == RDF.nil or _value(path).search(own)):
            found.append((begin, own))
    exact = [block for block in found if word is not None and value is not None and _places(original, block[1], 0, word, value)[1]]
    return next(iter([*exact, *found]), None)


def _value(value: Node) -> re.Pattern[str]:
    """A value as it may be written: the last part of a name, a literal's text, with its backslashes doubled or not."""
    name = str(value) if isinstance(value, Literal) else re.split(r"[#/:]", str(value))[-1]
    forms = "|".join(re.escape(form) for form in dict.fromkeys((name, name.replace("\\", "\\\\"))))
    return re.compile(rf"(?<![\w.+-])(?:{forms})(?![\w-]|\.\d)")


def _places(original: str, text: str, start: int, word: URIRef, value: Node | None) -> tuple[list[int], list[int]]:
    """Where the predicate stands behind ``start``, and where with that value behind it."""
    name = re.escape(local(word)[3:])
    token = re.compile(rf"(?:[\w.-]*:{name}|#{name}>)(?![\w-])")
    places, near = [], []
    for found in token.finditer(text, start):
        places.append(found.start())
        end = _END.search(text, found.end())
        behind = original[found.end() : end.start() if end else len(text)]
        if value is not None and not isinstance(value, BNode) and _value(value).search(behind):
            near.append(found.start())
    return places, near


def _statement(original: str, text: str, start: int, word: URIRef | None, value: Node | None) -> int:
    """The line of the first statement behind ``start`` with that predicate (and value, where one is found); 0 for none."""
    if word is None:
        return 0
    places, near = _places(original, text, start, word, value)
    chosen = near or places
    return _line(text, chosen[0]) if chosen else 0
