"""Why the two engines differ on a pair: known faults, each with who is right by the recommendation and where it says so.

A difference is explained where each result that only one engine has is one that a rule foretells; one of a constraint that holds other
shapes (``sh:not``, ``sh:and``, …) where it goes away once the statements that the rule speaks of are taken out of the shapes graph.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rdflib import SH, XSD, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from harness.shacl.engines import Engine, EngineBroke, Findings
from harness.shacl.reading import RdfFile
from harness.shacl.shapes import ShapesGraph, ntriples
from harness.shacl.terms import of_node

RANGES: Final = (SH.minExclusive, SH.minInclusive, SH.maxExclusive, SH.maxInclusive)
PAIRS: Final = (SH.lessThan, SH.lessThanOrEquals)
HOLDERS: Final = frozenset({"Not", "And", "Or", "Xone", "Node", "QualifiedMinCount", "QualifiedMaxCount"})
_BLANK_GIVEN_UP: Final = re.compile(r"Cannot use sh:lessThan(OrEquals)? to compare a BlankNode")
_NAN_GIVEN_UP: Final = re.compile(r"decimal\.InvalidOperation")
Triple = tuple[Node, Node, Node]
Key = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Pair:
    shapes: ShapesGraph
    data: RdfFile

    def literals(self) -> Iterator[Literal]:
        """All that can be a value node: of the data, and of the targets."""
        for graph in (self.data.graph, self.shapes.graph):
            yield from (value for value in graph.objects() if isinstance(value, Literal))


@dataclasses.dataclass(frozen=True)
class Rule:
    """``foretells``: whether the rule says that only ``right`` or only the other has this result.

    ``disputed``: the statements it is about.
    """

    name: str
    right: str
    why: str
    foretells: Callable[[Pair, str, Key], bool]
    disputed: Callable[[Pair], list[Triple]]


def _word(key: Key) -> str:
    return key[3].rpartition("#")[2].removesuffix("ConstraintComponent")


def _values(pair: Pair, key: Key, words: tuple[URIRef, ...]) -> list[Node]:
    name = _word(key)
    word = URIRef(f"{SH}{name[0].lower()}{name[1:]}")
    return list(pair.shapes.graph.objects(URIRef(key[0][1:-1]), word)) if word in words else []


def _ranges(pair: Pair, of: Callable[[Literal, Literal], bool]) -> list[Triple]:
    literals = set(pair.literals())
    return [
        (shape, word, bound)
        for word in RANGES
        for shape, bound in pair.shapes.graph.subject_objects(word)
        if isinstance(bound, Literal) and any(of(value, bound) for value in literals)
    ]


def _incomparable_told(pair: Pair, only: str, key: Key) -> bool:
    bounds = _values(pair, key, RANGES)
    return only == "shacl" and any(_between(key[2], bound, incomparable) for bound in bounds)


def _between(value: str, bound: Node, of: Callable[[Literal, Literal], bool]) -> bool:
    return isinstance(bound, Literal) and any(of_node(one) == value and of(one, bound) for one in _read(value))


def _read(value: str) -> list[Literal]:
    return [one for one in Graph().parse(data=f"<urn:x> <urn:x> {value} .", format="nt").objects() if isinstance(one, Literal)]


def _outside_told(pair: Pair, only: str, key: Key) -> bool:
    return only == "pyshacl" and any(_between(key[2], bound, outside) for bound in _values(pair, key, RANGES))


def _pairs_told(pair: Pair, only: str, key: Key) -> bool:
    """A value and one that it is held against, of which SPARQL has no ``<``."""
    words = _values(pair, key, PAIRS)
    others = [other for word in words if isinstance(word, URIRef) for other in pair.data.graph.objects(None, word)]
    mine = _read(key[2]) if key[2].startswith('"') else []
    return only == "shacl" and any(not mine or not isinstance(other, Literal) or incomparable(mine[0], other) for other in others)


def _pairs_outside_told(pair: Pair, only: str, key: Key) -> bool:
    others = [other for word in _values(pair, key, PAIRS) for other in pair.data.graph.objects(None, URIRef(str(word)))]
    return only == "pyshacl" and any(_between(key[2], other, outside) for other in others)


def _closed_told(pair: Pair, _only: str, key: Key) -> bool:
    return _word(key) == "Closed" and (URIRef(key[0][1:-1]), SH.path, None) in pair.shapes.graph


def _closed(pair: Pair) -> list[Triple]:
    graph = pair.shapes.graph
    return [triple for triple in graph.triples((None, SH.closed, None)) if (triple[0], SH.path, None) in graph]


def _blank_told(_pair: Pair, only: str, key: Key) -> bool:
    return only == "shacl" and _word(key) == "MinLength" and key[2].startswith("_:")


def _statements(*words: URIRef) -> Callable[[Pair], list[Triple]]:
    return lambda pair: [triple for word in words for triple in pair.shapes.graph.triples((None, word, None))]


RULES: Final = (
    Rule(
        "comparisons without a meaning",
        "shacl",
        "4.3: a value for which SPARQL's < gives no true (other type, unknown type, language, ill-typed) is a result; pySHACL compares "
        "Python values (dates with dateTimes, booleans with numbers) or sorts by type",
        _incomparable_told,
        lambda pair: _ranges(pair, incomparable),
    ),
    Rule(
        "derived integers out of range",
        "pyshacl",
        '4.3: "300"^^xsd:byte is no number, so that no comparison with it is true; shacl takes it for 300',
        _outside_told,
        lambda pair: _ranges(pair, outside),
    ),
    Rule(
        "sh:lessThan of things that have no order",
        "shacl",
        "4.5.3, 4.5.4: a pair of values that SPARQL's < cannot compare is a result; pySHACL compares IRIs and texts as strings",
        _pairs_told,
        _statements(*PAIRS),
    ),
    Rule(
        "sh:lessThan of derived integers out of range",
        "pyshacl",
        "4.5.3, 4.5.4: as with bounds",
        _pairs_outside_told,
        _statements(*PAIRS),
    ),
    Rule(
        "sh:closed at a property shape",
        "pyshacl",
        "4.8.1: closed are the value nodes; shacl closes the focus nodes instead",
        _closed_told,
        _closed,
    ),
    Rule(
        "sh:minLength 0 of a blank node",
        "shacl",
        "4.4.1: a blank node is a result whatever the length; pySHACL lets it pass at 0",
        _blank_told,
        _statements(SH.minLength),
    ),
)


def differing(first: Findings, second: Findings) -> list[tuple[str, Key]]:
    """Each result that one of them has only, with the engine that has it."""
    keys = Counter(result.key for result in first.results), Counter(result.key for result in second.results)
    return [("shacl", key) for key in (keys[0] - keys[1]).elements()] + [("pyshacl", key) for key in (keys[1] - keys[0]).elements()]


def explained(pair: Pair, engines: tuple[Engine, Engine], told: list[tuple[str, Key]]) -> list[str]:
    """The names of the rules that explain all of it; none where something is left over."""
    names, left = set[str](), list[tuple[str, Key]]()
    for only, key in told:
        rule = next((rule for rule in RULES if rule.foretells(pair, only, key)), None)
        if rule is not None:
            names.add(rule.name)
        elif _word(key) in HOLDERS:
            left.append((only, key))
        else:
            return []
    if left:
        cause = _cause(pair, engines)
        return sorted(names | set(cause)) if cause else []
    return sorted(names)


def _cause(pair: Pair, engines: tuple[Engine, Engine]) -> list[str]:
    """The rules without whose statements the engines agree: one alone, or else all that have some."""
    sets = [(rule.name, rule.disputed(pair)) for rule in RULES]
    sets = [(name, triples) for name, triples in sets if triples]
    for names, triples in (
        *(([name], triples) for name, triples in sets),
        ([name for name, _ in sets], [t for _, some in sets for t in some]),
    ):
        again = _without(pair, triples)
        try:
            told = differing(engines[0].judge(again.shapes, again.data), engines[1].judge(again.shapes, again.data))
        except EngineBroke:
            continue
        if not [item for item in told if _word(item[1]) in HOLDERS]:
            return names
    return []


def _without(pair: Pair, triples: list[Triple]) -> Pair:
    graph = Graph()
    for triple in set(pair.shapes.graph) - set(triples):
        graph.add(triple)
    return Pair(ShapesGraph([RdfFile(Path("again.nt"), ntriples(graph).encode(), "nt")]), pair.data)


_DERIVED: Final = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "nonNegativeInteger": (0, None),
}
_NUMBER: Final = {
    "integer": re.compile(r"[+-]?\d+"),
    "decimal": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)"),
    "double": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|-?INF|NaN"),
}
_ZONE: Final = r"(Z|[+-]\d\d:\d\d)?"
_TIMES: Final = {"date": "%Y-%m-%d", "dateTime": "%Y-%m-%dT%H:%M:%S", "time": "%H:%M:%S"}


def family(literal: Literal) -> str:
    """What SPARQL compares it with: numbers with numbers, texts with texts, and so on; empty for what has no value or no order."""
    text, name = str(literal), str(literal.datatype or XSD.string).removeprefix(str(XSD))
    if literal.language:
        return ""
    if name in {"string", "boolean"}:
        return name if name == "string" or text in {"true", "false", "1", "0"} else ""
    if name in _TIMES or name == "gYear":
        return name if _is_time(text, name) else ""
    if _whole(literal) is not None and not outside(literal, literal):
        return "number"
    form = _NUMBER.get("double" if name == "float" else name)
    return "number" if form is not None and form.fullmatch(text) else ""


def _whole(literal: Literal) -> int | None:
    name = str(literal.datatype or "").removeprefix(str(XSD))
    return int(str(literal)) if name in {"integer", *_DERIVED} and _NUMBER["integer"].fullmatch(str(literal)) else None


def _is_time(text: str, name: str) -> bool:
    if name == "gYear":
        return re.fullmatch(rf"-?\d{{4,}}{_ZONE}", text) is not None
    try:
        dt.datetime.strptime(re.sub(rf"{_ZONE}$", "", text, count=1), _TIMES[name])  # noqa: DTZ007 - only whether there is such a day
    except ValueError:
        return False
    return True


def incomparable(one: Literal, other: Literal) -> bool:
    """Whether SPARQL's < gives no true for the two, either way round: an error, or one is NaN."""
    return not family(one) or family(one) != family(other) or "NaN" in (str(one), str(other))


def outside(one: Literal, other: Literal) -> bool:
    """Whether one of the two is a whole number that its type does not hold."""
    for literal in (one, other):
        number = _whole(literal)
        least, most = _DERIVED.get(str(literal.datatype or "").removeprefix(str(XSD)), (None, None))
        if number is not None and ((least is not None and number < least) or (most is not None and number > most)):
            return True
    return False


def gave_up(pair: Pair, said: str) -> str:
    """Why pySHACL ended with an error, where that is known; in each case ``shacl`` is right that there is a result (4.3, 4.5.3)."""
    if _BLANK_GIVEN_UP.search(said) and any(isinstance(node, BNode) for node in pair.data.graph.all_nodes()):
        return "pySHACL gives up at sh:lessThan of a blank node"
    if _NAN_GIVEN_UP.search(said) and any(str(literal) == "NaN" for literal in pair.literals()):
        return "pySHACL gives up at NaN beside a decimal"
    return ""
