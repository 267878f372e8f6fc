"""The operations of an OpenAPI document, as far as requests of our own need them.

Real documents hold more than their examples show: path items by ``$ref``, types as lists, servers with a path of their own, extension
keys beside everything. Whatever is not needed is passed over; what is needed and cannot be read is refused with its place.
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from harness.contract.references import resolved
from harness.contract.samples import flat_schema, parameter_sample
from harness.core.errors import HarnessError

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
JSON: Final = "application/json"


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``path`` is the document's; ``url_path`` is what is asked: the server's path and samples of the right type."""

    method: str  # upper case
    path: str
    url_path: str
    secured: bool
    body: str  # media type of its request body, empty for none
    statuses: frozenset[str]

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def takes_json(self) -> bool:
        return is_json(self.body)


def is_json(media_type: str) -> bool:
    """``application/json`` with parameters, and every ``+json``."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == JSON or kind.endswith("+json")


def operations(document: Mapping[str, Any], location: str = "/") -> tuple[Operation, ...]:
    """All operations in the order of the document, which was read from the path ``location`` of the target.

    Raises ``HarnessError`` for a document that is none, or that names what it does not hold.
    """
    version = str(document.get("openapi", "")) if isinstance(document, Mapping) else ""
    if not version.startswith("3."):
        older = document.get("swagger") if isinstance(document, Mapping) else None
        raise HarnessError(
            f"this is a Swagger {older} document; OpenAPI 3 is read: convert it"
            if older
            else "this is no OpenAPI 3 document: it has no `openapi: 3.x`"
        )
    paths = document.get("paths") or {}
    if not isinstance(paths, Mapping):
        raise HarnessError("`paths` of the OpenAPI document is no mapping")
    return tuple(
        found for path, entry in paths.items() if str(path).startswith("/") for found in _of_path(document, str(path), entry, location)
    )


def server_path(node: Mapping[str, Any], location: str = "/") -> str | None:
    """The path of the first server, variables at their defaults, without a last slash; None where the node names no server."""
    servers = node.get("servers")
    first = servers[0] if isinstance(servers, Sequence) and not isinstance(servers, str) and servers else None
    if not isinstance(first, Mapping):
        return None
    url = str(first.get("url", "/"))
    variables = first.get("variables")
    for name, variable in variables.items() if isinstance(variables, Mapping) else ():
        if isinstance(variable, Mapping):
            url = url.replace("{" + str(name) + "}", str(variable.get("default", next(iter(variable.get("enum") or ("",)), ""))))
    filled = _filled({}, url, {})  # a variable that the document forgot to declare
    return urllib.parse.urlsplit(urllib.parse.urljoin(f"http://target{location}", filled)).path.rstrip("/")


def self_contained(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with path items and the schemas of path parameters written out where they are references or compositions.

    A foreign reader may follow one reference and not the next, and generate for a composed schema what none of its parts allows.
    """
    paths = document.get("paths") or {}
    written = {path: _written(document, path, item) if str(path).startswith("/") else item for path, item in paths.items()}
    return document if written == paths else {**document, "paths": written}


def _written(document: Mapping[str, Any], path: str, entry: Any) -> Mapping[str, Any]:
    item = dict(_path_item(document, path, entry))
    for name, node in ((name, item[name]) for name in ("parameters", *METHODS) if name in item):
        if name == "parameters":
            item[name] = [_plain_parameter(document, parameter) for parameter in node or ()]
        elif isinstance(node, Mapping) and node.get("parameters"):
            item[name] = {**node, "parameters": [_plain_parameter(document, parameter) for parameter in node["parameters"]]}
    return item


def _plain_parameter(document: Mapping[str, Any], parameter: Any) -> Any:
    """A path parameter whose schema is composed by ``allOf``, with one flat schema; anything else as it is."""
    found = resolved(document, parameter) if isinstance(parameter, Mapping) else {}
    schema = resolved(document, found.get("schema")) if found.get("in") == "path" else {}
    return {**found, "schema": flat_schema(document, schema)} if "allOf" in schema else parameter


def _of_path(document: Mapping[str, Any], path: str, entry: Any, location: str) -> Iterator[Operation]:
    item = _path_item(document, path, entry)
    base = _first(server_path(item, location), server_path(document, location), "")
    shared = _parameters(document, item)
    for method, found in _methods(item):
        parameters = {**shared, **_parameters(document, found)}
        body = resolved(document, found.get("requestBody") or {})
        content = body.get("content") or {}
        yield Operation(
            method=method.upper(),
            path=path,
            url_path=_first(server_path(found, location), base) + _filled(document, path, parameters),
            secured=_secured(found.get("security", document.get("security"))),
            body=next((kind for kind in content if is_json(kind)), next(iter(content), "")),
            statuses=frozenset(str(status) for status in found.get("responses") or {}),
        )


def _path_item(document: Mapping[str, Any], path: str, entry: Any) -> Mapping[str, Any]:
    """The path item with what its ``$ref`` names; its own fields go first."""
    if not isinstance(entry, Mapping):
        raise HarnessError(f"the path {path} of the OpenAPI document is no mapping")
    if "$ref" not in entry:
        return entry
    found = resolved(document, entry, must=f"the path {path}")
    return {**found, **{name: value for name, value in entry.items() if name != "$ref"}}


def _methods(item: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for method in METHODS:
        if isinstance(item.get(method), Mapping):
            yield method, item[method]
    more = item.get("additionalOperations")  # OpenAPI 3.2: methods of any name
    yield from ((str(name), found) for name, found in (more.items() if isinstance(more, Mapping) else ()) if isinstance(found, Mapping))


def _parameters(document: Mapping[str, Any], node: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The parameters of a path item or operation by place and name: an operation's go before its path item's."""
    listed = [resolved(document, item) for item in node.get("parameters") or () if isinstance(item, Mapping)]
    return {(str(item.get("in")), str(item.get("name"))): item for item in listed}


def _secured(requirements: Any) -> bool:
    """An empty list, or one that offers the empty requirement, needs no key."""
    return bool(requirements) and all(bool(requirement) for requirement in requirements)


def _filled(document: Mapping[str, Any], path: str, parameters: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """The path with a value for every template, also for one that no parameter describes."""
    parts: list[str] = []
    for piece in path.split("{"):
        name, closed, rest = piece.partition("}")
        if not parts or not closed:
            parts.append(piece if not parts else "{" + piece)
            continue
        sample = parameter_sample(document, parameters.get(("path", name), {}))
        parts.append(urllib.parse.quote(sample, safe="") + rest)
    return "".join(parts)


def _first(*values: str | None) -> str:
    return next((value for value in values if value is not None), "")
