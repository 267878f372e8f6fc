"""The checker ``retrieval_quality``: every figure computed again from the stored run files, then judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import RetrievalFigure
from harness.retrieval.contrast import paired
from harness.retrieval.driver import RETRIEVERS, RetrievalMeta
from harness.retrieval.metrics import METRICS, by_query, read_qrels, read_run
from harness.run.protocols import CheckRow, RunView, trial_row

SAME = 1e-9
MAIN = "nDCG@10"
Figures = Mapping[str, Mapping[str, float]]  # retriever -> metric -> value
Found = tuple[str, Verdict, str, str, str]  # check, verdict, value, limit, reason


class RetrievalQuality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step`` of the evaluation. The absolute limits are judged only on all documents of ``limits_for``."""

    step: str
    limits_for: str = "scifact"
    fused_ndcg10: float = 0.72
    fused_recall100: float = 0.95
    bm25_ndcg10: tuple[float, float] = (0.6647, 0.6789)
    bm25_tolerance: float = 0.02


class RetrievalQualityChecker:
    """Fused better than every single one by a paired interval; all of SciFact within the limits; no unanswered query is hidden."""

    name: ClassVar[str] = "retrieval_quality"
    parameters: ClassVar[type[msgspec.Struct]] = RetrievalQuality

    def check(self, view: RunView, trial: str, layer: str, parameters: RetrievalQuality) -> Sequence[CheckRow]:
        return [
            trial_row(trial, layer, f"retrieval.{name}", verdict, value, limit, reason)
            for name, verdict, value, limit, reason in _findings(view, trial, parameters)
        ]


def _findings(view: RunView, trial: str, parameters: RetrievalQuality) -> Iterator[Found]:
    meta_file = view.evidence(f"{parameters.step}.retrieval.json", trial)
    qrels_file = view.evidence(f"{parameters.step}.qrels", trial)
    if meta_file is None or qrels_file is None:
        yield "evidence", Verdict.VACUOUS, "none", "run files and judgements", "nothing was evaluated"
        return
    meta = msgspec.json.decode(meta_file, type=RetrievalMeta)
    qrels = read_qrels(qrels_file)
    if not any(grade > 0 for grades in qrels.values() for grade in grades.values()):
        yield "relevant", Verdict.VACUOUS, "0 relevant documents", "any", "nothing is judged relevant: every figure would be 0"
        return
    scores: dict[str, Mapping[str, Mapping[str, float]]] = {}
    for retriever in RETRIEVERS:
        content = view.evidence(f"{parameters.step}.{retriever}.run", trial)
        ranking = {} if content is None else read_run(content)
        answered = len(ranking.keys() & qrels.keys())
        verdict = Verdict.PASS if answered else Verdict.VACUOUS
        yield f"answered.{retriever}", verdict, f"{answered} of {len(qrels)} queries", "any", "" if answered else "no query was answered"
        scores[retriever] = by_query(qrels, ranking)
    figures = {name: {metric: sum(found.values()) / len(qrels) for metric, found in mine.items()} for name, mine in scores.items()}
    yield _same_figures(view, trial, figures)
    yield from _fused(scores, meta)
    if meta.full and meta.dataset == parameters.limits_for:
        yield from _limits(figures, parameters)


def _same_figures(view: RunView, trial: str, figures: Figures) -> Found:
    """What the journal says must be what the run files give."""
    said = [item.event for item in view.events(RetrievalFigure.NAME, trial=trial) if isinstance(item.event, RetrievalFigure)]
    wrong = [event for event in said if abs(event.value - figures.get(event.retriever, {}).get(event.metric, -1.0)) > SAME]
    wanted = len(RETRIEVERS) * len(METRICS)
    if len(said) < wanted:
        return "figures", Verdict.FAIL, f"{len(said)} figures", f"{wanted}", "figures are missing from the journal"
    reason = "; ".join(f"{event.retriever} {event.metric} {event.value:.4f}" for event in wrong)
    value = f"{len(said) - len(wrong)} of {len(said)} figures computed again alike"
    return "figures", Verdict.FAIL if wrong else Verdict.PASS, value, "all", reason


def _fused(scores: Mapping[str, Mapping[str, Mapping[str, float]]], meta: RetrievalMeta) -> Iterator[Found]:
    """Fused against each single retriever over the same queries: better, worse, or not to be told."""
    for retriever in RETRIEVERS:
        if retriever == "fused":
            continue
        contrast = paired(scores["fused"][MAIN], scores[retriever][MAIN])
        words = {
            Verdict.PASS: "",
            Verdict.FAIL: f"fusion is worse than {retriever} alone over {meta.label}",
            Verdict.INCONCLUSIVE: f"cannot tell: the interval holds 0, fusion and {retriever} are not told apart over {meta.label}",
        }
        yield f"fused_over_{retriever}", contrast.verdict, f"{MAIN} {contrast}", f"above {retriever}", words[contrast.verdict]


def _limits(figures: Figures, parameters: RetrievalQuality) -> Iterator[Found]:
    for name, metric, limit in (("fused_ndcg10", MAIN, parameters.fused_ndcg10), ("fused_recall100", "R@100", parameters.fused_recall100)):
        value = figures["fused"][metric]
        good = value >= limit
        yield name, Verdict.PASS if good else Verdict.FAIL, f"{metric} {value:.4f}", f">= {limit}", "" if good else "below the limit"
    low, high = (parameters.bm25_ndcg10[0] - parameters.bm25_tolerance, parameters.bm25_ndcg10[1] + parameters.bm25_tolerance)
    value = figures["bm25"][MAIN]
    good = low <= value <= high
    reason = "" if good else "BM25 does not agree with the published figures"
    yield "bm25_published", Verdict.PASS if good else Verdict.FAIL, f"nDCG@10 {value:.4f}", f"{low:.4f} to {high:.4f}", reason
