"""The driver ``retrieval_eval`` and its checker, against a small platform with known quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.core.verdict import Verdict
from harness.retrieval.checks import RetrievalQualityChecker
from harness.retrieval.driver import RetrievalEvalDriver
from harness.run.judge import judge_trial
from harness.run.protocols import Target
from harness.run.recheck import recheck
from harness.run.registry import Registry
from harness.run.run import Run
from harness.run.trial import run_trial
from harness.run.view import FolderView
from harness.scenario.catalogue import Reference
from harness.scenario.loader import parse_scenario

SCENARIO = """
name: quality
title: Retrieval
layer: retrieval
timeline: [{step: ask, driver: retrieval_eval, with: {dataset: organs, documents: DOCUMENTS, depth: 200}}]
thresholds: [{id: fused, expr: "ndcg@10{retriever=fused}: min >= 0.5"}]
checks: [{checker: retrieval_quality, with: {step: ask, limits_for: organs, fused_ndcg10: LIMIT, bm25_ndcg10: [0.6, 0.7]}}]
"""
REGISTRY = Registry.built_in().added(
    {Reference("driver", "retrieval_eval"): RetrievalEvalDriver, Reference("checker", "retrieval_quality"): RetrievalQualityChecker}
)


@pytest.fixture
def judged(tmp_path: Path, collection: Path, platform: Any) -> Any:
    def execute(documents: str = "all", limit: str = "0.9", data: Path | None = collection.parent) -> Any:
        run = Run(tmp_path / "reports", registry=REGISTRY, project=tmp_path, seed=1, data=data)
        with run:
            run.attach(Target(platform.url, {"writer": "writer"}))
            text = SCENARIO.replace("DOCUMENTS", documents).replace("LIMIT", limit)
            result = run_trial(run, parse_scenario(text.encode(), "q.yaml", REGISTRY))
            rows, verdict = judge_trial(run.folder, REGISTRY, result.trial)
        return result, {row.check.rpartition(".")[2]: row for row in rows}, verdict, run

    return execute


def test_a_good_platform_passes_on_all_documents(judged: Any) -> None:
    """Figures are recomputed from the run files, fused beats every single retriever, the absolute limits hold; recheck agrees."""
    result, rows, verdict, run = judged()
    assert verdict is Verdict.PASS, (result.detail, rows)
    assert rows["fused_ndcg10"].value == "nDCG@10 1.0000"
    assert rows["bm25_published"].value == "nDCG@10 0.6309"
    assert rows["answered.bm25" if "answered.bm25" in rows else "bm25"].value == "10 of 10 queries"
    assert recheck(run.folder, run.finished.manifest_sha256, REGISTRY).identical


def test_a_selection_is_not_judged_by_published_limits(judged: Any) -> None:
    """Over a part of the collection only fused against single is judged."""
    _, rows, verdict, _ = judged(documents="100")
    assert verdict is Verdict.PASS
    assert "fused_ndcg10" not in rows
    assert rows["fused_over_dense"].verdict is Verdict.PASS


def test_a_worse_fusion_fails(judged: Any, platform: Any) -> None:
    """Seeded defect: the fused ranking puts wrong documents first."""
    platform.wrong_places["fused"] = 5
    _, rows, verdict, _ = judged(documents="100")
    assert verdict is Verdict.FAIL
    assert "worse than bm25" in rows["fused_over_bm25"].reason


def test_a_missed_limit_fails(judged: Any) -> None:
    """The absolute limit of the fused ranking is judged on all documents."""
    assert judged(limit="1.01")[1]["fused_ndcg10"].verdict is Verdict.FAIL


def test_a_degraded_answer_is_no_figure(judged: Any, platform: Any) -> None:
    """An answer without one of the retrievers asked for ends the evaluation: it would be another retriever's figure."""
    platform.degraded = True
    result, _, verdict, _ = judged(documents="100")
    assert verdict is Verdict.ERROR
    assert "a degraded answer is no measurement" in result.detail


def test_an_answer_in_overload_mode_is_no_figure(judged: Any, platform: Any) -> None:
    """An answer that says it is degraded ends the evaluation, although every retriever was asked."""
    platform.overloaded = True
    assert "a degraded answer is no measurement" in judged(documents="100")[0].detail


def test_foreign_passages_are_refused(judged: Any, platform: Any) -> None:
    """Passages of another collection in the index would change every rank."""
    platform.passages["stranger"] = "another collection"
    assert "another collection" in judged(documents="100")[0].detail


def test_without_data_it_is_blocked(judged: Any) -> None:
    """A collection that is not here is BLOCKED, never passed."""
    assert judged(data=None)[2] is Verdict.BLOCKED


def test_rankings_that_cannot_be_told_apart_are_inconclusive(judged: Any, platform: Any) -> None:
    """Fusion that answers exactly like one of its parts: neither better nor worse, the interval holds 0 and the row says so."""
    platform.wrong_places["bm25"] = 0
    _, rows, verdict, _ = judged(documents="100")
    assert verdict is Verdict.INCONCLUSIVE
    assert rows["fused_over_bm25"].verdict is Verdict.INCONCLUSIVE
    assert "cannot tell" in rows["fused_over_bm25"].reason
    assert "interval" in rows["fused_over_dense"].value
    assert rows["fused_over_dense"].verdict is Verdict.PASS


def test_nothing_relevant_is_vacuous(judged: Any, collection: Path) -> None:
    """All judgements are 0: no figure can be anything but 0, so none is judged."""
    path = collection / "qrels" / "test.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("\t1", "\t0"), encoding="utf-8")
    _, rows, verdict, _ = judged()
    assert verdict is Verdict.VACUOUS
    assert "nothing is judged relevant" in rows["relevant"].reason


def test_strange_ids_and_empty_passages_are_evaluated(judged: Any, collection: Path) -> None:
    """Ids with blanks and ``#`` and a passage without text: the figures are those of the plain collection; remarks are journaled."""
    for name in ("corpus.jsonl", "qrels/test.tsv"):
        path = collection / name
        path.write_text(path.read_text(encoding="utf-8").replace("r3", "r 3").replace("r4", "r#4"), encoding="utf-8")
    with (collection / "corpus.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('\n{"_id": "nothing", "title": "", "text": ""}')
    result, rows, verdict, run = judged()
    assert verdict is Verdict.PASS, (result.detail, rows)
    assert rows["fused_ndcg10"].value == "nDCG@10 1.0000"
    notes = [item.event.text for item in FolderView(run.folder).events("note")]
    assert any("2 ids" in text for text in notes)
    assert any("1 passages hold no text" in text for text in notes)
    assert any("610 of 610 passages are indexed" in text for text in notes)
