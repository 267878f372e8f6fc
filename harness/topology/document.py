"""YAML with positions: every value knows its file and line, so that every complaint can name them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import yaml

from harness.topology.errors import TopologyError
from harness.topology.model import unknown_word

_LARGEST_FILE_BYTES = 1 << 20
_MOST_VALUES = 20_000  # aliases can multiply: a small file may describe a huge tree


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A mapping, a list, or a scalar as the text that stands in the file."""

    file: Path
    line: int
    value: dict[str, Item] | tuple[Item, ...] | str

    def error(self, message: str, remedy: str) -> TopologyError:
        return TopologyError(message, f"{self.file}:{self.line}", remedy)

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.error("a single value is needed here", "write a text or a number")
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
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
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
    return _Builder(path).build(node)


class _Builder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._values = 0
        self._merger = yaml.SafeLoader("")

    def build(self, node: yaml.Node, line: int | None = None, depth: int = 0) -> Item:
        here = line or node.start_mark.line + 1
        self._values += 1
        if self._values > _MOST_VALUES or depth > 40:
            raise TopologyError("describes too many values", f"{self._path}:{here}", "use fewer aliases")
        if isinstance(node, yaml.MappingNode):
            return Item(self._path, here, self._mapping(node, depth))
        if isinstance(node, yaml.SequenceNode):
            return Item(self._path, here, tuple(self.build(child, depth=depth + 1) for child in node.value))
        return Item(self._path, here, str(node.value))

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Item]:
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge"]
        repeated = {key for key in written if written.count(key) > 1}
        self._merger.flatten_mapping(node)  # '<<': merged pairs come first, so that the node's own win below
        found: dict[str, Item] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.value in repeated:
                raise TopologyError(f"key {getattr(key, 'value', '')!r} is repeated or not a text", f"{self._path}:{line}", "keep one")
            found[key.value] = self.build(value, line, depth + 1)
        return found
