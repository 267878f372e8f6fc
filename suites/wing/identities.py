"""The probe ``system_identities``: ids and counts of everything the platform holds, as canonical JSON."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from harness.core import jsonio
from harness.run.context import store_evidence
from harness.run.protocols import StepContext
from suites.wing.api import Api

KINDS = ("pico", "effects", "ae", "dose", "eligibility")


class Identities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``sources``: only documents of these sources (empty: all)."""

    sources: tuple[str, ...] = ()


class IdentitiesProbe:
    """Reads everything through the API; job ids and times are left out, for they differ between runs."""

    name: ClassVar[str] = "system_identities"
    parameters: ClassVar[type[msgspec.Struct]] = Identities
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def capture(self, context: StepContext, parameters: Identities) -> None:
        with Api(context.target, "reader") as api:
            content = jsonio.canonical(identities(api, parameters.sources))
        store_evidence(context, self.name, context.step, content)


def identities(api: Api, sources: tuple[str, ...] = ()) -> dict[str, Any]:
    """documents with state, chunks, records, graph nodes and edges with supporters, index rows, open dead letters."""
    rows = [row for row in api.documents() if not sources or row["source"] in sources]
    chunks = [chunk["chunk_id"] for row in rows if row["state"] != "failed" for chunk in api.chunks(row["doc_id"])]
    records = [
        f"{kind}:{record['record_id']}" for kind in KINDS for extraction in api.extractions(kind) for record in extraction["records"]
    ]
    nodes, edges = api.graph()
    counts = api.get("/v1/counts")
    return {
        "documents": sorted(f"{row['doc_id']} {row['state']}" for row in rows),
        "chunks": sorted(chunks),
        "records": sorted(records),
        "nodes": sorted(f"{node['label']} {node['key']} {' '.join(node['supporters'])}" for node in nodes),
        "edges": sorted(_edge(edge) for edge in edges),
        "counts": {name: value for name, value in sorted(counts["records"].items()) if not name.startswith(("jobs", "outbox"))},
        "index_rows": counts["records"].get("index_rows", 0),
    }


def _edge(edge: Any) -> str:
    ends = f"{edge['source']['label']} {edge['source']['key']} → {edge['target']['label']} {edge['target']['key']}"
    return f"{edge['type']} {ends} {edge['qualifier']} {' '.join(edge['supporters'])}"
