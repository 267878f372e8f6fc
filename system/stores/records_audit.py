"""The audit chain: every write that changes what the platform claims leaves one linked entry.

A chain per shard of subjects; each entry's hash covers its predecessor's. ``audit_anchors`` holds length, head and tail of
every shard, updated in the same transaction, so that entries cut off at either end are found as well as changed ones.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from system.platform.record_types import AuditAnchor, AuditReport, HistoryEntry
from system.stores.postgres import Connection

SHARDS = 8
MAX_PROBLEMS = 100  # a broken chain is broken; nobody reads the thousandth line


def now_text() -> str:
    """The present as ISO 8601 in UTC with microseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")


def shard_of(subject: str) -> int:
    return hashlib.sha256(subject.encode()).digest()[0] % SHARDS


def lock_shards(connection: Connection, subjects: Iterable[str]) -> None:
    """Lock the shards of several subjects in ascending order, so that two such transactions cannot deadlock."""
    shards = sorted({shard_of(subject) for subject in subjects})
    connection.execute("SELECT FROM audit_anchors WHERE shard = ANY(%s) ORDER BY shard FOR UPDATE", (shards,))


def append(connection: Connection, subject: str, action: str, at: str, detail: Mapping[str, object]) -> None:
    """Add one entry to the chain of its subject's shard."""
    shard = shard_of(subject)
    anchor = connection.execute("SELECT length, head, tail FROM audit_anchors WHERE shard = %s FOR UPDATE", (shard,)).fetchone()
    assert anchor is not None, "the schema makes every shard"
    length, head, tail = anchor
    previous = tail or genesis(shard)
    entry = msgspec.json.encode({"subject": subject, "action": action, "at": at, "detail": detail}, order="sorted")
    digest = link(previous, entry)
    connection.execute(
        "INSERT INTO document_history (shard, sequence, subject, entry, previous, hash) VALUES (%s, %s, %s, %s, %s, %s)",
        (shard, length, subject, entry.decode(), previous, digest),
    )
    connection.execute(
        "UPDATE audit_anchors SET length = %s, head = %s, tail = %s WHERE shard = %s", (length + 1, head or digest, digest, shard)
    )


def genesis(shard: int) -> str:
    return hashlib.sha256(f"evidence-harness audit shard {shard}".encode()).hexdigest()


def link(previous: str, entry: bytes) -> str:
    return hashlib.sha256(previous.encode() + entry).hexdigest()


def history(connection: Connection, subject: str) -> Sequence[HistoryEntry]:
    """The entries of one subject, oldest first."""
    rows = connection.execute(
        "SELECT shard, sequence, entry, previous, hash FROM document_history WHERE subject = %s ORDER BY sequence", (subject,)
    )
    return tuple(_entry(*row) for row in rows)


def _entry(shard: int, sequence: int, entry: str, previous: str, digest: str) -> HistoryEntry:
    body = msgspec.json.decode(entry)
    return HistoryEntry(shard, sequence, body["subject"], body["action"], body["at"], body["detail"], previous, digest)


def verify(connection: Connection, expected: Sequence[AuditAnchor]) -> AuditReport:
    """Recompute every chain. Runs in one snapshot, so that writers do not disturb it."""
    anchors = tuple(
        AuditAnchor(*row) for row in connection.execute("SELECT shard, length, head, tail FROM audit_anchors ORDER BY shard").fetchall()
    )
    problems: list[str] = []
    if [anchor.shard for anchor in anchors] != list(range(SHARDS)):
        problems.append(f"anchors of {len(anchors)} shards are there, {SHARDS} were made")
    entries = 0
    for anchor in anchors:
        entries += _verify_shard(connection, anchor, [one for one in expected if one.shard == anchor.shard], problems)
    return AuditReport(entries, anchors, tuple(problems[:MAX_PROBLEMS]))


def _verify_shard(connection: Connection, anchor: AuditAnchor, expected: Sequence[AuditAnchor], problems: list[str]) -> int:
    place = f"shard {anchor.shard}"
    previous, head, count = genesis(anchor.shard), "", 0
    hashes = {one.length: one.tail for one in expected}
    query = "SELECT sequence, subject, entry, previous, hash FROM document_history WHERE shard = %s ORDER BY sequence"
    with connection.cursor(name="audit") as cursor:
        for row in cursor.execute(query, (anchor.shard,)):
            problems.extend(f"{place}, entry {count}: {what}" for what in _faults(row, count, previous))
            previous = row[4]
            head = head or previous
            count += 1
            if hashes.pop(count, previous) != previous:
                problems.append(f"{place}: entry {count - 1} is not the one of the expected anchor")
    problems.extend(f"{place}: the expected anchor counts {length} entries, {count} are there" for length in hashes if length)
    found = (count, head, previous if count else "")
    if found != (anchor.length, anchor.head, anchor.tail):
        problems.append(f"{place}: {count} entries do not end where the anchor says ({anchor.length} entries); one end was cut or added to")
    return count


def _faults(row: tuple[Any, ...], position: int, previous: str) -> Iterable[str]:
    sequence, subject, entry, stated_previous, digest = row
    if sequence != position:
        yield f"numbered {sequence}: an entry is missing or was added"
    if stated_previous != previous:
        yield "its predecessor's hash is not the one it names"
    if link(stated_previous, entry.encode()) != digest:
        yield "its content does not match its hash"
    elif msgspec.json.decode(entry)["subject"] != subject:
        yield f"filed under {subject!r}, which its content contradicts"
