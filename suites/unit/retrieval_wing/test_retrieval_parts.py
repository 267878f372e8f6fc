"""Reading collections, choosing documents, and metrics against a computation by hand."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path

import pytest

from harness.core.errors import DamagedRun, UsageError
from harness.retrieval.beir import load_beir
from harness.retrieval.metrics import evaluate, qrels_file, read_qrels, read_run, run_file
from harness.retrieval.selection import select


def test_a_collection_is_read_plain_and_packed(collection: Path) -> None:
    """Plain and gzip files give the same collection and the same hash."""
    plain = load_beir(collection)
    for name in ("corpus.jsonl", "queries.jsonl"):
        path = collection / name
        path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = load_beir(collection)
    assert (packed.sha256, len(packed.documents), len(packed.queries)) == (plain.sha256, 610, 10)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("corpus.jsonl", '{"_id": "a"}', r"corpus\.jsonl:1: .*text"),
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}', r"corpus\.jsonl:2: .*twice"),
        ("corpus.jsonl", "", r"corpus-id|not in corpus|nothing"),
        ("queries.jsonl", "[1]", r"queries\.jsonl:1"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\tr0", r"test\.tsv:2: .*score"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\tnobody\t1", r"test\.tsv:2: 'nobody' is not in corpus\.jsonl"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", r"nothing to evaluate"),
    ],
)
def test_wrong_files_are_named_with_their_line(collection: Path, name: str, text: str, said: str) -> None:
    """What is wrong with a collection is an error with file and line."""
    (collection / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        load_beir(collection)


def test_a_torn_gzip_file_and_a_missing_file_are_named(collection: Path) -> None:
    """A truncated archive and a missing file end in a usage error, not in a traceback."""
    path = collection / "corpus.jsonl"
    path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes())[:200])
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        load_beir(collection)
    path.with_suffix(".jsonl.gz").unlink()
    with pytest.raises(UsageError, match=r"no corpus\.jsonl"):
        load_beir(collection)


def test_the_selection_keeps_the_relevant_and_repeats_with_its_seed(collection: Path) -> None:
    """All relevant documents are in; the same seed draws the same distractors, another seed others; it is labelled."""
    found = load_beir(collection)
    one, again, other = (select(found, 100, seed) for seed in (1, 1, 2))
    assert one == again
    assert {item.id for item in one.documents} != {item.id for item in other.documents}
    assert {f"r{number}" for number in range(10)} <= {item.id for item in one.documents}
    assert one.label() == "100 documents: 10 relevant, 90 seeded distractors"
    assert select(found, None, 1).full
    with pytest.raises(UsageError, match="cannot hold the 10 relevant"):
        select(found, 5, 1)


def _by_hand(qrels: dict[str, dict[str, int]], ranking: dict[str, list[str]]) -> dict[str, float]:
    """trec_eval's definitions, written out: gain = grade, discount = log2(rank + 1), ideal from all judged documents."""
    totals = dict.fromkeys(("nDCG@10", "R@20", "R@100", "RR"), 0.0)
    for query, grades in qrels.items():
        documents = ranking.get(query, [])
        gain = sum(max(grades.get(item, 0), 0) / math.log2(place + 2) for place, item in enumerate(documents[:10]))
        ideal = sum(grade / math.log2(place + 2) for place, grade in enumerate(sorted(grades.values(), reverse=True)[:10]) if grade > 0)
        relevant = {item for item, grade in grades.items() if grade > 0}
        first = next((place for place, item in enumerate(documents) if item in relevant), None)
        totals["nDCG@10"] += gain / ideal if ideal else 0.0
        for depth in (20, 100):
            totals[f"R@{depth}"] += len(relevant & set(documents[:depth])) / len(relevant) if relevant else 0.0
        totals["RR"] += 0.0 if first is None else 1 / (first + 1)
    return {name: total / len(qrels) for name, total in totals.items()}


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_a_computation_by_hand(seed: int) -> None:
    """Random graded judgements and rankings, with queries that got no answer: the same four means."""
    draw = random.Random(seed)
    documents = [f"d{number}" for number in range(200)]
    qrels = {f"q{number}": {name: draw.choice((0, 1, 1, 2)) for name in draw.sample(documents, 12)} for number in range(20)}
    for grades in qrels.values():
        grades[draw.choice(documents)] = 1
    ranking = {query: draw.sample(documents, 120) for query in qrels if draw.random() > 0.2}
    assert evaluate(qrels, ranking) == pytest.approx(_by_hand(qrels, ranking), abs=1e-9)


def test_run_files_read_back_in_their_order() -> None:
    """A run file keeps ranks, also where ids would sort another way; a torn one is damage."""
    ranking = {"q2": ["b", "a", "c"], "q1": ["z"]}
    content = run_file(ranking, "bm25")
    assert content.decode().splitlines()[1] == "q2 Q0 b 1 3 bm25"
    assert read_run(content) == ranking
    qrels = {"q1": {"z": 1, "y": 0}}
    assert read_qrels(qrels_file(qrels)) == qrels
    with pytest.raises(DamagedRun, match="line 1"):
        read_run(b"q1 Q0\n")


def test_ids_may_be_numbers_in_json(collection: Path) -> None:
    """Some collections write ids as numbers: they are read as text."""
    (collection / "corpus.jsonl").write_text(json.dumps({"_id": 7, "title": "t", "text": "x"}), encoding="utf-8")
    (collection / "qrels" / "test.tsv").write_text("q0\t7\t1\n", encoding="utf-8")
    assert list(load_beir(collection).documents) == ["7"]
