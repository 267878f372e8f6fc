"""The first step: a payload becomes documents, each with its raw bytes, its ledger row and what it says of its version."""

from __future__ import annotations

import hashlib

from system.evidence.ir import Source, document_id
from system.evidence.sources.split import SplitFailure, SplitItem, split
from system.evidence.sources.versions import lineage_of
from system.evidence.steps import Outcome, Ports, document_event, keep_object
from system.platform.errors import BadInput, PlatformError, Unavailable
from system.platform.ports import OutboxEvent
from system.platform.record_types import NewDocument, Submission


def split_submission(event: OutboxEvent, ports: Ports) -> Outcome:
    """``submission.received`` → one ledger row a document; what cannot be split becomes one failed document each."""
    submission_id = event.body["submission_id"]
    submission = ports.records.submission(submission_id)
    if submission is None or ports.records.consumed(event.event_id, submission_id):
        return Outcome.SKIPPED
    source = Source(submission.source)
    rows: dict[str, NewDocument] = {}
    put: dict[str, bytes] = {}
    for item in _items(source, ports.objects.get(submission.raw_object)):
        raw_name = f"raw/{hashlib.sha256(item.raw).hexdigest()}"
        ports.objects.put(raw_name, item.raw)
        put[raw_name] = item.raw
        if isinstance(item, SplitItem):
            row = _new_row(source, item, raw_name, submission.job_id)
        else:
            row = _failed_row(source, item.raw, item.reason, raw_name, submission.job_id)
        rows.setdefault(row.doc_id, row)
    events = [document_event("document.created", row.doc_id, 1) for row in rows.values() if row.reason is None]
    ports.records.create_documents(submission_id, tuple(rows.values()), events, event.event_id)
    for raw_name, raw in put.items():
        keep_object(raw_name, raw, ports.objects)
    return Outcome.DONE


def _items(source: Source, payload: bytes) -> tuple[SplitItem | SplitFailure, ...]:
    """The payload's items; a payload that cannot be used at all is one failed document, so that its job ends."""
    try:
        return split(source, payload)
    except BadInput as reason:
        return (SplitFailure(0, reason.place, reason, payload),)


def fail_submission(event: OutboxEvent, reason: BadInput, ports: Ports) -> None:
    """Splitting broke down for a reason of ours: the payload becomes one failed document, so that its job ends."""
    submission = ports.records.submission(event.body["submission_id"])
    if submission is not None:
        source = Source(submission.source)
        row = _failed_row(source, _payload_or_hash(submission, ports), reason, submission.raw_object, submission.job_id)
        ports.records.create_documents(event.body["submission_id"], (row,), [], event.event_id)


def _payload_or_hash(submission: Submission, ports: Ports) -> bytes:
    """What a failed document is named after: the payload, or its hash where the payload itself was lost or garbled."""
    try:
        return ports.objects.get(submission.raw_object)
    except Unavailable:
        raise
    except PlatformError:
        return submission.sha256.encode()


def _new_row(source: Source, item: SplitItem, raw_name: str, job_id: str) -> NewDocument:
    doc_id = document_id(source, item.native_id, item.version, item.raw)
    lineage = lineage_of(source, item.native_id, item.raw)
    return NewDocument(doc_id, source.value, item.native_id, raw_name, job_id, series=lineage.series, rank=lineage.rank)


def _failed_row(source: Source, raw: bytes, reason: BadInput, raw_name: str, job_id: str) -> NewDocument:
    native_id = f"unknown-{hashlib.sha256(raw).hexdigest()[:12]}"
    doc_id = document_id(source, native_id, "0", raw)
    return NewDocument(doc_id, source.value, native_id, raw_name, job_id, ("pending", "fetching", "failed"), reason.reason())
