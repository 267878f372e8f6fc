"""The operations of an OpenAPI document, as far as requests of our own need them."""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import HarnessError

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
JSON = "application/json"


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``sample_path`` has its path parameters filled in with values of the right type."""

    method: str  # upper case
    path: str
    sample_path: str
    secured: bool
    body: str  # media type of its request body, empty for none
    statuses: frozenset[str]

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"


def operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """All operations in the order of the document; raises ``HarnessError`` for a document that is none."""
    paths = document.get("paths")
    if not isinstance(paths, Mapping) or not str(document.get("openapi", "")).startswith("3."):
        raise HarnessError("this is no OpenAPI 3 document: it has no `openapi: 3.x` with `paths`")
    return tuple(operation for path, entry in paths.items() for operation in _of_path(document, str(path), entry))


def _of_path(document: Mapping[str, Any], path: str, entry: Mapping[str, Any]) -> Iterator[Operation]:
    for method in METHODS:
        if method not in entry:
            continue
        found = entry[method]
        parameters = [_resolved(document, item) for item in (*entry.get("parameters", ()), *found.get("parameters", ()))]
        content = _resolved(document, found.get("requestBody", {})).get("content", {})
        yield Operation(
            method=method.upper(),
            path=path,
            sample_path=_filled(document, path, parameters),
            secured=_secured(found.get("security", document.get("security", []))),
            body=JSON if JSON in content else next(iter(content), ""),
            statuses=frozenset(str(status) for status in found.get("responses", {})),
        )


def _secured(requirements: Any) -> bool:
    """An empty list, or one that offers the empty requirement, needs no key."""
    return bool(requirements) and all(bool(requirement) for requirement in requirements)


def _resolved(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """``node`` or what its ``$ref`` inside the document names; at most 16 steps."""
    for _ in range(16):
        reference = node.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return node
        found: Any = document
        for part in reference[2:].split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        node = found
    raise HarnessError(f"a $ref of the OpenAPI document leads in a circle: {node.get('$ref')}")


def _filled(document: Mapping[str, Any], path: str, parameters: list[Mapping[str, Any]]) -> str:
    for parameter in parameters:
        if parameter.get("in") == "path":
            value = _sample(document, parameter.get("schema", {}))
            path = path.replace("{" + str(parameter["name"]) + "}", urllib.parse.quote(value, safe=""))
    return path


def _sample(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    schema = _resolved(document, schema)
    if schema.get("enum"):
        return str(schema["enum"][0])
    if schema.get("type") in {"integer", "number"}:
        return str(schema.get("minimum", 1))
    return "x" * max(1, int(schema.get("minLength", 1)))
