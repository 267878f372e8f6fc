"""The steps a document walks, each one function of (event, ports) → outcome. The worker knows a table of them, not the steps.

Every step may be repeated at any time and after any crash: ids are derived from content, writes replace, and the ledger's
compare-and-set lets exactly one repetition count. ``Unavailable`` passes through: the worker tries again later.
``BadInput`` fails that document with its reason; the rest go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import gzip
import hashlib
from collections.abc import Callable, Iterable

import msgspec

from system.evidence.chunking import chunk
from system.evidence.extraction.assemble import extract
from system.evidence.graph.build import document_batch
from system.evidence.graph.incidents import REMEDY, file_difference, plain_issue
from system.evidence.ir import Chunk, Document, Source
from system.evidence.records import Extraction
from system.evidence.sources import parse
from system.platform.errors import BadInput, Conflict, EnginesDiffer, GateRefused, MarkMoved, NotFound, Unavailable
from system.platform.ports import (
    ChunkRow,
    DenseModel,
    Gate,
    Graph,
    GraphBatch,
    LedgerRow,
    NodeRef,
    Objects,
    OutboxEvent,
    Records,
    Search,
    SparseModel,
    StagedBatch,
    Transition,
)
from system.platform.record_types import NewDeadLetter

_IR_ENCODER = msgspec.json.Encoder(order="deterministic")
_IR_DECODER = msgspec.json.Decoder(Document)
MOVES_MAX = 8  # how often a document may leave and come back while one step follows it
SUPERSEDED_PAGE = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Ports:
    """Everything a step may touch."""

    records: Records[Chunk, Extraction]
    objects: Objects
    search: Search
    graph: Graph
    dense: DenseModel
    sparse: SparseModel
    gate: Gate


class Outcome(enum.StrEnum):
    """What became of the event."""

    DONE = "done"
    SKIPPED = "skipped"  # already done, or the document is gone
    FAILED = "failed"  # the document is in state failed, with its reason


Step = Callable[[OutboxEvent, Ports], Outcome]


def fetch(event: OutboxEvent, ports: Ports) -> Outcome:
    """Pending → fetched: the raw bytes are there and hash to their name."""
    row = _row_in(event, ports, "pending")
    if row is None:
        return Outcome.SKIPPED
    ports.objects.get(row.raw_object)
    return _advance(event, ports, row, ("fetching",), "fetched")


def parse_document(event: OutboxEvent, ports: Ports) -> Outcome:
    """Fetched → ir_ready: the IR as an object, the chunks in the records."""
    row = _row_in(event, ports, "fetched")
    if row is None:
        return Outcome.SKIPPED
    try:
        document = parse(Source(row.source), row.doc_id, ports.objects.get(row.raw_object))
        chunks = chunk(document)
    except BadInput as error:
        return _fail(event, ports, row, ("parsing",), error)
    encoded = encode_ir(document)
    name = f"ir/{hashlib.sha256(encoded).hexdigest()}"
    ports.objects.put(name, encoded)
    ports.records.put_chunks(row.doc_id, chunks)
    walked = ("parsing", "parsed", "validating", "validated", "ir_building")
    outcome = _advance(event, ports, row, walked, "ir_ready", ir_object=name)
    if outcome is Outcome.DONE:
        keep_object(name, encoded, ports.objects)
    else:
        drop_objects((name,), ports)  # deleted while this worked
    return outcome


def index(event: OutboxEvent, ports: Ports) -> Outcome:
    """ir_ready → indexed: dense and sparse vectors and the postings, replaced as a whole; a superseded document has none."""
    row = _row_in(event, ports, "ir_ready")
    if row is None:
        return Outcome.SKIPPED
    if row.superseded_by is None:
        write_index(row, ports)
    else:
        ports.search.delete_document(row.doc_id)  # an attempt before this may have written it
    return _advance(event, ports, row, ("embedding",), "indexed", marks=row.marks)


def write_index(row: LedgerRow, ports: Ports) -> None:
    """Make the index hold exactly the chunks of this document; also how a lost index is rebuilt."""
    document = load_ir(row, ports.objects)
    chunks = ports.records.chunks_of(row.doc_id)
    rows = [chunk_row(document, item) for item in chunks]
    texts = [f"{item.title_path}\n{item.text}" if document.source is not Source.PASSAGES else item.text for item in chunks]
    dense = ports.dense.embed(texts) if texts else []
    sparse = ports.sparse.encode(texts) if texts else []
    ports.search.replace_document(row.doc_id, rows, dense, sparse)


def extract_and_write(event: OutboxEvent, ports: Ports) -> Outcome:
    """Indexed → completed: records, the SHACL gate, the graph. While the graph is away the batch waits, durably staged.

    A superseded document's batch is kept and not brought in. What this one supersedes is out of index and graph before it is completed.
    """
    row = _row_in(event, ports, "indexed")
    if row is None:
        return Outcome.SKIPPED
    if row.source == Source.PASSAGES.value:  # passages of a test collection state no facts of a study
        return _advance(event, ports, row, (), "completed")
    document = load_ir(row, ports.objects)
    try:
        extraction, batch = _gated(document, row, ports)
    except BadInput as error:
        return _fail(event, ports, row, (), error)
    ports.records.put_extractions(row.doc_id, extraction)
    unfinished = _bring_in(ports, ports.records.stage_graph_batch(batch), row)
    if unfinished:
        return unfinished
    take_over(row.doc_id, ports)
    return _advance(event, ports, row, (), "completed", marks=row.marks)


def _gated(document: Document, row: LedgerRow, ports: Ports) -> tuple[Extraction, GraphBatch]:
    """What a document states, and its batch, which passed the gate; ``BadInput`` where it did not: its dead letter is kept then."""
    extraction = extract(document, ports.objects.get(row.raw_object))
    batch = document_batch(document, ports.records.chunks_of(row.doc_id), extraction)
    try:
        ports.gate.check(batch, _known_nothing)
    except GateRefused as refused:
        _dead_letter(ports, row.doc_id, batch, refused)
        remedy = "see the dead letter; correct the document and ingest it again"
        raise BadInput(str(refused), refused.issues[0].path, remedy) from refused
    except EnginesDiffer as found:
        letter = file_difference(ports.records, batch, found)
        raise BadInput(str(found), f"dead letter {letter}", REMEDY) from found
    return extraction, batch


def _bring_in(ports: Ports, staged: StagedBatch, row: LedgerRow) -> Outcome | None:
    """Let the graph follow a staged batch; None when it has, otherwise what became of the event."""
    try:
        if row.superseded_by is not None:
            ports.graph.remove_contribution(row.doc_id)
            ports.records.graph_batch_withdrawn(row.doc_id)
        elif staged.status != "applied":
            apply_batch(ports, staged.batch, staged.payload_sha256)
    except Unavailable:
        return Outcome.DONE  # the applier completes the document when the graph is back
    except BadInput as error:
        refuse_batch(ports, staged, error)
        return Outcome.FAILED
    return None


def apply_batch(ports: Ports, batch: GraphBatch, payload_sha256: str) -> None:
    """Write a staged batch to the graph and mark it applied. Raises ``Unavailable``; may be repeated."""
    ports.graph.replace_contribution(batch)
    ports.records.graph_batch_applied(batch.supporter, payload_sha256)


def apply_late(ports: Ports, staged: StagedBatch) -> None:
    """Let the graph follow a batch that waited, complete its document, and only then mark it. Raises ``Unavailable``; may be repeated.

    Marked before, a crash in between would leave the document without anybody who completes it.
    """
    supporter = staged.batch.supporter
    row = None if staged.write_id else ports.records.ledger_row(supporter)
    if row is not None and row.superseded_by is not None:
        ports.graph.remove_contribution(supporter)
        complete_applied(supporter, ports)
        ports.records.graph_batch_withdrawn(supporter)
        return
    ports.graph.replace_contribution(staged.batch)
    if staged.write_id is None and not _as_before(supporter, row, ports):
        settle(supporter, ports)  # superseded while this was written
        return
    complete_applied(supporter, ports)
    ports.records.graph_batch_applied(supporter, staged.payload_sha256)


def _as_before(doc_id: str, row: LedgerRow | None, ports: Ports) -> bool:
    """Whether a document that was written to the graph still stands; what was deleted meanwhile goes."""
    now = ports.records.ledger_row(doc_id)
    if now is None:
        ports.graph.remove_contribution(doc_id)
    return now is not None and row is not None and now.marks == row.marks


def refuse_batch(ports: Ports, staged: StagedBatch, error: BadInput) -> None:
    """The graph will never take this batch: a dead letter, and its document fails with the reason. May be repeated."""
    batch = staged.batch
    issue = {"focus_node": batch.supporter, "path": error.place, "value": "", "shape": "graph", "message": f"{error.error}: {error.remedy}"}
    kind = "kg_write" if staged.write_id else "extraction"
    subject = staged.write_id or batch.supporter
    ports.records.put_dead_letter(NewDeadLetter(kind, subject, str(error), msgspec.json.encode([issue]), msgspec.json.encode(batch)))
    row = ports.records.ledger_row(batch.supporter)
    if row is not None and row.state == "indexed":
        ports.records.transition(Transition(row.doc_id, row.version, "failed", (), None, error.reason()))
    withdraw(batch.supporter, ports)
    ports.records.graph_batch_refused(batch.supporter, staged.payload_sha256)  # last: until then the applier tries again


def run_again(row: LedgerRow, ports: Ports) -> LedgerRow:
    """A failed document walks its steps again from its raw object; any other is left as it is. Raises ``Conflict`` on a lost race."""
    if row.state != "failed":
        return row
    walked = ("retrying", "fetching")
    event = document_event("document.fetched", row.doc_id, row.version + len(walked) + 1)
    return ports.records.transition(Transition(row.doc_id, row.version, "fetched", (event,), via=walked))


def complete_applied(doc_id: str, ports: Ports) -> None:
    """A document's batch reached the graph late: indexed → completed. Whoever comes second finds it done."""
    row = ports.records.ledger_row(doc_id)
    if row is not None and row.state == "indexed":
        take_over(doc_id, ports)
        following = document_event("document.completed", doc_id, row.version + 1)
        _cas(ports, Transition(doc_id, row.version, "completed", (following,), expected_marks=row.marks), Outcome.DONE)


