"""The driver ``reduced_removal``: deletes documents that resemble each other and one that stands alone; what is left is evidence."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from harness.run.project import load_project
from harness.run.protocols import MetricSpec, StepContext
from suites.e2e import independent
from suites.wing.api import FINAL, quoted
from suites.wing.corpus import sample_corpus
from suites.wing.reduced.answers import ALL, PLAIN
from suites.wing.reduced.look import Look, keep

ALIKE = 4  # studies, which share nodes with others and fill the top of an answer about them
SIZE = 10  # results asked for afterwards
FINAL_S = 30.0
POLL_S = 0.1


class ReducedRemoval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Takes none."""


class ReducedRemovalDriver:
    """Evidence ``removal``."""

    name: ClassVar[str] = "reduced_removal"
    parameters: ClassVar[type[msgspec.Struct]] = ReducedRemoval
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: ReducedRemoval) -> None:
        del parameters
        with Look(context, "writer") as look:
            renewed = _renewed(context, look)
            rows = look.pages("/v1/documents", "documents", 500)
            removed = [*_completed(rows, "ctgov")[-ALIKE:], *_completed(rows, "pubmed")[:1]]
            title = _title(look, removed[0]) if removed else PLAIN
            before, counted = look.graph(), look.get("/v1/counts")
            chunks = {doc_id: len((look.get(f"/v1/documents/{quoted(doc_id)}/chunks") or {"chunks": []})["chunks"]) for doc_id in removed}
            answers = [look.ask("DELETE", f"/v1/documents/{quoted(doc_id)}")["status"] for doc_id in removed]
            found = {"rows": [row["doc_id"] for row in rows], "removed": removed, "answers": answers, "chunks": chunks}
            found["renewed"] = renewed
            keep(context, self.name, "removal", {**found, "before": before, "counted": counted, "after": _after(look, removed, title)})


def _renewed(context: StepContext, look: Look) -> dict[str, Any]:
    """One document deleted and ingested again: the answer about it before and after."""
    payloads = sample_corpus(load_project(context.project).sample_dir()).payloads
    payload = next(payload for payload in payloads if payload.source == "pubmed" and payload.documents == 1)
    native = independent.pubmed_ids(payload.content)[0]
    rows = [row for row in look.pages("/v1/documents", "documents", 500) if row["native_id"] == native]
    asked = {"query": PLAIN, "top_k": ALL, "retrievers": ["bm25"]}
    before = _scores(look.ask("POST", "/v1/retrieve", json=asked))
    deleted = [look.ask("DELETE", f"/v1/documents/{quoted(row['doc_id'])}")["status"] for row in rows]
    answer = look.ask("POST", f"/v1/ingest/{payload.source}", content=payload.content, headers={"Content-Type": "application/octet-stream"})
    state = _final(context, look, answer)
    return {"deleted": deleted, "state": state, "before": before, "after": _scores(look.ask("POST", "/v1/retrieve", json=asked))}


def _final(context: StepContext, look: Look, answer: dict[str, Any]) -> str:
    """The job's last state, final or after the limit."""
    until_ns = context.now_ns() + round(FINAL_S * 1e9)
    while answer["status"] == 202:
        job = look.ask("GET", f"/v1/jobs/{answer['body']['job_id']}")["body"] or {}
        states = {item["state"] for item in job.get("documents", ())}
        if (states and states <= FINAL) or context.now_ns() > until_ns or context.stop():
            return str(job.get("state"))
        context.wait(POLL_S)
    return str(answer["status"])


def _scores(answer: dict[str, Any]) -> list[list[Any]]:
    return [[hit["chunk_id"], hit["scores"].get("bm25")] for hit in _results(answer)]


def _completed(rows: list[dict[str, Any]], source: str) -> list[str]:
    return sorted(row["doc_id"] for row in rows if row["source"] == source and row["state"] == "completed")


def _title(look: Look, doc_id: str) -> str:
    found = look.get(f"/v1/documents/{quoted(doc_id)}/ir")
    return str(found["metadata"]["title"]) if found else PLAIN


def _after(look: Look, removed: list[str], title: str) -> dict[str, Any]:
    sized = {name: {"query": title, "top_k": SIZE, "retrievers": [name]} for name in ("dense", "sparse", "bm25")}
    return {
        "rows": [row["doc_id"] for row in look.pages("/v1/documents", "documents", 500)],
        "asked": [look.ask("GET", f"/v1/documents/{quoted(doc_id)}")["status"] for doc_id in removed],
        "graph": look.graph(),
        "counts": look.get("/v1/counts"),
        "extractions": [item["doc_id"] for item in look.pages("/v1/extractions", "extractions", 100, kind="pico")],
        "sizes": {name: len(_results(look.ask("POST", "/v1/retrieve", json=body))) for name, body in sized.items()},
        "retrieved": [
            hit["doc_id"]
            for retriever in ("bm25", "dense", "sparse")
            for hit in _results(look.ask("POST", "/v1/retrieve", json={"query": PLAIN, "top_k": ALL, "retrievers": [retriever]}))
        ],
    }


def _results(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return list((answer["body"] or {}).get("results", []))
