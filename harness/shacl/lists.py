"""Lists of RDF, also those that are none: read as far as they go, and no further round a circle than once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rdflib import RDF, Graph
from rdflib.term import Node

MAX_LIST: Final = 100_000


def members(graph: Graph, head: Node | None) -> Iterator[Node]:
    """What stands in the list, in order; a node without ``rdf:first`` ends it."""
    seen: set[Node] = set()
    while head is not None and head != RDF.nil and head not in seen:
        seen.add(head)
        first = graph.value(head, RDF.first)
        if first is None:
            return
        yield first
        head = graph.value(head, RDF.rest)


def is_list(graph: Graph, head: Node) -> bool:
    """Whether it is one: closed, without circles or branches."""
    seen: set[Node] = set()
    while head != RDF.nil:
        rest = list(graph.objects(head, RDF.rest))
        firsts = list(graph.objects(head, RDF.first))
        if head in seen or len(rest) != 1 or len(firsts) != 1 or len(seen) > MAX_LIST:
            return False
        seen.add(head)
        head = rest[0]
    return True
