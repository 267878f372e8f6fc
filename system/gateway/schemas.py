"""Request and response bodies of the API (pydantic at the edge; the domain's own types stay inside)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from system.evidence.briefing.model import Dossier
from system.platform.lineage import Decided

TEXT = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"  # says something, on one line
QUESTION = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"  # tabs and line breaks too
NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"
Identifier = Annotated[str, Field(min_length=1, max_length=300, pattern=NO_CONTROL)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
Label = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{0,63}$")]  # whether the model has it is for the gate to say
EdgeType = Annotated[str, Field(pattern=r"^[A-Z][A-Z_]{0,63}$")]
Key = Annotated[str, Field(min_length=1, max_length=512, pattern=NO_CONTROL)]
PropertyValue = str | int | float | bool | list[str] | None


def _whole(value: object) -> object:
    """JSON has one kind of number: 1.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Strict(BaseModel):
    """Unknown members and silent conversions are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class JobDocumentBody(BaseModel):
    doc_id: str
    state: str
    reason: dict[str, str] | None = None
    superseded_by: str | None = Field(default=None, description="the newer version that stands instead of this document")


class JobBody(BaseModel):
    """A job; final when ``state`` is ``completed`` or ``failed`` (any document failed)."""

    job_id: str
    kind: str
    state: str
    created_at: str
    documents: list[JobDocumentBody]


class Accepted(BaseModel):
    """Acknowledged: payload and event are durable. Poll the job."""

    job_id: str
    replayed: bool = Field(description="true when an earlier request with the same Idempotency-Key made the job")


class DocumentBody(BaseModel):
    """A ledger row. A superseded document keeps its state and stays readable by its id; it answers nothing and supports nothing."""

    doc_id: str
    source: str
    native_id: str
    state: str
    version: int
    job_id: str
    reason: dict[str, str] | None = None
    updated_at: str
    superseded_by: str | None = Field(default=None, description="the version that stands instead; null: this one stands")
    superseded_on: Decided | None = Field(
        default=None, description="what told the newer: a version or date in the documents, or only which was received later"
    )


class DocumentPage(BaseModel):
    documents: list[DocumentBody]
    next_after: str | None = None


class HistoryBody(BaseModel):
    """One link of the audit chain."""

    action: str
    at: str
    detail: dict[str, Any]
    previous: str
    hash: str


class DocumentDetail(DocumentBody):
    history: list[HistoryBody]


class Filters(Strict):
    """All given conditions must hold."""

    sources: Annotated[list[Identifier], Field(max_length=16)] = []
    doc_ids: Annotated[list[Identifier], Field(max_length=1000)] = []
    sections: Annotated[list[Identifier], Field(max_length=64)] = []
    kinds: Annotated[list[Identifier], Field(max_length=16)] = []
    intents: Annotated[list[Identifier], Field(max_length=16)] = []
    conditions: Annotated[list[Identifier], Field(max_length=64)] = []
    year_from: Annotated[int, Field(ge=1000, le=3000), BeforeValidator(_whole)] | None = None
    year_to: Annotated[int, Field(ge=1000, le=3000), BeforeValidator(_whole)] | None = None


Cause = Literal["", "refused", "timed out", "authentication", "other"]
RetrieverName = Literal["bm25", "sparse", "dense"]


class RetrieveRequest(Strict):
    """A question; white space in it counts as one blank.

    ``retrievers`` restricts which are asked; ``fusion`` is min-max-normalised scores or reciprocal ranks; ``rerank`` reads the best
    candidates again. In overload mode an answer is fused by reciprocal ranks, not reranked, and has at most 10 results: ``degraded``.
    """

    query: Annotated[str, Field(min_length=1, max_length=2000, pattern=QUESTION)]
    top_k: Annotated[int, Field(ge=1, le=200), BeforeValidator(_whole)] = 20
    retrievers: Annotated[list[RetrieverName], Field(min_length=1, max_length=3)] = ["bm25", "sparse", "dense"]
    fusion: Literal["minmax", "rrf"] = "minmax"
    filters: Filters = Filters()
    rerank: bool = False


class RetrievedChunk(BaseModel):
    chunk_id: str
    doc_id: str
    source: str
    native_id: str
    title: str
    text: str
    section: str
    start: int
    end: int
    score: float
    scores: dict[str, float]


class RetrieveMeta(BaseModel):
    """``mode``: normal, overload (less was done, the warnings say what), or probe (served in full although the mode is overload)."""

    retrievers_used: list[str]
    fusion: str
    degraded: bool
    reranked: bool
    mode: Literal["normal", "overload", "probe"]
    timings_ms: dict[str, float]


class RetrieveResponse(BaseModel):
    results: list[RetrievedChunk]
    warnings: list[str]
    meta: RetrieveMeta


class ChunkBody(BaseModel):
    chunk_id: str
    doc_id: str
    index: int
    start: int
    end: int
    text: str
    section: str
    kind: str
    title_path: str
    loinc: str | None = None
    intent: str


class ChunkList(BaseModel):
    chunks: list[ChunkBody]


class ByDocument(Strict):
    """Names one ingested document."""

    doc_id: Identifier


class ChunkRequest(ByDocument):
    """Chunks are computed again from the stored IR; ``persist`` replaces the stored ones."""

    persist: bool = False


class ExtractionBody(BaseModel):
    """The records of one kind; each has its spans, and each quote equals the slice of the document's text."""

    doc_id: str
    extractor: str
    kind: str
    records: list[dict[str, Any]]


