"""What is wrong with the form of ``harness.toml``: every wrong table, key and type with its line and the nearest right word."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Union

import msgspec

from harness.core.errors import UsageError, UsageErrors, listing, nearest_word

Path = tuple[str, ...]
_HEADER = re.compile(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_.-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


class Places:
    """Where tables and keys stand in a TOML text."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._lines: dict[Path, int] = {}
        table: Path = ()
        for number, line in enumerate(text.splitlines(), start=1):
            if header := _HEADER.match(line):
                table = _parts(header[1])
                self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                self._lines.setdefault((*table, *_parts(key[1])), number)

    def line(self, path: Path) -> int:
        """The line of the key, else of what it stands in; 1 where even that is not there."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def error(self, path: Path, message: str, *, nearest: str = "", remedy: str = "") -> UsageError:
        """An error at ``path``, with file and line."""
        return UsageError(message, file=self._file, line=self.line(path), place=".".join(path), nearest=nearest, remedy=remedy)


def _parts(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def raise_all(errors: Iterable[UsageError]) -> None:
    """Raise what there is: one as it is, several together."""
    found = [single for error in errors for single in (error.errors if isinstance(error, UsageErrors) else (error,))]
    if len(found) > 1:
        raise UsageErrors(found)
    if found:
        raise found[0]


def wrong_form(tables: Mapping[str, Any], kind: type[msgspec.Struct], places: Places) -> Iterator[UsageError]:
    """Everything in ``tables`` that ``kind`` does not take."""
    yield from _table(tables, kind, (), places)


def _table(given: Mapping[str, Any], kind: type[msgspec.Struct], path: Path, places: Places) -> Iterator[UsageError]:
    hints = typing.get_type_hints(kind)
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    meant = set()
    for name in given:
        if name not in known:
            near = nearest_word(name, known)
            meant.add(near)
            what = f"unknown key {name!r}" if path or not isinstance(given[name], dict) else f"unknown table [{name}]"
            yield places.error((*path, name), what, nearest=near, remedy=f"known: {listing(known)}")
        else:
            yield from _value(given[name], hints[name], (*path, name), places)
    for field in msgspec.structs.fields(kind):
        if field.required and field.encode_name not in given and field.encode_name not in meant:
            yield places.error(path, f"missing required field `{field.encode_name}`", remedy="see docs/foreign-system.md")


def _value(value: Any, kind: Any, path: Path, places: Places) -> Iterator[UsageError]:
    if typing.get_origin(kind) in {Union, types.UnionType}:
        kind = next(item for item in typing.get_args(kind) if item is not type(None))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _table(value, kind, path, places) if isinstance(value, dict) else (_wrong(value, "a table", path, places),)
    elif typing.get_origin(kind) is not None and isinstance(value, dict) and len(typing.get_args(kind)) == 2:
        for name, item in value.items():
            yield from _value(item, typing.get_args(kind)[1], (*path, name), places)
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            yield _leaf(value, kind, str(error), path, places)


def _leaf(value: Any, kind: Any, message: str, path: Path, places: Places) -> UsageError:
    words = [str(word) for word in typing.get_args(kind)] if typing.get_origin(kind) is typing.Literal else []
    if words:
        return places.error(
            path, f"{value!r} is not known here", nearest=nearest_word(str(value), words), remedy=f"one of: {listing(words)}"
        )
    wanted = _WORDS.get(kind) or ("a table" if typing.get_origin(kind) in {dict, Mapping} else "")
    return _wrong(value, wanted or message, path, places)


def _wrong(value: Any, wanted: str, path: Path, places: Places) -> UsageError:
    return places.error(
        path, f"{_WORDS.get(type(value), type(value).__name__)} stands here ({str(value)[:60]!r})", remedy=f"wanted: {wanted}"
    )
