"""Versions of one work: which of them stands, and which are superseded by it.

A lineage is what the versions of one registry record, label, article or citation have in common. Inside it the documents are ordered
by what they say of themselves (``rank``), then by when they were received, then by id: the order of arrival decides only where the
documents themselves say nothing. The greatest *published* one stands, for only a version that was read and passed the gate can
replace another; every smaller one is superseded by it, also one that arrives later. Whoever keeps the ledger asks ``standing`` inside
the transaction that changed a member, and emits ``mark_event`` for each document that leaves or comes back, in that transaction.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import msgspec

from system.platform.ports import OutboxEvent


class Lineage(msgspec.Struct, frozen=True):
    """``series`` names the work; ``rank`` grows with its versions and compares as text, by code point. Two empty: no versions."""

    series: str = ""
    rank: str = ""


class Decided(enum.StrEnum):
    """What told the older from the newer."""

    VERSION = "version"  # their own version or date
    RECEIPT = "receipt"  # nothing in them: the one received later stands


class Member(msgspec.Struct, frozen=True):
    """A document of a series as the ledger has it. ``received`` compares as text: when its bytes came for the first time."""

    doc_id: str
    rank: str
    received: str
    published: bool
    superseded_by: str | None
    superseded_on: str | None
    marks: int  # how often it left or came back


class Mark(msgspec.Struct, frozen=True):
    """What a document is to be marked with; ``moved`` when it leaves the answers or comes back, and ``marks`` counts that."""

    doc_id: str
    superseded_by: str | None
    superseded_on: str | None
    marks: int
    moved: bool


def standing(members: Iterable[Member]) -> tuple[Mark, ...]:
    """The marks that change, in the order of document ids. A pure function of the members: no order of arrival shows."""
    ordered = sorted(members, key=_order)
    leader = next((member for member in reversed(ordered) if member.published), None)
    marks = [_mark(member, leader) for member in ordered]
    return tuple(sorted((mark for mark in marks if mark is not None), key=lambda mark: mark.doc_id))


def _order(member: Member) -> tuple[str, str, str]:
    return member.rank, member.received, member.doc_id


def _mark(member: Member, leader: Member | None) -> Mark | None:
    """None where the document is marked rightly already."""
    by: str | None = None
    on: str | None = None
    if leader is not None and _order(member) < _order(leader):
        by, on = leader.doc_id, (Decided.RECEIPT if member.rank == leader.rank else Decided.VERSION).value
    if (by, on) == (member.superseded_by, member.superseded_on):
        return None
    moved = (by is None) != (member.superseded_by is None)
    return Mark(member.doc_id, by, on, member.marks + moved, moved)


def mark_event(mark: Mark) -> OutboxEvent:
    """The event of a document that left or came back; its id tells repeated moves apart."""
    topic = "document.restored" if mark.superseded_by is None else "document.superseded"
    body: Mapping[str, str] = {"doc_id": mark.doc_id, "superseded_by": mark.superseded_by or ""}
    return OutboxEvent(f"{topic}:{mark.doc_id}:{mark.marks}", topic, mark.doc_id, body)
