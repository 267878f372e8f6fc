"""The ``with:`` of a step, probe or check, decoded strictly into the type that its wing declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from harness.core.errors import UsageError, listing, nearest_word
from harness.core.units import Quantity
from harness.scenario.hints import ANY_KEY, known_words, wanted

T = TypeVar("T", bound=msgspec.Struct)
_PATH = re.compile(r"(?s)(.*?)(?: - at `(?:key in )?\$(.*)`)?")


class ParameterError(UsageError):
    """A wrong parameter; ``path`` leads to it inside ``with``."""

    def __init__(self, message: str, path: tuple[str | int, ...], *, nearest: str = "", remedy: str = "") -> None:
        super().__init__(message, place="with" + "".join(f".{part}" for part in path), nearest=nearest, remedy=remedy)
        self.path = path


def decode_parameters(kind: type[T], given: Mapping[str, Any]) -> T:
    """``given`` as ``kind``: quantities with units are read, unknown keys refused; raises ``ParameterError``."""
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in given:
        if key not in known:
            raise ParameterError(f"unknown parameter {key!r}", (key,), nearest=nearest_word(key, known), remedy=f"known: {listing(known)}")
    try:
        return msgspec.convert(dict(given), kind, dec_hook=_read_quantity)
    except msgspec.ValidationError as error:
        match = _PATH.fullmatch(str(error))
        where = tuple(_parts(match[2] or "")) if match else ()
        message = match[1] if match else str(error)
        nearest, remedy = known_words(kind, given, where, message)
        place = tuple(part for part in where if part != ANY_KEY)
        raise ParameterError(message, place, nearest=nearest, remedy=remedy or _remedy(kind, given, where)) from None


def _read_quantity(kind: type, value: Any) -> Any:
    if issubclass(kind, Quantity):
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return _parsed(kind, str(value))
        raise TypeError(f"expected a quantity like '10 s', got {type(value).__name__}")
    raise NotImplementedError(f"parameters of type {kind.__name__} cannot be read from a scenario")


def _parsed(kind: type[Quantity], value: str) -> Quantity:
    try:
        return kind.parse(value)
    except UsageError as error:
        raise ValueError(str(error)) from None  # msgspec adds the path to a ValueError


def _parts(path: str) -> Iterator[str | int]:
    for name, index, key in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])", path):
        yield name or (int(index) if index else key)


def _remedy(kind: type[msgspec.Struct], given: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
    if not path:
        needed = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
        return f"needed: {listing(needed)}"
    words = wanted(kind, given, path)
    return f"wanted: {words}" if words else ""
