"""YAML with positions: every value knows its file and line, so that every complaint can name them.

Merge keys (``<<``) follow the YAML merge type, as Compose does: a mapping's own keys win, then the mappings of the list in their order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import yaml

from harness.topology.errors import TopologyError
from harness.topology.model import unknown_word
from harness.topology.scalars import read_as

_LARGEST_FILE_BYTES = 1 << 20
_MOST_VALUES = 20_000  # aliases can multiply: a small file may describe a huge tree
_DEEPEST = 40
_TAG = "tag:yaml.org,2002:"
_KIND = {yaml.MappingNode: f"{_TAG}map", yaml.SequenceNode: f"{_TAG}seq", yaml.ScalarNode: f"{_TAG}str"}


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A mapping, a list, or a scalar as the text that stands in the file; ``plain``: it stands there without quotes."""

    file: Path
    line: int
    value: dict[str, Item] | tuple[Item, ...] | str
    plain: bool = False

    @property
    def empty(self) -> bool:
        """Null: nothing, ``~`` or ``null``."""
        return self.plain and isinstance(self.value, str) and read_as(self.value) is None

    def error(self, message: str, remedy: str) -> TopologyError:
        return TopologyError(message, f"{self.file}:{self.line}", remedy)

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.error("a single value is needed here", "write a text or a number")
        if self.plain and (read := read_as(self.value)) != self.value:
            if read is None:
                raise self.error("a value is needed here, and this is none", "write a text or a number; in quotes if it is the word null")
            raise self.error(f"{self.value} is read as {read} by Compose", f"write '{self.value}' in quotes, or {read}")
        return self.value

    def items(self) -> tuple[Item, ...]:
        if not isinstance(self.value, tuple):
            raise self.error("a list is needed here", "write [a, b] or lines that begin with '- '")
        return self.value

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items())

    def mapping(self) -> dict[str, Item]:
        if not isinstance(self.value, dict):
            raise self.error("a mapping is needed here", "write lines of the form 'key: value'")
        return self.value

    def only(self, known: Iterable[str], kind: str) -> dict[str, Item]:
        """The mapping, once all its keys are known; the first one that is not is an error."""
        allowed = set(known)
        for key, item in self.mapping().items():
            if key not in allowed:
                raise unknown_word(key, f"{kind} key", allowed, f"{self.file}:{item.line}")
        return self.mapping()


def read_document(path: Path) -> Item:
    """The YAML file at ``path``; raises ``TopologyError`` with the line where it cannot be read."""
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise TopologyError("the file is larger than 1 MiB", str(path), "split it, or name the right file")
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
    except OSError as error:
        raise TopologyError(f"cannot be read: {error.strerror}", str(path), "name an existing file") from error
    except UnicodeDecodeError as error:
        raise TopologyError(f"is not UTF-8 at byte {error.start}", str(path), "save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TopologyError(f"is not YAML: {error.problem}", f"{path}:{line}", "correct the line") from error
    except yaml.YAMLError as error:
        raise TopologyError(f"is not YAML: {error}", str(path), "correct the file") from error
    if node is None:
        raise TopologyError("is empty", f"{path}:1", "describe services in it")
    return _Builder(path, loader.plain).build(node)


class _Loader(yaml.SafeLoader):
    """Keeps in mind which scalars stand in the file without quotes and without a tag: a node does not say so itself."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.plain: set[yaml.Node] = set()

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        implicit: bool = self.peek_event().implicit[0]  # type: ignore[no-untyped-call]  # its stubs know no events
        node = super().compose_scalar_node(anchor)
        if implicit:
            self.plain.add(node)
        return node


class _Builder:
    def __init__(self, path: Path, plain: AbstractSet[yaml.Node]) -> None:
        self._path, self._plain = path, plain
        self._values = 0

    def build(self, node: yaml.Node, line: int | None = None, depth: int = 0) -> Item:
        here = line or node.start_mark.line + 1
        self._count(here, depth)
        plain = node in self._plain
        if not plain and node.tag != _KIND[type(node)]:
            raise self._error(here, f"the tag {node.tag.replace(_TAG, '!!')!r} is not supported", "leave it out")
        if isinstance(node, yaml.MappingNode):
            pairs = self._pairs(node, depth)
            return Item(self._path, here, {key: self.build(value, at, depth + 1) for key, (value, at) in pairs.items()})
        if isinstance(node, yaml.SequenceNode):
            return Item(self._path, here, tuple(self.build(child, depth=depth + 1) for child in node.value))
        return Item(self._path, here, str(node.value), plain)

    def _pairs(self, node: yaml.MappingNode, depth: int) -> dict[str, tuple[yaml.Node, int]]:
        """Each key's value and line. What is merged in never changes ``node``: an alias may use it again."""
        own: dict[str, tuple[yaml.Node, int]] = {}
        merged: dict[str, tuple[yaml.Node, int]] = {}
        merges = 0
        for key, value in node.value:
            line = key.start_mark.line + 1
            merges += key.tag == f"{_TAG}merge"
            if not isinstance(key, yaml.ScalarNode) or key.value in own or merges > 1:
                first = own[key.value][1] if isinstance(key, yaml.ScalarNode) and key.value in own else line
                again = f"; again in line {line}" if first != line else ""
                raise self._error(first, f"key {getattr(key, 'value', '')!r} is repeated or not a text{again}", "keep one")
            if key.tag == f"{_TAG}merge":
                for source in self._sources(value, line):
                    self._count(line, depth + 1)
                    merged = {**self._pairs(source, depth + 1), **merged}
            else:
                own[key.value] = (value, line)
        return {**merged, **own}

    def _sources(self, value: yaml.Node, line: int) -> list[yaml.MappingNode]:
        nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
        if not all(isinstance(node, yaml.MappingNode) for node in nodes):
            raise self._error(line, "'<<' merges mappings only", "write <<: *name, or <<: [*first, *second]")
        return list(nodes)

    def _count(self, line: int, depth: int) -> None:
        self._values += 1
        if self._values > _MOST_VALUES or depth > _DEEPEST:
            raise self._error(line, "describes too many values", "use fewer aliases")

    def _error(self, line: int, message: str, remedy: str) -> TopologyError:
        return TopologyError(message, f"{self._path}:{line}", remedy)
