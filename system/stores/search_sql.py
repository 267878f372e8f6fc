"""The statements of the three retrievers.

All have one form: score the chunks that match, keep the best ``limit`` *with ties*, then break ties by chunk id, so that
the same index always gives the same order. Sums are made of whole numbers (score × 10⁹): adding floats in the order in
which a hash join happens to deliver them would not be repeatable in the last digit. ``OFFSET 0`` keeps the planner from
reading a whole postings table instead of a few terms while it has no statistics yet (right after a load: 10 × slower).
"""

from __future__ import annotations

from system.platform.identifiers import canonical
from system.platform.ports import SearchFilter

K1 = 0.9
B = 0.35
TITLE_BOOST = 2.0
BODY_BOOST = 1.0
SCALE = 1_000_000_000

_RANKED = """
SELECT k.chunk_id, r.score::float8 / {scale} FROM ranked r JOIN chunks k USING (chunk)
ORDER BY r.score DESC, k.chunk_id LIMIT %(limit)s
"""

_BM25 = """
WITH corpus AS (
    SELECT n, coalesce(nullif(title_terms, 0) / n, 1) AS title_mean, coalesce(nullif(body_terms, 0) / n, 1) AS body_mean
    FROM (SELECT nullif(sum(chunks), 0)::float8 AS n, sum(title_terms)::float8 AS title_terms, sum(body_terms)::float8 AS body_terms
          FROM corpus_statistics) AS totals
), asked AS MATERIALIZED (
    SELECT q.term, q.times * ln(1 + (c.n - d.df + 0.5) / (d.df + 0.5)) AS weight
    FROM unnest(%(terms)s::text[], %(times)s::int[]) AS q(term, times), corpus c,
         LATERAL (SELECT count(*)::float8 AS df FROM word_postings p WHERE p.term = q.term) AS d
    WHERE d.df > 0
), matched AS (
    SELECT p.chunk, a.weight,
           {title_boost}::float8 * p.title_count / (1 - {b}::float8 + {b}::float8 * p.title_length / c.title_mean)
         + {body_boost}::float8 * p.body_count / (1 - {b}::float8 + {b}::float8 * p.body_length / c.body_mean) AS tf
    FROM corpus c CROSS JOIN asked a CROSS JOIN LATERAL (SELECT * FROM word_postings w WHERE w.term = a.term OFFSET 0) AS p {where}
), ranked AS ( -- weight · tf / (k1 + tf), written so that tf is evaluated once
    SELECT chunk, sum((weight * (1 - {k1}::float8 / ({k1}::float8 + tf)) * {scale})::bigint) AS score FROM matched
    GROUP BY chunk ORDER BY score DESC FETCH FIRST %(limit)s ROWS WITH TIES
)
"""

_SPARSE = """
WITH ranked AS (
    SELECT p.chunk, sum((p.weight::float8 * q.weight * {scale})::bigint) AS score
    FROM unnest(%(terms)s::int[], %(weights)s::float8[]) AS q(term, weight)
         CROSS JOIN LATERAL (SELECT * FROM sparse_postings s WHERE s.term = q.term OFFSET 0) AS p {where}
    GROUP BY p.chunk ORDER BY score DESC FETCH FIRST %(limit)s ROWS WITH TIES
)
"""

_DENSE = """
WITH ranked AS (
    SELECT p.chunk, (-(p.embedding <#> %(vector)s::vector) * {scale})::bigint AS score
    FROM dense_vectors p {where} ORDER BY score DESC FETCH FIRST %(limit)s ROWS WITH TIES
)
"""


def bm25(filters: SearchFilter) -> str:
    return _statement(_BM25, _where(filters))


def sparse(filters: SearchFilter) -> str:
    return _statement(_SPARSE, _where(filters))


def dense(filters: SearchFilter) -> str:
    return _statement(_DENSE, _where(filters))


def _statement(template: str, where: str) -> str:
    return (template + _RANKED).format(where=where, scale=SCALE, k1=K1, b=B, title_boost=TITLE_BOOST, body_boost=BODY_BOOST)


_CLAUSES = {
    "sources": "f.source = ANY(%(sources)s)",
    "doc_ids": "f.doc_id = ANY(%(doc_ids)s)",
    "native_ids": "upper(f.native_id) = ANY(%(native_ids)s)",
    "sections": "f.section = ANY(%(sections)s)",
    "kinds": "f.kind = ANY(%(kinds)s)",
    "intents": "f.intent = ANY(%(intents)s)",
    "conditions": "EXISTS (SELECT FROM unnest(f.conditions) AS c(name) WHERE lower(c.name) = ANY(%(conditions)s))",
    "year_from": "f.year >= %(year_from)s",
    "year_to": "f.year <= %(year_to)s",
}


def _where(filters: SearchFilter) -> str:
    clauses = [clause for field, clause in _CLAUSES.items() if getattr(filters, field) not in ((), None)]
    if not clauses:
        return ""
    return f"WHERE p.chunk IN (SELECT f.chunk FROM chunks f WHERE {' AND '.join(clauses)})"  # noqa: S608 - constants only


def parameters(filters: SearchFilter) -> dict[str, object]:
    """The values of the placeholders that the filter's clauses use."""
    values: dict[str, object] = {field: getattr(filters, field) for field in _CLAUSES}
    values = {field: list(value) if isinstance(value, tuple) else value for field, value in values.items()}
    values["native_ids"] = [canonical(one) for one in filters.native_ids]
    values["conditions"] = [one.lower() for one in filters.conditions]
    return values
