"""The search index on a real PostgreSQL, against plain reference implementations."""

from __future__ import annotations

import concurrent.futures
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import psycopg
import pytest

from system.platform.ports import ChunkRow, Hit, SearchFilter, SparseVector
from system.platform.settings import Settings
from system.stores import analysis
from system.stores.search import PostgresSearch

NO_FILTER = SearchFilter()
WORDS = tuple("aspirin heart heartbeat stroke risk reduced trial placebo the of dose tumour tumours inhibits β-blocker 5 mg".split())  # noqa: SIM905


@pytest.fixture
def search(database_url: str, make_settings: Callable[..., Settings]) -> Iterator[PostgresSearch]:
    store = PostgresSearch.connect(make_settings(search_url=database_url))
    yield store
    store.close()


@pytest.fixture
def sql(database_url: str, home) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, password=(home / "secrets" / "search_password").read_text(), autocommit=True) as connection:
        yield connection


def row(doc: str, index: int, text: str, title: str = "", **changes) -> ChunkRow:
    values = {
        "chunk_id": f"{doc}:c{index}", "doc_id": doc, "source": "passages", "native_id": doc.partition(":")[2], "title": title,
        "title_path": title, "section": "", "kind": "text", "intent": "general", "text": text, "start": 0, "end": len(text),
        "year": None, "conditions": (),
    }  # fmt: skip
    return ChunkRow(**{**values, **changes})


def vectors(count: int, seed: int) -> tuple[list[list[float]], list[SparseVector]]:
    random_numbers = np.random.default_rng(seed)
    dense = random_numbers.normal(size=(count, 384))
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    sparse = []
    for _ in range(count):
        indices = np.sort(random_numbers.choice(60, 12, replace=False))
        sparse.append(SparseVector(tuple(int(one) for one in indices), tuple(float(one) for one in random_numbers.random(12) + 0.1)))
    return dense.astype(np.float32).tolist(), sparse


def corpus(seed: int = 1, documents: int = 30) -> list[ChunkRow]:
    source = random.Random(seed)
    return [
        row(f"p:{n}", c, " ".join(source.choices(WORDS, k=source.randint(0, 30))), " ".join(source.choices(WORDS, k=source.randint(0, 5))))
        for n in range(documents)
        for c in range(source.randint(1, 3))
    ]


def load(search: PostgresSearch, rows: Sequence[ChunkRow], seed: int = 7) -> tuple[dict[str, list[float]], dict[str, SparseVector]]:
    dense, sparse = vectors(len(rows), seed)
    by_document: dict[str, list[int]] = {}
    for number, one in enumerate(rows):
        by_document.setdefault(one.doc_id, []).append(number)
    for doc_id, numbers in by_document.items():
        search.replace_document(doc_id, [rows[n] for n in numbers], [dense[n] for n in numbers], [sparse[n] for n in numbers])
    return {one.chunk_id: dense[n] for n, one in enumerate(rows)}, {one.chunk_id: sparse[n] for n, one in enumerate(rows)}


def reference_bm25f(rows: Sequence[ChunkRow], query: str) -> list[Hit]:
    """BM25F by the book: two fields, boosts 2 and 1, k1 0.9, b 0.35, idf ln(1 + (N - df + 0.5)/(df + 0.5))."""
    fields = [(Counter(analysis.terms(one.title_path)), Counter(analysis.terms(one.text))) for one in rows]
    means = [max(sum(pair[f].total() for pair in fields) / len(rows), 1e-9) for f in (0, 1)]
    scores: dict[str, float] = {}
    for term, times in Counter(analysis.terms(query)).items():
        holders = [(one, pair) for one, pair in zip(rows, fields, strict=True) if term in pair[0] or term in pair[1]]
        idf = math.log(1 + (len(rows) - len(holders) + 0.5) / (len(holders) + 0.5))
        for one, pair in holders:
            tf = sum(boost * pair[f][term] / (0.65 + 0.35 * pair[f].total() / means[f]) for f, boost in ((0, 2.0), (1, 1.0)))
            scores[one.chunk_id] = scores.get(one.chunk_id, 0.0) + times * idf * tf / (0.9 + tf)
    return [Hit(chunk_id, score) for chunk_id, score in sorted(scores.items(), key=lambda item: (-round(item[1], 7), item[0]))]


def agree(found: Sequence[Hit], wanted: Sequence[Hit]) -> None:
    assert [hit.chunk_id for hit in found] == [hit.chunk_id for hit in wanted]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted], abs=1e-6)


