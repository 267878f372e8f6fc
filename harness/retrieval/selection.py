"""Which documents of a collection are indexed: all, or all relevant ones plus seeded distractors.

The choice depends on the seed and the ids alone, so that a rerun finds its vectors in the cache.
"""

from __future__ import annotations

import dataclasses
import hashlib

from harness.core.errors import UsageError
from harness.retrieval.beir import Collection, Passage


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """``documents`` in the order of the corpus; ``relevant`` of them are judged relevant to some query."""

    documents: tuple[Passage, ...]
    relevant: int
    full: bool

    def label(self) -> str:
        """What stands beside every figure made with it."""
        if self.full:
            return f"all {len(self.documents)} documents"
        return f"{len(self.documents)} documents: {self.relevant} relevant, {len(self.documents) - self.relevant} seeded distractors"


def select(collection: Collection, limit: int | None, seed: int) -> Selection:
    """At most ``limit`` documents (None: all); raises ``UsageError`` where not even the relevant ones fit."""
    relevant = collection.relevant & collection.documents.keys()
    if limit is None or limit >= len(collection.documents):
        return Selection(tuple(collection.documents.values()), len(relevant), full=True)
    if limit < len(relevant):
        raise UsageError(f"{limit} documents cannot hold the {len(relevant)} relevant ones", remedy=f"give {len(relevant)} or more, or all")
    others = sorted((_draw(seed, document), document) for document in collection.documents if document not in relevant)
    chosen = relevant | {document for _, document in others[: limit - len(relevant)]}
    return Selection(tuple(item for name, item in collection.documents.items() if name in chosen), len(relevant), full=False)


def _draw(seed: int, document: str) -> str:
    return hashlib.sha256(f"{seed}\n{document}".encode()).hexdigest()
