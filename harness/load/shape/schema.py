"""``python -m harness.load.shape.schema`` writes docs/load.schema.json: what `with:` of the load steps and checks may hold."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import UNSET, inspect

from harness.core import jsonio
from harness.core.units import Quantity
from harness.load.open_loop import OpenLoop
from harness.load.shape.knee_check import KneeCheck
from harness.load.shape.knee_driver import KneeSearch
from harness.load.shape.mix_check import MixCheck

PATH = Path("docs/load.schema.json")
USES: Mapping[str, type] = {"driver open_loop": OpenLoop, "driver knee": KneeSearch, "checker knee": KneeCheck, "checker mix": MixCheck}
EXAMPLES = {"time": "800 ms", "number per time": "10 /s", "number": "5 %", "size": "20 MiB"}
Schema = dict[str, Any]


def load_schema() -> Schema:
    """JSON Schema 2020-12: ``$defs`` by type name; ``properties`` by who takes them."""
    infos = {name: inspect.type_info(kind) for name, kind in USES.items()}
    definitions: dict[str, Schema] = {}
    for info in infos.values():
        _define(info, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Parameters of the load drivers and checkers (`with:` of a scenario)",
        "type": "object",
        "properties": {name: _schema(info) for name, info in infos.items()},
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def _define(info: inspect.Type, definitions: dict[str, Schema]) -> None:
    """The definition of every struct that can be reached, each once."""
    if isinstance(info, inspect.StructType):
        if info.cls.__name__ in definitions:
            return
        definitions[info.cls.__name__] = {}
        definitions[info.cls.__name__] = _struct(info)
    for inner in _inner(info):
        _define(inner, definitions)


def _inner(info: inspect.Type) -> Iterator[inspect.Type]:
    match info:
        case inspect.StructType(fields=fields):
            yield from (field.type for field in fields)
        case inspect.UnionType(types=types):
            yield from types
        case inspect.VarTupleType(item_type=item):
            yield item
        case inspect.DictType(value_type=value):
            yield value
        case inspect.Metadata(type=inner):
            yield inner


def _struct(info: inspect.StructType) -> Schema:
    properties = {field.encode_name: _field(field) for field in info.fields}
    required = [field.encode_name for field in info.fields if field.required]
    if info.tag_field is not None:
        properties = {info.tag_field: {"const": info.tag}, **properties}
        required = [info.tag_field, *required]
    about = " ".join((info.cls.__doc__ or "").split())
    return {"type": "object", "description": about, "properties": properties, "required": required, "additionalProperties": False}


def _field(field: inspect.Field) -> Schema:
    schema = _schema(field.type)
    default = str(field.default) if isinstance(field.default, Quantity) else field.default
    plain = isinstance(default, (str, int, float)) and default not in {"", UNSET}
    return {**schema, "default": default} if plain else schema


def _schema(info: inspect.Type) -> Schema:
    match info:
        case inspect.Metadata(type=inner):
            return _schema(inner)
        case inspect.StructType(cls=cls):
            return {"$ref": f"#/$defs/{cls.__name__}"}
        case inspect.CustomType(cls=cls) if issubclass(cls, Quantity):
            return {"type": ["string", "number"], "description": f"{cls.DIMENSION} with its unit, e.g. {EXAMPLES[cls.DIMENSION]}"}
        case inspect.UnionType(types=types):
            kinds = [_schema(one) for one in types if not isinstance(one, inspect.NoneType)]
            return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return _many(info)


def _many(info: inspect.Type) -> Schema:
    match info:
        case inspect.VarTupleType(item_type=item):
            return {"type": "array", "items": _schema(item), **_bounds(info, minItems="min_length", maxItems="max_length")}
        case inspect.DictType(value_type=value):
            bounds = _bounds(info, minProperties="min_length", maxProperties="max_length")
            return {"type": "object", "additionalProperties": _schema(value), **bounds}
    return _plain(info)


def _plain(info: inspect.Type) -> Schema:
    limits = _bounds(info, minimum="ge", maximum="le", exclusiveMinimum="gt", exclusiveMaximum="lt")
    match info:
        case inspect.LiteralType(values=values):
            return {"enum": list(values)}
        case inspect.IntType():
            return {"type": "integer", **limits}
        case inspect.FloatType():
            return {"type": "number", **limits}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.StrType():
            return {"type": "string"}
    raise TypeError(f"no schema for {info}")


def _bounds(info: inspect.Type, **names: str) -> Schema:
    found = {key: getattr(info, attribute, None) for key, attribute in names.items()}
    return {key: value for key, value in found.items() if value is not None}


def main(arguments: list[str]) -> int:
    """Write the schema to the given file, or to docs/."""
    jsonio.write_atomic(Path(arguments[0]) if arguments else PATH, jsonio.pretty(load_schema()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
