"""A value of the right type for a path parameter: enough to reach the operation, whatever it then answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.contract.references import resolved

MAX_DEPTH: Final = 8
DEFAULT: Final = "x"
FORMATS: Final[Mapping[str, str]] = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date": "2024-01-31",
    "date-time": "2024-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "somebody@example.org",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "http://example.org/",
    "hostname": "example.org",
}


def parameter_sample(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    """The parameter's own example, else one that its schema (or the schema of its content) allows."""
    given = _example(document, parameter)
    if given is not None:
        return _text(given)
    schema = parameter.get("schema")
    if schema is None and isinstance(parameter.get("content"), Mapping):
        schema = next((medium.get("schema") for medium in parameter["content"].values() if isinstance(medium, Mapping)), None)
    return _text(_value(document, schema, MAX_DEPTH))


def flat_schema(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = MAX_DEPTH) -> Mapping[str, Any]:
    """A schema with the parts of its ``allOf`` in one; of two that say the same word the later counts, the schema's own last."""
    schema = resolved(document, schema)
    parts = [part for part in schema.get("allOf") or () if isinstance(part, Mapping)]
    if not parts or depth == 0:
        return schema
    merged = {key: value for part in parts for key, value in flat_schema(document, part, depth - 1).items()}
    return {**merged, **{key: value for key, value in schema.items() if key != "allOf"}}


def _example(document: Mapping[str, Any], node: Mapping[str, Any]) -> Any:
    if node.get("example") is not None:
        return node["example"]
    examples = node.get("examples")
    if isinstance(examples, Mapping):  # of a parameter: by name, each with its value
        return next((found["value"] for item in examples.values() if (found := resolved(document, item)).get("value") is not None), None)
    if isinstance(examples, Sequence) and not isinstance(examples, str):
        return next((item for item in examples if item is not None), None)
    return None


def _value(document: Mapping[str, Any], schema: Any, depth: int) -> Any:
    if depth == 0 or not isinstance(schema, Mapping):
        return DEFAULT
    schema = flat_schema(document, schema)
    for known in (schema.get("const"), _first_of(schema.get("enum")), schema.get("default"), _example(document, schema)):
        if known is not None:
            return known
    for name in ("oneOf", "anyOf"):
        first = next((part for part in schema.get(name) or () if isinstance(part, Mapping)), None)
        if first is not None:
            own = {key: value for key, value in schema.items() if key != name}
            return _value(document, {**resolved(document, first), **own}, depth - 1)
    return _of_type(document, schema, depth)


def _of_type(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else [item for item in kind or () if item != "null"]  # a list since OpenAPI 3.1
    if {"integer", "number"} & set(kinds):
        return _number(schema)
    if "boolean" in kinds:
        return True
    if "array" in kinds:
        return [_value(document, schema.get("items"), depth - 1)]
    shape = str(schema.get("format", ""))
    return FORMATS.get(shape) or DEFAULT * max(1, _whole(schema.get("minLength"), 1))


def _number(schema: Mapping[str, Any]) -> int:
    """The least whole number that the bounds allow; both forms of an exclusive bound are known."""
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    if isinstance(above, bool):
        above = low if above else None
    least = 1 if low is None and above is None else _whole(low, -(1 << 31))
    if above is not None:
        least = max(least, _whole(above, 0) + 1)
    high = schema.get("maximum")
    return min(least, _whole(high, least)) if low is None and above is None and high is not None else least


def _whole(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _first_of(values: Any) -> Any:
    return (
        next((value for value in values if value is not None), None)
        if isinstance(values, Sequence) and not isinstance(values, str)
        else None
    )


def _text(value: Any) -> str:
    """As a path takes it (style ``simple``)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value)) or DEFAULT
    return str(value) or DEFAULT
