"""Reading collections, choosing documents, and metrics against a computation by hand."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path

import pytest

from harness.core.errors import DamagedRun, UsageError
from harness.core.verdict import Verdict
from harness.retrieval.beir import load_beir
from harness.retrieval.contrast import paired
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


BAD = [
    ("corpus.jsonl", ['{"_id": "", "text": "x"}'], r"corpus\.jsonl:1: the id is empty"),
    ("corpus.jsonl", ['{"_id": " ", "text": "x"}'], r"corpus\.jsonl:1: the id is empty"),
    ("corpus.jsonl", ['{"_id": 7, "text": "x"}', '{"_id": "7", "text": "y"}'], r"corpus\.jsonl:2: .*first in line 1"),
    ("corpus.jsonl", ['{"_id": "\\ud800", "text": "x"}'], r"corpus\.jsonl:1"),
    ("corpus.jsonl", ["[" * 100_000], r"corpus\.jsonl:1"),
    ("queries.jsonl", ['{"_id": "q0", "text": ""}'], r"queries\.jsonl:1: this judged query is empty"),
    ("queries.jsonl", ['{"_id": "q0", "text": " \\t\\n "}'], r"queries\.jsonl:1: this judged query is empty"),
    ("queries.jsonl", ['{"_id": "q0", "text": "\\u200b"}'], r"queries\.jsonl:1: this judged query is empty"),
    ("queries.jsonl", ["", '{"_id": "q0", "text": "' + "long " * 401 + '"}'], r"queries\.jsonl:2: .*2005 characters, more than 2000"),
    ("queries.jsonl", ['{"_id": "q0", "text": "a\\u0007b"}'], r"queries\.jsonl:1: .*control characters"),
    ("qrels/test.tsv", ["q0\tr0\t2", "q0\tr0\t0"], r"test\.tsv:2: 'q0' and 'r0' are judged 0 here and 2 in line 1"),
    (
        "qrels/test.tsv",
        ["q0\tr0\t1", "q0\tr1\t1", "", "q0\tr0\t-1"],
        r"test\.tsv:4: .*judged -1 here and 1 in line 1",
    ),
    ("qrels/test.tsv", ["q0\tr0\t--1"], r"test\.tsv:1: .*whole score"),
    ("qrels/test.tsv", ["q0\tr0\t\u00b2"], r"test\.tsv:1: .*whole score"),
    ("qrels/test.tsv", ["q0\tr0\t\u0661"], r"test\.tsv:1: .*whole score"),
    ("qrels/test.tsv", ["q0\tr0\t1.5"], r"test\.tsv:1: .*whole score"),
    ("qrels/test.tsv", ["q0\tr0\t"], r"test\.tsv:1: .*whole score"),
    ("qrels/test.tsv", ["q0\tr0\t99999999999999999999"], r"test\.tsv:1: .*whole score"),
    ("qrels/test.tsv", ["q0\tr0\t1\t9"], r"test\.tsv:1: .*whole score"),
    ("qrels/test.tsv", ["q0 0 r0 1"], r"test\.tsv:1: .*whole score"),
]


@pytest.mark.parametrize(("name", "lines", "said"), BAD)
def test_what_cannot_be_evaluated_is_refused_with_file_and_line(collection: Path, name: str, lines: list[str], said: str) -> None:
    """Ids, queries and judgements that no evaluation can use are a usage error with file, line and remedy, never a traceback."""
    if name == "qrels/test.tsv":
        (collection / name).write_text("\n".join(lines), encoding="utf-8")
    else:
        kept = (collection / name).read_text(encoding="utf-8").splitlines()
        rest = [line for line in kept if '"q0"' not in line]
        (collection / name).write_text("\n".join([*lines, *rest]), encoding="utf-8")
    with pytest.raises(UsageError, match=said) as raised:
        load_beir(collection)
    assert raised.value.remedy


@pytest.mark.parametrize("name", ["doc one", "msmarco_1#2", "x" * 201, "line\u2028break", "\u00a0nbsp"])
def test_ids_that_no_run_file_can_hold_are_replaced(tmp_path: Path, name: str) -> None:
    """Blanks, ``#`` and long ids, of documents and of queries: evaluated under another id, and the run and qrels files read back."""
    write(tmp_path, [(name, "aspirin"), ("d2", "placebo")], [(f"q {name}", "aspirin")], [(f"q {name}", name, 1)])
    found = load_beir(tmp_path)
    ((query, grades),) = found.qrels.items()
    (document,) = grades
    assert (found.renamed[document], found.renamed[query]) == (name, f"q {name}")
    assert found.documents[document].text == "aspirin"
    assert found.queries == {query: "aspirin"}
    assert read_qrels(qrels_file(found.qrels)) == found.qrels
    ranking = {query: [document, "d2"]}
    assert read_run(run_file(ranking, "x")) == ranking
    assert evaluate(found.qrels, ranking)["nDCG@10"] == 1.0


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b", "\ufeff"])
def test_passages_without_text_are_left_out_and_counted(tmp_path: Path, text: str) -> None:
    """What cannot be indexed is no document; a judgement of it stays, so that it counts as not found, and the remark says so."""
    write(tmp_path, [("d1", text), ("d2", "aspirin")], [("q1", "aspirin")], [("q1", "d1", 1), ("q1", "d2", 1)])
    found = load_beir(tmp_path)
    assert (set(found.documents), found.empty, set(found.qrels["q1"])) == ({"d2"}, ("d1",), {"d1", "d2"})
    assert any("1 passages hold no text" in remark and "1 of them" in remark for remark in found.remarks())
    assert select(found, 1, 1).relevant == 1


