"""Adverse events from registry results: one record for each row, that is for each term in each arm, exactly as reported.

A missing count stays missing and zero stays zero; nothing is computed. The same term in the list of serious events and in
the list of other events gives records of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from system.evidence.extraction.grounding import Grounds
from system.evidence.extraction.registry_check import checked, count_flags, quote_flags
from system.evidence.ir import Span
from system.evidence.records import AdverseEvent, Kind, record_id
from system.evidence.sources.builder import clean
from system.evidence.sources.ctgov_decode import group_named
from system.evidence.sources.ctgov_results import OTHER_TABLE, SERIOUS_TABLE, event_arms, event_path
from system.evidence.sources.ctgov_schema import AdverseEvents, AdverseEventTerm, EventStats, Study


class _Facts(msgspec.Struct, frozen=True):
    """What a row states; the record id is made of it."""

    term: str
    organ_system: str
    arm_id: str
    arm: str
    serious: bool
    count: int | None
    denominator: int | None
    events: int | None
    vocabulary: str
    path: str


def registry_events(grounds: Grounds, study: Study) -> tuple[AdverseEvent, ...]:
    """All rows: serious events first, each list in the registry's order."""
    module = study.results_section.adverse_events_module if study.results_section else None
    if module is None:
        return ()
    return tuple(_rows(grounds, module, serious=True)) + tuple(_rows(grounds, module, serious=False))


def _rows(grounds: Grounds, module: AdverseEvents, *, serious: bool) -> Iterator[AdverseEvent]:
    table = SERIOUS_TABLE if serious else OTHER_TABLE
    row = 0  # row 0 of the table is its header
    for t, term in enumerate(module.serious_events if serious else module.other_events):
        for s, stats in enumerate(term.stats):
            row += 1
            span = grounds.row(table, row)
            facts = _facts(module, term, stats, f"{event_path(serious=serious)}/{t}/stats/{s}", serious=serious)
            if span:
                yield _record(grounds.document.doc_id, facts, span)


def _facts(module: AdverseEvents, term: AdverseEventTerm, stats: EventStats, path: str, *, serious: bool) -> _Facts:
    arms = event_arms(module.event_groups)
    arm = arms[group_named(arms, stats.group_id, f"{path}/groupId")]
    return _Facts(
        term=clean(term.term),
        organ_system=clean(term.organ_system),
        arm_id=arm.id,
        arm=clean(arm.title) or clean(arm.id),
        serious=serious,
        count=stats.num_affected,
        denominator=stats.num_at_risk,
        events=stats.num_events,
        vocabulary=clean(term.source_vocabulary),
        path=path,
    )


def _record(doc_id: str, facts: _Facts, span: Span) -> AdverseEvent:
    counts = (("affected", facts.count), ("at risk", facts.denominator), ("events", facts.events))
    claims = [("term", facts.term), ("arm", facts.arm), *((name, str(value)) for name, value in counts if value is not None)]
    flags = count_flags(facts.count, facts.denominator, facts.events) + quote_flags(claims, (span,))
    return AdverseEvent(
        record_id=record_id(doc_id, Kind.ADVERSE_EVENTS, facts),
        doc_id=doc_id,
        spans=(span,),
        check=checked(flags),
        **msgspec.structs.asdict(facts),
    )
