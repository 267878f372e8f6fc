"""The driver ``retrieval_eval``: index a collection through the running system, ask every judged query, store what came back.

Figures are computed from the stored run files; the checker computes them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from harness.core import jsonio
from harness.core.errors import Blocked, HarnessError
from harness.core.units import Duration
from harness.journal.events import DataSet, DataUsed, Measured, Note, RetrievalFigure
from harness.retrieval.beir import Collection, load_beir
from harness.retrieval.client import Searched
from harness.retrieval.metrics import METRICS, Ranking, evaluate, qrels_file, run_file
from harness.retrieval.selection import Selection, select
from harness.run.context import store_evidence
from harness.run.protocols import MetricSpec, StepContext

RETRIEVERS: Mapping[str, tuple[str, ...]] = {
    "bm25": ("bm25",),
    "sparse": ("sparse",),
    "dense": ("dense",),
    "fused": ("bm25", "sparse", "dense"),
}
PROGRESS_NS = 5_000_000_000
KEPT = 100  # documents of an answer that are kept: the deepest metric is R@100
NAMES: Mapping[str, str] = {"nDCG@10": "ndcg@10", "R@20": "recall@20", "R@100": "recall@100", "RR": "mrr"}
PUBLISHED: Mapping[tuple[str, str, str], str] = {
    ("scifact", "bm25", "nDCG@10"): "published BM25: 0.6647 (multifield), 0.6789 (flat)",
    ("scifact", "bm25", "R@100"): "published BM25: 0.9076 (multifield), 0.9253 (flat)",
}


class RetrievalEval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``dataset``: a folder in BEIR layout, absolute or below the data sets. ``depth``: chunks asked for; their documents are ranked."""

    dataset: str = "scifact"
    documents: int | Literal["all"] = 1000
    split: str = "test"
    role: str = "writer"
    selection_seed: int = 1
    depth: int = 200
    threads: int = 2
    deadline: Duration = Duration.parse("20 min")


class RetrievalMeta(msgspec.Struct, frozen=True):
    """What was evaluated, as the checker needs it; stands in the evidence ``<step>.retrieval.json``."""

    dataset: str
    documents: int
    queries: int
    full: bool
    label: str
    version: str


class RetrievalEvalDriver:
    """Emits ``retrieval.figure`` for each retriever and metric, and the same as measured figures for thresholds."""

    name: ClassVar[str] = "retrieval_eval"
    parameters: ClassVar[type[msgspec.Struct]] = RetrievalEval
    metrics: ClassVar[tuple[MetricSpec, ...]] = tuple(MetricSpec(name, "1", "measured", ("retriever",)) for name in NAMES.values())
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: RetrievalEval) -> None:
        """``Blocked`` without the collection; ``UsageError`` for a wrong one; ``HarnessError`` when the system cannot do it in time."""
        collection = load_beir(_folder(context, parameters.dataset), parameters.split)
        limit = None if parameters.documents == "all" else parameters.documents
        selection = select(collection, limit, parameters.selection_seed)
        meta = _announce(context, collection, selection)
        if not collection.relevant:
            context.journal.emit(Note(trial=context.trial, text="nothing is judged relevant: nothing is asked", level="warning"))
            return
        deadline_ns = context.now_ns() + parameters.deadline.ns

        def expired() -> bool:
            return context.stop() or context.now_ns() > deadline_ns

        with Searched(context.target, parameters.role, expired, context.wait) as system:
            identity = f"beir-{collection.sha256[:16]}-{parameters.selection_seed}-{len(selection.documents)}"
            system.ingest(selection.documents, identity, Progress(context, len(selection.documents)))
            _only(system, selection)
            for retriever, asked in RETRIEVERS.items():
                ranking = system.rank(collection.queries, asked, parameters.depth, parameters.threads)
                kept = {query: documents[:KEPT] for query, documents in ranking.items()}
                _journal(context, meta, retriever, collection, kept)


class Progress:
    """A note while passages are indexed, at most one every few seconds, and one when all are."""

    def __init__(self, context: StepContext, total: int) -> None:
        self._context, self._total, self._said_ns = context, total, context.now_ns()

    def __call__(self, done: int) -> None:
        now_ns = self._context.now_ns()
        if done < self._total and now_ns - self._said_ns < PROGRESS_NS:
            return
        self._said_ns = now_ns
        self._context.journal.emit(Note(trial=self._context.trial, text=f"{done} of {self._total} passages are indexed"))


def _folder(context: StepContext, dataset: str) -> Path:
    folder = Path(dataset)
    if not folder.is_absolute():
        if context.data is None:
            raise Blocked(f"the collection {dataset} is not here: `harness data fetch` or HARNESS_DATA_DIR brings the data sets")
        folder = context.data / dataset
    if not folder.is_dir():
        raise Blocked(f"the collection {folder.name} is not among the data sets")
    return folder


def _announce(context: StepContext, collection: Collection, selection: Selection) -> RetrievalMeta:
    meta = RetrievalMeta(
        dataset=collection.name,
        documents=len(selection.documents),
        queries=len(collection.queries),
        full=selection.full,
        label=selection.label(),
        version=collection.sha256,
    )
    context.journal.emit(
        DataUsed(data=DataSet(name=f"{meta.dataset}: {meta.label}", version=meta.version, items=meta.documents, sample=False))
    )
    context.journal.emit(Note(trial=context.trial, text=f"retrieval over {meta.dataset}, {meta.label}; {meta.queries} queries"))
    for remark in collection.remarks():
        context.journal.emit(Note(trial=context.trial, text=remark, level="warning"))
    if collection.renamed:
        store_evidence(context, "retrieval_eval", f"{context.step}.ids.json", jsonio.pretty(dict(collection.renamed)))
    store_evidence(context, "retrieval_eval", f"{context.step}.retrieval.json", jsonio.pretty(msgspec.to_builtins(meta)))
    store_evidence(context, "retrieval_eval", f"{context.step}.qrels", qrels_file(collection.qrels))
    return meta


def _only(system: Searched, selection: Selection) -> None:
    """The index holds these passages and no other: foreign ones would change every rank."""
    stored, wanted = set(system.stored()), {document.id for document in selection.documents}
    if missing := wanted - stored:
        raise HarnessError(f"{len(missing)} passages are not in the system after ingest, such as {min(missing)}")
    if foreign := stored - wanted:
        raise HarnessError(f"the system holds {len(foreign)} passages of another collection, such as {min(foreign)}: use an empty system")


def _journal(context: StepContext, meta: RetrievalMeta, retriever: str, collection: Collection, ranking: Ranking) -> None:
    store_evidence(context, "retrieval_eval", f"{context.step}.{retriever}.run", run_file(ranking, retriever))
    figures = evaluate(collection.qrels, ranking)
    for metric in METRICS:
        reference = PUBLISHED.get((meta.dataset, retriever, metric), "") if meta.full else ""
        context.journal.emit(
            RetrievalFigure(
                trial=context.trial,
                dataset=f"{meta.dataset} ({meta.label})",
                retriever=retriever,
                metric=metric,
                value=figures[metric],
                queries=meta.queries,
                documents=meta.documents,
                reference=reference,
            )
        )
        tags = {"retriever": retriever}
        context.journal.emit(Measured(trial=context.trial, metric=NAMES[metric], unit="1", value=figures[metric], tags=tags))
