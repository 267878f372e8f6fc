"""A test collection in BEIR layout: ``corpus.jsonl``, ``queries.jsonl`` (also ``.gz``) and ``qrels/<split>.tsv``.

Everything is checked before a system is started; what is wrong with a file is a ``UsageError`` with file, line and remedy. What can be
evaluated is: ids that no system or run file could carry are replaced, and passages without text are left out and counted.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.core.errors import UsageError
from harness.core.text import clean

REMEDY: Final = "see the BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv"
OR_REMOVE: Final = "{}, or remove it and its judgements"
MAX_QUERY_CHARACTERS: Final = 2_000
_PLAIN_ID: Final = re.compile(r"[^\s\x00-\x1f#\x7f]{1,200}")  # what a run file and a document id can hold
_GRADE: Final = re.compile(r"[+-]?[0-9]{1,9}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Passage(msgspec.Struct, frozen=True):
    """A document of the corpus."""

    id: str = msgspec.field(name="_id")
    text: str
    title: str = ""


class _Line(msgspec.Struct, frozen=True):
    """A line of a corpus or of queries; some collections write ids as numbers."""

    id: str | int = msgspec.field(name="_id")
    text: str
    title: str | None = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Collection:
    """Documents by id, the queries of one split, their judgements (``qrels[query][document]`` = grade), SHA-256 of all files read.

    ``renamed`` maps each id that had to be replaced to the one in the files; ``empty`` are the ids of passages without text: they are
    not among the documents, but judgements may name them, and they are never found.
    """

    name: str
    documents: Mapping[str, Passage]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    sha256: str
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    empty: tuple[str, ...] = ()

    @property
    def relevant(self) -> frozenset[str]:
        """The documents that some query judges relevant."""
        return frozenset(document for grades in self.qrels.values() for document, grade in grades.items() if grade > 0)

    def remarks(self) -> Iterator[str]:
        """What stands beside every figure made with it, where there is something to say."""
        if self.renamed:
            yield f"{len(self.renamed)} ids with blanks, '#' or too many characters are replaced in run files and in the system"
        if self.empty:
            judged = len(self.relevant & set(self.empty))
            yield f"{len(self.empty)} passages hold no text: they are not indexed ({judged} of them are judged relevant and never found)"
        hopeless = sum(not any(grade > 0 for grade in grades.values()) for grades in self.qrels.values())
        if hopeless:
            yield f"{hopeless} of {len(self.qrels)} queries have no relevant document and count 0"


def load_beir(folder: Path, split: str = "test") -> Collection:
    """Read a collection; only judged queries are kept. Raises ``UsageError``."""
    digest = hashlib.sha256()
    corpus, queries_file = _file(folder, "corpus.jsonl"), _file(folder, "queries.jsonl")
    qrels_file = _file(folder / "qrels", f"{split}.tsv")
    passages = {passage.id: passage for _, passage in _objects(corpus, digest)}
    lines = {query.id: (number, query.text) for number, query in _objects(queries_file, digest)}
    qrels = _judgements(qrels_file, lines.keys(), passages.keys(), digest)
    for query in qrels:
        _check_query(queries_file, *lines[query])
    documents = {name: passage for name, passage in passages.items() if _holds_text(passage)}
    if not documents or not qrels:
        empty = corpus if not documents else qrels_file
        raise UsageError("this file holds nothing to evaluate", file=str(empty), remedy=REMEDY)
    names = {name: _plain(name) for name in (*passages, *qrels)}
    return Collection(
        name=folder.name,
        documents={names[name]: Passage(names[name], item.text, item.title) for name, item in documents.items()},
        queries={names[query]: lines[query][1] for query in qrels},
        qrels={names[query]: {names[document]: grade for document, grade in grades.items()} for query, grades in qrels.items()},
        sha256=digest.hexdigest(),
        renamed={plain: name for name, plain in names.items() if plain != name},
        empty=tuple(names[name] for name in passages if name not in documents),
    )


def _plain(name: str) -> str:
    """The id itself where everybody can carry it, else one made from it."""
    return name if _PLAIN_ID.fullmatch(name) else f"id-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _holds_text(passage: Passage) -> bool:
    return bool(clean(passage.title).strip() or clean(passage.text).strip())


def _check_query(path: Path, number: int, text: str) -> None:
    """Only judged queries are asked, so only they are checked."""
    if not clean(text).strip():
        raise UsageError(
            "this judged query is empty", file=str(path), line=number, remedy="give it a text, or remove it and its judgements"
        )
    if len(text) > MAX_QUERY_CHARACTERS:
        message = f"this judged query has {len(text)} characters, more than {MAX_QUERY_CHARACTERS}"
        raise UsageError(message, file=str(path), line=number, remedy=OR_REMOVE.format("shorten it"))
    if _CONTROL.search(text):
        raise UsageError("this judged query holds control characters", file=str(path), line=number, remedy="remove them")


def _file(folder: Path, name: str) -> Path:
    """``name`` or ``name.gz`` in the folder."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UsageError(f"there is no {name} (nor {name}.gz)", file=str(folder), remedy=REMEDY)


def _lines(path: Path, digest: Any) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank; the digest covers the unpacked bytes."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                digest.update(line)
                if line.strip():
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8: {error.reason}", file=str(path), line=number, remedy="save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot be read: {error}", file=str(path), remedy="fetch it again") from None


def _objects(path: Path, digest: Any) -> Iterator[tuple[int, Passage]]:
    """The objects of a file with their lines, ids as the file has them."""
    seen: dict[str, int] = {}
    for number, line in _lines(path, digest):
        try:
            wire = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise UsageError(str(error), file=str(path), line=number, remedy='a line is {"_id": "…", "text": "…"}') from None
        found = Passage(str(wire.id), wire.text, wire.title or "")
        if not found.id.strip():
            raise UsageError("the id is empty", file=str(path), line=number, remedy="give every line its own _id")
        if found.id in seen:
            message = f"the id {found.id!r} stands here twice, first in line {seen[found.id]}"
            raise UsageError(message, file=str(path), line=number, remedy="give every line its own _id")
        seen[found.id] = number
        yield number, found


def _judgements(path: Path, queries: Any, documents: Any, digest: Any) -> Mapping[str, Mapping[str, int]]:
    """Grades by query and document. The same judgement twice is one; two that differ are an error."""
    qrels: dict[str, dict[str, int]] = {}
    lines: dict[tuple[str, str], int] = {}
    for number, line in _lines(path, digest):
        parts = line.rstrip("\r\n").split("\t")
        if number == 1 and parts[-1].strip() == "score":
            continue
        if len(parts) != 3 or not _GRADE.fullmatch(parts[2].strip()):
            message = "not `query-id <tab> corpus-id <tab> score` with a whole score"
            raise UsageError(message, file=str(path), line=number, remedy="correct the line")
        query, document, grade = parts[0], parts[1], int(parts[2])
        for name, known, where in ((query, queries, "queries.jsonl"), (document, documents, "corpus.jsonl")):
            if name not in known:
                raise UsageError(f"{name!r} is not in {where}", file=str(path), line=number, remedy="correct the id or add it there")
        before = lines.setdefault((query, document), number)
        if qrels.setdefault(query, {}).setdefault(document, grade) != grade:
            message = f"{query!r} and {document!r} are judged {grade} here and {qrels[query][document]} in line {before}"
            raise UsageError(message, file=str(path), line=number, remedy="keep one of the two")
    return qrels
