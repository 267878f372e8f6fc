"""Random shapes graphs of all of SHACL core, well formed and without circles, and small data graphs that use the same few names.

Both are N-Triples, so that nothing but the engines reads them. The same seed gives the same text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rdflib import RDF, RDFS, SH, XSD

from harness.shacl.reading import RdfFile
from harness.shacl.vocabulary import ONLY_ONCE

X: Final = "urn:x:"
NODES: Final = tuple(f"<{X}n{number}>" for number in range(5))
BLANKS: Final = ("_:b0", "_:b1")
CLASSES: Final = tuple(f"<{X}C{number}>" for number in range(4))
PROPERTIES: Final = tuple(f"<{X}p{number}>" for number in range(4))
TYPE, BELOW, CLASS = f"<{RDF.type}>", f"<{RDFS.subClassOf}>", f"<{RDFS.Class}>"
SEVERITIES: Final = (*(f"<{SH[name]}>" for name in ("Info", "Warning", "Violation")), f"<{X}Severe>")


def typed(text: str, datatype: str) -> str:
    return f'"{text}"^^<{XSD[datatype]}>'


NUMBERS: Final = (
    *(typed(text, "integer") for text in ("0", "1", "7", "007", "-3", "+7", "10", "one", "")),
    *(typed(text, "decimal") for text in ("1.0", "7.50", "-0.0", "1", "1e3")),
    *(typed(text, "double") for text in ("1.0E0", "7", "INF", "NaN", "1e400", "x")),
    *(typed(text, "float") for text in ("1.5", "-INF")),
    *(typed(text, datatype) for text, datatype in (("300", "byte"), ("7", "byte"), ("-1", "nonNegativeInteger"), ("5", "int"))),
)
DATES: Final = (
    *(typed(text, "date") for text in ("2020-01-01", "2020-01-01Z", "2020-01-02+05:00", "2020-02-30", "2021-06-30")),
    *(
        typed(text, "dateTime")
        for text in ("2020-01-01T00:00:00", "2020-01-01T00:00:00Z", "2020-01-01T12:00:00+14:00", "2020-13-01T00:00:00")
    ),
    *(typed(text, "time") for text in ("12:00:00", "12:00:00Z", "25:00:00")),
    *(typed(text, "gYear") for text in ("2020", "20")),
)
OTHERS: Final = (
    *(typed(text, "boolean") for text in ("true", "1", "false", "TRUE")),
    *(typed("x", "anyURI"), f'"odd"^^<{X}kind>'),
)
TEXTS: Final = ('"a"', '"abc"', '"ABC"', '"a b"', '"7"', '""', '"\\u00E9t\\u00E9"', '"\\U0001F600"', '"a\\nb"', '"2020-01-01"')
TAGGED: Final = ('"a"@en', '"a"@EN', '"b"@en', '"b"@en-GB', '"c"@en-gb', '"d"@de', '"\\u00E4"@de-AT', '"e"@fr')
LITERALS: Final = (*NUMBERS, *DATES, *OTHERS, *TEXTS, *TAGGED)
DATATYPES: Final = (
    *("integer", "decimal", "double", "float", "byte", "nonNegativeInteger", "int", "date", "dateTime", "time", "gYear"),
    *("boolean", "anyURI", "string"),
)
PATTERNS: Final = ("^a", "b$", "[0-9]+", "a.b", "^.$", "\\u00E9", "a b", "^$", "x:n[12]", "[A-Z]")
LANGUAGES: Final = ("en", "EN", "en-GB", "de", "de-at", "fr", "*")


class ShapesText:
    """Writes one shapes graph; ``made`` are the shapes that later ones may use."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.lines = dice, list[str]()
        self.made: list[str] = []
        self.properties: list[str] = []
        self._blanks = 0
        self._stated = set[tuple[str, str]]()

    def text(self) -> str:
        for number in range(self.dice.choice((1, 1, 2, 2, 3))):
            self._top(number)
        return "".join(f"{line} .\n" for line in self.lines)

    def _top(self, number: int) -> None:
        dice = self.dice
        implicit = dice.random() < 0.15
        shape = dice.choice(CLASSES) if implicit else f"<{X}S{number}>"
        if shape in self.made:
            return
        if implicit:
            self._say(shape, TYPE, CLASS)
        of_property = not implicit and dice.random() < 0.3
        self._say(shape, TYPE, f"<{SH.PropertyShape if of_property else SH.NodeShape}>")
        for _ in range(dice.choice((0, 1)) if implicit else dice.choice((1, 1, 1, 2))):
            self._target(shape)
        self._body(shape, of_property=of_property, depth=0)

    def _target(self, shape: str) -> None:
        dice = self.dice
        word, value = dice.choice(
            (
                (SH.targetClass, dice.choice(CLASSES)),
                (SH.targetClass, dice.choice(CLASSES)),
                (SH.targetNode, dice.choice((*NODES, *LITERALS))),
                (SH.targetNode, dice.choice(NODES)),
                (SH.targetSubjectsOf, dice.choice(PROPERTIES)),
                (SH.targetObjectsOf, dice.choice(PROPERTIES)),
            )
        )
        self._say(shape, f"<{word}>", value)

    def _body(self, shape: str, *, of_property: bool, depth: int) -> None:
        """Path, two or three constraints, and now and then a severity or a switch."""
        dice = self.dice
        if of_property:
            self._say(shape, f"<{SH.path}>", self._path(0))
        parts = [*ANYWHERE, *(AT_PROPERTIES if of_property else ()), *(NESTING if depth < 3 else ())]
        for part in dice.sample(parts, dice.choice((1, 1, 2, 2, 3))):
            part(self, shape, depth)
        if of_property and depth < 3 and dice.random() < 0.12:
            _qualified(self, shape, depth)
        if dice.random() < 0.15:
            self._say(shape, f"<{SH.severity}>", dice.choice(SEVERITIES))
        if dice.random() < 0.06:
            self._say(shape, f"<{SH.deactivated}>", typed(dice.choice(("true", "true", "false")), "boolean"))
        (self.properties if of_property else self.made).append(shape)

    def _say(self, subject: str, predicate: str, value: str) -> None:
        self.lines.append(f"{subject} {predicate} {value}")

    def say(self, shape: str, word: str, value: str) -> None:
        """A statement, unless its word may stand once only and stands already."""
        if (shape, word) not in self._stated or SH[word] not in ONLY_ONCE:
            self._stated.add((shape, word))
            self._say(shape, f"<{SH[word]}>", value)

    def blank(self) -> str:
        self._blanks += 1
        return f"_:x{self._blanks}"

    def items(self, values: Sequence[str]) -> str:
        """The head of a list."""
        head = f"<{RDF.nil}>"
        for value in reversed(values):
            cell = self.blank()
            self._say(cell, f"<{RDF.first}>", value)
            self._say(cell, f"<{RDF.rest}>", head)
            head = cell
        return head

    def _path(self, depth: int) -> str:
        dice = self.dice
        kind = dice.random()
        if kind < 0.55 or depth > 2:
            return dice.choice((*PROPERTIES, *PROPERTIES, *PROPERTIES, TYPE))
        if kind < 0.67:
            return self.items([self._path(depth + 1) for _ in range(dice.choice((2, 2, 3)))])
        word = dice.choice(("inversePath", "alternativePath", "zeroOrMorePath", "oneOrMorePath", "zeroOrOnePath"))
        node = self.blank()
        inner = self.items([self._path(depth + 1), self._path(depth + 1)]) if word == "alternativePath" else self._path(depth + 1)
        self.say(node, word, inner)
        return node

    def part(self, depth: int, share: float = 0.35) -> str:
        """A shape to use: one that is there, or a new one without a name; ``share`` of the new ones are of a property."""
        dice = self.dice
        there: list[str] = [*self.made, *(self.properties if share else [])]
        if there and dice.random() < 0.25:
            return dice.choice(there)
        shape = self.blank()
        self._body(shape, of_property=dice.random() < share, depth=depth + 1)
        return shape

    def property(self, depth: int) -> str:
        if self.properties and self.dice.random() < 0.25:
            return self.dice.choice(self.properties)
        shape = self.blank()
        self._body(shape, of_property=True, depth=depth + 1)
        return shape


