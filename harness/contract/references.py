"""``$ref`` inside an OpenAPI document."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.core.errors import HarnessError

MAX_STEPS: Final = 32


def resolved(document: Mapping[str, Any], node: Any, must: str = "") -> Mapping[str, Any]:
    """``node`` or what its ``$ref`` names.

    What lies outside the document, or is missing, is empty, so that no operation is lost for a description that cannot be read; where
    ``must`` says what it is, ``HarnessError``. A circle of references is an error in any case.
    """
    start = node
    for _ in range(MAX_STEPS):
        if not isinstance(node, Mapping):
            break
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        node = _named(document, reference)
    else:
        raise HarnessError(f"a $ref of the OpenAPI document leads in a circle: {start['$ref']}")
    if must:
        wanted = start.get("$ref") if isinstance(start, Mapping) else start
        raise HarnessError(f"{must} of the OpenAPI document is {wanted!r}, which the document does not hold: serve it as one document")
    return {}


def _named(document: Mapping[str, Any], reference: str) -> Any:
    """What a JSON pointer of the document leads to; None for another document, or for nothing."""
    if reference == "#":
        return document
    if not reference.startswith("#/"):
        return None
    found: Any = document
    for part in urllib.parse.unquote(reference[2:]).split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            # A YAML document has numbers for keys such as 200.
            found = found[name] if name in found else found.get(int(name)) if name.isdecimal() else None
        elif isinstance(found, Sequence) and not isinstance(found, str) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found
