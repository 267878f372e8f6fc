"""The search port on PostgreSQL: postings tables for BM25F and for sparse vectors, pgvector for dense ones (exact scans).

A chunk is one transaction with everything that belongs to it, so that an answer never sees half a document.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

from system.platform.errors import Unavailable
from system.platform.identifiers import canonical, named_identifiers
from system.platform.ports import ChunkRow, Hit, SearchFilter, SparseVector
from system.platform.settings import Settings
from system.stores import analysis, search_sql
from system.stores.postgres import Connection, Database, create_schema, statement

SHARDS = 16
TIDY_EVERY = 200_000  # postings; autovacuum comes a minute later, and queries of a fresh load are up to 5 × slower until then
MAX_QUERY_TERMS = 256  # more words than that say nothing new and cost time
_SCHEMA_LOCK = 0x45485F53  # "EH_S"
# One short statement after another on small tables: compiling and forking cost more than they save.
_OPTIONS = "-c jit=off -c max_parallel_workers_per_gather=0 -c work_mem=32MB"
_COLUMNS = "chunk_id, doc_id, source, native_id, title, title_path, section, kind, intent, body, start_offset, end_offset, year, conditions"
_IDENTIFIER = "="  # marks a posting that stands for the document's native id; no word starts with it


class PostgresSearch:
    """Implements :class:`system.platform.ports.Search`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ready = False
        self._written = 0  # postings since the last tidying

    @classmethod
    def connect(cls, settings: Settings, *, size: int = 12, statement_s: float = 5.0) -> PostgresSearch:
        """An adapter that connects, and makes what is missing of the schema, on first use."""
        password = settings.secret("search_password")
        return cls(Database("search", settings.search_url, password, size=size, statement_s=statement_s, options=_OPTIONS))

    def ensure_schema(self, deadline_s: float = 0.0) -> Database:
        """Create what is missing, once; safe to call from many processes. Waits up to ``deadline_s`` for a starting server."""
        if not self._ready:
            create_schema(self._database, "schema_search.sql", _SCHEMA_LOCK, deadline_s)
            self._ready = True
        return self._database

    def close(self) -> None:
        self._database.close()

    def ping(self) -> None:
        """A real query; raises ``Unavailable``."""
        self.count()

    def count(self) -> int:
        return self.ensure_schema().execute(lambda c: _number(c.execute("SELECT sum(chunks) FROM corpus_statistics")))

    def replace_document(
        self, doc_id: str, rows: Sequence[ChunkRow], dense: Sequence[Sequence[float]], sparse: Sequence[SparseVector]
    ) -> None:
        """All chunks of a document, at once; raises ``ValueError`` for vectors that do not match the rows."""
        if not len(rows) == len(dense) == len(sparse):
            raise ValueError(f"{len(rows)} chunks, {len(dense)} dense and {len(sparse)} sparse vectors of {doc_id}: they must match")
        if any(row.doc_id != doc_id for row in rows):
            raise ValueError(f"every chunk must belong to {doc_id}")
        words = [_Words.of(row) for row in rows]  # outside the transaction: locks are held for the writes only
        self.ensure_schema().run(lambda c: _replace(c, doc_id, rows, words, dense, sparse))
        self._written += sum(len(one.title) + len(one.body) for one in words) + sum(len(vector.indices) for vector in sparse)
        if self._written > TIDY_EVERY:
            self._written = 0  # two writers may race here: at worst one tidies a little later
            with contextlib.suppress(Unavailable):
                self.optimise()

    def delete_document(self, doc_id: str) -> None:
        self.ensure_schema().run(lambda c: _replace(c, doc_id, (), (), (), ()))

    def bm25(self, query: str, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        """BM25F over title path (boost 2.0) and body (1.0); a native id named in the query is a term of its own."""
        wanted = analysis.frequencies(query)
        wanted.update(_IDENTIFIER + name for name in named_identifiers(query))
        asked = dict(wanted.most_common(MAX_QUERY_TERMS))
        if not asked:
            return ()
        return self._ranked(search_sql.bm25(filters), filters, top_k, terms=list(asked), times=list(asked.values()))

    def sparse(self, vector: SparseVector, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        if not vector.indices:
            return ()
        return self._ranked(search_sql.sparse(filters), filters, top_k, terms=list(vector.indices), weights=list(vector.values))

    def dense(self, vector: Sequence[float], top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        return self._ranked(search_sql.dense(filters), filters, top_k, vector=_vector(vector))

    def chunks(self, chunk_ids: Sequence[str]) -> Mapping[str, ChunkRow]:
        """The rows of the ids that are there."""
        query = statement(f"SELECT {_COLUMNS} FROM chunks WHERE chunk_id = ANY(%s)")  # noqa: S608 - constants only
        rows = self.ensure_schema().execute(lambda c: c.execute(query, (list(chunk_ids),)).fetchall())
        return {row[0]: ChunkRow(*(*row[:13], tuple(row[13]))) for row in rows}

    def document_ids(self) -> Iterator[str]:
        """All document ids in the index, ascending, read in pages."""
        after = ""
        while True:
            page = self._document_page(after)
            yield from page
            if not page:
                return
            after = page[-1]

    def optimise(self) -> None:
        """Refresh visibility map and planner statistics after a bulk load, as autovacuum would; costs about 0.3 s."""
        tables = "chunks, word_postings, sparse_postings, dense_vectors"
        self.ensure_schema().execute(lambda c: c.execute(statement(f"VACUUM (ANALYZE, SKIP_LOCKED) {tables}")))

    def _document_page(self, after: str) -> list[str]:
        query = "SELECT DISTINCT doc_id FROM chunks WHERE doc_id > %s ORDER BY doc_id LIMIT 1000"
        return [row[0] for row in self.ensure_schema().execute(lambda c: c.execute(query, (after,)).fetchall())]

    def _ranked(self, sql: str, filters: SearchFilter, top_k: int, **values: Any) -> Sequence[Hit]:
        given = {**search_sql.parameters(filters), **values, "limit": top_k}
        rows = self.ensure_schema().execute(lambda c: c.execute(statement(sql), given).fetchall())
        return tuple(Hit(chunk_id, score) for chunk_id, score in rows)


class _Words:
    """The analysed fields of one chunk."""

    __slots__ = ("body", "body_length", "identifier", "title", "title_length")

    def __init__(self, title: Counter[str], body: Counter[str], identifier: str) -> None:
        self.title, self.body, self.identifier = title, body, identifier
        self.title_length, self.body_length = title.total(), body.total()

    @classmethod
    def of(cls, row: ChunkRow) -> _Words:
        return cls(analysis.frequencies(row.title_path), analysis.frequencies(row.text), _IDENTIFIER + canonical(row.native_id)[:200])

    def postings(self) -> Iterator[tuple[str, int, int]]:
        """(term, count in the title path, count in the body)."""
        yield self.identifier, 1, 0
        for term in self.title.keys() | self.body.keys():
            yield term, self.title[term], self.body[term]


def _replace(
    connection: Connection,
    doc_id: str,
    rows: Sequence[ChunkRow],
    words: Sequence[_Words],
    dense: Sequence[Sequence[float]],
    sparse: Sequence[SparseVector],
) -> None:
    # Two writers of one document would each see the other's chunks too late: one waits.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (doc_id,))
    gone = _delete(connection, doc_id)
    numbers = _insert_chunks(connection, rows, words)
    if numbers:
        _copy_postings(connection, numbers, words, dense, sparse)
    delta = (
        len(rows) - len(gone),
        sum(one.title_length for one in words) - sum(title for _, title, _ in gone),
        sum(one.body_length for one in words) - sum(body for _, _, body in gone),
    )
    if any(delta):
        shard = hashlib.sha256(doc_id.encode()).digest()[0] % SHARDS
        update = "UPDATE corpus_statistics SET chunks = chunks + %s, title_terms = title_terms + %s, body_terms = body_terms + %s"
        connection.execute(statement(update + " WHERE shard = %s"), (*delta, shard))


def _delete(connection: Connection, doc_id: str) -> list[tuple[Any, ...]]:
    gone = connection.execute("DELETE FROM chunks WHERE doc_id = %s RETURNING chunk, title_length, body_length", (doc_id,)).fetchall()
    if gone:
        numbers = [row[0] for row in gone]
        for table in ("word_postings", "sparse_postings", "dense_vectors"):
            connection.execute(statement(f"DELETE FROM {table} WHERE chunk = ANY(%s)"), (numbers,))  # noqa: S608 - constants only
    return gone


def _insert_chunks(connection: Connection, rows: Sequence[ChunkRow], words: Sequence[_Words]) -> list[int]:
    """Row numbers in the order of ``rows``."""
    holes = ", ".join(["%s"] * 16)
    query = statement(f"INSERT INTO chunks ({_COLUMNS}, title_length, body_length) VALUES ({holes}) RETURNING chunk")  # noqa: S608 - constants only
    numbers: list[int] = []
    with connection.cursor() as cursor:
        for row, one in zip(rows, words, strict=True):
            values = (*_values(row), one.title_length, one.body_length)
            numbers.append(_number(cursor.execute(query, values)))
    return numbers


def _values(row: ChunkRow) -> tuple[object, ...]:
    """In the order of ``_COLUMNS``."""
    texts = (_plain(text) for text in (row.title, row.title_path, row.section, row.kind, row.intent, row.text))
    return (row.chunk_id, row.doc_id, row.source, row.native_id, *texts, row.start, row.end, row.year, list(row.conditions))


def _number(cursor: psycopg.Cursor[tuple[Any, ...]]) -> int:
    row = cursor.fetchone()
    assert row is not None, "an aggregate or a RETURNING gives one row"
    return int(row[0])


def _copy_postings(
    connection: Connection,
    numbers: Sequence[int],
    words: Sequence[_Words],
    dense: Sequence[Sequence[float]],
    sparse: Sequence[SparseVector],
) -> None:
    with connection.cursor() as cursor:
        with cursor.copy("COPY word_postings FROM STDIN") as copy:
            for number, one in zip(numbers, words, strict=True):
                for term, in_title, in_body in one.postings():
                    copy.write_row((term, number, in_title, in_body, one.title_length, one.body_length))
        with cursor.copy("COPY sparse_postings FROM STDIN") as copy:
            for number, vector in zip(numbers, sparse, strict=True):
                for term_number, weight in zip(vector.indices, vector.values, strict=True):
                    copy.write_row((term_number, number, weight))
        with cursor.copy("COPY dense_vectors FROM STDIN") as copy:
            for number, values in zip(numbers, dense, strict=True):
                copy.write_row((number, _vector(values)))


def _plain(text: str) -> str:
    """PostgreSQL text has no NUL; a replacement character keeps the offsets."""
    return text.replace("\0", "\ufffd")


def _vector(values: Sequence[float]) -> str:
    return "[" + ",".join(format(value, ".9g") for value in values) + "]"
