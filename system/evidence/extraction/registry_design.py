"""Population, interventions, comparators and outcomes of a registered study, as its protocol states them."""

from __future__ import annotations

import re

import msgspec

from system.evidence.extraction.grounding import Grounds
from system.evidence.extraction.registry_check import checked, quote_flags
from system.evidence.records import Kind, Pico, record_id
from system.evidence.sources.builder import clean
from system.evidence.sources.ctgov import ARMS, CONDITIONS, ELIGIBILITY, ENROLMENT, PLANNED, planned_lists
from system.evidence.sources.ctgov_eligibility import unescape
from system.evidence.sources.ctgov_schema import ArmGroup, ArmsInterventions, Protocol, Study

COMPARATOR_TYPES = frozenset({"PLACEBO_COMPARATOR", "SHAM_COMPARATOR", "ACTIVE_COMPARATOR", "NO_INTERVENTION"})
MAX_LABEL = 500  # characters of an arm's label that are looked at

_COMPARATOR_LABEL = re.compile(r"\b(?:placebo|sham|controls?|usual care|standard of care|no treatment|wait(?:ing)?.?list)\b", re.IGNORECASE)


class _Named(msgspec.Struct, frozen=True):
    """A text and the pointer it was read from."""

    text: str
    path: str


class _Facts(msgspec.Struct, frozen=True):
    """What a study states about itself; the record id is made of it."""

    population: tuple[str, ...]
    interventions: tuple[str, ...]
    comparators: tuple[str, ...]
    outcomes: tuple[str, ...]
    timeframes: tuple[str, ...]
    enrolment: int | None
    path: str


def registry_pico(grounds: Grounds, study: Study) -> Pico | None:
    """The study's PICO; ``None`` where it names neither a population nor an intervention nor an outcome.

    ``timeframes`` runs parallel to ``outcomes``, with an empty text where none is stated.
    """
    protocol = study.protocol_section
    population, comparators = _population(protocol), _comparators(protocol.arms_interventions_module)
    interventions, outcomes = _interventions(protocol.arms_interventions_module), _outcomes(protocol)
    info = protocol.design_module.enrollment_info if protocol.design_module else None
    facts = _Facts(
        population=_texts(population),
        interventions=_texts(interventions),
        comparators=_texts(comparators),
        outcomes=_texts([name for name, _ in outcomes]),
        timeframes=tuple(frame.text for name, frame in outcomes if name.text),
        enrolment=info.count if info else None,
        path="/protocolSection",
    )
    frames = [frame for _, frame in outcomes]
    named = [*population, *interventions, *comparators, *(name for name, _ in outcomes), *frames]
    if facts.enrolment is not None:
        named.append(_Named(str(facts.enrolment), ENROLMENT))
    spans = grounds.all_at(dict.fromkeys(item.path for item in named if item.text and item.path != ENROLMENT)) + grounds.rows_at(
        [ENROLMENT]
    )
    if not spans or not (facts.population or facts.interventions or facts.outcomes):
        return None
    flags = quote_flags([(item.path.rsplit("/", 2)[-2], item.text) for item in named], spans)
    doc_id = grounds.document.doc_id
    return Pico(
        record_id=record_id(doc_id, Kind.PICO, facts), doc_id=doc_id, spans=spans, check=checked(flags), **msgspec.structs.asdict(facts)
    )


def _texts(items: list[_Named]) -> tuple[str, ...]:
    return tuple(item.text for item in items if item.text)


def _named(text: str, path: str) -> _Named:
    return _Named(clean(unescape(text)), path)


def _population(protocol: Protocol) -> list[_Named]:
    """The conditions, then the described population of an observational study."""
    conditions = protocol.conditions_module.conditions if protocol.conditions_module else ()
    found = [_named(text, f"{CONDITIONS}/{k}") for k, text in enumerate(conditions)]
    described = protocol.eligibility_module.study_population if protocol.eligibility_module else ""
    if described.strip() and "\n\n" not in described:
        found.append(_named(described, f"{ELIGIBILITY}/studyPopulation"))
    return found


def _comparators(module: ArmsInterventions | None) -> list[_Named]:
    """The arms that the registry names as comparators."""
    arms = module.arm_groups if module else ()
    return [_named(arm.label, f"{ARMS}/armGroups/{k}/label") for k, arm in enumerate(arms) if _compares(arm)]


def _compares(arm: ArmGroup) -> bool:
    """Whether the arm is a comparator by its type, or by its label where the type leaves it open."""
    return arm.type in COMPARATOR_TYPES or (arm.type in {"", "OTHER"} and bool(_COMPARATOR_LABEL.search(arm.label[:MAX_LABEL])))


def _interventions(module: ArmsInterventions | None) -> list[_Named]:
    """The interventions, without those that only comparator arms receive beside at least one other arm."""
    if module is None:
        return []
    tested = {arm.label for arm in module.arm_groups if not _compares(arm)}
    return [
        _named(item.name, f"{ARMS}/interventions/{k}/name")
        for k, item in enumerate(module.interventions)
        if not tested or not item.arm_group_labels or tested & set(item.arm_group_labels)
    ]


def _outcomes(protocol: Protocol) -> list[tuple[_Named, _Named]]:
    """Every planned outcome with its time frame."""
    if protocol.outcomes_module is None:
        return []
    return [
        (_named(outcome.measure, f"{PLANNED}/{name}/{k}/measure"), _named(outcome.time_frame, f"{PLANNED}/{name}/{k}/timeFrame"))
        for name, outcomes in planned_lists(protocol.outcomes_module)
        for k, outcome in enumerate(outcomes)
    ]
