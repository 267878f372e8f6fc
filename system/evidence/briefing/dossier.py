"""The dossier's build: sections in their order, every item cited, every quote held against the text once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from system.evidence.briefing.conflicts import conflicts
from system.evidence.briefing.model import (
    TITLES,
    BibliographyEntry,
    BriefingError,
    Citation,
    ConflictPair,
    Dossier,
    EvidenceSource,
    Gap,
    Item,
    NotPooled,
    Pooled,
    Priority,
    Question,
    Section,
    SectionId,
    Topic,
)
from system.evidence.briefing.phrases import (
    arms_of,
    describe_dose,
    describe_effect,
    describe_event,
    describe_key,
    describe_pico,
    describe_pooled,
    describe_study,
)
from system.evidence.briefing.pooling import normal_name, pool
from system.evidence.briefing.select import Evidence, Study, answers, select, study_entries
from system.evidence.ir import BlockKind, Document, Span
from system.evidence.records import AdverseEvent, CheckStatus, Criterion, Dose, Effect, Pico
from system.platform.errors import BadInput
from system.platform.ports import SearchFilter

VERSION = "briefing/2"
MAX_ITEMS = 120  # a section; what is left out is counted in its notes
MAX_QUESTIONS = 60
_MAX_TOPIC = 300

Grounded = Effect | AdverseEvent | Dose | Criterion | Pico


def build_dossier(source: EvidenceSource, topic: Topic, filters: SearchFilter | None = None) -> Dossier:
    """The dossier on ``topic``. Raises ``BadInput`` for an empty topic and :class:`BriefingError` for a quote that is not in its text."""
    if not topic.condition.strip() or max(map(len, (topic.condition, topic.intervention, topic.outcome))) > _MAX_TOPIC:
        raise BadInput("the topic needs a condition of 1 to 300 characters", "/topic/condition", "name the condition the dossier is about")
    return _Builder(select(source, topic, filters or SearchFilter())).build()


class _Builder:
    """One build. Bibliography numbers are given in the order of the evidence's documents."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._documents: dict[str, Document] = {s.document.doc_id: s.document for s in evidence.studies}
        self._numbers = {doc_id: number for number, doc_id in enumerate(self._documents, start=1)}
        self._effects = {member.effect.record_id: member.effect for member in evidence.effects}
        self._cited: Counter[str] = Counter()
        self._studies = tuple(study_entries(evidence, self._numbers))

    def build(self) -> Dossier:
        evidence = self._evidence
        pooled, singly = pool(evidence.effects)
        disagreements = conflicts(evidence.effects)
        body = {
            SectionId.PICO: self._section(SectionId.PICO, self._picos()),
            SectionId.EFFECTS: self._section(SectionId.EFFECTS, self._effect_items(), *self._single_notes(singly)),
            SectionId.SAFETY: self._section(SectionId.SAFETY, self._events()),
            SectionId.DOSING: self._section(SectionId.DOSING, self._doses()),
            SectionId.ELIGIBILITY: self._section(SectionId.ELIGIBILITY, self._criteria()),
            SectionId.COVERAGE: self._section(SectionId.COVERAGE, self._coverage(), *self._coverage_notes()),
        }
        gaps = tuple(self._gaps(body))
        questions = tuple(self._questions(gaps, disagreements, singly))
        body[SectionId.SUMMARY] = self._section(SectionId.SUMMARY, self._summary(pooled, disagreements), *self._summary_notes(gaps))
        body[SectionId.QUESTIONS] = _question_section(questions)
        sections = tuple(body[section] for section in SectionId)
        self._count(sections, gaps, questions)
        return Dossier(
            title=_title(evidence.topic), topic=evidence.topic, sections=sections, bibliography=tuple(self._bibliography()), pooled=pooled,
            not_pooled=singly, conflicts=disagreements, gaps=gaps, questions=questions, studies=self._studies, version=VERSION,
        )  # fmt: skip

    def _cite(self, doc_id: str, spans: Sequence[Span]) -> tuple[Citation, ...]:
        """Citations of spans, each held against the document's text: a wrong quote ends the build."""
        document = self._documents[doc_id]
        for span in spans:
            if not 0 <= span.start < span.end <= len(document.text) or document.text[span.start : span.end] != span.quote:
                raise BriefingError(f"{doc_id}[{span.start}:{span.end}] is not the quote {span.quote[:80]!r}: extract the document again")
        meta = document.metadata
        return tuple(
            Citation(self._numbers[doc_id], doc_id, s.start, s.end, s.quote, meta.title or document.native_id, meta.identifiers)
            for s in spans
        )

    def _item(self, record: Grounded, text: str, group: str = "") -> Item:
        return Item(text, self._cite(record.doc_id, record.spans), group, (record.record_id,), record.check.flags)

    def _section(self, section: SectionId, items: Iterable[Item], *notes: str) -> Section:
        found = list(items)
        for item in found:
            if not item.citations:
                raise BriefingError(f"an item of {TITLES[section]} has no citation: {item.text[:80]!r}")
        more = [f"{len(found) - MAX_ITEMS} further items are not shown here."] if len(found) > MAX_ITEMS else []
        empty = [f"No evidence was found for this section ({_topic_words(self._evidence.topic)})."] if not found else []
        return Section(section, TITLES[section], tuple(found[:MAX_ITEMS]), (*empty, *more, *notes))

    def _picos(self) -> Iterator[Item]:
        for pico in self._evidence.picos:
            yield self._item(pico, describe_pico(pico), self._name(pico.doc_id))

    def _effect_items(self) -> Iterator[Item]:
        ordered = sorted(
            self._evidence.effects,
            key=lambda m: (m.effect.check.status is CheckStatus.FLAGGED, not m.effect.outcome, m.effect.ci_low is None),
        )
        for member in ordered:
            yield self._item(member.effect, describe_effect(member.effect), self._name(member.effect.doc_id))

    def _events(self) -> Iterator[Item]:
        for event in sorted(self._evidence.events, key=lambda e: (not e.serious, -(e.count or 0), normal_name(e.term), e.arm)):
            yield self._item(event, describe_event(event), "Serious" if event.serious else "Other")

    def _doses(self) -> Iterator[Item]:
        for dose in self._evidence.doses:
            yield self._item(dose, describe_dose(dose), dose.drug or self._name(dose.doc_id))

    def _criteria(self) -> Iterator[Item]:
        for criterion in sorted(self._evidence.criteria, key=lambda c: (self._numbers[c.doc_id], c.kind != "inclusion")):
            yield self._item(criterion, criterion.text, f"{self._name(criterion.doc_id)}: {criterion.kind}")

    def _coverage(self) -> Iterator[Item]:
        for study in self._evidence.studies:
            x = study.extraction
            counts = (
                (len(x.effects), "effects"),
                (len(x.adverse_events), "adverse-event rows"),
                (len(x.doses), "doses"),
                (len(x.criteria), "criteria"),
            )
            said = ", ".join(f"{number} {name}" for number, name in counts if number) or "no extracted records"
            yield Item(
                f"{self._name(study.document.doc_id)} ({study.document.source.value}): {said}",
                self._cite(study.document.doc_id, _title_span(study)),
            )

    def _coverage_notes(self) -> Iterator[str]:
        by_source = Counter(study.document.source.value for study in self._evidence.studies)
        if by_source:
            yield "Documents: " + ", ".join(f"{count} {name}" for name, count in sorted(by_source.items())) + "."
            yield f"Studies (a trial's registry record and its articles are one): {len(self._studies)}."
        for entry in self._studies:
            if len(entry.documents) > 1:
                yield describe_study(entry)
        if self._evidence.truncated:
            yield f"{self._evidence.truncated} further documents were found and not read."

    def _summary(self, pooled: Sequence[Pooled], disagreements: Sequence[ConflictPair]) -> Iterator[Item]:
        for result in pooled:
            yield Item(describe_pooled(result), self._cite_effects(result.record_ids), "Pooled", result.record_ids)
        for pair in disagreements:
            yield Item(f"Conflict. {pair.text}", self._cite_effects(pair.record_ids), "Conflicts", pair.record_ids)
        taken = {record_id for result in pooled for record_id in result.record_ids}
        clear: dict[tuple[str, ...], Effect] = {}  # what a study states in its abstract, its text and the registry is said once
        for member in self._evidence.effects:
            effect = member.effect
            if effect.outcome and effect.check.status is CheckStatus.AGREES and effect.ci_low is not None and effect.record_id not in taken:
                clear.setdefault((member.study, effect.type, normal_name(effect.outcome), effect.timeframe, arms_of(effect)), effect)
        for effect in list(clear.values())[:5]:
            yield self._item(effect, describe_effect(effect), "Effects")
        for section, records in (
            ("Dosing", self._evidence.doses[:1]),
            ("Safety", [e for e in self._evidence.events if e.serious][:1]),
        ):
            for record in records:
                yield self._item(record, _describe(record), section)

    def _summary_notes(self, gaps: Sequence[Gap]) -> Iterator[str]:
        flagged = sum(record.check.status is CheckStatus.FLAGGED for record in self._records())
        counts = f"{len(self._evidence.studies)} documents, {len(list(self._records()))} records"
        yield f"{counts}, {flagged} flagged by the claim-versus-quote check, {len(gaps)} gaps."

    def _single_notes(self, singly: Sequence[NotPooled]) -> Iterator[str]:
        for group in singly:
            yield f"Not pooled: {group.type.value} for {group.outcome}: {group.reason}. Key: {describe_key(group.key)}."

    def _gaps(self, body: dict[SectionId, Section]) -> Iterator[Gap]:
        for section in (SectionId.PICO, SectionId.EFFECTS, SectionId.SAFETY, SectionId.DOSING, SectionId.ELIGIBILITY):
            if not body[section].items:
                yield Gap("section", f"No evidence for {TITLES[section]}.")
        topic = self._evidence.topic
        if topic.outcome and not self._evidence.effects:
            yield Gap("outcome", f"No effect was found for the outcome asked about: {topic.outcome}.")
        yield from self._outcome_gaps()
        yield from self._single_study_gaps()
        ungraded = [event for event in self._evidence.events if event.grade is None]
        if ungraded:
            first = ungraded[0]
            yield Gap(
                "ungraded",
                f"{len(ungraded)} of {len(self._evidence.events)} adverse-event rows state no grade.",
                self._cite(first.doc_id, first.spans[:1]),
            )

    def _outcome_gaps(self) -> Iterator[Gap]:
        """An outcome that a study names in its PICO and for which no document of the topic states an effect."""
        stated = {normal_name(member.effect.outcome) for member in self._evidence.effects}
        seen: set[str] = set()
        for pico in self._evidence.picos:
            for outcome in pico.outcomes:
                name = normal_name(outcome)
                if not name or name in seen or not answers(outcome, self._evidence.topic.outcome):
                    continue
                seen.add(name)
                if not any(
                    name == other or (len(other) > 3 and (f" {other} " in f" {name} " or f" {name} " in f" {other} ")) for other in stated
                ):
                    spans = [span for span in pico.spans if outcome in span.quote] or list(pico.spans[:1])
                    yield Gap(
                        "outcome", f"{outcome}: planned by {self._name(pico.doc_id)}, no effect found.", self._cite(pico.doc_id, spans[:1])
                    )

    def _single_study_gaps(self) -> Iterator[Gap]:
        by_name: dict[str, dict[str, Effect]] = {}
        for member in self._evidence.effects:
            name = normal_name(member.intervention or member.effect.intervention)
            if name:
                by_name.setdefault(name, {}).setdefault(member.study, member.effect)
        for effects in by_name.values():
            if len(effects) == 1:
                effect = next(iter(effects.values()))
                yield Gap(
                    "single_study",
                    f"Effects of {effect.intervention or self._evidence.topic.intervention} come from one study only.",
                    self._cite(effect.doc_id, effect.spans[:1]),
                )

    def _questions(self, gaps: Sequence[Gap], disagreements: Sequence[ConflictPair], singly: Sequence[NotPooled]) -> list[Question]:
        asked = [Question(Priority.GAP, f"What is known beyond this? {gap.text}", gap.citations) for gap in gaps]
        asked += [
            Question(Priority.CONFLICT, f"Why do these studies disagree? {pair.text}", self._cite_effects(pair.record_ids))
            for pair in disagreements
        ]
        for group in singly:
            asked.append(
                Question(
                    Priority.OPEN,
                    f"Can the studies on {group.outcome} ({group.type.value}) be compared? {group.reason}.",
                    self._cite_effects(group.record_ids),
                )
            )
        for record in self._records():
            if record.check.status is CheckStatus.FLAGGED:
                text = f"Is this record right? {_describe(record)} (flags: {', '.join(record.check.flags)})"
                asked.append(Question(Priority.OPEN, text, self._cite(record.doc_id, record.spans)))
        kept: list[Question] = []
        for priority in Priority:  # each kind keeps its share, so that many gaps do not hide the conflicts
            kept += [question for question in asked if question.priority is priority][: MAX_QUESTIONS // len(Priority)]
        return kept

    def _records(self) -> Iterator[Grounded]:
        yield from (member.effect for member in self._evidence.effects)
        yield from self._evidence.events
        yield from self._evidence.doses
        yield from self._evidence.criteria
        yield from self._evidence.picos

    def _cite_effects(self, record_ids: Iterable[str]) -> tuple[Citation, ...]:
        return tuple(
            citation for record_id in record_ids for citation in self._cite(self._effects[record_id].doc_id, self._effects[record_id].spans)
        )

    def _name(self, doc_id: str) -> str:
        document = self._documents[doc_id]
        return document.native_id or doc_id

    def _count(self, sections: Iterable[Section], gaps: Iterable[Gap], questions: Iterable[Question]) -> None:
        shown = (item.citations for section in sections if section.id is not SectionId.QUESTIONS for item in section.items)
        for citations in (*shown, *(gap.citations for gap in gaps), *(question.citations for question in questions)):
            self._cited.update(citation.doc_id for citation in citations)

    def _bibliography(self) -> Iterator[BibliographyEntry]:
        for doc_id, number in self._numbers.items():
            document, meta = self._documents[doc_id], self._documents[doc_id].metadata
            yield BibliographyEntry(
                number,
                doc_id,
                meta.title or document.native_id,
                meta.authors,
                meta.journal,
                meta.year,
                meta.identifiers,
                meta.licence,
                self._cited[doc_id],
            )


def _question_section(questions: Sequence[Question]) -> Section:
    """Questions in their priority; those that no text can be quoted for (a section without any evidence) stand as notes."""
    items = tuple(Item(question.text, question.citations, question.priority.value) for question in questions if question.citations)
    notes = tuple(f"{question.priority.value}: {question.text}" for question in questions if not question.citations)
    return Section(SectionId.QUESTIONS, TITLES[SectionId.QUESTIONS], items, notes or (() if items else ("No open questions.",)))


def _describe(record: Grounded) -> str:
    match record:
        case Effect():
            return describe_effect(record)
        case AdverseEvent():
            return describe_event(record)
        case Dose():
            return describe_dose(record)
        case Criterion():
            return record.text
        case Pico():
            return describe_pico(record)


def _title_span(study: Study) -> tuple[Span, ...]:
    """The document's title as a quote; where it has none, its first block."""
    document = study.document
    block = next((b for b in document.blocks if b.kind is BlockKind.TITLE and b.start < b.end), document.blocks[0])
    return (document.span(block.start, block.end),)


def _topic_words(topic: Topic) -> str:
    return ", ".join(part for part in (topic.condition, topic.intervention, topic.outcome) if part)


def _title(topic: Topic) -> str:
    about = f"{topic.intervention} for {topic.condition}" if topic.intervention else topic.condition
    return f"Evidence dossier: {about}" + (f" ({topic.outcome})" if topic.outcome else "")
