"""Finds and replaces values deep inside port arguments and results, and the operators that change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

Change = Callable[[list[Any]], list[Any]]


def rewrite(value: Any, path: tuple[str, ...], change: Change) -> tuple[Any, bool]:
    """``value`` with what ``path`` leads to changed, all places together; and whether anything differs."""
    places: list[Any] = []
    _collect(value, path, places)
    changed = change(places)
    if changed == places:
        return value, False
    return _put(value, path, iter(changed)), True


def _collect(value: Any, path: tuple[str, ...], places: list[Any]) -> None:
    if not path:
        places.append(value)
        return
    for _, item in _items(value, path[0]):
        _collect(item, path[1:], places)


def _put(value: Any, path: tuple[str, ...], changed: Iterator[Any]) -> Any:
    if not path:
        return next(changed)
    new = {name: _put(item, path[1:], changed) for name, item in _items(value, path[0])}
    if isinstance(value, Mapping):
        return {**value, **new}
    if isinstance(value, list | tuple):
        return type(value)(new.get(index, item) for index, item in enumerate(value))
    return msgspec.structs.replace(value, **new) if new else value


def _items(value: Any, step: str) -> list[tuple[Any, Any]]:
    """The children that one step of a path names; none where the value has no such child."""
    if isinstance(value, Mapping):
        return [(name, item) for name, item in value.items() if step in {"*", name}]
    if isinstance(value, list | tuple):
        return [(index, item) for index, item in enumerate(value) if step in {"*", str(index)}]
    return [(step, getattr(value, step))] if hasattr(value, step) else []


def drop(places: list[Any]) -> list[Any]:
    """Each value becomes the empty one of its type; None where the type has none."""
    return [_emptied(value) for value in places]


def _emptied(value: Any) -> Any:
    try:
        return None if value is None else type(value)()
    except TypeError:
        return None


def duplicate(places: list[Any]) -> list[Any]:
    """Each list has everything twice."""
    return [_twice(value) for value in places]


def _twice(value: Any) -> Any:
    if isinstance(value, list):
        return [*value, *value]
    return (*value, *value) if isinstance(value, tuple) else value


def reorder(places: list[Any]) -> list[Any]:
    """Several values change places end for end; a single list is reversed."""
    if len(places) == 1:
        return [value[::-1] if isinstance(value, list | tuple) else value for value in places]
    return places[::-1]


def truncate(places: list[Any]) -> list[Any]:
    """The last third is lost (at least one item) of whatever has two or more."""
    return [_cut(value) for value in places]


def _cut(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(list(value.items())[: _kept(len(value))])
    return value[: _kept(len(value))] if isinstance(value, list | tuple | str | bytes) else value


def _kept(length: int) -> int:
    return length - max(1, length // 3) if length >= 2 else length


def off_by_one(amount: float, places: list[Any]) -> list[Any]:
    """Numbers are shifted; whole numbers stay whole."""
    return [_shifted(value, amount) for value in places]


def _shifted(value: Any, amount: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value + int(amount) if isinstance(value, int) else value + amount
