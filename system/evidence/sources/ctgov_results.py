"""Renders the results of a study: participant flow, baseline, outcome measures with their analyses, adverse events.

Every figure is put into the text as the registry wrote it, in a cell of its own whose path is the JSON pointer of the
figure, so that a record can quote it. Table ids are stable: ``analysis-<outcome>-<analysis>``, ``ae-serious``, ``ae-other`` …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from system.evidence.ir import BlockKind
from system.evidence.sources.builder import RawCell, RawTable, TextBuilder
from system.evidence.sources.ctgov_decode import group_named
from system.evidence.sources.ctgov_eligibility import unescape
from system.evidence.sources.ctgov_schema import (
    AdverseEvents,
    AdverseEventTerm,
    Analysis,
    Baseline,
    Denominator,
    EventGroup,
    EventStats,
    Group,
    MeasureClass,
    Measurement,
    OutcomeMeasure,
    ParticipantFlow,
    Period,
    Results,
)

RESULTS = "/resultsSection"
OUTCOMES = f"{RESULTS}/outcomeMeasuresModule/outcomeMeasures"
EVENTS = f"{RESULTS}/adverseEventsModule"
SERIOUS_TABLE = "ae-serious"
OTHER_TABLE = "ae-other"
EVENT_COLUMNS = ("Adverse event", "Organ system", "Vocabulary", "Assessment", "Arm", "Affected", "At risk", "Events")

Rows = list[list[RawCell]]


def analysis_table(outcome: int, analysis: int) -> str:
    """The id of the table that carries one analysis."""
    return f"analysis-{outcome}-{analysis}"


def measurements_table(outcome: int) -> str:
    """The id of the table that carries the measurements of one outcome."""
    return f"measurements-{outcome}"


def event_path(*, serious: bool) -> str:
    """JSON pointer of one of the two lists of adverse events."""
    return f"{EVENTS}/{'seriousEvents' if serious else 'otherEvents'}"


def fact_rows(facts: Sequence[tuple[str, str, str]]) -> Rows:
    """Two-column rows from ``(name, value, pointer)``; facts without a value are left out. A name stands at its fact's parent."""
    return [[RawCell(name, parent(path), header=True), RawCell(unescape(value), path)] for name, value, path in facts if value.strip()]


def parent(path: str) -> str:
    """The JSON pointer one level up."""
    return path.rpartition("/")[0]


def add_rows(builder: TextBuilder, table_id: str, path: str, rows: Rows, section: str, caption: str = "", label: str | None = None) -> None:
    """Add a table unless it has no rows."""
    if rows:
        builder.add_table(RawTable(table_id, path, rows, caption=caption, label=label), section)


def add_text(
    builder: TextBuilder, text: str, section: str, path: str, kind: BlockKind = BlockKind.PARAGRAPH, label: str | None = None
) -> None:
    """Add a text of the registry; blank lines in it separate blocks."""
    for paragraph in unescape(text).replace("\r\n", "\n").split("\n\n"):
        builder.add_block(kind, paragraph, section, path, label=label)


def render_results(builder: TextBuilder, results: Results) -> None:
    """Append everything of the results section that is rendered; raises ``BadInput`` for a reference to an unknown group."""
    if results.participant_flow_module:
        _flow(builder, results.participant_flow_module)
    if results.baseline_characteristics_module:
        _baseline(builder, results.baseline_characteristics_module)
    if results.outcome_measures_module:
        for index, outcome in enumerate(results.outcome_measures_module.outcome_measures):
            _outcome(builder, index, outcome)
    if results.adverse_events_module:
        _adverse_events(builder, results.adverse_events_module)
    more = results.more_info_module
    if more and more.limitations_and_caveats:
        path = f"{RESULTS}/moreInfoModule/limitationsAndCaveats/description"
        add_text(builder, more.limitations_and_caveats.description, "Results > Limitations", path)


def _header(groups: tuple[Group, ...], path: str, first: str) -> list[RawCell]:
    titles = [RawCell(g.title or g.id, f"{path}/groups/{i}/title", header=True) for i, g in enumerate(groups)]
    return [RawCell(first, path, header=True), *titles]


