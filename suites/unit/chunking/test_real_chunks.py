from __future__ import annotations

import gzip
import os
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from system.evidence.chunking import POLICIES, chunk
from system.evidence.chunking.sentences import tokens
from system.evidence.ir import BlockKind, Chunk, Document, Source
from system.evidence.sources import parse
from system.evidence.sources.split import SplitItem, split

ROOT = Path(__file__).resolve().parents[3]
FILES = {Source.JATS: "jats/*.gz", Source.SPL: "dailymed_spl/*.gz", Source.PUBMED: "pubmed_xml/*.xml*"}


def data_dir() -> Path:
    local = ROOT / "harness.local.toml"
    tables = tomllib.loads(local.read_text(encoding="utf-8")) if local.is_file() else {}
    folder = os.environ.get("HARNESS_DATA_DIR") or tables.get("data", {}).get("dir") or tables.get("data_dir")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real documents: set HARNESS_DATA_DIR or data.dir in harness.local.toml")
    return Path(folder)


def documents(source: Source) -> Iterator[Document]:
    for file in sorted(data_dir().glob(FILES[source])):
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for item in split(source, raw):
            assert isinstance(item, SplitItem)
            yield parse(source, item.doc_id, item.raw)


@pytest.fixture(scope="module", params=list(FILES))
def chunked(request) -> list[tuple[Document, tuple[Chunk, ...]]]:
    return [(document, chunk(document)) for document in documents(request.param)]


def test_real_chunks_are_slices_that_cover_their_documents(chunked) -> None:
    """Chunks are exact slices in order, and together hold every block that is no heading or title."""
    for document, chunks in chunked:
        assert chunks, document.doc_id
        assert all(c.text == document.text[c.start : c.end] for c in chunks)
        assert all(a.end <= b.start for a, b in pairwise(chunks))
        text = sum(len(c.text.replace(" ", "").replace("\n", "")) for c in chunks)
        blocks = [b for b in document.blocks if b.kind not in (BlockKind.HEADING, BlockKind.TITLE)] or document.blocks
        held = sum(len(document.text[b.start : b.end].replace(" ", "").replace("\n", "")) for b in blocks)
        assert text == held, document.doc_id


def test_real_chunks_fit_the_embedder(chunked) -> None:
    """No running text is longer than the maximum, and at most one chunk in a hundred (a row or an item) is."""
    pieces = [(document, piece) for document, chunks in chunked for piece in chunks]
    long = [p for d, p in pieces if tokens(p.text) > POLICIES[d.source].maximum]
    assert not [p for p in long if p.kind == "text"]
    assert len(long) <= len(pieces) / 100
