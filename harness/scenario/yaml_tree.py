"""YAML read safely and with places: bounded, no aliases, no duplicate keys, only plain types."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from harness.core.errors import UsageError, UsageErrors

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_PROBLEMS = 50
Path = tuple[str | int, ...]
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """A document as plain data, with the line and column (from 1) of every value by its path."""

    data: Any
    places: Mapping[Path, tuple[int, int]]
    file: str

    def place(self, path: Path) -> tuple[int, int]:
        """Where ``path`` stands; where its nearest enclosing value does when it is missing."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def error(self, path: Path, message: str, *, nearest: str = "", remedy: str = "", shift: int = 0) -> UsageError:
        """An error at ``path``; ``shift`` moves the column inside a text."""
        line, column = self.place(path)
        return UsageError(message, file=self.file, line=line, column=column + shift, place=dotted(path), nearest=nearest, remedy=remedy)


def dotted(path: Path) -> str:
    """``timeline[0].with.rate``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path if part != "#key")
    return text.removeprefix(".")


def read_tree(content: bytes, file: str) -> Tree:
    """Parse one YAML document; raises ``UsageError`` (or several as ``UsageErrors``)."""
    if len(content) > MAX_BYTES:
        raise UsageError(f"{len(content)} bytes", file=file, line=1, remedy=f"a scenario has at most {MAX_BYTES} bytes")
    text = _decoded(content, file)
    try:
        _check_events(text, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise UsageError(f"not YAML: {error.problem}", file=file, line=line, column=column, remedy="check quotes and indentation") from None
    except yaml.YAMLError as error:
        raise UsageError(f"not YAML: {error}", file=file, line=1, remedy="save it as plain UTF-8 text") from None
    if node is None:
        raise UsageError("the file is empty", file=file, line=1, remedy="write name, title, layer and timeline")
    return _Builder(file).tree(node)


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError("not UTF-8", file=file, line=line, remedy="save the file as UTF-8") from None


def _check_events(text: str, file: str) -> None:
    """Aliases and depth are refused on the flat event stream, before anything recursive runs."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UsageError("anchors and aliases are refused", file=file, line=line, column=column, remedy="write the value out")
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise UsageError("a second document", file=file, line=line, column=column, remedy="one scenario a file")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UsageError(f"nested deeper than {MAX_DEPTH} levels", file=file, line=line, column=column, remedy="flatten it")


class _Builder:
    def __init__(self, file: str) -> None:
        self._file = file
        self._places: dict[Path, tuple[int, int]] = {}
        self._problems: list[UsageError] = []
        self._scalars = yaml.constructor.SafeConstructor()

    def tree(self, node: yaml.Node) -> Tree:
        data = self._value(node, ())
        if self._problems:
            raise UsageErrors(self._problems[:MAX_PROBLEMS])
        return Tree(data, self._places, self._file)

    def _problem(self, node: yaml.Node, path: Path, message: str, remedy: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self._problems.append(UsageError(message, file=self._file, line=line, column=column, place=dotted(path), remedy=remedy))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if node.tag not in _TAGS:
            tag = node.tag.rpartition(":")[2]
            self._problem(node, path, f"a value of type {tag!r}", "put it in quotes, or write a plain text, number or list")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, KeyError, yaml.YAMLError):
            self._problem(node, path, f"{node.value[:40]!r} is no value", "put it in quotes")
            return None
        if isinstance(value, float) and value - value != 0:  # NaN and infinities have no byte form
            self._problem(node, path, f"{node.value[:40]!r} is not finite", "write a finite number")
            return None
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key that is no text", "write `key: value`")
                continue
            key = key_node.value
            inner = (*path, key)
            if key in data:
                first = self._places[inner][0]
                self._problem(key_node, inner, f"the key {key!r} is given twice (first in line {first})", "keep one of them")
                continue
            self._places[(*inner, "#key")] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            data[key] = self._value(value_node, inner)
        return data