def test_bm25_equals_a_plain_implementation(search: PostgresSearch) -> None:
    """Scores and order are those of the textbook, also after documents were replaced and deleted."""
    rows = corpus()
    load(search, rows)
    queries = ["aspirin stroke", "the heart of tumours", "β-blocker 5 mg mg", "risk risk placebo", "nothing here"]
    for query in queries:
        agree(search.bm25(query, 200, NO_FILTER), reference_bm25f(rows, query))
    search.delete_document("p:3")
    shorter = [row("p:4", 0, "aspirin aspirin", "stroke")]
    same_count = [row("p:5", n, "risk", "mg mg mg") for n in range(sum(one.doc_id == "p:5" for one in rows))]
    load(search, shorter + same_count)
    rows = [one for one in rows if one.doc_id not in {"p:3", "p:4", "p:5"}] + shorter + same_count
    for query in queries:
        agree(search.bm25(query, 200, NO_FILTER), reference_bm25f(rows, query))
        agree(search.bm25(query, 5, NO_FILTER), reference_bm25f(rows, query)[:5])


def test_sparse_and_dense_equal_plain_products(search: PostgresSearch) -> None:
    """Both are exact inner products, best first, ties by chunk id."""
    rows = corpus(2, 20)
    dense, sparse = load(search, rows)
    (wanted, other), (query, _) = vectors(2, 99)
    weights = dict(zip(query.indices, query.values, strict=True))
    products = {
        name: sum(weights.get(i, 0.0) * np.float32(v) for i, v in zip(s.indices, s.values, strict=True)) for name, s in sparse.items()
    }
    best = sorted(((name, score) for name, score in products.items() if score > 0), key=lambda item: (-item[1], item[0]))
    agree(search.sparse(query, 10, NO_FILTER), [Hit(*one) for one in best[:10]])
    cosines = {name: float(np.dot(np.float32(wanted), np.float32(v))) for name, v in dense.items()}
    agree(search.dense(wanted, 10, NO_FILTER), [Hit(*one) for one in sorted(cosines.items(), key=lambda item: (-item[1], item[0]))[:10]])
    assert search.sparse(SparseVector((), ()), 10, NO_FILTER) == ()
    assert search.dense(other, 1, NO_FILTER) != search.dense(wanted, 1, NO_FILTER)


def test_equal_scores_are_ordered_by_chunk_id(search: PostgresSearch) -> None:
    """At the cut too, whatever the order of writing: the same ten of thirty equals come first."""
    rows = [row(f"p:{n:02}", 0, "aspirin") for n in range(30)]
    random.Random(5).shuffle(rows)
    load(search, rows)
    assert [hit.chunk_id for hit in search.bm25("aspirin", 10, NO_FILTER)] == [f"p:{n:02}:c0" for n in range(10)]


def test_deleting_a_document_leaves_nothing(search: PostgresSearch, sql: psycopg.Connection) -> None:
    """No chunk, posting, vector or count remains of a deleted document, and deleting it again is no error."""
    load(search, corpus(3, 4))
    before = _sizes(sql)
    load(search, [row("x:1", n, "aspirin heart", "stroke") for n in range(3)])
    assert _sizes(sql) != before
    assert search.count() == sql.execute("SELECT count(*) FROM chunks").fetchone()[0]  # type: ignore[index]
    for _ in range(2):
        search.delete_document("x:1")
        assert _sizes(sql) == before
    assert list(search.document_ids()) == [f"p:{n}" for n in range(4)]


def test_replacing_twice_changes_nothing(search: PostgresSearch, sql: psycopg.Connection) -> None:
    """A repeated step leaves the same sizes, statistics and answers."""
    rows = corpus(4, 5)
    load(search, rows)
    sizes, hits = _sizes(sql), search.bm25("aspirin stroke risk", 20, NO_FILTER)
    load(search, rows)
    assert (_sizes(sql), search.bm25("aspirin stroke risk", 20, NO_FILTER)) == (sizes, hits)


def test_statistics_stay_exact_under_concurrent_writers(search: PostgresSearch, sql: psycopg.Connection) -> None:
    """Writers that replace and delete the same documents at once leave counters that equal a recount."""
    rows = corpus(6, 6)

    def work(number: int) -> None:
        source = random.Random(number)
        doc_id = f"p:{source.randrange(6)}"
        mine = [one for one in rows if one.doc_id == doc_id][: source.randint(1, 3)]
        if source.random() < 0.3:
            search.delete_document(doc_id)
        else:
            dense, sparse = vectors(len(mine), number)
            search.replace_document(doc_id, mine, dense, sparse)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    counted = sql.execute("SELECT count(*), coalesce(sum(title_length), 0), coalesce(sum(body_length), 0) FROM chunks").fetchone()
    kept = sql.execute("SELECT sum(chunks), sum(title_terms), sum(body_terms) FROM corpus_statistics").fetchone()
    assert counted == kept
    for table in ("word_postings", "sparse_postings", "dense_vectors"):
        orphans = sql.execute(f"SELECT count(*) FROM {table} p WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.chunk = p.chunk)").fetchone()  # type: ignore[arg-type]
        assert orphans == (0,)


