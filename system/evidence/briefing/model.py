"""The dossier as data. Rendering adds nothing: what is not in these structs is in no output."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from system.evidence.ir import Document
from system.evidence.records import EffectType, Extraction
from system.platform.errors import PlatformError
from system.platform.ports import SearchFilter


class BriefingError(PlatformError):
    """A dossier that must not leave: an item without a citation, or a quote that is not the text at its offsets."""


class Topic(msgspec.Struct, frozen=True):
    """What a dossier is about; an empty intervention or outcome means any."""

    condition: str
    intervention: str = ""
    outcome: str = ""


class EvidenceSource(Protocol):
    """The reads a dossier needs. The gateway implements it over records, objects and search."""

    def studies_for(self, topic: Topic, filters: SearchFilter) -> Sequence[str]:
        """Document ids that may be about the topic, best first; the dossier decides which are."""
        ...

    def document(self, doc_id: str) -> Document: ...
    def extraction(self, doc_id: str) -> Extraction: ...


class SectionId(enum.StrEnum):
    """The sections in the order in which they appear."""

    SUMMARY = "summary"
    PICO = "pico"
    EFFECTS = "effects"
    SAFETY = "safety"
    DOSING = "dosing"
    ELIGIBILITY = "eligibility"
    COVERAGE = "coverage"
    QUESTIONS = "questions"


TITLES = {
    SectionId.SUMMARY: "Summary",
    SectionId.PICO: "PICO",
    SectionId.EFFECTS: "Effects",
    SectionId.SAFETY: "Safety",
    SectionId.DOSING: "Dosing",
    SectionId.ELIGIBILITY: "Eligibility",
    SectionId.COVERAGE: "Coverage",
    SectionId.QUESTIONS: "Questions",
}


class Citation(msgspec.Struct, frozen=True):
    """A verbatim quote: ``quote`` is ``document.text[start:end]`` in code points; ``number`` is its bibliography entry."""

    number: int
    doc_id: str
    start: int
    end: int
    quote: str
    title: str
    identifiers: tuple[tuple[str, str], ...]


class Item(msgspec.Struct, frozen=True):
    """One statement of a section. ``flags`` are those of the claim-versus-quote check; ``group`` is a heading within the section."""

    text: str
    citations: tuple[Citation, ...]
    group: str = ""
    record_ids: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


class Section(msgspec.Struct, frozen=True):
    """``notes`` speak about the dossier itself (what was not found, what was left out) and need no citation."""

    id: SectionId
    title: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


class PoolingKey(msgspec.Struct, frozen=True, order=True):
    """What makes effects comparable, all in normal forms. What the source does not state reads ``not stated``.

    In a group that is not pooled because its members differ, the values of a differing field stand side by side: ``4 weeks | 1 year``.
    """

    outcome: str
    type: EffectType
    unit: str
    intervention: str
    comparator: str
    time_point: str
    dose: str
    population: str
    adjustment: str


class Pooled(msgspec.Struct, frozen=True):
    """A random-effects result (DerSimonian-Laird) with a 95 % interval, on the measure's own scale; ``i2`` in percent."""

    type: EffectType
    outcome: str
    intervention: str
    comparator: str
    unit: str
    studies: int
    value: float
    ci_low: float
    ci_high: float
    i2: float
    tau2: float
    record_ids: tuple[str, ...]
    key: PoolingKey


class NotPooled(msgspec.Struct, frozen=True):
    """Effects of at least two studies on one question that are listed singly, with the reason."""

    type: EffectType
    outcome: str
    reason: str
    record_ids: tuple[str, ...]
    key: PoolingKey
    i2: float | None = None


class ConflictPair(msgspec.Struct, frozen=True):
    """Two studies whose effects point in opposite directions with intervals that do not overlap."""

    type: EffectType
    outcome: str
    record_ids: tuple[str, str]
    text: str


class Gap(msgspec.Struct, frozen=True):
    """Something the topic asks for that the documents do not answer. ``kind``: section, outcome, single_study, ungraded."""

    kind: str
    text: str
    citations: tuple[Citation, ...] = ()


class Priority(enum.StrEnum):
    """Why a question is asked, most pressing first."""

    GAP = "gap"
    CONFLICT = "conflict"
    OPEN = "open"


class Question(msgspec.Struct, frozen=True):
    priority: Priority
    text: str
    citations: tuple[Citation, ...] = ()


class StudyDocument(msgspec.Struct, frozen=True, order=True):
    """One document of a study; ``identifiers`` are those by which it is known, ``number`` is its bibliography entry."""

    number: int
    doc_id: str
    identifiers: tuple[tuple[str, str], ...]


class StudyEntry(msgspec.Struct, frozen=True):
    """One study with all documents through which it is seen; ``shared`` are the identifiers that make several documents one study."""

    key: str
    documents: tuple[StudyDocument, ...]
    shared: tuple[tuple[str, str], ...]


class BibliographyEntry(msgspec.Struct, frozen=True):
    """One cited document; ``citations`` counts how often the dossier quotes it."""

    number: int
    doc_id: str
    title: str
    authors: tuple[str, ...]
    journal: str
    year: int | None
    identifiers: tuple[tuple[str, str], ...]
    licence: str
    citations: int


class Dossier(msgspec.Struct, frozen=True):
    """A dossier; the same evidence gives the same dossier, byte for byte."""

    title: str
    topic: Topic
    sections: tuple[Section, ...]
    bibliography: tuple[BibliographyEntry, ...]
    pooled: tuple[Pooled, ...]
    not_pooled: tuple[NotPooled, ...]
    conflicts: tuple[ConflictPair, ...]
    gaps: tuple[Gap, ...]
    questions: tuple[Question, ...]
    studies: tuple[StudyEntry, ...]
    version: str


def render_json(dossier: Dossier) -> bytes:
    """The dossier itself as JSON (UTF-8, two blanks of indentation, fields in their declared order)."""
    return msgspec.json.format(msgspec.json.encode(dossier), indent=2)
