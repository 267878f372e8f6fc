"""Seeded defects that only a relation between two views of the platform shows: the mends of issue 9 undone, and further ones of their kind.

Each answer taken by itself looks right: every quote is verbatim, every item cited, every figure that of its effects. They are armed
like those of :mod:`system.seeded_contract` and belong in no production image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec

from system.evidence.briefing.comparability import NOT_STATED
from system.evidence.ir import Source
from system.evidence.sources.ctgov_eligibility import EXCLUSION, INCLUSION, PartKind
from system.evidence.studies import Crosswalk, Study
from system.seeded_patch import CodeDefect

_STEPS, _SELECT, _STUDIES = "system.evidence.steps", "system.evidence.briefing.select", "system.evidence.studies"
_REGISTRY, _COMPARABLE = "system.evidence.sources.ctgov", "system.evidence.briefing.comparability"
_OLD_SIDE = re.compile(
    r"^[*_#\s]*(?:(?:[\w'/-]+\s+){0,4}?(?P<side>inclusion|exclusion)(?:\s+criteri(?:a|on|um))?)(?P<rest>\s*:.*)?[*_\s]*$", re.IGNORECASE
)


class _Deaf:
    """A port one call of which does nothing."""

    def __init__(self, port: Any, call: str) -> None:
        self._port, self._call = port, call

    def __getattr__(self, name: str) -> Any:
        return (lambda *_given, **_named: None) if name == self._call else getattr(self._port, name)


def _nothing(_old: Any) -> Any:
    return lambda *_given, **_named: None


def _leaves(port: str, call: str) -> Any:
    """A step that does not do this one call."""
    return lambda old: lambda row, ports: old(row, replace(ports, **{port: _Deaf(getattr(ports, port), call)}))


def _older_too(_old: Any) -> Any:
    def extractions(connection: Any, decoder: Any, doc_id: Any, field: Any, after: str, limit: int) -> Any:
        query = "SELECT body FROM extractions WHERE doc_id > %s AND (%s::text IS NULL OR doc_id = %s)"
        rows = connection.execute(
            f"{query} AND (%s::text IS NULL OR %s = ANY(fields)) ORDER BY doc_id LIMIT %s", (after, doc_id, doc_id, field, field, limit)
        )
        return tuple(decoder.decode(row[0]) for row in rows)

    return extractions


def _each_its_own(_old: Any) -> Any:
    return lambda documents: Crosswalk(tuple(Study(one.doc_id, (one.doc_id,), (), ()) for one in documents))


def _no_publication_ids(_old: Any) -> Any:
    return lambda _document: iter(())


def _registry_alone(old: Any) -> Any:
    def registered(document: Any) -> Iterator[Any]:
        if document.source is Source.CTGOV:
            yield from old(document)

    return registered


def _study_of_its_own(old: Any) -> Any:
    return lambda _study, effect, *more, **named: old(effect.record_id, effect, *more, **named)


def _old_reader(_old: Any) -> Any:
    def heading_side(line: str, *, item: bool = False) -> tuple[str, str] | None:  # noqa: ARG001 - the reader that looked at the words alone
        found = _OLD_SIDE.match(line)
        return (found["side"].lower(), (found["rest"] or "").lstrip(" :")) if found else None

    return heading_side


def _not_is_dropped(old: Any) -> Any:
    return lambda text: old(re.sub(r"(?m)^(\s*[*-]\s+)Not\s+", r"\1", text))


def _first_changes_side(old: Any) -> Any:
    def split_criteria(text: str) -> Any:
        parts = list(old(text))
        at = next((at for at, part in enumerate(parts) if part.side == EXCLUSION and part.kind is PartKind.ITEM), None)
        if at is not None:
            parts[at] = replace(parts[at], side=INCLUSION)
        return tuple(parts)

    return split_criteria


def _no_rank(old: Any) -> Any:
    return lambda *given: msgspec.structs.replace(old(*given), rank="")


def _rank_of_a_year(old: Any) -> Any:
    def lineage_of(*given: Any) -> Any:
        found = old(*given)
        return msgspec.structs.replace(found, rank=found.rank[:4])

    return lineage_of


def _as_they_came(old: Any) -> Any:
    def studies_for(self: Any, topic: Any, filters: Any) -> Any:
        rows = {doc_id: self._platform.ports.records.ledger_row(doc_id) for doc_id in old(self, topic, filters)}
        return sorted(rows, key=lambda doc_id: str(rows[doc_id].updated_at))

    return studies_for


def _any_word(_old: Any) -> Any:
    def holds(text: str, wanted: str) -> bool:
        return bool(set(re.findall(r"\w+", wanted.casefold())) & set(re.findall(r"\w+", text.casefold())))

    return holds


def _unmilled(old: Any) -> Any:
    def ucum(text: str) -> str | None:
        code: str | None = old(text)
        return "mg" if code == "g" else code

    return ucum


def _refusals_unsaid(old: Any) -> Any:
    return lambda extraction: old(msgspec.structs.replace(extraction, refused=()))


def _refusals_dropped(old: Any) -> Any:
    return lambda *given: (old(*given)[0], ())


def _last_part_lost(old: Any) -> Any:
    return lambda text: old(text)[:-1]


def _one(ident: str, what: str, target: str, value: Any, process: Any = "gateway") -> CodeDefect:
    return CodeDefect(ident, what, {target: value}, process)


RELATIONS: Final[tuple[CodeDefect, ...]] = (
    _one(
        "reading: refusals are not said",
        "Nobody is told of candidates that became no record.",
        "system.gateway.routes_readings:_reading",
        _refusals_unsaid,
    ),
    _one(
        "reading: refusals are forgotten",
        "A candidate that becomes no record leaves no trace.",
        "system.evidence.extraction.registry:registry_effects",
        _refusals_dropped,
        "both",
    ),
    _one(
        "reading: the last criterion is lost",
        "The last line of the eligibility criteria is in no document.",
        f"{_REGISTRY}:split_criteria",
        _last_part_lost,
        "both",
    ),
    _one("versions: none supersedes", "A newer version stands beside the older one, everywhere.", f"{_STEPS}:take_over", _nothing, "both"),
    _one(
        "versions: the graph keeps the older",
        "The graph goes on holding what a superseded document supported.",
        f"{_STEPS}:_take_out",
        _leaves("graph", "remove_contribution"),
        "both",
    ),
    _one(
        "versions: the index keeps the older",
        "A question goes on being answered from the older version too.",
        f"{_STEPS}:_take_out",
        _leaves("search", "delete_document"),
        "both",
    ),
    _one(
        "versions: lists hold older records",
        "The list of extractions holds the records of superseded documents.",
        "system.stores.records_content:extractions",
        _older_too,
    ),
    _one(
        "studies: by registration number alone",
        "Forms of a study that share a PubMed id or a DOI are studies of their own.",
        f"{_STUDIES}:_own",
        _no_publication_ids,
    ),
    _one("studies: every document is one", "A study seen in two formats counts as two.", f"{_SELECT}:crosswalk", _each_its_own),
    _one(
        "studies: articles name no trial",
        "An article that names its trial is a study of its own.",
        f"{_STUDIES}:_registered",
        _registry_alone,
    ),
    _one(
        "studies: each effect is one",
        "A study's effect is pooled with its own effect from another form.",
        f"{_SELECT}:StudyEffect",
        _study_of_its_own,
    ),
    _one(
        "eligibility: sides by the old reader",
        "A criterion that speaks of inclusion or exclusion criteria turns the side of those behind it.",
        "system.evidence.sources.ctgov_eligibility:heading_side",
        _old_reader,
        "both",
    ),
    _one(
        "eligibility: not is dropped", "A negated criterion reads as its opposite.", f"{_REGISTRY}:split_criteria", _not_is_dropped, "both"
    ),
    _one(
        "eligibility: the first exclusion includes",
        "Who has the first of the exclusion criteria is said to be let in.",
        f"{_REGISTRY}:split_criteria",
        _first_changes_side,
        "both",
    ),
    _one(
        "order: what came last stands",
        "An older version that comes late supersedes the newer one.",
        "system.evidence.intake:lineage_of",
        _no_rank,
        "both",
    ),
    _one(
        "order: a version is its first four characters",
        "Versions of one year are told apart by when they came.",
        "system.evidence.intake:lineage_of",
        _rank_of_a_year,
        "both",
    ),
    _one(
        "order: a dossier as documents came",
        "The numbers of the bibliography depend on the order in which documents were taken in.",
        "system.assembly:PlatformEvidence.studies_for",
        _as_they_came,
    ),
    _one(
        "unrelated: everything is about it",
        "A dossier states what documents about something else state.",
        f"{_SELECT}:is_about",
        lambda _old: lambda *_given: True,
    ),
    _one(
        "unrelated: one word is enough", "A dossier on one syndrome states what is known of every syndrome.", f"{_SELECT}:_holds", _any_word
    ),
    _one(
        "unrelated: ten documents are read",
        "What else is in the platform decides how much is said to be left out.",
        f"{_SELECT}:MAX_DOCUMENTS",
        lambda _old: 10,
    ),
    _one(
        "doses: not in the key", "Effects of different doses are combined.", f"{_COMPARABLE}:_dose", lambda _old: lambda *_given: NOT_STATED
    ),
    _one(
        "doses: prefixes do not count",
        "10 mg, 10 g and 10 µg are compared as the same dose.",
        f"{_COMPARABLE}:_TO_MG",
        lambda old: dict.fromkeys(old, 1.0),
    ),
    _one(
        "doses: a gram is a milligram",
        "Doses in grams carry the unit milligram with the same number.",
        "system.evidence.extraction.dose_grammar:ucum",
        _unmilled,
        "both",
    ),
)
