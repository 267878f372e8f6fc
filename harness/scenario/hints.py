"""What may stand where a parameter is wrong: the words known at a place deep inside the type that a wing declares."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec import inspect

from harness.core.errors import listing, nearest_word

ANY_KEY = "[...]"  # how msgspec writes the key of a mapping in a path
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_WRONG = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)


def known_words(kind: type, given: Any, path: Sequence[str | int], message: str) -> tuple[str, str]:
    """``(nearest, remedy)`` for msgspec's ``message`` about ``given`` as ``kind``; blank where no list of words can help."""
    unknown, wrong = _UNKNOWN.fullmatch(message), _WRONG.fullmatch(message)
    if unknown is None and wrong is None:
        return "", ""
    tag = bool(path) and wrong is not None
    infos = _at(inspect.type_info(kind), given, tuple(path))
    if tag and not infos:
        infos = _at(inspect.type_info(kind), given, tuple(path[:-1]))
        words: Collection[str] = sorted({str(info.tag) for info in infos if isinstance(info, inspect.StructType) and info.tag is not None})
    elif unknown is not None:
        words = sorted({field.encode_name for info in infos if isinstance(info, inspect.StructType) for field in info.fields})
    else:
        words = sorted({str(value) for info in infos if isinstance(info, inspect.LiteralType) for value in info.values})
    text = unknown[1] if unknown is not None else wrong[1].strip("'") if wrong is not None else ""
    return (nearest_word(text, words), f"known: {listing(words)}") if words else ("", "")


def wanted(kind: type, given: Any, path: Sequence[str | int]) -> str:
    """What the type has at a place, in words: ``Rate or Duration``."""
    names = dict.fromkeys(_name(info) for info in _at(inspect.type_info(kind), given, tuple(path)))
    return " or ".join(name for name in names if name)


def _name(info: inspect.Type) -> str:
    match info:
        case inspect.StructType(tag_field=str() as field, tag=tag):
            return f"{field}: {tag}"
        case inspect.StructType(cls=cls) | inspect.CustomType(cls=cls):
            return cls.__name__
        case inspect.LiteralType(values=values):
            return listing(str(value) for value in values)
        case inspect.NoneType():
            return ""
    return type(info).__name__.removesuffix("Type").lower().replace("vartuple", "list").replace("dict", "mapping")


def _at(info: inspect.Type, given: Any, path: tuple[str | int, ...]) -> list[inspect.Type]:
    """The types that a value at ``path`` may have; of tagged ones only the one that ``given`` names, where it names one."""
    found = list(_fitting(info, given))
    if not path:
        return found
    return [inner for one in found for inner in _inside(one, given, path[0], path[1:])]


def _inside(info: inspect.Type, given: Any, part: str | int, rest: tuple[str | int, ...]) -> list[inspect.Type]:
    match info:
        case inspect.StructType(fields=fields):
            value = given.get(part) if isinstance(given, dict) else None
            return [inner for field in fields if field.encode_name == part for inner in _at(field.type, value, rest)]
        case inspect.DictType(value_type=inner_type):
            return _at(inner_type, None, rest)
        case inspect.VarTupleType(item_type=inner_type) | inspect.ListType(item_type=inner_type):
            item = given[part] if isinstance(given, list) and isinstance(part, int) and part < len(given) else None
            return _at(inner_type, item, rest)
    return []


def _fitting(info: inspect.Type, given: Any) -> Iterator[inspect.Type]:
    match info:
        case inspect.Metadata(type=inner):
            yield from _fitting(inner, given)
        case inspect.UnionType(types=types):
            named = [one for one in types if isinstance(one, inspect.StructType) and _names(one, given)]
            for one in named or types:
                yield from _fitting(one, given)
        case _:
            yield info


def _names(info: inspect.StructType, given: Any) -> bool:
    return isinstance(given, dict) and info.tag_field is not None and given.get(info.tag_field) == info.tag
