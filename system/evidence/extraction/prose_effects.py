"""Effects from the paragraphs of articles and abstracts: one record an effect statement, its sentence as the span."""

from __future__ import annotations

import re
from collections.abc import Iterator

from system.evidence.extraction.check import check_effect, with_check
from system.evidence.extraction.context import context_of
from system.evidence.extraction.measures import RATIOS, Statement, statements
from system.evidence.extraction.reading import readable
from system.evidence.extraction.sentences import Sentence, sentences
from system.evidence.ir import Block, BlockKind, Document
from system.evidence.records import Check, CheckStatus, Effect, EffectType, Kind, record_id

_PROSE = frozenset({BlockKind.PARAGRAPH, BlockKind.LIST_ITEM})
_RESULTS = re.compile(r"result|finding|outcome|efficacy|abstract|conclusion|summary|interpretation|effect|adverse|safety", re.IGNORECASE)
_NOT_RESULTS = re.compile(
    r"introduction|background|method|material|statistic|sample size|discussion|limitation|acknowledg|funding"
    r"|references|objective|rationale|"
    r"competing|contribution|previous|related|protocol|power calculation|data extraction|study design|comment",
    re.IGNORECASE,
)
# A number that was planned, assumed or found by somebody else is no result of this document.
_PLANNED = re.compile(
    r"\b(?:assum\w+|to\s+detect|sample\s+size|(?:statistical\s+)?power\s+(?:of|to|calculation)|powered|hypothesi[sz]\w+|anticipat\w+|"
    r"non-?inferiority\s+margin|margin\s+of|were\s+calculated|was\s+calculated\s+(?:using|as|by)|clinically\s+(?:relevant|meaningful)\s+difference|will\s+be)\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\bet\s+al\b|\b(?:previous|earlier|prior|other|recent|published)\s+(?:\w+\s+){0,3}(?:stud(?:y|ies)|trials?|reports?|meta-?analys[ei]s|reviews?)\b|"
    r"\bcohort\s+study\s+(?:by|from)\b|\b(?:they|authors)\s+(?:found|reported)\b",
    re.IGNORECASE,
)
_OTHER_MEANINGS = {
    "HR": re.compile(r"heart\s+rates?\s*[\[(]\s*HR|\bHR\s*[:=,]?\s*heart\s+rate", re.IGNORECASE),
    "RR": re.compile(
        r"respiratory\s+rates?\s*[\[(]\s*RR|\bRR\s*[:=,]?\s*(?:respiratory|response)\s+rate|"
        r"response\s+rates?\s*[\[(]\s*RR|RR\s+interval",
        re.IGNORECASE,
    ),
    "OR": re.compile(r"operating\s+room\s*[\[(]\s*OR", re.IGNORECASE),
    "MD": re.compile(r"mean\s+deviation\s*[\[(]\s*MD|muscular\s+dystrophy\s*[\[(]\s*MD", re.IGNORECASE),
    "RD": re.compile(r"registered\s+dieti\w+\s*[\[(]\s*RD|retinal\s+detachment\s*[\[(]\s*RD", re.IGNORECASE),
}  # fmt: skip


def effects_from_prose(document: Document) -> tuple[Effect, ...]:
    """Every effect that a paragraph of the document's own results or abstract states with an interval, a p value or in plain words."""
    other = frozenset(name for name, pattern in _OTHER_MEANINGS.items() if pattern.search(document.text))
    shown = readable(document)
    found: list[Effect] = []
    for block in document.blocks:
        if block.kind in _PROSE and reports_own_results(block.section):
            for sentence in sentences(document.text, block.start, block.end):
                found.extend(_effects_of(document, shown, block, sentence, other))
    return tuple(found)


def reports_own_results(section: str) -> bool:
    """Whether a section path tells of this study's results: "Results and Discussion" does, "Discussion" does not."""
    parts = [part.strip() for part in section.split(" > ") if part.strip()]
    if not parts:
        return True
    if parts[0].lower().startswith("abstract"):
        return len(parts) == 1 or bool(_RESULTS.search(parts[-1])) or not _NOT_RESULTS.search(parts[-1])
    if any(_NOT_RESULTS.search(part) and not _RESULTS.search(part) for part in parts[:1]):
        return False
    return bool(_RESULTS.search(parts[0])) or not _NOT_RESULTS.search(section)


def _effects_of(document: Document, shown: str, block: Block, sentence: Sentence, other: frozenset[str]) -> Iterator[Effect]:
    text = document.text[sentence.start : sentence.end]
    if _PLANNED.search(text) or _OTHERS.search(text):
        return
    for statement in statements(shown[sentence.start : sentence.end]):  # the offsets are those of the text
        if _credible(statement, text, other):
            yield _record(document, block, sentence, text, statement)


def _credible(statement: Statement, text: str, other: frozenset[str]) -> bool:
    """A short name stands for too many things: it needs an interval, or a p value beside an explicit "=" or "of"."""
    has_interval = statement.ci_low is not None or bool(statement.flags)
    if statement.type in RATIOS and statement.unit:
        return False
    if statement.abbreviated:
        short = re.sub(r"s$", "", statement.stated_type)[-2:]
        return has_interval or (statement.p_value is not None and short not in other and len(statement.gap) <= 6)
    if has_interval or statement.p_value is not None:
        return True
    return len(statement.gap) <= 40 and not re.search(r"\b(?:if|would|could|should|expected|was\s+set)\b", text)


def _record(document: Document, block: Block, sentence: Sentence, text: str, statement: Statement) -> Effect:
    context = context_of(text, statement.start, statement.start + len(statement.stated_type), statement.end)
    facts = (
        statement.type, *statement.numbers(), statement.p_operator, context.outcome, context.intervention,
        context.comparator, context.timeframe, sentence.start, statement.start,
    )  # fmt: skip
    effect = Effect(
        record_id=record_id(document.doc_id, Kind.EFFECTS, facts),
        doc_id=document.doc_id,
        type=statement.type,
        value=statement.value,
        outcome=context.outcome,
        spans=(document.span(sentence.start, sentence.end),),
        check=Check(CheckStatus.AGREES),
        ci_low=statement.ci_low,
        ci_high=statement.ci_high,
        ci_percent=statement.ci_percent,
        p_value=statement.p_value,
        p_operator=statement.p_operator,
        n_total=context.n_total,
        intervention=context.intervention,
        comparator=context.comparator,
        timeframe=context.timeframe,
        unit=statement.unit,
        stated_type=statement.stated_type,
        origin="prose",
        path=block.path,
    )
    return with_check(effect, check_effect(effect), *statement.flags)


__all__ = ["EffectType", "effects_from_prose", "reports_own_results"]