class ExtractionPage(BaseModel):
    extractions: list[ExtractionBody]
    next_after: str | None = None


class RefusedBody(BaseModel):
    """A candidate that became no record. ``place`` is where it stands in the source: a JSON pointer or an XPath."""

    place: str
    reason: str


class ReadingBody(BaseModel):
    """What was read out of one document: ``records`` by kind, how many of them the check flagged, and what was refused."""

    doc_id: str
    extractor: str
    records: dict[str, int]
    flagged: int
    refused: list[RefusedBody]


class ReadingPage(BaseModel):
    readings: list[ReadingBody]
    next_after: str | None = None


class Ref(Strict):
    label: Label
    key: Key


class NodeBody(Strict):
    label: Label
    key: Key
    properties: Annotated[dict[Name, PropertyValue], Field(max_length=64)] = {}


class EdgeBody(Strict):
    type: EdgeType
    source: Ref
    target: Ref
    qualifier: Annotated[str, Field(max_length=256)] = ""
    properties: Annotated[dict[Name, PropertyValue], Field(max_length=64)] = {}


class GraphWrite(Strict):
    """A batch of the graph, written all or nothing behind the SHACL gate. ``write_id`` makes it repeatable.

    A refused write (422, or 400 from the graph) wrote nothing: correct it and send it under the same write id and idempotency key,
    or under new ones. An id whose batch was accepted (200, 202) stands for that batch: another one is 409 and needs a new id.
    """

    write_id: Annotated[str, Field(min_length=8, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]
    nodes: Annotated[list[NodeBody], Field(min_length=1, max_length=1000)]
    edges: Annotated[list[EdgeBody], Field(max_length=2000)] = []


class GraphWritten(BaseModel):
    """``in_graph`` true: durable and in the graph (200). False: durable, the graph is away, the job tells when it is in (202)."""

    write_id: str
    in_graph: bool
    job_id: str
    nodes: int
    edges: int


class GraphWriteStatus(BaseModel):
    write_id: str
    status: Literal["staged", "applied", "refused"]
    staged_at: str
    payload_sha256: str


class StoredNodeBody(BaseModel):
    label: str
    key: str
    properties: dict[str, PropertyValue]
    supporters: list[str]


class StoredEdgeBody(BaseModel):
    type: str
    source: Ref
    target: Ref
    qualifier: str
    properties: dict[str, PropertyValue]
    supporters: list[str]


class GraphPage(BaseModel):
    """A page of the stored graph; go on with ``next_cursor`` until it is null."""

    nodes: list[StoredNodeBody]
    edges: list[StoredEdgeBody]
    next_cursor: str | None = None


class DeadLetterBody(BaseModel):
    letter_id: str
    kind: str
    subject: str
    reason: str
    issues: Any
    status: str
    attempts: int
    created_at: str


class DeadLetterPage(BaseModel):
    dead_letters: list[DeadLetterBody]
    next_after: str | None = None


class Topic(Strict):
    """What a dossier is about."""

    condition: Annotated[str, Field(min_length=2, max_length=200, pattern=TEXT)]
    intervention: Annotated[str, Field(min_length=2, max_length=200, pattern=TEXT)] | None = None
    outcome: Annotated[str, Field(min_length=2, max_length=200, pattern=TEXT)] | None = None


class DossierRequest(Strict):
    topic: Topic
    format: Literal["json", "markdown", "html"] = "json"
    filters: Filters = Filters()


DOSSIER_REF = "#/components/schemas/BriefingDossier"


def dossier_components() -> dict[str, Any]:
    """The schemas of a dossier's JSON, made from the structs that are encoded: ``Briefing`` and the struct's name."""
    _, found = msgspec.json.schema_components((Dossier,), ref_template="#/components/schemas/Briefing{name}")
    return {f"Briefing{name}": schema for name, schema in found.items()}


class ServiceState(BaseModel):
    """``detail`` is the kind of trouble; the whole text stands in the gateway's log."""

    ok: bool
    latency_ms: float
    detail: Cause = ""


class Readiness(BaseModel):
    """Real probes of every server. ``degraded`` still answers; ``down`` is 503."""

    status: Literal["ready", "degraded", "down"]
    services: dict[str, ServiceState]
    failpoints: Literal["absent", "armed"]
    retrieve: Literal["normal", "overload"] = "normal"


class Health(BaseModel):
    status: Literal["ok"]


class Version(BaseModel):
    api_version: str
    package_version: str
    extractor: str
    gate: Annotated[str, Field(description="which SHACL engine answers, and which confirms its refusals")]
    components: dict[str, str]


class Counts(BaseModel):
    """How much there is: ledger rows by state, chunks, index rows, graph elements; ``superseded`` documents are counted apart."""

    records: dict[str, int]
    graph: dict[str, int]
