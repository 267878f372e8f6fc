"""Ranking metrics by ``ir-measures`` (trec_eval's definitions), and the TREC run format they are computed from.

A run file keeps the order the system answered in: its scores are made from ranks, since trec_eval orders by score and breaks ties by
document id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import ir_measures

from harness.core.errors import DamagedRun

METRICS = ("nDCG@10", "R@20", "R@100", "RR")
Ranking = Mapping[str, Sequence[str]]  # query -> document ids, best first
Judgements = Mapping[str, Mapping[str, int]]


def evaluate(qrels: Judgements, ranking: Ranking) -> Mapping[str, float]:
    """Mean of each metric over all judged queries; a query without an answer counts 0."""
    scores = by_query(qrels, ranking)
    return {name: sum(scores[name].values()) / len(qrels) for name in METRICS}


def by_query(qrels: Judgements, ranking: Ranking) -> Mapping[str, Mapping[str, float]]:
    """Each metric of each judged query; a query without an answer, or without a relevant document, has 0."""
    measures = [ir_measures.parse_measure(name) for name in METRICS]
    judged = [ir_measures.Qrel(query, document, grade) for query, grades in qrels.items() for document, grade in grades.items()]
    scored = [
        ir_measures.ScoredDoc(query, document, float(len(documents) - place))
        for query, documents in ranking.items()
        for place, document in enumerate(documents)
    ]
    scores = {name: dict.fromkeys(qrels, 0.0) for name in METRICS}
    for found in ir_measures.iter_calc(measures, judged, scored):
        if found.query_id in ranking:
            scores[str(found.measure)][found.query_id] = float(found.value)
    return scores


def run_file(ranking: Ranking, tag: str) -> bytes:
    """``query Q0 document rank score tag``, a line an answer, queries in sorted order."""
    lines = [
        f"{query} Q0 {document} {place + 1} {len(ranking[query]) - place} {tag}"
        for query in sorted(ranking)
        for place, document in enumerate(ranking[query])
    ]
    return ("\n".join(lines) + "\n").encode()


def read_run(content: bytes) -> Ranking:
    """A run file back as a ranking, in the order of its ranks."""
    ranks: dict[str, list[tuple[int, str]]] = {}
    for parts in _fields(content, 6):
        ranks.setdefault(parts[0], []).append((int(parts[3]), parts[2]))
    return {query: [document for _, document in sorted(found)] for query, found in ranks.items()}


def qrels_file(qrels: Judgements) -> bytes:
    """``query 0 document grade``, a line a judgement."""
    lines = [f"{query} 0 {document} {grade}" for query in sorted(qrels) for document, grade in sorted(qrels[query].items())]
    return ("\n".join(lines) + "\n").encode()


def read_qrels(content: bytes) -> Judgements:
    found: dict[str, dict[str, int]] = {}
    for parts in _fields(content, 4):
        found.setdefault(parts[0], {})[parts[2]] = int(parts[3])
    return found


def _fields(content: bytes, count: int) -> Iterable[list[str]]:
    for number, line in enumerate(content.decode().splitlines(), 1):
        parts = line.split()
        if parts and len(parts) != count:
            raise DamagedRun(f"line {number} of a run or qrels file has {len(parts)} fields instead of {count}")
        if parts:
            yield parts
