"""The parser of ClinicalTrials.gov API v2 studies: protocol and results become blocks and tables with exact offsets.

Paths are JSON pointers into the study; figures are rendered exactly as the registry wrote them.
"""

from __future__ import annotations

from system.evidence.ir import BlockKind, Document, Metadata, Source
from system.evidence.sources.builder import RawCell, TextBuilder, clean
from system.evidence.sources.ctgov_decode import decode_study, study_title, study_version
from system.evidence.sources.ctgov_eligibility import PartKind, split_criteria, unescape
from system.evidence.sources.ctgov_results import Rows, add_rows, add_text, fact_rows, parent, render_results
from system.evidence.sources.ctgov_schema import (
    ArmsInterventions,
    Conditions,
    Description,
    Design,
    Eligibility,
    Identification,
    PlannedOutcome,
    PlannedOutcomes,
    Protocol,
    Status,
    Study,
)
from system.evidence.sources.ctgov_spanmap import with_transforms
from system.evidence.sources.registrations import registrations

PARSER = "ctgov/2"
PROTOCOL = "/protocolSection"
ELIGIBILITY = f"{PROTOCOL}/eligibilityModule"
CRITERIA = f"{ELIGIBILITY}/eligibilityCriteria"
ARMS = f"{PROTOCOL}/armsInterventionsModule"
PLANNED = f"{PROTOCOL}/outcomesModule"
CONDITIONS = f"{PROTOCOL}/conditionsModule/conditions"
ENROLMENT = f"{PROTOCOL}/designModule/enrollmentInfo/count"
PLANNED_LISTS = ("primaryOutcomes", "secondaryOutcomes", "otherOutcomes")

_PART_BLOCKS = {PartKind.HEADING: BlockKind.HEADING, PartKind.ITEM: BlockKind.LIST_ITEM, PartKind.PARAGRAPH: BlockKind.ELIGIBILITY}


def parse_ctgov(doc_id: str, raw: bytes) -> Document:
    """The document of one study; ``doc_id`` may be empty, it is then made from NCT number, version and bytes.

    Raises ``BadInput`` with a JSON pointer and a remedy for anything that is not a well-formed study.
    """
    study = decode_study(raw)
    protocol = study.protocol_section
    builder = TextBuilder()
    _title(builder, protocol.identification_module)
    _protocol(builder, protocol)
    if study.results_section:
        render_results(builder, study.results_section)
    document = builder.build(
        Source.CTGOV,
        protocol.identification_module.nct_id,
        study_version(study),
        raw,
        _metadata(study),
        PARSER,
        doc_id=doc_id,
        language="en",
    )
    return with_transforms(document, raw)


def planned_lists(outcomes: PlannedOutcomes) -> tuple[tuple[str, tuple[PlannedOutcome, ...]], ...]:
    """The planned outcomes with the name of their list, in the registry's order."""
    lists = (outcomes.primary_outcomes, outcomes.secondary_outcomes, outcomes.other_outcomes)
    return tuple(zip(PLANNED_LISTS, lists, strict=True))


def _title(builder: TextBuilder, identification: Identification) -> None:
    path = f"{PROTOCOL}/identificationModule"
    used = "briefTitle" if identification.brief_title else "officialTitle"
    builder.add_block(BlockKind.TITLE, study_title(identification), "", f"{path}/{used}")
    facts = [
        ("NCT number", identification.nct_id, f"{path}/nctId"),
        ("Official title", identification.official_title, f"{path}/officialTitle"),
        ("Acronym", identification.acronym, f"{path}/acronym"),
    ]
    add_rows(builder, "identification", path, fact_rows(facts), "Protocol > Identification")


def _protocol(builder: TextBuilder, protocol: Protocol) -> None:
    if protocol.description_module:
        _description(builder, protocol.description_module)
    if protocol.conditions_module:
        _conditions(builder, protocol.conditions_module)
    _design(builder, protocol.status_module, protocol.design_module, protocol)
    if protocol.arms_interventions_module:
        _arms(builder, protocol.arms_interventions_module)
    if protocol.outcomes_module:
        _outcomes(builder, protocol.outcomes_module)
    if protocol.eligibility_module:
        _eligibility(builder, protocol.eligibility_module)


