"""Variables in the texts of a topology: the whole interpolation grammar of Compose, and ``$${NAME}``, which Compose leaves alone.

``$NAME``, ``${NAME}``, ``${NAME:-word}``, ``${NAME-word}``, ``${NAME:?words}``, ``${NAME?words}``, ``${NAME:+word}``, ``${NAME+word}``;
words may hold references again. ``$$`` is a dollar; a dollar before anything else stays. ``$${…}`` is read as ``${…}``: a profile's
own variables are written so, that Compose does not fill them in. Everything else that begins with ``${`` is refused.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from harness.topology.errors import TopologyError
from harness.topology.model import Service

STACK_VARIABLES = frozenset({"PYTHON", "PROJECT_ROOT", "STACK_DIR", "STACK_ID", "SECRETS_DIR", "OBJECTS_DIR", "MODEL_CACHE_DIR"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_DEEPEST = 20


class BadReference(ValueError):
    """A text that begins like a reference and is none; says what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """``${name operator word}``; ``word`` is empty where there is no operator."""

    name: str
    operator: str = ""
    word: tuple[str | Reference, ...] = ()


Parts = tuple["str | Reference", ...]


def parse(text: str) -> Parts:
    """Literal texts and references, in order. Raises ``BadReference``."""
    parts, end = _Reader(text).parts(0, 0)
    assert end == len(text)
    return parts


def variables_in(text: str) -> list[str]:
    """The names that ``text`` refers to, also those in words that may never be used. Raises ``BadReference``."""
    return list(_names(parse(text)))


def substitute(text: str, values: Mapping[str, str], place: str = "topology") -> str:
    """``text`` with every reference replaced; a name without a value is unset (empty where nothing else is written for it).

    Raises ``TopologyError`` at ``place`` where a required variable has no value.
    """

    def filled(parts: Parts) -> str:
        return "".join(part if isinstance(part, str) else _value(part, values, filled, place) for part in parts)

    return filled(parse(text))


def resolve(service: Service, values: Mapping[str, str], environment: Mapping[str, str]) -> Service:
    """``service`` with its variables replaced; ``environment`` is added to its own and wins."""
    place = f"service {service.name!r}"
    health = service.health
    return msgspec.structs.replace(
        service,
        command=tuple(substitute(part, values, place) for part in service.command),
        environment={**{name: substitute(text, values, place) for name, text in service.environment.items()}, **environment},
        health=msgspec.structs.replace(
            health,
            command=tuple(substitute(part, values, place) for part in health.command),
            http=substitute(health.http, values, place),
        ),
    )


def _names(parts: Parts) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Reference):
            yield part.name
            yield from _names(part.word)


def _value(reference: Reference, values: Mapping[str, str], filled: Callable[[Parts], str], place: str) -> str:
    value, operator = values.get(reference.name), reference.operator
    there = bool(value) if operator.startswith(":") else value is not None
    match operator[-1:]:
        case "-":
            return (value or "") if there else filled(reference.word)
        case "+":
            return filled(reference.word) if there else ""
        case "?" if not there:
            said = filled(reference.word)
            problem = f"the required variable {reference.name} has no value" + (f": {said}" if said else "")
            raise TopologyError(problem, place, f"give {reference.name} a value")
        case _:
            return value or ""


class _Reader:
    """Reads left to right; ``depth`` counts the braces around the present place."""

    def __init__(self, text: str) -> None:
        self._text = text

    def parts(self, at: int, depth: int) -> tuple[Parts, int]:
        """The parts from ``at`` to the brace that closes a word, or to the end of the text; where they end."""
        found: list[str | Reference] = []
        literal: list[str] = []
        while at < len(self._text) and not (depth and self._text[at] == "}"):
            part, at = self._next(at, depth)
            if isinstance(part, str):
                literal.append(part)
                continue
            found += [*filter(None, ["".join(literal)]), part]
            literal = []
        return (*found, *filter(None, ["".join(literal)])), at

    def _next(self, at: int, depth: int) -> tuple[str | Reference, int]:
        text = self._text
        if text[at] != "$":
            end = at + 1
            while end < len(text) and text[end] not in "$}":
                end += 1
            return text[at:end], end
        for opening in ("$${", "${"):
            if text.startswith(opening, at):
                return self._braced(at, at + len(opening), depth + 1)
        if text.startswith("$$", at):
            return "$", at + 2
        name = _NAME.match(text, at + 1)
        return (Reference(name[0]), name.end()) if name else ("$", at + 1)

    def _braced(self, begin: int, at: int, depth: int) -> tuple[Reference, int]:
        shown = repr(self._text[begin : begin + 40])
        if depth > _DEEPEST:
            raise BadReference(f"{shown} holds more than {_DEEPEST} references in each other")
        name = _NAME.match(self._text, at)
        if name is None:
            raise BadReference(f"{shown} is no reference: a name follows the brace at once (letters, digits, _)")
        if self._text.startswith("}", name.end()):
            return Reference(name[0]), name.end() + 1
        operator = _OPERATOR.match(self._text, name.end())
        if operator is None:
            what = "is not closed" if name.end() == len(self._text) else "is not supported: known are :- - :? ? :+ +"
            raise BadReference(f"{shown} {what}")
        word, end = self.parts(operator.end(), depth)
        if end == len(self._text):
            raise BadReference(f"{shown} is not closed")
        return Reference(name[0], operator[0], word), end + 1
