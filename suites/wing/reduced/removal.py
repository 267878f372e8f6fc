"""The driver ``reduced_removal``: deletes two documents; the graph before and everything after are evidence."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from harness.run.protocols import MetricSpec, StepContext
from suites.wing.api import quoted
from suites.wing.reduced.answers import ALL, PLAIN
from suites.wing.reduced.look import Look, keep

SOURCES = ("ctgov", "pubmed")  # one shares nodes with others, one does not


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
            rows = look.pages("/v1/documents", "documents", 500)
            removed = [doc_id for source in SOURCES if (doc_id := _first(rows, source))]
            before, counted = look.graph(), look.get("/v1/counts")
            chunks = {doc_id: len((look.get(f"/v1/documents/{quoted(doc_id)}/chunks") or {"chunks": []})["chunks"]) for doc_id in removed}
            answers = [look.ask("DELETE", f"/v1/documents/{quoted(doc_id)}")["status"] for doc_id in removed]
            found = {"rows": [row["doc_id"] for row in rows], "removed": removed, "answers": answers, "chunks": chunks}
            keep(context, self.name, "removal", {**found, "before": before, "counted": counted, "after": _after(look, removed)})


def _first(rows: list[dict[str, Any]], source: str) -> str:
    return min((row["doc_id"] for row in rows if row["source"] == source and row["state"] == "completed"), default="")


def _after(look: Look, removed: list[str]) -> dict[str, Any]:
    return {
        "rows": [row["doc_id"] for row in look.pages("/v1/documents", "documents", 500)],
        "asked": [look.ask("GET", f"/v1/documents/{quoted(doc_id)}")["status"] for doc_id in removed],
        "graph": look.graph(),
        "counts": look.get("/v1/counts"),
        "extractions": [item["doc_id"] for item in look.pages("/v1/extractions", "extractions", 100, kind="pico")],
        "retrieved": [
            hit["doc_id"]
            for retriever in ("bm25", "dense", "sparse")
            for hit in _results(look.ask("POST", "/v1/retrieve", json={"query": PLAIN, "top_k": ALL, "retrievers": [retriever]}))
        ],
    }


def _results(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return list((answer["body"] or {}).get("results", []))
