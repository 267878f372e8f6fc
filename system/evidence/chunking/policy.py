"""Chunking policies: one a source. Sizes are estimated WordPiece tokens; the dense model reads 256 of them."""

from __future__ import annotations

from dataclasses import dataclass

from system.evidence.ir import Source


@dataclass(frozen=True, slots=True)
class Policy:
    """Sizes and boundaries.

    ``target``: a chunk is closed when the next piece would pass it; ``maximum``: no piece of running text is longer;
    ``lead``: a paragraph up to this long that ends with a colon stays with the list that it introduces;
    ``whole``: the document is one chunk.
    """

    target: int = 180
    maximum: int = 220
    lead: int = 60
    whole: bool = False
    split_by_label: bool = False  # a change of label (outcome, arm, criterion kind) is a boundary


POLICIES: dict[Source, Policy] = {
    Source.JATS: Policy(),
    Source.SPL: Policy(),
    Source.PUBMED: Policy(),
    Source.CTGOV: Policy(split_by_label=True),
    Source.PASSAGES: Policy(whole=True),
}