def test_the_same_judgement_twice_is_one_and_unjudged_queries_may_be_anything(tmp_path: Path) -> None:
    """Repeated lines that agree, queries that nobody judges, a byte order mark: read without a word."""
    write(tmp_path, [("d1", "aspirin")], [("q1", "aspirin"), ("q2", ""), ("q3", "x" * 3_000)], [("q1", "d1", 1), ("q1", "d1", 1)])
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = load_beir(tmp_path)
    assert (found.qrels, list(found.remarks())) == ({"q1": {"d1": 1}}, [])


def test_a_paired_interval_tells_better_worse_and_cannot_tell() -> None:
    """A shift of every query is told either way, noise without a shift and equal rankings are not; swapping sides mirrors it."""
    draw = random.Random(7)
    base = {f"q{number}": draw.random() for number in range(200)}
    noisy = {name: value + draw.gauss(0, 0.1) for name, value in base.items()}
    shifted = {name: value + 0.05 for name, value in noisy.items()}
    assert paired(shifted, base).verdict is Verdict.PASS
    assert paired(base, shifted).verdict is Verdict.FAIL
    assert paired(base, base).verdict is Verdict.INCONCLUSIVE
    told = paired(noisy, base)
    assert told.low <= told.mean <= told.high
    mirrored = paired(base, noisy)
    assert (mirrored.mean, mirrored.low) == pytest.approx((-told.mean, -told.high), abs=1e-9)
    with pytest.raises(ValueError, match="same queries"):
        paired(base, {})


def test_a_paired_interval_misses_as_seldom_as_it_says() -> None:
    """Of 300 pairs without a difference, about 5 % are told apart."""
    draw = random.Random(11)
    told = 0
    for _ in range(300):
        first = {f"q{number}": draw.gauss(0, 1) for number in range(100)}
        second = {name: draw.gauss(0, 1) for name in first}
        told += paired(first, second).verdict is not Verdict.INCONCLUSIVE
    assert told <= 300 * 0.09


def write(folder: Path, documents: list[tuple[str, str]], queries: list[tuple[str, str]], qrels: list[tuple[str, str, int]]) -> None:
    """A small collection."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, items in (("corpus", documents), ("queries", queries)):
        lines = [json.dumps({"_id": identifier, "text": text}) for identifier, text in items]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t{grade}" for query, document, grade in qrels)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows), encoding="utf-8")
