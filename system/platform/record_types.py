"""What the records keep besides the ledger row: requests, receipts, the audit chain, dead letters.

These are plain values without behaviour; the port that speaks of them is :class:`system.platform.ports.Records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

JsonValue = Any  # decoded JSON, at the edge of the store


class NewDocument(msgspec.Struct, frozen=True):
    """A document to be entered into the ledger. It walks ``states`` at once; the first is always ``pending``.

    A payload that cannot be split is entered as ``("pending", "fetching", "failed")`` with its reason.
    """

    doc_id: str
    source: str
    native_id: str
    raw_object: str
    job_id: str
    states: tuple[str, ...] = ("pending",)
    reason: Mapping[str, str] | None = None
    series: str = ""  # what it is a version of; empty: it has no versions (see :mod:`system.platform.lineage`)
    rank: str = ""  # grows with the versions of the series, compares by code point


class Job(msgspec.Struct, frozen=True):
    """What a caller asked for and polls: ``kind`` is ``ingest`` or ``kg_write``."""

    job_id: str
    kind: str
    source: str
    principal: str


class Submission(msgspec.Struct, frozen=True):
    """One payload as it was received, before it is split into documents."""

    submission_id: str
    job_id: str
    source: str
    raw_object: str
    sha256: str


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A caller's key, bound to who used it where; valid 24 hours. ``body_sha256`` tells a repeat from a reuse."""

    key: str
    principal: str
    route: str
    body_sha256: str


class Receipt(msgspec.Struct, frozen=True):
    """The job that answers a request; ``replayed`` when an earlier request with the same key made it."""

    job_id: str
    replayed: bool


class JobDocument(msgspec.Struct, frozen=True):
    """A document of a job; ``state`` is ``deleted`` when it was removed since."""

    doc_id: str
    state: str
    reason: Mapping[str, str] | None
    superseded_by: str | None = None


class JobView(msgspec.Struct, frozen=True):
    """A job and what became of it. ``state``: accepted (not split yet), running, completed or failed (any document failed)."""

    job: Job
    state: str
    created_at: str
    documents: tuple[JobDocument, ...]


class HistoryEntry(msgspec.Struct, frozen=True):
    """One link of the audit chain: ``hash`` = SHA-256(``previous`` + canonical JSON of the entry)."""

    shard: int
    sequence: int
    subject: str  # a document id, or a supporter of the graph, or a dead letter's id
    action: str  # created, transition, superseded, restored, deleted, graph_staged, graph_applied, dead_letter, replayed
    at: str
    detail: Mapping[str, JsonValue]
    previous: str
    hash: str


class AuditAnchor(msgspec.Struct, frozen=True):
    """The checkpoint of one shard of the audit chain; kept outside the database it also proves that nothing was rewound."""

    shard: int
    length: int
    head: str
    tail: str


class AuditReport(msgspec.Struct, frozen=True):
    """``problems`` is empty when every link and both ends of every shard hold."""

    entries: int
    anchors: tuple[AuditAnchor, ...]
    problems: tuple[str, ...]


class NewDeadLetter(msgspec.Struct, frozen=True):
    """A payload that was refused: ``payload`` and ``issues`` are JSON texts."""

    kind: str  # "kg_write", "extraction", "gate_difference"
    subject: str  # write id or document id
    reason: str
    issues: bytes
    payload: bytes


class DeadLetter(msgspec.Struct, frozen=True):
    """A persisted refusal; ``status`` is ``open`` or ``replayed``. The same payload refused twice is one letter, ``attempts`` 2."""

    letter_id: str
    kind: str
    subject: str
    reason: str
    issues: JsonValue
    payload: bytes
    payload_sha256: str
    status: str
    attempts: int
    created_at: str
