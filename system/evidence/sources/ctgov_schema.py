"""ClinicalTrials.gov API v2 records as types: the parts of a study that are rendered or extracted.

Field names are the registry's own in snake case. What a study does not say is ``None``, ``""`` or ``()``. Figures of results are
strings, because the registry sends them as strings and they are rendered untouched; counts of adverse events are whole numbers.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MAX_ENROLMENT = 1_000_000
MAX_COUNT = 1_000_000_000  # participants or events: more is a defect of the payload

NctId = Annotated[str, msgspec.Meta(pattern=r"^NCT[0-9]{8}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Enrolment = Annotated[int, msgspec.Meta(ge=0, le=MAX_ENROLMENT)]
Figure = Annotated[str, msgspec.Meta(max_length=200)]  # a number as the registry wrote it
Named = Annotated[str, msgspec.Meta(pattern=r"\S")]  # a text that is not blank
Age = Annotated[str, msgspec.Meta(pattern=r"^(N/A|[0-9]{1,6} (Minute|Hour|Day|Week|Month|Year)s?)?\Z")]


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of all parts: immutable, the registry's camel case on the wire."""


class OrgId(_Part, frozen=True):
    id: str = ""


class SecondaryId(_Part, frozen=True):
    id: str = ""
    type: str = ""
    domain: str = ""


class Identification(_Part, frozen=True):
    nct_id: NctId
    brief_title: str = ""
    official_title: str = ""
    acronym: str = ""
    org_study_id_info: OrgId | None = None
    secondary_id_infos: tuple[SecondaryId, ...] = ()
    nct_id_aliases: tuple[str, ...] = ()  # numbers under which the same trial was registered before


class DateStruct(_Part, frozen=True):
    date: str = ""


class Status(_Part, frozen=True):
    overall_status: Named
    why_stopped: str = ""
    start_date_struct: DateStruct | None = None
    completion_date_struct: DateStruct | None = None
    study_first_post_date_struct: DateStruct | None = None
    last_update_post_date_struct: DateStruct | None = None


class LeadSponsor(_Part, frozen=True):
    name: str = ""


class Sponsors(_Part, frozen=True):
    lead_sponsor: LeadSponsor | None = None


class Description(_Part, frozen=True):
    brief_summary: str = ""
    detailed_description: str = ""


class Conditions(_Part, frozen=True):
    conditions: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


class MaskingInfo(_Part, frozen=True):
    masking: str = ""


class DesignInfo(_Part, frozen=True):
    allocation: str = ""
    intervention_model: str = ""
    primary_purpose: str = ""
    observational_model: str = ""
    time_perspective: str = ""
    masking_info: MaskingInfo | None = None


class EnrolmentInfo(_Part, frozen=True):
    count: Enrolment | None = None
    type: str = ""


class Design(_Part, frozen=True):
    study_type: str = ""
    phases: tuple[str, ...] = ()
    design_info: DesignInfo | None = None
    enrollment_info: EnrolmentInfo | None = None


class ArmGroup(_Part, frozen=True):
    label: Named
    type: str = ""
    description: str = ""
    intervention_names: tuple[str, ...] = ()


class Intervention(_Part, frozen=True):
    name: Named
    type: str = ""
    description: str = ""
    arm_group_labels: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()


class ArmsInterventions(_Part, frozen=True):
    arm_groups: tuple[ArmGroup, ...] = ()
    interventions: tuple[Intervention, ...] = ()


class PlannedOutcome(_Part, frozen=True):
    measure: Named
    description: str = ""
    time_frame: str = ""


class PlannedOutcomes(_Part, frozen=True):
    primary_outcomes: tuple[PlannedOutcome, ...] = ()
    secondary_outcomes: tuple[PlannedOutcome, ...] = ()
    other_outcomes: tuple[PlannedOutcome, ...] = ()


class Eligibility(_Part, frozen=True):
    eligibility_criteria: str = ""
    sex: str = ""
    minimum_age: Age = ""
    maximum_age: Age = ""
    study_population: str = ""
    healthy_volunteers: bool | None = None


class Reference(_Part, frozen=True):
    pmid: str = ""
    type: str = ""


class References(_Part, frozen=True):
    references: tuple[Reference, ...] = ()


class Protocol(_Part, frozen=True):
    identification_module: Identification
    status_module: Status
    sponsor_collaborators_module: Sponsors | None = None
    description_module: Description | None = None
    conditions_module: Conditions | None = None
    design_module: Design | None = None
    arms_interventions_module: ArmsInterventions | None = None
    outcomes_module: PlannedOutcomes | None = None
    eligibility_module: Eligibility | None = None
    references_module: References | None = None


class Group(_Part, frozen=True):
    id: str
    title: str = ""
    description: str = ""


class GroupCount(_Part, frozen=True):
    group_id: str
    value: Figure = ""


