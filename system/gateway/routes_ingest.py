"""Ingest, jobs, documents, chunks, extraction: everything about one document's life."""

from __future__ import annotations

import gzip
import hashlib
import uuid
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response

from system.evidence import steps
from system.evidence.chunking import chunk
from system.evidence.extraction.assemble import extract
from system.evidence.ir import Chunk, Source
from system.evidence.records import Extraction, Kind
from system.gateway import auth, schemas
from system.gateway.problems import documented
from system.gateway.threads import in_thread
from system.platform.errors import BadInput, NotFound
from system.platform.lineage import Decided
from system.platform.ports import LedgerRow, OutboxEvent
from system.platform.record_types import IdempotencyKey, Job, Submission

ROUTER = APIRouter(prefix="/v1")
# A native id may hold a slash (a DOI does): ids take the rest of the path, and the longer paths stand before the shorter.
DocId = Annotated[str, Path(min_length=1, max_length=300, pattern=schemas.NO_CONTROL, description="document id, percent-encoded")]
Page = Annotated[int, Query(ge=1, le=500)]
After = Annotated[str, Query(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]

FIELDS = {
    Kind.PICO: "picos",
    Kind.EFFECTS: "effects",
    Kind.ADVERSE_EVENTS: "adverse_events",
    Kind.DOSES: "doses",
    Kind.ELIGIBILITY: "criteria",
}


@ROUTER.post(
    "/ingest/{source}",
    status_code=202,
    response_model=schemas.Accepted,
    responses=documented(400, 401, 403, 409, 413, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "the payload as it came from the source: one document or several, also gzip-compressed",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
        }
    },
)
async def ingest(
    request: Request,
    source: Source,
    principal: auth.IngestWriter,
    idempotency_key: Annotated[str | None, Header(min_length=8, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")] = None,
) -> schemas.Accepted:
    """Take a payload; 202 means payload and event are durable. What is wrong with a document stands in its ledger row."""
    payload = await request.body()
    if not payload:
        raise BadInput("the body is empty", "body", "send the document as the request body")
    return await in_thread(_receive, request, source, principal, idempotency_key, payload)


def _receive(request: Request, source: Source, principal: auth.Principal, idempotency_key: str | None, payload: bytes) -> schemas.Accepted:
    ports = _ports(request)
    digest = hashlib.sha256(payload).hexdigest()
    name = f"raw/{digest}"
    ports.objects.put(name, payload)
    job = Job(f"job-{uuid.uuid4().hex}", "ingest", source.value, principal.name)
    submission = Submission(f"sub-{uuid.uuid4().hex}", job.job_id, source.value, name, digest)
    event = OutboxEvent(
        f"submission.received:{submission.submission_id}",
        "submission.received",
        submission.submission_id,
        {"submission_id": submission.submission_id},
    )
    key = None
    if idempotency_key is not None:
        key = IdempotencyKey(idempotency_key, principal.name, f"POST /v1/ingest/{source.value}", digest)
    receipt = ports.records.receive_submission(job, submission, event, key)
    if receipt.replayed:
        steps.drop_objects((name,), ports)  # what it was put for may have been removed since
    else:
        steps.keep_object(name, payload, ports.objects)
    return schemas.Accepted(job_id=receipt.job_id, replayed=receipt.replayed)


@ROUTER.get("/jobs/{job_id}", response_model=schemas.JobBody, responses=documented(400, 401, 403, 404, 503))
def job(
    request: Request, job_id: Annotated[str, Path(min_length=1, max_length=128, pattern=schemas.NO_CONTROL)], _principal: auth.IngestReader
) -> schemas.JobBody:
    """A job with its documents and their states."""
    view = _ports(request).records.job(job_id)
    if view is None:
        raise NotFound(f"there is no job {job_id}")
    documents = [
        schemas.JobDocumentBody(
            doc_id=item.doc_id, state=item.state, reason=dict(item.reason) if item.reason else None, superseded_by=item.superseded_by
        )
        for item in view.documents
    ]
    return schemas.JobBody(job_id=view.job.job_id, kind=view.job.kind, state=view.state, created_at=view.created_at, documents=documents)


@ROUTER.get("/documents", response_model=schemas.DocumentPage, responses=documented(400, 401, 403, 503))
def documents(
    request: Request,
    _principal: auth.IngestReader,
    after: After = "",
    limit: Page = 100,
    state: Annotated[str | None, Query(max_length=32, pattern=r"^[a-z_]*$")] = None,
    source: Source | None = None,
    *,
    superseded: bool = False,
) -> schemas.DocumentPage:
    """Ledger rows in the order of document ids: of the documents that stand or, with ``superseded``, of the older versions."""
    rows = _ports(request).records.list_documents(after, limit, state, source.value if source else None, superseded=superseded)
    return schemas.DocumentPage(documents=[_document(row) for row in rows], next_after=rows[-1].doc_id if len(rows) == limit else None)


@ROUTER.get(
    "/documents/{doc_id:path}/ir",
    responses={
        200: {
            "description": "the IR: text, blocks, tables, span map; offsets are Unicode code points, half-open",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **documented(400, 401, 403, 404, 503),
    },
    response_class=Response,
)
def intermediate(request: Request, doc_id: DocId, _principal: auth.IngestReader) -> Response:
    """The intermediate representation. All offsets of the API point into its ``text``, in Unicode code points, half-open."""
    ports = _ports(request)
    row = _row(ports, doc_id)
    if row.ir_object is None:
        raise NotFound(f"{doc_id} has no IR: it is in state {row.state}")
    return Response(gzip.decompress(ports.objects.get(row.ir_object)), media_type="application/json")


@ROUTER.get("/documents/{doc_id:path}/chunks", response_model=schemas.ChunkList, responses=documented(400, 401, 403, 404, 503))
def document_chunks(request: Request, doc_id: DocId, _principal: auth.Reader) -> schemas.ChunkList:
    """The chunks of a document in order."""
    ports = _ports(request)
    _row(ports, doc_id)
    return schemas.ChunkList(chunks=[_chunk(item) for item in ports.records.chunks_of(doc_id)])


@ROUTER.get("/documents/{doc_id:path}", response_model=schemas.DocumentDetail, responses=documented(400, 401, 403, 404, 503))
def document(request: Request, doc_id: DocId, _principal: auth.IngestReader) -> schemas.DocumentDetail:
    """A ledger row with its history (links of the audit chain); of an older version too, which names the one that stands instead."""
    ports = _ports(request)
    row = _row(ports, doc_id)
    history = [
        schemas.HistoryBody(action=item.action, at=item.at, detail=dict(item.detail), previous=item.previous, hash=item.hash)
        for item in ports.records.history(doc_id)
    ]
    return schemas.DocumentDetail(**_document(row).model_dump(), history=history)


@ROUTER.delete("/documents/{doc_id:path}", status_code=204, responses=documented(400, 401, 403, 404, 503))
def remove(request: Request, doc_id: DocId, _principal: auth.IngestWriter) -> Response:
    """Remove a document and exactly what only it supported, in the graph, the index, the records and the object store.

    The version before it stands again: in the ledger at once, in index and graph as soon as the worker has followed.
    """
    ports = _ports(request)
    _row(ports, doc_id)
    steps.delete_document(doc_id, ports)
    return Response(status_code=204)


@ROUTER.get("/chunks/{chunk_id:path}", response_model=schemas.ChunkBody, responses=documented(400, 401, 403, 404, 503))
def one_chunk(request: Request, chunk_id: DocId, _principal: auth.Reader) -> schemas.ChunkBody:
    """One chunk by its id."""
    found = _ports(request).records.chunk(chunk_id)
    if found is None:
        raise NotFound(f"there is no chunk {chunk_id}")
    return _chunk(found)


@ROUTER.post("/chunk", response_model=schemas.ChunkList, responses=documented(400, 401, 403, 404, 409, 413, 503))
def rechunk(request: Request, body: schemas.ChunkRequest, _principal: auth.Chunker) -> schemas.ChunkList:
    """Chunk a document again from its IR: the same IR always gives the same ids."""
    ports = _ports(request)
    chunks = chunk(steps.load_ir(_row(ports, body.doc_id), ports.objects))
    if body.persist:
        ports.records.put_chunks(body.doc_id, chunks)
    return schemas.ChunkList(chunks=[_chunk(item) for item in chunks])


@ROUTER.post("/extract/{kind}", response_model=schemas.ExtractionBody, responses=documented(400, 401, 403, 404, 409, 413, 503))
def extract_again(request: Request, kind: Kind, body: schemas.ByDocument, _principal: auth.Extractor) -> schemas.ExtractionBody:
    """Extract again from the stored IR; deterministic, so it equals what is stored for the same extractor version."""
    ports = _ports(request)
    row = _row(ports, body.doc_id)
    return _extraction(extract(steps.load_ir(row, ports.objects), ports.objects.get(row.raw_object)), kind)


@ROUTER.get("/extractions", response_model=schemas.ExtractionPage, responses=documented(400, 401, 403, 503))
def extractions(
    request: Request,
    _principal: auth.Reader,
    kind: Kind,
    doc_id: Annotated[str | None, Query(min_length=1, max_length=300, pattern=schemas.NO_CONTROL)] = None,
    after: After = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> schemas.ExtractionPage:
    """Stored records of one kind, a document after the other; those of an older version only where ``doc_id`` asks for them."""
    found = _ports(request).records.extractions(doc_id, FIELDS[kind], after, limit)
    return schemas.ExtractionPage(
        extractions=[_extraction(item, kind) for item in found], next_after=found[-1].doc_id if len(found) == limit else None
    )


def _ports(request: Request) -> steps.Ports:
    ports: steps.Ports = request.app.state.platform.ports
    return ports


def _row(ports: steps.Ports, doc_id: str) -> LedgerRow:
    row = ports.records.ledger_row(doc_id)
    if row is None:
        raise NotFound(f"there is no document {doc_id}")
    return row


def _document(row: LedgerRow) -> schemas.DocumentBody:
    reason = dict(row.reason) if row.reason else None
    return schemas.DocumentBody(
        doc_id=row.doc_id,
        source=row.source,
        native_id=row.native_id,
        state=row.state,
        version=row.version,
        job_id=row.job_id,
        reason=reason,
        updated_at=row.updated_at,
        superseded_by=row.superseded_by,
        superseded_on=Decided(row.superseded_on) if row.superseded_on else None,
    )


def _chunk(item: Chunk) -> schemas.ChunkBody:
    return schemas.ChunkBody.model_validate(msgspec.to_builtins(item))


def _extraction(extraction: Extraction, kind: Kind) -> schemas.ExtractionBody:
    records: list[dict[str, Any]] = msgspec.to_builtins(getattr(extraction, FIELDS[kind]))
    return schemas.ExtractionBody(doc_id=extraction.doc_id, extractor=extraction.extractor, kind=kind.value, records=records)