Part = Callable[[ShapesText, str, int], None]


def _value(word: str, values: Sequence[str]) -> Part:
    return lambda made, shape, _depth: made.say(shape, word, made.dice.choice(values))


def _pattern(made: ShapesText, shape: str, _depth: int) -> None:
    made.say(shape, "pattern", f'"{made.dice.choice(PATTERNS)}"')
    if made.dice.random() < 0.3:
        made.say(shape, "flags", f'"{made.dice.choice(("i", "s", "m", "x", "is"))}"')


def _in(made: ShapesText, shape: str, _depth: int) -> None:
    made.say(shape, "in", made.items(made.dice.sample((*NODES, *LITERALS), made.dice.choice((1, 3, 8)))))


def _languages(made: ShapesText, shape: str, _depth: int) -> None:
    made.say(shape, "languageIn", made.items([f'"{tag}"' for tag in made.dice.sample(LANGUAGES, made.dice.choice((1, 2)))]))


def _closed(made: ShapesText, shape: str, _depth: int) -> None:
    made.say(shape, "closed", typed(made.dice.choice(("true", "true", "true", "false")), "boolean"))
    if made.dice.random() < 0.6:
        made.say(shape, "ignoredProperties", made.items(made.dice.sample((TYPE, *PROPERTIES), made.dice.choice((1, 2)))))


