"""Doses from the dosage sections of product labels (LOINC 34068-7 and what stands below it), each with its sentence or cell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from system.evidence.extraction.check import check_dose, states, with_check
from system.evidence.extraction.dose_grammar import DoseStatement, dose_statements
from system.evidence.extraction.grid import Grid
from system.evidence.extraction.reading import readable
from system.evidence.extraction.sentences import sentences
from system.evidence.ir import Block, BlockKind, Document, Source, Span, Table
from system.evidence.records import Check, CheckStatus, Dose, Kind, record_id

DOSAGE = "34068-7"
BOXED_WARNING = "34066-1"
_PROSE = frozenset({BlockKind.PARAGRAPH, BlockKind.LIST_ITEM, BlockKind.FOOTNOTE})
# Elsewhere in a label an amount is a dose only where the sentence itself says so.
_RECOMMENDS = re.compile(r"\brecommended\s+(?:\w+\s+){0,3}(?:dose|dosage|regimen)s?\b", re.IGNORECASE)
_NEVER = re.compile(
    r"boxed warning|overdos|clinical (?:studies|pharmacology)|nonclinical|how supplied|description|adverse"
    r"|toxicology|package label|references|warnings",
    re.IGNORECASE,
)
_POPULATION = re.compile(
    r"\b(?:(?:adult|pa?ediatric|geriatric|elderly|debilitated|renally\s+impaired)\s+(?:patients|children|adults)(?:\s+(?:with|aged|taking|receiving|[≥>]|\d)[^,;:.()]{2,60})?|"
    r"(?:patients|children|adults|adolescents|women|men|infants)\s+(?:with|aged|taking|receiving|weighing|not\s+receiving|\d)[^,;:.()]{2,60}?(?=\s+(?:is|are|was|were|may|should|the|who|it|in|at)\b|[,;:.()]|$))",
    re.IGNORECASE,
)


def doses_from_label(document: Document) -> tuple[Dose, ...]:
    """Every dose a label recommends; documents that are no labels have none."""
    if document.source is not Source.SPL:
        return ()
    dosage = {block.section for block in document.blocks if block.loinc == DOSAGE}
    shown = readable(document)
    found: list[Dose] = []
    for block in document.blocks:
        inside = _is_dosage(block.loinc, block.section, dosage)
        if block.kind in _PROSE:
            found.extend(_from_prose(document, shown, block, dosing=inside))
    for table in document.tables:
        block = document.blocks[table.block_index]
        if table.cells and _is_dosage(block.loinc, block.section, dosage):
            found.extend(_from_table(document, shown, block, table))
    return tuple(found)


def _is_dosage(loinc: str | None, section: str, dosage: set[str]) -> bool:
    """The dosage section itself or a section below it; the boxed warning is none, wherever it stands."""
    if loinc == BOXED_WARNING:
        return False
    return loinc == DOSAGE or any(section == top or section.startswith(f"{top} > ") for top in dosage if top)


def _from_prose(document: Document, shown: str, block: Block, *, dosing: bool) -> Iterator[Dose]:
    if not dosing and (block.loinc == BOXED_WARNING or _NEVER.search(block.section)):
        return
    for sentence in sentences(document.text, block.start, block.end):
        text = document.text[sentence.start : sentence.end]
        if not dosing and not _RECOMMENDS.search(text):
            continue
        span = document.span(sentence.start, sentence.end)
        for statement in dose_statements(shown[sentence.start : sentence.end]):
            if dosing or statement.frequency_per_day is not None:
                yield _record(document, block, statement, (span,), _population(text), sentence.start)


def _from_table(document: Document, shown: str, block: Block, table: Table) -> Iterator[Dose]:
    grid = Grid(shown, table)
    for cell in table.cells:
        text = grid.text_of(cell)
        if cell.header or not text.strip():
            continue
        labels = grid.labels(cell)[:1]
        spans = [document.span(cell.start, cell.end), *(document.span(label.cell.start, label.cell.end) for label in labels)]
        for statement in dose_statements(text):
            yield _record(document, block, statement, tuple(spans), spans[1].quote.strip() if labels else "", cell.start)


def _population(sentence: str) -> str:
    found = {re.sub(r"\s+(?:and|or)$", "", match.group().strip()) for match in _POPULATION.finditer(sentence)}
    return next(iter(found)) if len(found) == 1 else ""


def _record(document: Document, block: Block, statement: DoseStatement, spans: tuple[Span, ...], population: str, place: int) -> Dose:
    drug, named_at = _drug(document, spans)
    facts = (
        drug, statement.amount, statement.amount_high, statement.unit, statement.route, statement.frequency_per_day,
        statement.duration_days, population, place + statement.start,
    )  # fmt: skip
    dose = Dose(
        record_id=record_id(document.doc_id, Kind.DOSES, facts),
        doc_id=document.doc_id,
        drug=drug,
        amount=statement.amount,
        unit=statement.unit,
        spans=(*spans, *named_at),
        check=Check(CheckStatus.AGREES),
        amount_high=statement.amount_high,
        route=statement.route,
        frequency_per_day=statement.frequency_per_day,
        duration_days=statement.duration_days,
        population=population,
        loinc=block.loinc,
        path=block.path,
    )
    return with_check(dose, check_dose(dose))


def _drug(document: Document, spans: tuple[Span, ...]) -> tuple[str, tuple[Span, ...]]:
    """The label's product as the statement's own text names it, else as the title does (then the title's span goes along)."""
    names = sorted(document.metadata.interventions, key=len, reverse=True)
    for name in names:
        if any(states(span.quote, name) for span in spans):
            return name, ()
    for block in document.blocks:
        if block.kind is BlockKind.TITLE:
            title = document.span(block.start, block.end)
            named = next((name for name in names if states(title.quote, name)), "")
            return (named, (title,)) if named else ("", ())
    return "", ()
