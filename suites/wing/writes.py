"""The drivers ``kg_writes`` and ``read_acknowledged``: unique graph writes with their acknowledgements, and the later independent read."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Literal

import httpx
import msgspec

from harness.consistency.acknowledged import latest
from harness.core.errors import HarnessError
from harness.core.units import Duration, Rate
from harness.journal.events import Measured
from harness.journal.segments import WRITES, SegmentWriter
from harness.run.protocols import MetricSpec, StepContext
from harness.run.view import FolderView
from suites.wing.api import Api

NS = 1_000_000_000
TIMEOUT_S = 5.0


class GraphWrites(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Constant arrivals of one small batch each; ``with_provenance`` is what the gate asks for."""

    rate: Rate
    duration: Duration


def batch(write_id: str) -> dict[str, Any]:
    """A valid batch with ids of its own: an eligibility constraint of a study, with chunk, span and provenance."""
    study = f"NCT{int(digest(write_id)[:12], 16) % 10**8:08d}"
    doc = f"ctgov:{study}#1:{digest(write_id)[:12]}"
    chunk, activity = f"{doc}:c0#{digest(write_id)[:8]}", f"activity:{write_id}"
    quote = "Adults aged 18 years or older"
    return {
        "write_id": write_id,
        "nodes": [
            {"label": "Study", "key": study, "properties": {"nct_id": study, "title": f"Study of write {write_id}"}},
            {"label": "Document", "key": doc, "properties": {"source_system": "ctgov", "native_id": study, "title": f"Write {write_id}"}},
            {
                "label": "Chunk",
                "key": chunk,
                "properties": {"doc_id": doc, "index": 0, "start": 0, "end": 200, "section": "Eligibility", "intent": "eligibility"},
            },
            {"label": "EligibilityConstraint", "key": write_id, "properties": {"kind": "inclusion", "text": quote, "age_min_years": 18.0}},
            {
                "label": "ExtractionActivity",
                "key": activity,
                "properties": {
                    "model": "harness writes",
                    "version": "1",
                    "prompt_hash": "0" * 64,
                    "schema_hash": "0" * 64,
                    "ts": "2026-01-01T00:00:00Z",
                },
            },
        ],
        "edges": [
            _edge("HAS_CHUNK", ("Document", doc), ("Chunk", chunk), index=0),
            _edge("HAS_ELIGIBILITY", ("Study", study), ("EligibilityConstraint", write_id)),
            _edge("DERIVES_FROM", ("EligibilityConstraint", write_id), ("Chunk", chunk), start=0, end=len(quote), quote=quote),
            _edge("WAS_GENERATED_BY", ("EligibilityConstraint", write_id), ("ExtractionActivity", activity)),
        ],
    }


def digest(text: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _edge(type_: str, source: tuple[str, str], target: tuple[str, str], **properties: Any) -> dict[str, Any]:
    return {
        "type": type_,
        "source": {"label": source[0], "key": source[1]},
        "target": {"label": target[0], "key": target[1]},
        "qualifier": "",
        "properties": properties,
    }


class GraphWritesDriver:
    """Sends each batch once, at its time; a write that was not answered 2xx is not acknowledged and owes nothing."""

    name: ClassVar[str] = "kg_writes"
    parameters: ClassVar[type[msgspec.Struct]] = GraphWrites
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: GraphWrites) -> None:
        """Open-loop within one thread: late arrivals are caught up, none is dropped."""
        count = round(parameters.rate.per_second * parameters.duration.seconds)
        start_ns = context.now_ns()
        with (
            Api(context.target, "writer") as api,
            SegmentWriter("writes", WRITES, context.run_folder, context.journal, trial=context.trial) as rows,
        ):
            for number in range(count):
                due_ns = start_ns + round(number * NS / parameters.rate.per_second)
                ahead_s = (due_ns - context.now_ns()) / NS
                if ahead_s > 0:
                    context.wait(ahead_s)
                if context.stop():
                    return
                self._write(context, api, rows, f"w{context.seed % 10**8:08d}-{number:05d}")

    def _write(self, context: StepContext, api: Api, rows: SegmentWriter, write_id: str) -> None:
        sent_ns = context.now_ns()
        try:
            response = api.http.post("/v1/kg/write", json=batch(write_id), timeout=TIMEOUT_S)
        except httpx.TransportError:
            rows.append(write_id=write_id, kind="kg", sent_ns=sent_ns, acked_ns=None, status=0)
            return
        acknowledged = response.status_code in {200, 202}
        if response.status_code in {400, 422}:
            raise HarnessError(f"the platform refused a valid batch: {response.text[:400]}")
        acked_ns = context.now_ns() if acknowledged else None
        visible_ns = acked_ns if response.status_code == 200 else None
        rows.append(write_id=write_id, kind="kg", sent_ns=sent_ns, acked_ns=acked_ns, status=response.status_code, visible_ns=visible_ns)


class ReadAcknowledged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``deadline`` for the read itself; ``metric`` under which the loss is told: a loss of media is another thing than one of a crash."""

    deadline: Duration = Duration.parse("60 s")
    metric: Literal["acknowledged_lost", "lost_with_media"] = "acknowledged_lost"


class ReadAcknowledgedDriver:
    """Reads the whole graph and the ledger, and says of every acknowledged write whether it is there, once."""

    name: ClassVar[str] = "read_acknowledged"
    parameters: ClassVar[type[msgspec.Struct]] = ReadAcknowledged
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("acknowledged_lost", "1", "measured"),
        MetricSpec("lost_with_media", "1", "measured"),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: ReadAcknowledged) -> None:
        """Raises when the platform cannot be read by the deadline."""
        acknowledged = [
            row for row in latest(FolderView(context.run_folder).samples("writes", context.trial)) if row["acked_ns"] is not None
        ]
        found = self._read(context, acknowledged, parameters.deadline.ns)
        lost = 0
        with SegmentWriter("writes", WRITES, context.run_folder, context.journal, trial=context.trial) as rows:
            for row in acknowledged:
                here = row["write_id"] in found
                lost += not here
                rows.append(write_id=row["write_id"], kind=row["kind"], found=here)
        context.journal.emit(Measured(trial=context.trial, metric=parameters.metric, unit="1", value=float(lost)))

    def _read(self, context: StepContext, acknowledged: list[dict[str, Any]], limit_ns: int) -> set[str]:
        deadline_ns = context.now_ns() + limit_ns
        while True:
            try:
                with Api(context.target, "reader") as api:
                    nodes, _edges = api.graph()
                    found = {str(node["key"]) for node in nodes if node["label"] == "EligibilityConstraint"}
                    return found | {row["write_id"] for row in acknowledged if row["kind"] == "ingest" and _ingested(api, row["write_id"])}
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                if context.now_ns() > deadline_ns or context.stop():
                    raise HarnessError(f"the platform cannot be read: {error}") from None
                context.wait(0.25)


def _ingested(api: Api, write_id: str) -> bool:
    """Whether the job of an acknowledged ingest is known, finished, and all its documents are in the ledger."""
    try:
        job = api.job(write_id.removeprefix("ingest:"))
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            return False
        raise
    return bool(job["documents"]) and all(item["state"] in {"completed", "failed"} for item in job["documents"])
