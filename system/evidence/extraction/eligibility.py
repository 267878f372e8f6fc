"""Eligibility of registered studies: the stated bounds of age and sex as one record, and one record for every criterion.

A criterion is a list item with its nested items, or a paragraph, below a heading that says whether it includes or excludes.
The side of a list item without such a heading is not guessed: its kind is ``unknown``, which the check flags. So is that of a
paragraph, where the whole text has no such heading; else it is a preface.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from system.evidence.extraction.grounding import Grounds
from system.evidence.extraction.registry_check import checked
from system.evidence.extraction.registry_measures import age_in_years
from system.evidence.ir import Block, BlockKind, Span
from system.evidence.records import Criterion, Kind, record_id
from system.evidence.sources.builder import clean
from system.evidence.sources.ctgov import CRITERIA, ELIGIBILITY
from system.evidence.sources.ctgov_eligibility import EXCLUSION, INCLUSION
from system.evidence.sources.ctgov_schema import Eligibility, Study

UNKNOWN = "unknown"  # the kind of a criterion whose side the source does not say
_SIDES = frozenset({INCLUSION, EXCLUSION})
_BOILERPLATE = re.compile(r"(?:inclusion|exclusion)\s+criteria\s+(?:may\s+)?(?:apply|applied)\.?$", re.IGNORECASE)


class _Facts(msgspec.Struct, frozen=True):
    """What a criterion states; the record id is made of it and of its place in the list."""

    kind: str
    text: str
    age_min_years: float | None
    age_max_years: float | None
    sex: str
    path: str


def registry_criteria(grounds: Grounds, study: Study) -> tuple[Criterion, ...]:
    """The bounds first, then the criteria in reading order."""
    module = study.protocol_section.eligibility_module
    return (*_bounds(grounds, module), *_criteria(grounds)) if module else ()


def _bounds(grounds: Grounds, module: Eligibility) -> Iterator[Criterion]:
    """Age and sex; nothing where none is stated. The rows are read from the table of the eligibility facts."""
    low, high = age_in_years(module.minimum_age), age_in_years(module.maximum_age)
    spans = grounds.rows_at(f"{ELIGIBILITY}/{name}" for name in ("minimumAge", "maximumAge", "sex"))
    if low is None and high is None and not module.sex.strip():
        return
    flags = ["age_reversed"] if low is not None and high is not None and low > high else []
    text = "; ".join(span.quote.replace(" | ", ": ", 1) for span in spans)
    facts = _Facts(INCLUSION, text, low, high, clean(module.sex), ELIGIBILITY)
    yield _record(grounds.document.doc_id, facts, spans, flags, -1)


def _criteria(grounds: Grounds) -> Iterator[Criterion]:
    blocks = [block for block in grounds.document.blocks if block.path == CRITERIA]
    sided = any(block.label in _SIDES for block in blocks)
    for ordinal, block in enumerate(block for block in blocks if _states_criterion(block, sided=sided)):
        span = grounds.document.span(block.start, block.end)
        if not _BOILERPLATE.search(span.quote):
            facts = _Facts(block.label if block.label in _SIDES else UNKNOWN, span.quote, None, None, "", CRITERIA)
            yield _record(grounds.document.doc_id, facts, (span,), [], ordinal)


def _states_criterion(block: Block, *, sided: bool) -> bool:
    if block.kind is BlockKind.HEADING:
        return False
    return block.label in _SIDES or block.kind is BlockKind.LIST_ITEM or not sided


def _record(doc_id: str, facts: _Facts, spans: tuple[Span, ...], flags: list[str], ordinal: int) -> Criterion:
    made = record_id(doc_id, Kind.ELIGIBILITY, (ordinal, facts))
    return Criterion(record_id=made, doc_id=doc_id, spans=spans, check=checked(flags), **msgspec.structs.asdict(facts))
