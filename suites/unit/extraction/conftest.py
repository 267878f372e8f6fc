"""Hand-made documents with exact offsets, and the real data sets where they are."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from system.evidence.ir import Block, BlockKind, Cell, Document, Metadata, Source, Table

ROOT = Path(__file__).resolve().parents[3]


class Draft:
    """Grows a document block by block; every offset is the one the text really has."""

    def __init__(self, source: Source = Source.JATS, metadata: Metadata | None = None) -> None:
        self.source = source
        self.metadata = metadata or Metadata(title="A trial")
        self.text = ""
        self.blocks: list[Block] = []
        self.tables: list[Table] = []

    def add(self, text: str, section: str = "Results", kind: BlockKind = BlockKind.PARAGRAPH, loinc: str | None = None) -> Draft:
        self.text += "\n\n" if self.text else ""
        start = len(self.text)
        self.text += text
        self.blocks.append(Block(len(self.blocks), kind, start, len(self.text), section, f"/p[{len(self.blocks)}]", loinc))
        return self

    def table(
        self, rows: Sequence[Sequence[object]], headers: int = 1, caption: str = "", section: str = "Results", loinc: str | None = None
    ) -> Draft:
        """Rows of texts or (text, row_span, column_span); positions covered by a span above are left out of the row."""
        if caption:
            self.add(caption, section, BlockKind.CAPTION)
        placed, lines, width = _place(rows)
        self.text += "\n\n" if self.text else ""
        offset = len(self.text)
        self.text += "\n".join(lines)
        cells = tuple(Cell(r, c, rs, cs, r < headers, offset + s, offset + e) for r, c, rs, cs, s, e in placed)
        self.blocks.append(Block(len(self.blocks), BlockKind.TABLE, offset, len(self.text), section, "/table", loinc))
        self.tables.append(Table(f"T{len(self.tables) + 1}", len(self.blocks) - 1, caption, section, len(rows), width, cells))
        return self

    def build(self) -> Document:
        return Document(
            f"{self.source.value}:x#1:000000000000", self.source, "x", "1", "en", self.text, tuple(self.blocks), tuple(self.tables), (),
            self.metadata, hashlib.sha256(b"").hexdigest(), "test/1",
        )  # fmt: skip


def _place(rows: Sequence[Sequence[object]]) -> tuple[list[tuple[int, int, int, int, int, int]], list[str], int]:
    taken: set[tuple[int, int]] = set()
    placed, lines, at, width = [], [], 0, 0
    for r, row in enumerate(rows):
        column, line = 0, ""
        for entry in row:
            text, row_span, column_span = entry if isinstance(entry, tuple) else (entry, 1, 1)
            while (r, column) in taken:
                column += 1
            line += " | " if line else ""
            start = at + len(line)
            line += str(text)
            placed.append((r, column, row_span, column_span, start, at + len(line)))
            taken |= {(r + i, column + j) for i in range(row_span) for j in range(column_span)}
            column += column_span
            width = max(width, column)
        lines.append(line)
        at += len(line) + 1
    return placed, lines, width


@pytest.fixture
def draft() -> Callable[..., Draft]:
    return Draft


@pytest.fixture
def prose() -> Callable[..., Document]:
    """A document of one paragraph in the section "Results"."""

    def make(text: str, section: str = "Results", source: Source = Source.JATS) -> Document:
        return Draft(source).add(text, section).build()

    return make


@pytest.fixture(scope="session")
def data_dir() -> Path:
    named = os.environ.get("HARNESS_DATA_DIR")
    local = ROOT / "harness.local.toml"
    if not named and local.is_file():
        named = tomllib.loads(local.read_text(encoding="utf-8")).get("data", {}).get("dir")
    if not named or not Path(named).is_dir():
        pytest.skip("no real data: set HARNESS_DATA_DIR or data.dir in harness.local.toml")
    return Path(named)


@pytest.fixture(scope="session")
def articles(data_dir: Path) -> list[tuple[str, bytes]]:
    return list(_articles(data_dir))


def _articles(data_dir: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((data_dir / "jats").glob("*.gz")):
        yield path.name, gzip.decompress(path.read_bytes())
    with tarfile.open(data_dir / "evidence_inference" / "nxml.tar.gz") as archive:
        for member in archive:
            handle = archive.extractfile(member)
            if handle is not None:
                yield member.name, handle.read()


@pytest.fixture(scope="session")
def labels(data_dir: Path) -> list[tuple[str, bytes]]:
    return [(path.name, gzip.decompress(path.read_bytes())) for path in sorted((data_dir / "dailymed_spl").glob("*.gz"))]
