"""RDF terms as text in N-Triples form, alike whichever engine or parser they come from."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Self

import rdflib
from rdflib import XSD, BNode, Graph, Literal
from rdflib.plugins.parsers import notation3
from rdflib.term import Node

BLANK: Final = "_:"
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_UNESCAPES: Final = {value[1]: key for key, value in _ESCAPES.items()} | {"'": "'"}
_TO_ESCAPE: Final = re.compile(r'[\\"\n\r\t\b\f]')
_ESCAPED: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_LITERAL: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(?:@([A-Za-z0-9-]+)|\^\^<([^>]*)>)?', re.DOTALL)
_STRING: Final = str(XSD.string)


class _WrittenInteger(int):
    """A number of Turtle that keeps its digits: the parser asks for its text when it makes the literal."""

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    def __str__(self) -> str:
        return self.text


class _WrittenDecimal(Decimal):
    """As above."""

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    def __str__(self) -> str:
        return self.text


def keep_literals() -> None:
    """Let rdflib read literals as they are written, for this process: "007" is not "7". pySHACL turns it back after each validation."""
    rdflib.NORMALIZE_LITERALS = False
    # The parser's own names for its number types: it has no setting for them.
    setattr(notation3, "long_type", _WrittenInteger)  # noqa: B010 - an attribute that the module does not export
    setattr(notation3, "Decimal", _WrittenDecimal)  # noqa: B010 - as above


def literal(text: str, language: str = "", datatype: str = "") -> str:
    """A literal; ``xsd:string`` is what a plain one means."""
    body = '"' + _TO_ESCAPE.sub(lambda found: _ESCAPES[found.group()], text) + '"'
    if language:
        return f"{body}@{language.lower()}"
    return body if datatype in {"", _STRING} else f"{body}^^<{datatype}>"


def of_node(node: Node | None) -> str:
    """The form of an rdflib term; empty for none."""
    if node is None:
        return ""
    if isinstance(node, Literal):
        return literal(str(node), node.language or "", str(node.datatype or ""))
    return f"{BLANK}{node}" if isinstance(node, BNode) else f"<{node}>"


def canonical(text: str | None) -> str:
    """The form of a term that another engine wrote in N-Triples, with whatever escapes."""
    if not text:
        return ""
    if text[0] != '"':
        return text
    found = _LITERAL.fullmatch(text)
    if found is None:
        return text
    return literal(_ESCAPED.sub(_unescaped, found[1]), found[2] or "", found[3] or "")


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _UNESCAPES.get(found[3], found[3])


def comparable(text: str) -> str:
    """For a comparison between engines: each gives blank nodes labels of its own."""
    return BLANK if text.startswith(BLANK) else text


def shown(text: str, limit: int = 500) -> str:
    """For people: an IRI without its brackets, a literal's text, blank nodes as such."""
    if text.startswith(BLANK):
        return "(blank node)"
    if text.startswith('"'):
        found = _LITERAL.fullmatch(text)
        return (_ESCAPED.sub(_unescaped, found[1]) if found else text)[:limit]
    return text.removeprefix("<").removesuffix(">")[:limit]


def plain_strings(graph: Graph) -> Graph:
    """The graph with ``"a"^^xsd:string`` written as ``"a"``: rdflib takes the two forms of one term for two."""
    typed = [triple for triple in graph if isinstance(triple[2], Literal) and triple[2].datatype == XSD.string]
    for subject, predicate, value in typed:
        graph.remove((subject, predicate, value))
        graph.add((subject, predicate, Literal(str(value))))
    return graph