def _row(name: RawCell, groups: tuple[Group, ...], values: Sequence[tuple[str, str, str]]) -> list[RawCell]:
    """One row: ``values`` are ``(group id, text, pointer)``; a group without a value has an empty cell."""
    cells = [RawCell("", name.path) for _ in groups]
    for group_id, text, path in values:
        cells[group_named(groups, group_id, f"{path}/groupId")] = RawCell(text, path)
    return [name, *cells]


def _denominators(denoms: tuple[Denominator, ...], groups: tuple[Group, ...], path: str, prefix: str = "") -> Iterator[list[RawCell]]:
    for d, denom in enumerate(denoms):
        values = [(c.group_id, c.value, f"{path}/denoms/{d}/counts/{k}") for k, c in enumerate(denom.counts)]
        label = " ".join(part for part in (prefix, f"{denom.units or 'Participants'} analysed") if part)
        yield _row(RawCell(label, f"{path}/denoms/{d}", header=True), groups, values)


def measured(measurement: Measurement) -> str:
    """A measurement with its spread or limits, each figure untouched: ``1.5 (0.2)``, ``1.5 (0.2 to 3.1)``."""
    limits = " to ".join(limit for limit in (measurement.lower_limit, measurement.upper_limit) if limit)
    extra = "; ".join(part for part in (measurement.spread, limits) if part)
    return f"{measurement.value} ({extra})" if extra else measurement.value


def _class_rows(classes: tuple[MeasureClass, ...], groups: tuple[Group, ...], path: str, prefix: str = "") -> Iterator[list[RawCell]]:
    for c, item in enumerate(classes):
        here = f"{path}/classes/{c}"
        yield from _denominators(item.denoms, groups, here, ", ".join(part for part in (prefix, item.title) if part))
        for k, category in enumerate(item.categories):
            spot = f"{here}/categories/{k}"
            values = [(m.group_id, measured(m), f"{spot}/measurements/{n}") for n, m in enumerate(category.measurements)]
            label = ", ".join(part for part in (prefix, item.title, category.title) if part) or "All"
            yield _row(RawCell(unescape(label), spot, header=True), groups, values)


def _flow(builder: TextBuilder, flow: ParticipantFlow) -> None:
    path, section = f"{RESULTS}/participantFlowModule", "Results > Participant flow"
    builder.add_block(BlockKind.HEADING, "Participant flow", section, path)
    add_text(builder, flow.recruitment_details, section, f"{path}/recruitmentDetails")
    add_text(builder, flow.pre_assignment_details, section, f"{path}/preAssignmentDetails")
    for p, period in enumerate(flow.periods):
        rows = list(_period_rows(period, flow.groups, f"{path}/periods/{p}"))
        if rows:
            header = _header(flow.groups, path, "Participants")
            add_rows(builder, f"flow-{p}", f"{path}/periods/{p}", [header, *rows], section, caption=period.title)


def _period_rows(period: Period, groups: tuple[Group, ...], path: str) -> Iterator[list[RawCell]]:
    for m, milestone in enumerate(period.milestones):
        here = f"{path}/milestones/{m}"
        values = [(a.group_id, a.num_subjects, f"{here}/achievements/{k}") for k, a in enumerate(milestone.achievements)]
        yield _row(RawCell(milestone.type, f"{here}/type", header=True), groups, values)
    for d, drop in enumerate(period.drop_withdraws):
        here = f"{path}/dropWithdraws/{d}"
        values = [(a.group_id, a.num_subjects, f"{here}/reasons/{k}") for k, a in enumerate(drop.reasons)]
        yield _row(RawCell(f"Not completed: {drop.type}", here, header=True), groups, values)


