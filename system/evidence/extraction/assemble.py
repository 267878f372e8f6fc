"""From a parsed document to its extraction: the extractors of its source, checked, grounded, in one deterministic order.

The one entry for the worker and the gateway is :func:`extract`. A record whose quote is not the slice at its offsets
never leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from system.evidence.extraction.check import check_criterion, check_dose, check_effect, check_event, check_pico, with_check
from system.evidence.extraction.doses import doses_from_label
from system.evidence.extraction.prose_effects import effects_from_prose
from system.evidence.extraction.registry import EXTRACTOR as REGISTRY_EXTRACTOR
from system.evidence.extraction.registry import extract_registry
from system.evidence.extraction.table_effects import effects_from_tables
from system.evidence.ir import Document, Source
from system.evidence.records import AdverseEvent, Criterion, Dose, Effect, Extraction, Kind, Pico
from system.platform.errors import PlatformError

EXTRACTOR = f"extract/2+{REGISTRY_EXTRACTOR}"  # name and version: raise it with every change of what is extracted

_Record = TypeVar("_Record", Effect, AdverseEvent, Dose, Criterion, Pico)
FIELDS: Mapping[Kind, str] = {
    Kind.EFFECTS: "effects",
    Kind.ADVERSE_EVENTS: "adverse_events",
    Kind.DOSES: "doses",
    Kind.ELIGIBILITY: "criteria",
    Kind.PICO: "picos",
}


class Ungrounded(PlatformError):
    """A record's quote is not the text at its offsets: a defect of an extractor, never stored and never answered."""


def extract(document: Document, raw: bytes) -> Extraction:
    """Every record of ``document``; ``raw`` are the bytes it was parsed from (the registry's structure is read from them).

    The same document gives the same bytes. Raises :class:`Ungrounded` for a wrong offset and ``BadInput`` as the parsers do.
    """
    found = _EXTRACTORS[document.source](document, raw)
    return msgspec.structs.replace(
        found,
        extractor=EXTRACTOR,
        effects=_finish(document, found.effects, lambda r: with_check(r, check_effect(r))),
        adverse_events=_finish(document, found.adverse_events, lambda r: with_check(r, check_event(r))),
        doses=_finish(document, found.doses, lambda r: with_check(r, check_dose(r))),
        criteria=_finish(document, found.criteria, lambda r: with_check(r, check_criterion(r))),
        picos=_finish(document, found.picos, lambda r: with_check(r, check_pico(r))),
    )


def only(extraction: Extraction, kind: Kind) -> Extraction:
    """The extraction with the records of one kind alone."""
    emptied: dict[str, tuple[()]] = {field: () for other, field in FIELDS.items() if other is not kind}
    return msgspec.structs.replace(extraction, **emptied)


def require_grounded(document: Document, records: Iterable[Effect | AdverseEvent | Dose | Criterion | Pico]) -> None:
    """Raises :class:`Ungrounded` unless every record has a span and every quote equals its slice."""
    for record in records:
        if record.doc_id != document.doc_id or not record.spans:
            raise Ungrounded(f"record {record.record_id} of {record.doc_id} has no span in {document.doc_id}")
        for span in record.spans:
            if not 0 <= span.start < span.end <= len(document.text) or document.text[span.start : span.end] != span.quote:
                raise Ungrounded(
                    f"record {record.record_id}: {document.doc_id}[{span.start}:{span.end}] is not its quote {span.quote[:80]!r}"
                )


def _finish(document: Document, records: Sequence[_Record], check: Callable[[_Record], _Record]) -> tuple[_Record, ...]:
    require_grounded(document, records)
    unique = {record.record_id: record for record in reversed(records)}
    return tuple(sorted((check(record) for record in unique.values()), key=lambda r: (r.spans[0].start, r.record_id)))


def _article(document: Document, _raw: bytes) -> Extraction:
    effects = (*effects_from_tables(document), *effects_from_prose(document))
    return Extraction(doc_id=document.doc_id, extractor=EXTRACTOR, effects=effects)


def _label(document: Document, _raw: bytes) -> Extraction:
    return Extraction(doc_id=document.doc_id, extractor=EXTRACTOR, doses=doses_from_label(document))


def _passage(document: Document, _raw: bytes) -> Extraction:
    return Extraction(doc_id=document.doc_id, extractor=EXTRACTOR, effects=effects_from_prose(document))


_EXTRACTORS: Mapping[Source, Callable[[Document, bytes], Extraction]] = {
    Source.CTGOV: extract_registry,
    Source.JATS: _article,
    Source.PUBMED: _article,
    Source.SPL: _label,
    Source.PASSAGES: _passage,
}
