"""Selection: which of the documents found are about the topic, and which of their records answer it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from system.evidence.briefing.model import EvidenceSource, StudyDocument, StudyEntry, Topic
from system.evidence.briefing.pooling import StudyEffect, normal_name
from system.evidence.ir import Document, Source
from system.evidence.records import AdverseEvent, Criterion, Dose, Effect, Extraction, Pico
from system.evidence.studies import Crosswalk, crosswalk, identifiers_of, is_synthesis
from system.platform.ports import SearchFilter

_MENTIONS = 3  # a whole article mentions many conditions in passing; an abstract or a label that names one is about it
MAX_DOCUMENTS = 200  # a dossier reads at most this many documents
_STOP_WORDS = frozenset("a an and at by for from in of on or patients risk the to with without".split())  # noqa: SIM905 - reads as a list of words
_WORD = re.compile(r"[^\W_]+")
_COMBINED = re.compile(r"\+|/|\b(?:plus|and|with|combin\w+|added|followed)\b", re.IGNORECASE)  # "Zen plus iron" is not Zen
_R = TypeVar("_R")


class Study(msgspec.Struct, frozen=True):
    """One document of the dossier. ``study`` is the key of the study it reports (see :mod:`system.evidence.studies`)."""

    document: Document
    extraction: Extraction
    study: str
    about_intervention: bool
    covers: tuple[str, ...] = ()  # keys of further studies whose participants it reports


class Evidence(msgspec.Struct, frozen=True):
    """What a dossier is made from, in the order of relevance of the documents."""

    topic: Topic
    studies: tuple[Study, ...]
    effects: tuple[StudyEffect, ...]
    events: tuple[AdverseEvent, ...]
    doses: tuple[Dose, ...]
    criteria: tuple[Criterion, ...]
    picos: tuple[Pico, ...]
    truncated: int  # documents found beyond the bound
    crosswalk: Crosswalk  # the studies of the dossier's documents

    def document(self, doc_id: str) -> Document:
        """The document of one of the evidence's records."""
        return next(study.document for study in self.studies if study.document.doc_id == doc_id)


def select(source: EvidenceSource, topic: Topic, filters: SearchFilter) -> Evidence:
    """Reads what the source found and keeps the documents whose own words name the topic's condition and intervention."""
    found = list(dict.fromkeys(source.studies_for(topic, filters)))
    read = [source.document(doc_id) for doc_id in found[:MAX_DOCUMENTS]]
    about = [document for document in read if is_about(document, topic) and _passes(document, filters)]
    known = crosswalk(read)  # also over documents about something else: they may be what joins two forms of one study
    by_document = known.by_document()
    studies = []
    for document in about:
        study = by_document.get(document.doc_id)
        key, covers = (study.key, known.covered(study)) if study else (document.doc_id, ())
        studies.append(Study(document, source.extraction(document.doc_id), key, _names(document, topic.intervention), covers))
    return _evidence(topic, studies, max(0, len(found) - MAX_DOCUMENTS), known)


def is_about(document: Document, topic: Topic) -> bool:
    """Whether metadata or title hold the words of one part of the condition, or the text names that part.

    A whole article must name it more than in passing. The intervention, where one is asked for, must be named too.
    """
    parts = [part for part in re.split(r"\band\b|,|;|/", topic.condition) if _words(part)]
    enough = _MENTIONS if document.source is Source.JATS else 1
    condition = not parts or any(_holds(_subject(document), part) or _mentions(document.text, part) >= enough for part in parts)
    return condition and _names(document, topic.intervention)


def answers(outcome: str, wanted: str) -> bool:
    """Whether an outcome is the one asked for: all words of the question stand in it (or the question names none)."""
    return not wanted.strip() or (bool(outcome) and _words(wanted) <= _words(outcome))


def study_entries(evidence: Evidence, numbers: Mapping[str, int]) -> Iterator[StudyEntry]:
    """The studies of the dossier's documents with what joins those, in the order of their keys; ``numbers`` are bibliography numbers."""
    by_id = {study.document.doc_id: study.document for study in evidence.studies}
    for study in evidence.crosswalk.studies:
        shown = [doc_id for doc_id in study.documents if doc_id in by_id]
        own = {doc_id: frozenset(identifiers_of(by_id[doc_id])) for doc_id in shown}
        documents = sorted(
            StudyDocument(numbers[doc_id], doc_id, tuple(i for i in study.identifiers if i in own[doc_id])) for doc_id in shown
        )
        if documents:
            yield StudyEntry(study.key, tuple(documents), study.shared)


def _evidence(topic: Topic, studies: list[Study], truncated: int, known: Crosswalk) -> Evidence:
    effects = [
        StudyEffect(
            study.study, effect, _intervention(study, effect, topic), topic.condition, study.covers, synthesis=is_synthesis(study.document)
        )
        for study in studies
        for effect in study.extraction.effects
        if answers(effect.outcome, topic.outcome)
    ]
    return Evidence(
        topic=topic,
        studies=tuple(studies),
        effects=tuple(effects),
        events=tuple(_each(studies, lambda x: x.adverse_events)),
        doses=tuple(_each(studies, lambda x: x.doses)),
        criteria=tuple(_each(studies, lambda x: x.criteria)),
        picos=tuple(_each(studies, lambda x: x.picos)),
        truncated=truncated,
        crosswalk=known,
    )


def _each(studies: list[Study], records: Callable[[Extraction], Sequence[_R]]) -> Iterator[_R]:
    for study in studies:
        yield from records(study.extraction)


def _intervention(study: Study, effect: Effect, topic: Topic) -> str:
    """The topic's intervention where the effect names it (or names none in a study about it); else the effect's own."""
    wanted = normal_name(topic.intervention)
    own = normal_name(effect.intervention)
    combined = _COMBINED.search(effect.intervention) is not None and _COMBINED.search(topic.intervention) is None
    named = wanted and ((wanted in own and not combined) or (not own and study.about_intervention))
    return topic.intervention if named else effect.intervention


def _passes(document: Document, filters: SearchFilter) -> bool:
    year = document.metadata.year
    in_years = (filters.year_from is None or (year is not None and year >= filters.year_from)) and (
        filters.year_to is None or (year is not None and year <= filters.year_to)
    )
    return (
        in_years
        and (not filters.sources or document.source.value in filters.sources)
        and (not filters.doc_ids or document.doc_id in filters.doc_ids)
    )


def _names(document: Document, intervention: str) -> bool:
    return not intervention.strip() or _holds(_subject(document), intervention) or _mentions(document.text, intervention) > 0


def _subject(document: Document) -> str:
    meta = document.metadata
    return " ".join((meta.title, *meta.conditions, *meta.interventions))


def _holds(text: str, wanted: str) -> bool:
    return _words(wanted) <= _words(text)


def _mentions(text: str, phrase: str) -> int:
    """How often the words of ``phrase`` stand side by side in ``text``."""
    words = _WORD.findall(phrase.casefold())
    return len(re.findall(r"(?<!\w)" + r"[\W_]+".join(map(re.escape, words)) + r"(?!\w)", text.casefold())) if words else 0


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold())) - _STOP_WORDS
