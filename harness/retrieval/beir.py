"""A test collection in BEIR layout: ``corpus.jsonl``, ``queries.jsonl`` (also ``.gz``) and ``qrels/<split>.tsv``.

What is wrong with a file is a ``UsageError`` with file, line and remedy.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import UsageError

REMEDY = "see the BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv"


class Passage(msgspec.Struct, frozen=True):
    """A document of the corpus."""

    id: str = msgspec.field(name="_id")
    text: str
    title: str = ""


class _Line(msgspec.Struct, frozen=True):
    """A line of a corpus or of queries; some collections write ids as numbers."""

    id: str | int = msgspec.field(name="_id")
    text: str
    title: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Collection:
    """Documents by id, the queries of one split, their judgements (``qrels[query][document]`` = grade), SHA-256 of all files read."""

    name: str
    documents: Mapping[str, Passage]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    sha256: str


def load_beir(folder: Path, split: str = "test") -> Collection:
    """Read a collection; only judged queries are kept. Raises ``UsageError``."""
    digest = hashlib.sha256()
    corpus = _file(folder, "corpus.jsonl")
    documents = {item.id: item for item in _objects(corpus, digest)}
    queries_file = _file(folder, "queries.jsonl")
    queries = {item.id: item.text for item in _objects(queries_file, digest)}
    qrels_file = _file(folder / "qrels", f"{split}.tsv")
    qrels = _judgements(qrels_file, queries, documents, digest)
    if not documents or not qrels:
        empty = corpus if not documents else qrels_file
        raise UsageError("this file holds nothing to evaluate", file=str(empty), remedy=REMEDY)
    return Collection(folder.name, documents, {query: queries[query] for query in qrels}, qrels, digest.hexdigest())


def _file(folder: Path, name: str) -> Path:
    """``name`` or ``name.gz`` in the folder."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UsageError(f"there is no {name} (nor {name}.gz)", file=str(folder), remedy=REMEDY)


def _lines(path: Path, digest: Any) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank; the digest covers the unpacked bytes."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                digest.update(line)
                if line.strip():
                    yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8: {error.reason}", file=str(path), remedy="save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot be read: {error}", file=str(path), remedy="fetch it again") from None


def _objects(path: Path, digest: Any) -> Iterator[Passage]:
    seen: set[str] = set()
    for number, line in _lines(path, digest):
        try:
            wire = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise UsageError(str(error), file=str(path), line=number, remedy='a line is {"_id": "…", "text": "…"}') from None
        found = Passage(str(wire.id), wire.text, wire.title)
        if found.id in seen:
            raise UsageError(f"the id {found.id!r} stands here twice", file=str(path), line=number, remedy="give every line its own _id")
        seen.add(found.id)
        yield found


def _judgements(path: Path, queries: Mapping[str, str], documents: Mapping[str, Passage], digest: Any) -> Mapping[str, Mapping[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path, digest):
        parts = line.rstrip("\r\n").split("\t")
        if number == 1 and parts[-1:] == ["score"]:
            continue
        if len(parts) != 3 or not parts[2].strip().lstrip("-").isdigit():
            message = "not `query-id <tab> corpus-id <tab> score` with a whole score"
            raise UsageError(message, file=str(path), line=number, remedy="correct the line")
        query, document, grade = parts[0], parts[1], int(parts[2])
        for name, known, where in ((query, queries, "queries.jsonl"), (document, documents, "corpus.jsonl")):
            if name not in known:
                raise UsageError(f"{name!r} is not in {where}", file=str(path), line=number, remedy="correct the id or add it there")
        qrels.setdefault(query, {})[document] = grade
    return qrels