class Denominator(_Part, frozen=True):
    units: str = ""
    counts: tuple[GroupCount, ...] = ()


class Measurement(_Part, frozen=True):
    group_id: str
    value: Figure = ""
    spread: Figure = ""
    lower_limit: Figure = ""
    upper_limit: Figure = ""


class Category(_Part, frozen=True):
    title: str = ""
    measurements: tuple[Measurement, ...] = ()


class MeasureClass(_Part, frozen=True):
    title: str = ""
    denoms: tuple[Denominator, ...] = ()
    categories: tuple[Category, ...] = ()


class Analysis(_Part, frozen=True):
    group_ids: tuple[str, ...] = ()
    group_description: str = ""
    non_inferiority_type: str = ""
    param_type: str = ""
    param_value: Figure = ""
    ci_pct_value: Figure = ""
    ci_num_sides: str = ""
    ci_lower_limit: Figure = ""
    ci_upper_limit: Figure = ""
    dispersion_type: str = ""
    dispersion_value: Figure = ""
    p_value: Figure = ""
    p_value_comment: str = ""
    statistical_method: str = ""
    statistical_comment: str = ""
    estimate_comment: str = ""


class OutcomeMeasure(_Part, frozen=True):
    title: Named
    type: str = ""
    description: str = ""
    population_description: str = ""
    param_type: str = ""
    dispersion_type: str = ""
    unit_of_measure: str = ""
    time_frame: str = ""
    groups: tuple[Group, ...] = ()
    denoms: tuple[Denominator, ...] = ()
    classes: tuple[MeasureClass, ...] = ()
    analyses: tuple[Analysis, ...] = ()


class OutcomeMeasures(_Part, frozen=True):
    outcome_measures: tuple[OutcomeMeasure, ...] = ()


class Achievement(_Part, frozen=True):
    group_id: str
    num_subjects: Figure = ""


class Milestone(_Part, frozen=True):
    type: Named
    achievements: tuple[Achievement, ...] = ()


class DropWithdraw(_Part, frozen=True):
    type: Named
    reasons: tuple[Achievement, ...] = ()


class Period(_Part, frozen=True):
    title: str = ""
    milestones: tuple[Milestone, ...] = ()
    drop_withdraws: tuple[DropWithdraw, ...] = ()


class ParticipantFlow(_Part, frozen=True):
    recruitment_details: str = ""
    pre_assignment_details: str = ""
    groups: tuple[Group, ...] = ()
    periods: tuple[Period, ...] = ()


class BaselineMeasure(_Part, frozen=True):
    title: Named
    param_type: str = ""
    dispersion_type: str = ""
    unit_of_measure: str = ""
    classes: tuple[MeasureClass, ...] = ()


class Baseline(_Part, frozen=True):
    population_description: str = ""
    groups: tuple[Group, ...] = ()
    denoms: tuple[Denominator, ...] = ()
    measures: tuple[BaselineMeasure, ...] = ()


class EventGroup(_Part, frozen=True):
    id: str
    title: str = ""
    description: str = ""
    deaths_num_affected: Count | None = None
    deaths_num_at_risk: Count | None = None
    serious_num_affected: Count | None = None
    serious_num_at_risk: Count | None = None
    other_num_affected: Count | None = None
    other_num_at_risk: Count | None = None


class EventStats(_Part, frozen=True):
    group_id: str
    num_affected: Count | None = None
    num_at_risk: Count | None = None
    num_events: Count | None = None


class AdverseEventTerm(_Part, frozen=True):
    term: Named
    organ_system: str = ""
    source_vocabulary: str = ""
    assessment_type: str = ""
    stats: tuple[EventStats, ...] = ()


class AdverseEvents(_Part, frozen=True):
    frequency_threshold: str = ""
    time_frame: str = ""
    description: str = ""
    event_groups: tuple[EventGroup, ...] = ()
    serious_events: tuple[AdverseEventTerm, ...] = ()
    other_events: tuple[AdverseEventTerm, ...] = ()


class Limitations(_Part, frozen=True):
    description: str = ""


class MoreInfo(_Part, frozen=True):
    limitations_and_caveats: Limitations | None = None


class Results(_Part, frozen=True):
    participant_flow_module: ParticipantFlow | None = None
    baseline_characteristics_module: Baseline | None = None
    outcome_measures_module: OutcomeMeasures | None = None
    adverse_events_module: AdverseEvents | None = None
    more_info_module: MoreInfo | None = None


class MiscInfo(_Part, frozen=True):
    version_holder: str = ""


class Derived(_Part, frozen=True):
    misc_info_module: MiscInfo | None = None


class Study(_Part, frozen=True):
    """One registered study."""

    protocol_section: Protocol
    results_section: Results | None = None
    derived_section: Derived | None = None
