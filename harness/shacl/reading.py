"""RDF files as the engines want them: text for one, a graph for the other. Statements in named graphs are judged with all others."""

from __future__ import annotations

import codecs
import dataclasses
import functools
import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rdflib import Dataset, Graph
from rdflib.graph import DATASET_DEFAULT_GRAPH_ID

from harness.core.errors import UsageError
from harness.core.text import one_line
from harness.shacl.terms import keep_literals, plain_strings

FORMATS: Final = {
    ".ttl": "turtle",
    ".nt": "nt",
    ".n3": "n3",
    ".rdf": "xml",
    ".xml": "xml",
    ".jsonld": "json-ld",
    ".json": "json-ld",
    ".nq": "nquads",
    ".trig": "trig",
}
DATASETS: Final = frozenset({"nquads", "trig", "json-ld"})
OWN_ENCODING: Final = frozenset({"xml"})  # says in its first line how it is encoded
REMEDY: Final = "give RDF in Turtle, N-Triples, N-Quads, TriG, RDF/XML or JSON-LD"
MAX_TEXT: Final = 500
_LINE: Final = re.compile(r"(?:\bline[ :]+|<unknown>:)(\d+)")
_REST: Final = re.compile(r"Invalid line[^:]*:\s*'?(.+?)'?$")  # N-Triples and N-Quads: the statement, or what is left of it


@dataclasses.dataclass(frozen=True)
class RdfFile:
    """One file: its bytes, unpacked, and what they are."""

    path: Path
    content: bytes
    kind: str

    @property
    def base(self) -> str:
        """What relative names are relative to, for every engine."""
        return self.path.resolve().as_uri()

    @functools.cached_property
    def text(self) -> str:
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.content[: error.start].count(b"\n") + 1
            raise UsageError("not UTF-8", file=self.path.name, line=line, remedy="save it as UTF-8") from None

    @functools.cached_property
    def graph(self) -> Graph:
        """All statements of the file, those of named graphs too, literals as written; ``UsageError`` with the line."""
        return parsed(self)[0]

    @functools.cached_property
    def named_graphs(self) -> int:
        """How many named graphs hold statements of it."""
        return parsed(self)[1] if self.kind in DATASETS else 0


def read_file(path: Path) -> RdfFile:
    """The file, its form by its suffix; ``.gz`` is unpacked."""
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    kind = FORMATS.get(suffix)
    if kind is None:
        message = f"unknown kind of file {suffix or '(no suffix)'!r}; known: {', '.join(sorted(FORMATS))}"
        raise UsageError(message, file=path.name, remedy=REMEDY)
    try:
        content = path.read_bytes()
        return RdfFile(path, gzip.decompress(content) if path.suffix == ".gz" else content, kind)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot be read: {error}", file=path.name, remedy=REMEDY) from None


@functools.lru_cache(maxsize=64)
def parsed(file: RdfFile) -> tuple[Graph, int]:
    """The statements of a file as one graph, and how many named graphs they come from."""
    keep_literals()
    if file.kind not in OWN_ENCODING:
        _ = file.text  # a byte that is no UTF-8 is told with its line
    try:
        if file.kind not in DATASETS:
            return plain_strings(Graph().parse(data=file.content.removeprefix(codecs.BOM_UTF8), format=file.kind, publicID=file.base)), 0
        dataset = Dataset(default_union=True)
        dataset.parse(data=file.content.removeprefix(codecs.BOM_UTF8), format=file.kind, publicID=file.base)
    except MemoryError:
        raise  # the bound, not the file
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - rdflib's parsers raise whatever they like
        raise unreadable(file, error) from None
    graph, names = Graph(), set()
    for subject, predicate, value, name in dataset.quads((None, None, None, None)):
        graph.add((subject, predicate, value))
        names.add(name)
    return plain_strings(graph), len(names - {None, DATASET_DEFAULT_GRAPH_ID})


def unreadable(file: RdfFile, error: BaseException) -> UsageError:
    """What a parser said, with the line where it said one."""
    said = str(error)
    found = _LINE.search(said)
    message = f"{type(error).__name__}: {one_line(said, MAX_TEXT)}"
    return UsageError(message, file=file.path.name, line=int(found[1]) if found else _line_of_rest(file, said), remedy=REMEDY)


def _line_of_rest(file: RdfFile, said: str) -> int:
    rest = _REST.search(said)
    lines = file.text.splitlines() if rest and file.kind in {"nt", "nquads"} else []
    return next((number for number, line in enumerate(lines, 1) if rest and line.rstrip().endswith(rest[1])), 0)


def merged(files: Sequence[RdfFile]) -> Graph:
    """All files in one graph."""
    graph = Graph()
    for file in files:
        for triple in file.graph:
            graph.add(triple)
    return graph