def _baseline(builder: TextBuilder, baseline: Baseline) -> None:
    path, section = f"{RESULTS}/baselineCharacteristicsModule", "Results > Baseline characteristics"
    builder.add_block(BlockKind.HEADING, "Baseline characteristics", section, path)
    add_text(builder, baseline.population_description, section, f"{path}/populationDescription")
    rows = list(_denominators(baseline.denoms, baseline.groups, path))
    for m, measure in enumerate(baseline.measures):
        facts = ", ".join(part for part in (measure.title, measure.param_type, measure.dispersion_type, measure.unit_of_measure) if part)
        rows.extend(_class_rows(measure.classes, baseline.groups, f"{path}/measures/{m}", facts))
    if rows:
        add_rows(builder, "baseline", path, [_header(baseline.groups, path, "Characteristic"), *rows], section)


def _outcome(builder: TextBuilder, index: int, outcome: OutcomeMeasure) -> None:
    path, section = f"{OUTCOMES}/{index}", f"Results > Outcome measures > {outcome.title}"
    builder.add_block(BlockKind.HEADING, outcome.title, section, f"{path}/title", label=f"{outcome.type.lower() or 'unspecified'} outcome")
    add_text(builder, outcome.description, section, f"{path}/description")
    add_text(builder, outcome.population_description, section, f"{path}/populationDescription")
    facts = [
        ("Outcome type", outcome.type, f"{path}/type"),
        ("Time frame", outcome.time_frame, f"{path}/timeFrame"),
        ("Parameter", outcome.param_type, f"{path}/paramType"),
        ("Dispersion", outcome.dispersion_type, f"{path}/dispersionType"),
        ("Unit", outcome.unit_of_measure, f"{path}/unitOfMeasure"),
    ]
    add_rows(builder, f"outcome-{index}", path, fact_rows(facts), section)
    rows = [*_denominators(outcome.denoms, outcome.groups, path), *_class_rows(outcome.classes, outcome.groups, path)]
    if rows:
        add_rows(builder, measurements_table(index), f"{path}/classes", [_header(outcome.groups, path, "Measure"), *rows], section)
    for k, analysis in enumerate(outcome.analyses):
        spot = f"{path}/analyses/{k}"
        rows = [*_compared(outcome, analysis, path, spot), *fact_rows(_analysis_facts(analysis, spot))]
        add_rows(builder, analysis_table(index, k), spot, rows, section, label="analysis")


def _compared(outcome: OutcomeMeasure, analysis: Analysis, path: str, spot: str) -> Iterator[list[RawCell]]:
    """A row for every group that the analysis compares: its title and id."""
    for k, group_id in enumerate(analysis.group_ids):
        place = f"{spot}/groupIds/{k}"
        at = group_named(outcome.groups, group_id, place)
        title = outcome.groups[at].title or group_id
        yield [RawCell("Group", spot, header=True), RawCell(title, f"{path}/groups/{at}/title"), RawCell(group_id, place)]


def _analysis_facts(analysis: Analysis, spot: str) -> list[tuple[str, str, str]]:
    return [
        ("Comparison", analysis.group_description, f"{spot}/groupDescription"),
        ("Estimated parameter", analysis.param_type, f"{spot}/paramType"),
        ("Estimate", analysis.param_value, f"{spot}/paramValue"),
        ("Confidence level in %", analysis.ci_pct_value, f"{spot}/ciPctValue"),
        ("Sides", analysis.ci_num_sides, f"{spot}/ciNumSides"),
        ("Lower confidence limit", analysis.ci_lower_limit, f"{spot}/ciLowerLimit"),
        ("Upper confidence limit", analysis.ci_upper_limit, f"{spot}/ciUpperLimit"),
        ("Dispersion", analysis.dispersion_type, f"{spot}/dispersionType"),
        ("Dispersion value", analysis.dispersion_value, f"{spot}/dispersionValue"),
        ("P value", analysis.p_value, f"{spot}/pValue"),
        ("P value comment", analysis.p_value_comment, f"{spot}/pValueComment"),
        ("Method", analysis.statistical_method, f"{spot}/statisticalMethod"),
        ("Method comment", analysis.statistical_comment, f"{spot}/statisticalComment"),
        ("Estimate comment", analysis.estimate_comment, f"{spot}/estimateComment"),
        ("Hypothesis", analysis.non_inferiority_type, f"{spot}/nonInferiorityType"),
    ]