FILTERS = [
    (SearchFilter(sources=("ctgov",)), {"a", "b"}),
    (SearchFilter(doc_ids=("ctgov:b", "spl:c")), {"b", "c"}),
    (SearchFilter(native_ids=("nct00000002",)), {"b"}),
    (SearchFilter(sections=("Results",)), {"b"}),
    (SearchFilter(kinds=("table",)), {"c"}),
    (SearchFilter(intents=("ae", "dose")), {"a", "c"}),
    (SearchFilter(conditions=("STROKE",)), {"a", "b"}),
    (SearchFilter(year_from=2015), {"b", "c"}),
    (SearchFilter(year_from=2010, year_to=2015), {"a", "b"}),
    (SearchFilter(sources=("ctgov",), year_from=2015), {"b"}),
    (SearchFilter(sources=("nowhere",)), set()),
]


@pytest.mark.parametrize(("filters", "wanted"), FILTERS)
def test_filters_hold_in_every_retriever(search: PostgresSearch, filters: SearchFilter, wanted: set[str]) -> None:
    """Each condition restricts each retriever's candidates before the cut."""
    rows = [
        row("ctgov:a", 0, "aspirin", source="ctgov", native_id="NCT00000001", year=2010, intent="ae", conditions=("Stroke",)),
        row("ctgov:b", 0, "aspirin", source="ctgov", native_id="NCT00000002", year=2015, section="Results", conditions=("x", "stroke")),
        row("spl:c", 0, "aspirin", source="spl", year=2020, kind="table", intent="dose"),
        row("p:d", 0, "aspirin"),
    ]
    dense, sparse = vectors(1, 3)
    for one in rows:
        search.replace_document(one.doc_id, [one], dense, sparse)
    found = [search.bm25("aspirin", 10, filters), search.sparse(sparse[0], 10, filters), search.dense(dense[0], 10, filters)]
    assert [{hit.chunk_id.split(":")[1] for hit in hits} for hits in found] == [wanted] * 3


def test_a_native_id_in_the_query_finds_its_document(search: PostgresSearch) -> None:
    """Even where the text does not contain the id."""
    rows = [row(f"ctgov:{n}", 0, "aspirin trial", native_id=f"NCT0000000{n}", source="ctgov") for n in range(9)]
    load(search, rows)
    assert search.bm25("what did nct00000007 find about aspirin", 3, NO_FILTER)[0].chunk_id == "ctgov:7:c0"
    assert [hit.chunk_id for hit in search.bm25("NCT00000003", 3, NO_FILTER)] == ["ctgov:3:c0"]


def test_chunks_come_back_as_they_went_in(search: PostgresSearch) -> None:
    """Rows are returned by id with equal fields; ids that are not there are left out."""
    rows = [
        row("ctgov:a", 0, "tab\tnew\nline \\N é", "t\"'", year=2020, conditions=("a,b", "{c}"), start=5, end=9),
        row("ctgov:a", 1, "x" * 5000),
    ]
    load(search, rows)
    assert search.chunks([one.chunk_id for one in rows] + ["none"]) == {one.chunk_id: one for one in rows}


def test_hostile_text_is_text(search: PostgresSearch) -> None:
    """NULs, very long words and format characters neither fail nor match more than they should."""
    load(search, [row("p:1", 0, "a\0b " + "x" * 10_000 + " 100%(limit)s {where} ' OR 1=1 --", "%s")])
    assert search.chunks(["p:1:c0"])["p:1:c0"].text.startswith("a\ufffdb")
    assert len(search.bm25("x" * 9_000, 10, NO_FILTER)) == 1
    assert search.bm25("%(limit)s {where} \0 '; DROP TABLE chunks", 10, NO_FILTER)
    assert search.bm25("the of \u200b …", 10, NO_FILTER) == ()


def test_vectors_must_match_the_rows(search: PostgresSearch) -> None:
    """A missing vector is an error before anything is written."""
    dense, sparse = vectors(1, 1)
    with pytest.raises(ValueError, match="must match"):
        search.replace_document("p:1", [row("p:1", 0, "a")], [], sparse)
    with pytest.raises(ValueError, match="belong"):
        search.replace_document("p:2", [row("p:1", 0, "a")], dense, sparse)


def _sizes(sql: psycopg.Connection) -> list[object]:
    tables = ("chunks", "word_postings", "sparse_postings", "dense_vectors")
    counts = [sql.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables]  # type: ignore[arg-type]
    return [*counts, sql.execute("SELECT sum(chunks), sum(title_terms), sum(body_terms) FROM corpus_statistics").fetchone()]