def take_over(doc_id: str, ports: Ports) -> None:
    """The document may stand for its series: what it supersedes leaves index and graph. May be repeated, and is after a crash."""
    for older in ports.records.publish(doc_id):
        settle(older, ports)


def follow_mark(event: OutboxEvent, ports: Ports) -> Outcome:
    """``document.superseded``, ``document.restored`` → index and graph as the ledger has it now, which may be newer than the event."""
    settle(event.key, ports)
    return Outcome.DONE


def settle(doc_id: str, ports: Ports) -> None:
    """A superseded document leaves index and graph, one that stands is in both as far as its state says. May be repeated.

    Whoever changes the mark while this works is followed: the last write goes by a mark that was read again after it.
    """
    row = ports.records.ledger_row(doc_id)
    for _ in range(MOVES_MAX):
        if row is None:
            return
        (_bring_back if row.superseded_by is None else _take_out)(row, ports)
        seen, row = row, ports.records.ledger_row(doc_id)
        if row is None:  # deleted while this wrote
            ports.search.delete_document(doc_id)
            ports.graph.remove_contribution(doc_id)
        elif row.marks == seen.marks:
            return
    raise Unavailable("records", f"{doc_id} was superseded and came back {MOVES_MAX} times meanwhile")


def _take_out(row: LedgerRow, ports: Ports) -> None:
    """Chunks, extraction and batch stay in the records. While the graph is away the batch stays staged, and the applier sees to it."""
    ports.search.delete_document(row.doc_id)
    staged = ports.records.graph_batch(row.doc_id)
    if staged is None:
        return
    try:
        ports.graph.remove_contribution(row.doc_id)
        complete_applied(row.doc_id, ports)  # it may have been waiting for the graph: the applier will not see it any more
        ports.records.graph_batch_withdrawn(row.doc_id)
    except Unavailable:
        if staged.status != "staged":  # nobody else would look for it: whoever asked tries again
            raise


