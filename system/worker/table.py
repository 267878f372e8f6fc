"""Which role runs which step on which topic: the whole flow in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from system.evidence import intake, steps


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One row: events of ``topic`` are given to ``step`` by workers that have ``role``."""

    topic: str
    role: str
    step: steps.Step


TABLE: tuple[Entry, ...] = (
    Entry("submission.received", "ingest", intake.split_submission),
    Entry("document.created", "ingest", steps.fetch),
    Entry("document.fetched", "parser", steps.parse_document),
    Entry("document.ir_ready", "indexer", steps.index),
    Entry("document.indexed", "extract", steps.extract_and_write),
    Entry("document.superseded", "indexer", steps.follow_mark),
    Entry("document.restored", "indexer", steps.follow_mark),
    Entry("document.deleted", "ingest", steps.drop_deleted),
)

# INF-1.1 names these roles. Parsing and chunking are one transaction, so the chunker shares the parser's step; evaluation and the
# catalogue have no step of their own yet and idle.
ROLES: tuple[str, ...] = ("ingest", "parser", "chunker", "indexer", "extract", "eval", "catalog")


def entries_for(roles: frozenset[str]) -> Mapping[str, Entry]:
    """The steps of these roles by topic."""
    return {entry.topic: entry for entry in TABLE if entry.role in roles}
