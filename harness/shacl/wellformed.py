"""Shapes that break the syntax of SHACL are refused before anything is judged, all at once, with file, line and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rdflib import RDF, SH, XSD, BNode, Literal, URIRef
from rdflib.term import Node

from harness.core.errors import UsageError, UsageErrors, nearest_word
from harness.shacl.lines import place
from harness.shacl.lists import is_list, members
from harness.shacl.shapes import SKOLEM, ShapesGraph, unknown
from harness.shacl.vocabulary import (
    BOOLEANS,
    COUNTS,
    IRIS,
    LISTS,
    LISTS_OF_SHAPES,
    LITERALS,
    NODE_KINDS,
    ONLY_AT_PROPERTIES,
    ONLY_ONCE,
    PATHS,
    SHAPES,
    WORDS,
    local,
)

PASSED_OVER: Final = "correct it: engines pass over what they do not know"
_WHOLE: Final = re.compile(r"\+?\d+")
_BOOLEAN: Final = frozenset({"true", "false", "1", "0"})


def check(shapes: ShapesGraph) -> None:
    """``UsageErrors`` with everything that is wrong."""
    errors = [*_unknown_words(shapes), *(error for shape in sorted(shapes.shapes, key=str) for error in _shape(shapes, shape))]
    errors += _recursive(shapes)
    if errors:
        raise UsageErrors(errors) if len(errors) > 1 else errors[0]


def wrong(shapes: ShapesGraph, shape: Node, message: str, remedy: str, word: URIRef | None = None, value: Node | None = None) -> UsageError:
    """The error of a shape, with the place of the statement."""
    file, line = place(shapes.files, shapes.graph, shape, word, value)
    return UsageError(f"{shapes.name(shape)}: {message}", file=file, line=line, remedy=remedy)


def _unknown_words(shapes: ShapesGraph) -> Iterator[UsageError]:
    """A misspelt word would be passed over by every engine."""
    for shape in sorted(shapes.shapes, key=str):
        for predicate, value in sorted(shapes.graph.predicate_objects(shape), key=str):
            for word in (predicate, value if predicate == RDF.type else None):
                if unknown(word):
                    near = nearest_word(local(str(word)), [f"sh:{known.rpartition('#')[2]}" for known in WORDS])
                    file, line = place(shapes.files, shapes.graph, shape, URIRef(str(word)))
                    message = f"{shapes.name(shape)}: SHACL has no word {local(str(word))}"
                    yield UsageError(
                        message, file=file, line=line, nearest=near, remedy="correct it: engines pass over what they do not know"
                    )


def _shape(shapes: ShapesGraph, shape: Node) -> Iterator[UsageError]:
    graph = shapes.graph
    yield from _counted(shapes, shape)
    yield from _values(shapes, shape)
    for word in LISTS:
        for head in graph.objects(shape, word):
            yield from _list(shapes, shape, word, head)
    path = graph.value(shape, SH.path)
    if path is not None and not _is_path(shapes, path):
        yield wrong(shapes, shape, "sh:path is no property path", "give a property, or a path as SHACL 2.3.1 writes it", SH.path)
    for part in graph.objects(shape, SH.property):
        if part in shapes.missing and not str(part).startswith(SKOLEM):
            yield wrong(shapes, shape, f"sh:property is {_said(part)}, and no file describes it", "correct its name", SH.property, part)
        elif not isinstance(part, Literal) and (part, SH.path, None) not in graph:
            yield wrong(shapes, part, "a property shape without sh:path", "say with sh:path which property it is of")
    for part in graph.objects(shape, SH.node):
        if (part, SH.path, None) in graph:
            yield wrong(shapes, shape, f"sh:node is the property shape {shapes.name(part)}", "use sh:property for it", SH.node, part)
    if path is None:
        for word in ONLY_AT_PROPERTIES:
            if (shape, word, None) in graph and (None, SH.property, shape) not in graph:
                yield wrong(shapes, shape, f"{local(word)} at a shape without sh:path", "put it into a sh:property with a sh:path", word)


def _list(shapes: ShapesGraph, shape: Node, word: URIRef, head: Node) -> Iterator[UsageError]:
    if not is_list(shapes.graph, head):
        yield wrong(shapes, shape, f"{local(word)} is no list", "write its members in round brackets", word)
        return
    items = list(members(shapes.graph, head))
    if word in LISTS_OF_SHAPES and not items:
        yield wrong(shapes, shape, f"{local(word)} is an empty list", "give at least one shape", word)
    for words, right, remedy in MEMBERS:
        for item in items if word in words else ():
            if not right(item):
                yield wrong(shapes, shape, f"{_said(item)} in the list of {local(word)}", remedy, word, item)


def _counted(shapes: ShapesGraph, shape: Node) -> Iterator[UsageError]:
    for word in ONLY_ONCE:
        values = sorted(set(shapes.graph.objects(shape, word)), key=str)
        if len(values) > 1:
            said = " and ".join(str(value) for value in values[:2])
            yield wrong(shapes, shape, f"{local(word)} stands twice: {said}", "keep one", word, values[1])
    if (shape, SH.flags, None) in shapes.graph and (shape, SH.pattern, None) not in shapes.graph:
        yield wrong(shapes, shape, "sh:flags without sh:pattern", "give the pattern that they are of", SH.flags)


def _values(shapes: ShapesGraph, shape: Node) -> Iterator[UsageError]:
    """Values of the wrong kind, each rule of :data:`RULES` for each word that it speaks of."""
    for words, right, remedy in RULES:
        for word in words:
            for value in shapes.graph.objects(shape, word):
                if not right(value):
                    yield wrong(shapes, shape, f"{local(word)} is {_said(value)}", remedy, word, value)


def _said(value: Node) -> str:
    if isinstance(value, BNode):
        return "a blank node"
    return local(value) if isinstance(value, URIRef) and str(value).startswith(str(SH)) else repr(str(value))


def _is_count(value: Node) -> bool:
    return isinstance(value, Literal) and value.datatype == XSD.integer and _WHOLE.fullmatch(str(value)) is not None


def _is_text(value: Node) -> bool:
    return isinstance(value, Literal) and value.datatype in {None, XSD.string}


def _is_flag(value: Node) -> bool:
    return isinstance(value, Literal) and value.datatype == XSD.boolean and str(value) in _BOOLEAN


MEMBERS: Final[tuple[tuple[Sequence[URIRef], Callable[[Node], bool], str], ...]] = (
    (LISTS_OF_SHAPES, lambda value: not isinstance(value, Literal), "give the names of shapes, or write them in []"),
    ((SH.languageIn,), _is_text, "give the tags of languages, in quotes"),
    ((SH.ignoredProperties,), lambda value: isinstance(value, URIRef), "give the names of properties"),
)
RULES: Final[tuple[tuple[Sequence[URIRef], Callable[[Node], bool], str], ...]] = (
    (COUNTS, _is_count, "a whole number, 0 or more, is needed"),
    (BOOLEANS, _is_flag, "write true or false, without quotes"),
    (IRIS, lambda value: isinstance(value, URIRef), "give the name of a class, property or type"),
    (LITERALS, lambda value: isinstance(value, Literal), "give a number, date or text"),
    ((SH.nodeKind,), lambda value: value in NODE_KINDS, f"one of {', '.join(sorted(map(local, NODE_KINDS)))} is needed"),
    (SHAPES, lambda value: not isinstance(value, Literal), "give the name of a shape, or write one in []"),
    ((SH.targetNode,), lambda value: not isinstance(value, BNode), "no data can name a blank node: give an IRI or a literal"),
)


def _is_path(shapes: ShapesGraph, path: Node, depth: int = 0) -> bool:
    """A path by SHACL 2.3.1; one that leads in a circle is none."""
    if isinstance(path, URIRef) or depth > 32:
        return isinstance(path, URIRef) and depth <= 32 and path != RDF.nil
    if isinstance(path, Literal):
        return False
    inner = [(word, value) for word in PATHS for value in shapes.graph.objects(path, word)]
    if (path, RDF.first, None) in shapes.graph:
        return _members(shapes, path, depth)  # a list is a sequence, whatever stands beside it (W3C suite, path-strange-001)
    if len(inner) != 1:
        return False
    word, value = inner[0]
    return _members(shapes, value, depth) if word == SH.alternativePath else _is_path(shapes, value, depth + 1)


def _members(shapes: ShapesGraph, head: Node, depth: int) -> bool:
    if not is_list(shapes.graph, head):
        return False
    items = list(members(shapes.graph, head))
    return len(items) >= 2 and all(_is_path(shapes, item, depth + 1) for item in items)


def _recursive(shapes: ShapesGraph) -> Iterator[UsageError]:
    """SHACL leaves open what a shape means that uses itself, so that engines answer differently."""
    told: set[Node] = set()
    for shape in sorted(shapes.shapes, key=lambda shape: (str(shape).startswith(SKOLEM), str(shape))):
        if shape not in told and any(shape in shapes.reached_from(part) for part in shapes.parts(shape)):
            told |= {other for other in shapes.reached_from(shape) if shape in shapes.reached_from(other)}
            yield wrong(shapes, shape, "the shape uses itself", "SHACL does not say what that means: break the circle")