def _bring_back(row: LedgerRow, ports: Ports) -> None:
    """A document that has not come so far yet walks there by its own steps."""
    if row.state in {"indexed", "completed"}:
        write_index(row, ports)
    staged = ports.records.graph_batch(row.doc_id) if row.state == "completed" else None
    if staged is not None and staged.status == "staged":
        with contextlib.suppress(Unavailable):  # the applier brings it in
            apply_batch(ports, staged.batch, staged.payload_sha256)


def sweep_superseded(ports: Ports) -> None:
    """Superseded documents that the graph still has: left by a process that died just after writing one. Raises ``Unavailable``."""
    after = ""
    while rows := ports.records.list_documents(after, SUPERSEDED_PAGE, superseded=True):
        for row in rows:
            if ports.graph.contribution_exists(row.doc_id):
                settle(row.doc_id, ports)
        after = rows[-1].doc_id


def delete_document(doc_id: str, ports: Ports) -> None:
    """Remove a document and exactly what only it supported. May be repeated; ``NotFound`` when the ledger has no such row.

    The ledger goes last: whatever interrupts this, asking again finishes it. Its objects go behind it, for a row without them
    could not be mended; what interrupts that, the worker finishes from the event.
    """
    ports.graph.remove_contribution(doc_id)
    ports.search.delete_document(doc_id)
    names = ports.records.delete_document(doc_id, (), lambda names: _deleted_event(doc_id, names))
    with contextlib.suppress(Unavailable):
        drop_objects(names or (), ports)


def _deleted_event(doc_id: str, names: tuple[str, ...]) -> OutboxEvent:
    return OutboxEvent(f"document.deleted:{doc_id}", "document.deleted", doc_id, {"objects": " ".join(names)})


def drop_deleted(event: OutboxEvent, ports: Ports) -> Outcome:
    """``document.deleted`` → the objects that only it named are gone; harmless when they were, or when the document came again.

    A step that was at work on it may have written index or graph after the deletion had looked there: its events stand before this one.
    """
    if ports.records.ledger_row(event.key) is None:
        ports.search.delete_document(event.key)
        ports.graph.remove_contribution(event.key)
    drop_objects(event.body["objects"].split(), ports)
    return Outcome.DONE


