"""Graph batches of the reduced run: valid ones, and one for each way of breaking a shape that a caller may come up with."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from typing import Any

Batch = dict[str, Any]
QUOTE = "Adults aged 18 years or older"


def valid(write_id: str, *, study: str = "", bring_study: bool = True) -> Batch:
    """An eligibility constraint of a study, with chunk, span and provenance. ``study`` is another batch's where given."""
    digest = hashlib.sha256(write_id.encode()).hexdigest()
    study = study or study_of(write_id)
    doc = f"ctgov:{study}#1:{digest[:12]}"
    chunk, activity = f"{doc}:c0#{digest[:8]}", digest[:20]
    document = {"source_system": "ctgov", "native_id": study, "title": f"Write {write_id}"}
    place = {"doc_id": doc, "index": 0, "start": 0, "end": 200, "section": "Eligibility", "intent": "eligibility"}
    made = {"model": "harness writes", "version": "1", "prompt_hash": "0" * 64, "schema_hash": "0" * 64, "ts": "2026-01-01T00:00:00Z"}
    nodes = [
        node("Study", study, nct=study, title=f"Study of write {write_id}"),
        node("Document", doc, **document),
        node("Chunk", chunk, **place),
        node("EligibilityConstraint", write_id, kind="inclusion", text=QUOTE, age_min_years=18.0),
        node("ExtractionActivity", activity, **made),
    ]
    constraint = ("EligibilityConstraint", write_id)
    edges = [
        edge("HAS_CHUNK", ("Document", doc), ("Chunk", chunk), index=0),
        edge("HAS_ELIGIBILITY", ("Study", study), constraint),
        edge("DERIVES_FROM", constraint, ("Chunk", chunk), start=0, end=len(QUOTE), quote=QUOTE),
        edge("WAS_GENERATED_BY", constraint, ("ExtractionActivity", activity)),
    ]
    return {"write_id": write_id, "nodes": nodes if bring_study else nodes[1:], "edges": edges}


def study_of(write_id: str) -> str:
    return f"NCT{int(hashlib.sha256(write_id.encode()).hexdigest()[:8], 16) % 10**8:08d}"


def node(label: str, key: str, **properties: Any) -> dict[str, Any]:
    return {"label": label, "key": key, "properties": properties}


def edge(type_: str, source: tuple[str, str], target: tuple[str, str], qualifier: str = "", **properties: Any) -> dict[str, Any]:
    ends = {"source": {"label": source[0], "key": source[1]}, "target": {"label": target[0], "key": target[1]}}
    return {"type": type_, **ends, "qualifier": qualifier, "properties": properties}


def _no_span(batch: Batch) -> None:
    batch["edges"] = [item for item in batch["edges"] if item["type"] != "DERIVES_FROM"]


def _no_provenance(batch: Batch) -> None:
    batch["edges"] = [item for item in batch["edges"] if item["type"] != "WAS_GENERATED_BY"]


def _longer_span(batch: Batch) -> None:
    next(item for item in batch["edges"] if item["type"] == "DERIVES_FROM")["properties"]["end"] += 1


def _dangling(batch: Batch) -> None:
    batch["edges"].append(edge("ABOUT", ("Study", "NCT00000000"), ("Condition", f"nowhere-{batch['write_id']}")))


def _more_affected_than_at_risk(batch: Batch) -> None:
    study, chunk = batch["nodes"][0]["key"], batch["nodes"][2]["key"]
    batch["nodes"].append(node("AdverseEvent", f"event-{batch['write_id']}", name="Headache"))
    place = {"chunk": chunk, "start": 0, "end": len(QUOTE), "quote": QUOTE}
    counts = {"count": 9, "denom": 3, "serious": False}
    batch["edges"].append(
        edge("HAS_AE", ("Study", study), ("AdverseEvent", f"event-{batch['write_id']}"), "arm||other|", **counts, **place)
    )


# name → what is broken and the shape (end of its name) that must say so
BROKEN: dict[str, tuple[Callable[[Batch], None], str]] = {
    "no_span": (_no_span, "DerivedFromChunk"),
    "no_provenance": (_no_provenance, ""),
    "longer_span": (_longer_span, ""),
    "dangling": (_dangling, ""),
    "more_than_at_risk": (_more_affected_than_at_risk, "AeCountWithinDenom"),
}


def broken(name: str, write_id: str) -> Batch:
    """A batch that breaks exactly what ``name`` says."""
    batch = copy.deepcopy(valid(write_id))
    BROKEN[name][0](batch)
    return batch
