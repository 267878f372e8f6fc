"""Fixtures: hand-written payloads that ship with the project, and real ones where the data is present."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tomllib
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from system.evidence.ir import Document, Source
from system.evidence.sources import parse
from system.evidence.sources.split import SplitItem, split

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "suites" / "fixtures" / "sources"
SAMPLES = {
    Source.JATS: "article.jats.xml",
    Source.SPL: "label.spl.xml",
    Source.PUBMED: "records.pubmed.xml",
    Source.PASSAGES: "passages.jsonl",
    Source.CTGOV: "study.ctgov.json",
}

Read = Callable[[Source, bytes], list[Document]]


def data_dir() -> Path | None:
    named = os.environ.get("HARNESS_DATA_DIR")
    if named:
        return Path(named)
    local = ROOT / "harness.local.toml"
    tables = tomllib.loads(local.read_text(encoding="utf-8")) if local.is_file() else {}
    folder = tables.get("data", {}).get("dir") or tables.get("data_dir")
    return Path(folder) if folder else None


def real_files(pattern: str) -> dict[str, bytes]:
    """Name to decompressed bytes of the real files that match; skips where there are none."""
    folder = data_dir()
    files = sorted(folder.glob(pattern)) if folder else []
    if not files:
        pytest.skip(f"no {pattern}: set HARNESS_DATA_DIR or data.dir in harness.local.toml")
    return {f.name: gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes() for f in files}


@pytest.fixture(scope="session")
def sample() -> Callable[[Source], bytes]:
    return lambda source: (FIXTURES / SAMPLES[source]).read_bytes()


@pytest.fixture(scope="session")
def read() -> Read:
    """Split and parse a payload; a failed item fails the test."""

    def documents(source: Source, payload: bytes) -> list[Document]:
        items = split(source, payload)
        assert all(isinstance(item, SplitItem) for item in items), items
        return [parse(source, item.doc_id, item.raw) for item in items if isinstance(item, SplitItem)]

    return documents


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], dict[str, bytes]]:
    return real_files


@pytest.fixture(scope="session")
def real_articles() -> dict[str, bytes]:
    """The 10 articles of ``jats`` and the 91 of ``evidence_inference``."""
    articles = real_files("jats/*.gz")
    for archive in real_files("evidence_inference/nxml.tar.gz").values():
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            articles |= {m.name: f.read() for m in tar.getmembers() if m.isfile() and (f := tar.extractfile(m))}
    return articles


@pytest.fixture(scope="session")
def real_labels() -> dict[str, bytes]:
    return real_files("dailymed_spl/*.gz")


@pytest.fixture(scope="session")
def real_records() -> dict[str, bytes]:
    return real_files("pubmed_xml/*.xml*")


@pytest.fixture(scope="session")
def sound() -> Callable[[Document], None]:
    """A check of what holds for every document."""
    return assert_sound


def assert_sound(document: Document) -> None:
    """What holds for every document: NFC text, blocks in order with one blank line between them, cells inside their block."""
    text = document.text
    assert unicodedata.is_normalized("NFC", text)
    assert not any(c in text for c in "\x00\r\t\u202e\u2066")
    text.encode("utf-8")
    end = -2
    for i, block in enumerate(document.blocks):
        assert block.path_index == i
        assert block.start == end + 2
        assert block.end > block.start
        assert block.path.startswith("/")
        end = block.end
    assert end == len(text)
    for table in document.tables:
        block = document.blocks[table.block_index]
        assert block.kind == "table"
        assert all(block.start <= c.start <= c.end <= block.end for c in table.cells)
        assert all(c.row + c.row_span <= table.rows and c.column + c.column_span <= table.columns for c in table.cells)
    for entry in document.span_map:
        assert 0 <= entry.start < entry.end <= len(text)
        assert entry.transform