def drop_objects(names: Iterable[str], ports: Ports) -> None:
    """Delete those of the objects that nothing names any more."""
    for name in names:
        ports.records.drop_unnamed(name, functools.partial(ports.objects.delete, name))


def keep_object(name: str, data: bytes, objects: Objects) -> None:
    """After naming an object: a deletion of the same content may have dropped it just before."""
    if not objects.exists(name):
        objects.put(name, data)


def chunk_row(document: Document, item: Chunk) -> ChunkRow:
    """A chunk as the search index stores it."""
    return ChunkRow(
        chunk_id=item.chunk_id,
        doc_id=item.doc_id,
        source=document.source.value,
        native_id=document.native_id,
        title=document.metadata.title,
        title_path=item.title_path,
        section=item.section,
        kind=item.kind,
        intent=item.intent,
        text=item.text,
        start=item.start,
        end=item.end,
        year=document.metadata.year,
        conditions=document.metadata.conditions,
    )


def encode_ir(document: Document) -> bytes:
    """The IR as stored: canonical JSON, gzip without a time, so that the same document is the same bytes."""
    return gzip.compress(_IR_ENCODER.encode(document), compresslevel=3, mtime=0)


def load_ir(row: LedgerRow, objects: Objects) -> Document:
    """The IR of a document; ``BadInput`` when it has none yet."""
    if row.ir_object is None:
        raise Conflict(f"{row.doc_id} has no IR: it is in state {row.state}; wait for ir_ready")
    return _IR_DECODER.decode(gzip.decompress(objects.get(row.ir_object)))


def _known_nothing(_ref: NodeRef) -> bool:
    return False  # a document's batch brings every node its edges touch


def _row_in(event: OutboxEvent, ports: Ports, state: str) -> LedgerRow | None:
    """The row, if it waits for this step; None when the step was done before or the document is gone."""
    row = ports.records.ledger_row(event.key)
    if row is not None and row.state == state:
        return row
    withdraw(event.key, ports)  # a crash may have come between the document's failure and this
    return None


def document_event(topic: str, doc_id: str, version: int) -> OutboxEvent:
    """The event of a state that was reached; its id tells every move of the document apart."""
    return OutboxEvent(f"{topic}:{doc_id}:{version}", topic, doc_id, {"doc_id": doc_id})


def _advance(
    event: OutboxEvent,
    ports: Ports,
    row: LedgerRow,
    via: tuple[str, ...],
    new_state: str,
    ir_object: str | None = None,
    marks: int | None = None,
) -> Outcome:
    following = document_event(f"document.{new_state}", row.doc_id, row.version + len(via) + 1)
    transition = Transition(row.doc_id, row.version, new_state, (following,), ir_object, None, event.event_id, via, marks)
    return _cas(ports, transition, Outcome.DONE)


def _fail(event: OutboxEvent, ports: Ports, row: LedgerRow, via: tuple[str, ...], error: BadInput) -> Outcome:
    outcome = _cas(ports, Transition(row.doc_id, row.version, "failed", (), None, error.reason(), event.event_id, via), Outcome.FAILED)
    withdraw(row.doc_id, ports)
    return outcome


def withdraw(doc_id: str, ports: Ports) -> None:
    """A failed or superseded document answers no question: its index rows go, a failed one's chunks too. Harmless for any other.

    May be repeated.
    """
    row = ports.records.ledger_row(doc_id)
    if row is not None and row.state == "failed":
        ports.search.delete_document(doc_id)
        ports.records.put_chunks(doc_id, ())
    elif row is not None and row.superseded_by is not None:
        settle(doc_id, ports)


def _cas(ports: Ports, transition: Transition, outcome: Outcome) -> Outcome:
    try:
        ports.records.transition(transition)
    except MarkMoved as moved:
        raise Unavailable("records", str(moved)) from moved  # what this step wrote goes by a mark that is old: again
    except Conflict:
        row = ports.records.ledger_row(transition.doc_id)
        if row is not None and row.marks:
            settle(row.doc_id, ports)
        return Outcome.SKIPPED  # somebody else did this step
    except NotFound:  # deleted while this step worked: what it wrote goes too
        ports.search.delete_document(transition.doc_id)
        ports.graph.remove_contribution(transition.doc_id)
        return Outcome.SKIPPED
    return outcome


def _dead_letter(ports: Ports, subject: str, batch: GraphBatch, refused: GateRefused) -> None:
    issues = msgspec.json.encode([plain_issue(item) for item in refused.issues])
    ports.records.put_dead_letter(NewDeadLetter("extraction", subject, str(refused), issues, msgspec.json.encode(batch)))