def _description(builder: TextBuilder, description: Description) -> None:
    path = f"{PROTOCOL}/descriptionModule"
    for name, heading, text in (
        ("briefSummary", "Brief summary", description.brief_summary),
        ("detailedDescription", "Detailed description", description.detailed_description),
    ):
        if text.strip():
            section = f"Protocol > {heading}"
            builder.add_block(BlockKind.HEADING, heading, section, path)
            add_text(builder, text, section, f"{path}/{name}")


def _conditions(builder: TextBuilder, module: Conditions) -> None:
    path, section = f"{PROTOCOL}/conditionsModule", "Protocol > Conditions"
    builder.add_block(BlockKind.HEADING, "Conditions", section, path)
    for name, values, label in (("conditions", module.conditions, "condition"), ("keywords", module.keywords, "keyword")):
        for k, value in enumerate(values):
            builder.add_block(BlockKind.LIST_ITEM, unescape(value), section, f"{path}/{name}/{k}", label=label)


def _design(builder: TextBuilder, status: Status, design: Design | None, protocol: Protocol) -> None:
    sponsor = protocol.sponsor_collaborators_module.lead_sponsor if protocol.sponsor_collaborators_module else None
    facts = _status_facts(status)
    facts.append(("Lead sponsor", sponsor.name if sponsor else "", f"{PROTOCOL}/sponsorCollaboratorsModule/leadSponsor/name"))
    facts.extend(_design_facts(design) if design else ())
    rows: Rows = fact_rows(facts)
    for k, phase in enumerate(design.phases if design else ()):
        path = f"{PROTOCOL}/designModule/phases/{k}"
        rows.append([RawCell("Phase", parent(path), header=True), RawCell(phase, path)])
    add_rows(builder, "design", f"{PROTOCOL}/designModule", rows, "Protocol > Design and status", caption="Design and status")


def _status_facts(status: Status) -> list[tuple[str, str, str]]:
    path = f"{PROTOCOL}/statusModule"
    start = status.start_date_struct.date if status.start_date_struct else ""
    completion = status.completion_date_struct.date if status.completion_date_struct else ""
    return [
        ("Status", status.overall_status, f"{path}/overallStatus"),
        ("Why stopped", status.why_stopped, f"{path}/whyStopped"),
        ("Start date", start, f"{path}/startDateStruct/date"),
        ("Completion date", completion, f"{path}/completionDateStruct/date"),
    ]


def _design_facts(design: Design) -> list[tuple[str, str, str]]:
    path = f"{PROTOCOL}/designModule"
    facts = [("Study type", design.study_type, f"{path}/studyType")]
    info = design.design_info
    if info:
        facts += [
            ("Allocation", info.allocation, f"{path}/designInfo/allocation"),
            ("Intervention model", info.intervention_model, f"{path}/designInfo/interventionModel"),
            ("Primary purpose", info.primary_purpose, f"{path}/designInfo/primaryPurpose"),
            ("Observational model", info.observational_model, f"{path}/designInfo/observationalModel"),
            ("Time perspective", info.time_perspective, f"{path}/designInfo/timePerspective"),
            ("Masking", info.masking_info.masking if info.masking_info else "", f"{path}/designInfo/maskingInfo/masking"),
        ]
    if design.enrollment_info and design.enrollment_info.count is not None:
        facts.append(("Enrolment", str(design.enrollment_info.count), ENROLMENT))
        facts.append(("Enrolment type", design.enrollment_info.type, f"{path}/enrollmentInfo/type"))
    return facts


def _arms(builder: TextBuilder, module: ArmsInterventions) -> None:
    section = "Protocol > Arms and interventions"
    arms = [
        _row(f"{ARMS}/armGroups/{k}", ("label", a.label), ("type", a.type), ("description", a.description))
        for k, a in enumerate(module.arm_groups)
    ]
    if arms:
        add_rows(builder, "arms", f"{ARMS}/armGroups", [_header(ARMS, "Arm", "Arm type", "Description"), *arms], section, caption="Arms")
    rows = [
        _row(f"{ARMS}/interventions/{k}", ("name", i.name), ("type", i.type), ("description", i.description))
        for k, i in enumerate(module.interventions)
    ]
    if rows:
        header = _header(ARMS, "Intervention", "Intervention type", "Description")
        add_rows(builder, "interventions", f"{ARMS}/interventions", [header, *rows], section, caption="Interventions")


