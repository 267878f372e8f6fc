"""Sources: one parser a source. ``split`` cuts a payload into documents' bytes, ``parse`` makes a document of them."""

from __future__ import annotations

from collections.abc import Callable

from system.evidence.ir import Document, Source

Parser = Callable[[str, bytes], Document]


def _parser(source: Source) -> Parser:
    # imported when first needed: a worker that sees one source loads one parser
    if source is Source.JATS:
        from system.evidence.sources.jats import parse_jats as parser
    elif source is Source.SPL:
        from system.evidence.sources.spl import parse_spl as parser
    elif source is Source.PUBMED:
        from system.evidence.sources.pubmed import parse_pubmed as parser
    elif source is Source.PASSAGES:
        from system.evidence.sources.passages import parse_passages as parser
    else:
        from system.evidence.sources.ctgov import parse_ctgov as parser
    return parser


def parse(source: Source, doc_id: str, raw: bytes) -> Document:
    """The document of the bytes of one item (see ``split``); ``doc_id`` "" derives the id from them.

    Raises :class:`system.platform.errors.BadInput` and nothing else for whatever bytes are given.
    """
    return _parser(source)(doc_id, raw)