def _adverse_events(builder: TextBuilder, events: AdverseEvents) -> None:
    section = "Results > Adverse events"
    builder.add_block(BlockKind.HEADING, "Adverse events", section, EVENTS)
    add_text(builder, events.description, section, f"{EVENTS}/description")
    facts = [
        ("Time frame", events.time_frame, f"{EVENTS}/timeFrame"),
        ("Frequency threshold in %", events.frequency_threshold, f"{EVENTS}/frequencyThreshold"),
    ]
    add_rows(builder, "ae-facts", EVENTS, fact_rows(facts), section)
    groups = list(_group_rows(events.event_groups))
    if groups:
        header = ("Arm", "Deaths", "At risk of death", "Serious, affected", "Serious, at risk", "Other, affected", "Other, at risk")
        cells = [RawCell(name, f"{EVENTS}/eventGroups", header=True) for name in header]
        add_rows(builder, "ae-groups", f"{EVENTS}/eventGroups", [cells, *groups], section)
    for terms, serious in ((events.serious_events, True), (events.other_events, False)):
        _event_table(builder, terms, events.event_groups, f"{section} > {'Serious' if serious else 'Other'}", serious=serious)


def _count(value: int | None) -> str:
    return "" if value is None else str(value)


def _group_rows(groups: tuple[EventGroup, ...]) -> Iterator[list[RawCell]]:
    for g, group in enumerate(groups):
        path = f"{EVENTS}/eventGroups/{g}"
        counts = (
            ("deathsNumAffected", group.deaths_num_affected),
            ("deathsNumAtRisk", group.deaths_num_at_risk),
            ("seriousNumAffected", group.serious_num_affected),
            ("seriousNumAtRisk", group.serious_num_at_risk),
            ("otherNumAffected", group.other_num_affected),
            ("otherNumAtRisk", group.other_num_at_risk),
        )
        cells = [RawCell(_count(value), f"{path}/{name}") for name, value in counts]
        yield [RawCell(group.title or group.id, f"{path}/title", header=True), *cells]


def event_arms(groups: tuple[EventGroup, ...]) -> tuple[Group, ...]:
    """The arms of the adverse events, in the form in which groups are looked up."""
    return tuple(Group(id=g.id, title=g.title) for g in groups)


def _event_table(
    builder: TextBuilder, terms: tuple[AdverseEventTerm, ...], groups: tuple[EventGroup, ...], section: str, *, serious: bool
) -> None:
    path, arms = event_path(serious=serious), event_arms(groups)
    rows = [
        _event_row(term, stats, arms, f"{path}/{t}", f"{path}/{t}/stats/{s}")
        for t, term in enumerate(terms)
        for s, stats in enumerate(term.stats)
    ]
    if rows:
        header = [RawCell(name, path, header=True) for name in EVENT_COLUMNS]
        table_id, caption = (SERIOUS_TABLE, "Serious adverse events") if serious else (OTHER_TABLE, "Other adverse events")
        add_rows(builder, table_id, path, [header, *rows], section, caption=caption, label="adverse events")


def _event_row(term: AdverseEventTerm, stats: EventStats, arms: tuple[Group, ...], path: str, spot: str) -> list[RawCell]:
    """One term in one arm; the columns are ``EVENT_COLUMNS``."""
    arm = group_named(arms, stats.group_id, f"{spot}/groupId")
    return [
        RawCell(term.term, f"{path}/term", header=True),
        RawCell(term.organ_system, f"{path}/organSystem"),
        RawCell(term.source_vocabulary, f"{path}/sourceVocabulary"),
        RawCell(term.assessment_type, f"{path}/assessmentType"),
        RawCell(arms[arm].title or arms[arm].id, f"{EVENTS}/eventGroups/{arm}/title"),
        RawCell(_count(stats.num_affected), f"{spot}/numAffected"),
        RawCell(_count(stats.num_at_risk), f"{spot}/numAtRisk"),
        RawCell(_count(stats.num_events), f"{spot}/numEvents"),
    ]
