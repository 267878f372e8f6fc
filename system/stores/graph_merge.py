"""What a set of supporters says about one element, and the one form in which the graph stores it.

Rule: for each property the smallest supporter id that states it wins. The stored form is a pure function of
``{supporter: properties}``, so the order of writes never shows. Claims are kept apart only where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from system.platform.ports import PropertyValue
from system.stores.graph_schema import RESERVED, plain

Claims = dict[str, dict[str, PropertyValue]]  # supporter -> what it states

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(dict[str, PropertyValue])


def merged(claims: Claims) -> dict[str, PropertyValue]:
    """One value a property: that of the smallest supporter which states it."""
    result: dict[str, PropertyValue] = {}
    for supporter in sorted(claims):
        for name, value in claims[supporter].items():
            result.setdefault(name, value)
    return result


def stored_form(key: str, claims: Claims) -> dict[str, Any]:
    """The properties as they stand in the graph: the merged ones, ``key``, ``supporters`` and, if they differ, ``claims``.

    ``claims[i]`` is the JSON of what ``supporters[i]`` states, or ``=j`` where it states the same as ``supporters[j]``.
    """
    supporters = sorted(claims)
    form: dict[str, Any] = {name: list(value) if isinstance(value, tuple) else value for name, value in merged(claims).items()}
    form |= {"key": key, "supporters": supporters}
    encoded = [_ENCODER.encode(plain(claims[supporter])).decode() for supporter in supporters]
    if len(set(encoded)) > 1:
        first: dict[str, int] = {}
        form["claims"] = [f"={first[text]}" if text in first else _first(first, text, index) for index, text in enumerate(encoded)]
    return form


def claims_of(stored: Mapping[str, Any]) -> Claims:
    """The inverse of :func:`stored_form`; an element just created by MERGE has no claims."""
    supporters = list(stored.get("supporters") or ())
    texts = stored.get("claims")
    if not texts:
        return {supporter: visible(stored) for supporter in supporters}
    resolved = [texts[int(text[1:])] if text.startswith("=") else text for text in texts]
    return {supporter: _DECODER.decode(text) for supporter, text in zip(supporters, resolved, strict=True)}


def visible(stored: Mapping[str, Any]) -> dict[str, PropertyValue]:
    """The properties without the port's own bookkeeping."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in sorted(stored.items()) if name not in RESERVED}


def _first(seen: dict[str, int], text: str, index: int) -> str:
    seen[text] = index
    return text