def _parts(word: str) -> Part:
    def write(made: ShapesText, shape: str, depth: int) -> None:
        made.say(shape, word, made.items([made.part(depth) for _ in range(made.dice.choice((1, 2, 2, 3)))]))

    return write


def _qualified(made: ShapesText, shape: str, depth: int) -> None:
    dice = made.dice
    made.say(shape, "qualifiedValueShape", made.part(depth))
    least = dice.random() < 0.6
    if least:
        made.say(shape, "qualifiedMinCount", typed(str(dice.choice((0, 1, 1, 2))), "integer"))
    if not least or dice.random() < 0.3:
        made.say(shape, "qualifiedMaxCount", typed(str(dice.choice((0, 1, 2))), "integer"))
    if dice.random() < 0.4:
        made.say(shape, "qualifiedValueShapesDisjoint", typed("true", "boolean"))


def _count(least: int, most: int) -> Sequence[str]:
    return [typed(str(number), "integer") for number in range(least, most + 1)]


_BOUNDS: Final = (*NUMBERS, *DATES, '"a"', '"b"@en')
ANYWHERE: Final[tuple[Part, ...]] = (
    _value("class", CLASSES),
    _value("class", CLASSES),
    _value("datatype", [f"<{XSD[name]}>" for name in DATATYPES] + [f"<{RDF.langString}>", f"<{X}kind>"]),
    _value("datatype", [f"<{XSD[name]}>" for name in DATATYPES]),
    _value(
        "nodeKind", [f"<{SH[name]}>" for name in ("BlankNode", "IRI", "Literal", "BlankNodeOrIRI", "BlankNodeOrLiteral", "IRIOrLiteral")]
    ),
    *(_value(word, _BOUNDS) for word in ("minExclusive", "minInclusive", "maxExclusive", "maxInclusive")),
    _value("minLength", _count(0, 4)),
    _value("maxLength", _count(0, 4)),
    _pattern,
    _languages,
    _value("equals", PROPERTIES),
    _value("disjoint", PROPERTIES),
    _value("hasValue", (*NODES, *LITERALS)),
    _in,
    _closed,
)
AT_PROPERTIES: Final[tuple[Part, ...]] = (
    _value("minCount", _count(0, 2)),
    _value("minCount", _count(1, 2)),
    _value("maxCount", _count(0, 2)),
    _value("maxCount", _count(0, 1)),
    _value("uniqueLang", [typed("true", "boolean"), typed("true", "boolean"), typed("false", "boolean")]),
    _value("lessThan", PROPERTIES),
    _value("lessThanOrEquals", PROPERTIES),
)
NESTING: Final[tuple[Part, ...]] = (
    *(_parts(word) for word in ("and", "or", "xone")),
    lambda made, shape, depth: made.say(shape, "not", made.part(depth)),
    lambda made, shape, depth: made.say(shape, "node", made.part(depth, share=0)),
    *[lambda made, shape, depth: made.say(shape, "property", made.property(depth))] * 4,
)


def data_text(dice: random.Random) -> str:
    """Three to sixteen statements: types, subclasses, values of every kind; few names, so that they meet."""
    lines = []
    for _ in range(dice.randint(3, 16)):
        kind = dice.random()
        subject = dice.choice((*NODES, *NODES, *BLANKS))
        if kind < 0.25:
            lines.append((subject, TYPE, dice.choice(CLASSES)))
        elif kind < 0.33:
            lines.append((dice.choice(CLASSES), BELOW, dice.choice(CLASSES)))
        elif kind < 0.6:
            lines.append((subject, dice.choice(PROPERTIES), dice.choice((*NODES, *BLANKS, *CLASSES[:1]))))
        else:
            lines.append((subject, dice.choice(PROPERTIES), dice.choice(dice.choice((NUMBERS, DATES, OTHERS, TEXTS, TAGGED)))))
    return "".join(f"{' '.join(line)} .\n" for line in lines)


def shapes_file(seed: int) -> RdfFile:
    return RdfFile(Path(f"shapes-{seed}.nt"), ShapesText(random.Random(seed)).text().encode(), "nt")


def data_file(seed: int, number: int) -> RdfFile:
    return RdfFile(Path(f"data-{seed}-{number}.nt"), data_text(random.Random(f"{seed}/{number}")).encode(), "nt")