def _outcomes(builder: TextBuilder, module: PlannedOutcomes) -> None:
    for name, outcomes in planned_lists(module):
        path = f"{PLANNED}/{name}"
        rows = [
            _row(f"{path}/{k}", ("measure", o.measure), ("timeFrame", o.time_frame), ("description", o.description))
            for k, o in enumerate(outcomes)
        ]
        if rows:
            kind = name.removesuffix("Outcomes").capitalize()
            header = _header(path, "Measure", "Time frame", "Description")
            add_rows(builder, name, path, [header, *rows], "Protocol > Planned outcomes", caption=f"{kind} outcomes")


def _header(path: str, *names: str) -> list[RawCell]:
    return [RawCell(name, path, header=True) for name in names]


def _row(path: str, *fields: tuple[str, str]) -> list[RawCell]:
    return [RawCell(unescape(value), f"{path}/{name}") for name, value in fields]


def _eligibility(builder: TextBuilder, module: Eligibility) -> None:
    section = "Protocol > Eligibility"
    builder.add_block(BlockKind.HEADING, "Eligibility", section, ELIGIBILITY)
    add_text(builder, module.study_population, section, f"{ELIGIBILITY}/studyPopulation")
    healthy = "" if module.healthy_volunteers is None else str(module.healthy_volunteers).lower()
    facts = [
        ("Minimum age", module.minimum_age, f"{ELIGIBILITY}/minimumAge"),
        ("Maximum age", module.maximum_age, f"{ELIGIBILITY}/maximumAge"),
        ("Sex", module.sex, f"{ELIGIBILITY}/sex"),
        ("Healthy volunteers", healthy, f"{ELIGIBILITY}/healthyVolunteers"),
    ]
    add_rows(builder, "eligibility", ELIGIBILITY, fact_rows(facts), section)
    for part in split_criteria(module.eligibility_criteria):
        builder.add_block(_PART_BLOCKS[part.kind], part.text, section, CRITERIA, label=part.side or None)


RESULT = "RESULT"  # of a reference: the sponsor names it as a report of this trial; others are background, or found by a machine


def _metadata(study: Study) -> Metadata:
    protocol = study.protocol_section
    identification, status, design = protocol.identification_module, protocol.status_module, protocol.design_module
    arms = protocol.arms_interventions_module
    identifiers = [("nct", identification.nct_id)]
    if identification.org_study_id_info and identification.org_study_id_info.id:
        identifiers.append(("org", clean(identification.org_study_id_info.id)))
    for other in identification.secondary_id_infos:
        identifiers += [found for found in registrations(other.id) if found[0] != "nct"]  # that of another record is none of its own
    identifiers += [("nct_alias", alias.strip()) for alias in identification.nct_id_aliases if alias.strip()]
    for reference in protocol.references_module.references if protocol.references_module else ():
        if reference.type == RESULT and reference.pmid.strip().isdecimal():
            identifiers.append(("result_pmid", reference.pmid.strip()))
    return Metadata(
        title=clean(study_title(identification)),
        year=_year(status),
        identifiers=tuple(dict.fromkeys(identifiers)),
        conditions=tuple(map(clean, protocol.conditions_module.conditions)) if protocol.conditions_module else (),
        interventions=tuple(clean(i.name) for i in arms.interventions) if arms else (),
        licence="ClinicalTrials.gov terms and conditions",
        study_type=clean(design.study_type) if design else "",
        phase="/".join(map(clean, design.phases)) if design else "",
        status=clean(status.overall_status),
    )


def _year(status: Status) -> int | None:
    """The year in which the study was first posted, else the one in which it began."""
    for date in (status.study_first_post_date_struct, status.start_date_struct):
        if date and date.date[:4].isascii() and date.date[:4].isdigit():
            return int(date.date[:4])
    return None
