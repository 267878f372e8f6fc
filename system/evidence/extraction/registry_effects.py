"""Effects from the statistical analyses of registry results: one record for each stated comparison of groups, nothing derived.

An analysis becomes an effect when it compares at least two groups, states an estimate and names a measure of ours. All
others are handed back as refusals with their place and reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from system.evidence.extraction.grounding import Grounds
from system.evidence.extraction.registry_check import checked, interval_flags, level_flags, p_flags, quote_flags, significance_flags
from system.evidence.extraction.registry_measures import RATIOS, effect_type, figure, p_value
from system.evidence.ir import Span
from system.evidence.records import Effect, EffectType, Kind, record_id
from system.evidence.sources.builder import clean
from system.evidence.sources.ctgov_decode import group_named
from system.evidence.sources.ctgov_results import OUTCOMES, analysis_table
from system.evidence.sources.ctgov_schema import Analysis, Denominator, MeasureClass, OutcomeMeasure, Study

MIRROR = 0.25  # relative distance within which an estimate is the measured contrast with its arms exchanged


class Refusal(msgspec.Struct, frozen=True):
    """An analysis that is no effect: its JSON pointer and why."""

    path: str
    reason: str


class _Facts(msgspec.Struct, frozen=True):
    """What an effect states; the record id is made of it."""

    type: EffectType
    value: float
    outcome: str
    ci_low: float | None
    ci_high: float | None
    ci_percent: float | None
    p_value: float | None
    p_operator: str | None
    n_total: int | None
    intervention: str
    comparator: str
    timeframe: str
    unit: str
    method: str
    stated_type: str
    origin: str
    path: str


def registry_effects(grounds: Grounds, study: Study) -> tuple[tuple[Effect, ...], tuple[Refusal, ...]]:
    """All effects of the study in the registry's order, and what was refused."""
    made = tuple(_analyses(grounds, study))
    return tuple(m for m in made if isinstance(m, Effect)), tuple(m for m in made if isinstance(m, Refusal))


def _analyses(grounds: Grounds, study: Study) -> Iterator[Effect | Refusal]:
    module = study.results_section.outcome_measures_module if study.results_section else None
    for i, outcome in enumerate(module.outcome_measures if module else ()):
        for j, analysis in enumerate(outcome.analyses):
            kind = effect_type(analysis.param_type, outcome.param_type)
            value = figure(analysis.param_value)
            reason = _refusal(analysis, kind, value)
            if reason or kind is None or value is None:
                yield Refusal(f"{OUTCOMES}/{i}/analyses/{j}", reason)
            else:
                yield _effect(grounds, outcome, analysis, (i, j), kind, value)


def _refusal(analysis: Analysis, kind: EffectType | None, value: float | None) -> str:
    """Why the analysis is no effect; empty when it is one."""
    if not analysis.param_value.strip():
        return "no estimate is stated"
    if value is None:
        return f"the estimate {clean(analysis.param_value)!r} is not one number"
    if kind is None:
        return f"{clean(analysis.param_type)!r} is no effect measure"
    if len(set(analysis.group_ids)) < 2:
        return "fewer than two groups are compared"
    if kind in RATIOS and value <= 0:
        return f"a ratio must be above 0, not {clean(analysis.param_value)}"
    return ""


def _effect(
    grounds: Grounds, outcome: OutcomeMeasure, analysis: Analysis, place: tuple[int, int], kind: EffectType, value: float
) -> Effect:
    spans, n_total = _spans(grounds, outcome, analysis, place)
    facts = _facts(outcome, analysis, place, kind, value, n_total)
    p = p_value(analysis.p_value)
    low, high = analysis.ci_lower_limit, analysis.ci_upper_limit
    flags = interval_flags(kind, analysis.param_value, low, high)
    flags += level_flags(analysis.ci_pct_value, facts.ci_percent)
    flags += p_flags(analysis.p_value, p)
    if _tests_null(analysis):
        flags += significance_flags(kind, low, high, facts.ci_percent, p)
    flags += quote_flags(_claims(facts, analysis), spans)
    doc_id = grounds.document.doc_id
    return Effect(
        record_id=record_id(doc_id, Kind.EFFECTS, facts), doc_id=doc_id, spans=spans, check=checked(flags), **msgspec.structs.asdict(facts)
    )


def _tests_null(analysis: Analysis) -> bool:
    """Whether p value and interval speak of the same two-sided hypothesis, that of no difference."""
    return analysis.ci_num_sides != "ONE_SIDED" and not analysis.non_inferiority_type.startswith(("NON_INFERIORITY", "EQUIVALENCE"))


def _facts(
    outcome: OutcomeMeasure, analysis: Analysis, place: tuple[int, int], kind: EffectType, value: float, n_total: int | None
) -> _Facts:
    p = p_value(analysis.p_value)
    percent = figure(analysis.ci_pct_value)
    intervention, comparator = _arms(outcome, analysis, kind, value)
    return _Facts(
        type=kind,
        value=value,
        outcome=clean(outcome.title),
        ci_low=figure(analysis.ci_lower_limit),
        ci_high=figure(analysis.ci_upper_limit),
        ci_percent=percent if percent is not None and 0 < percent < 100 else None,
        p_value=p.value if p and p.value <= 1 else None,
        p_operator=p.operator if p and p.value <= 1 else None,
        n_total=n_total,
        intervention=intervention,
        comparator=comparator,
        timeframe=_timeframe(outcome, analysis),
        unit="" if kind in RATIOS else clean(outcome.unit_of_measure),
        method=clean(analysis.statistical_method),
        stated_type=clean(analysis.param_type),
        origin="registry",
        path=f"{OUTCOMES}/{place[0]}/analyses/{place[1]}",
    )


def _claims(facts: _Facts, analysis: Analysis) -> list[tuple[str, str]]:
    """The texts that must stand in the quotes."""
    return [
        ("outcome", facts.outcome),
        ("intervention", facts.intervention),
        *(("comparator", name) for name in facts.comparator.split("; ") if len(analysis.group_ids) == 2),
        ("estimate", clean(analysis.param_value)),
        ("lower limit", clean(analysis.ci_lower_limit)),
        ("upper limit", clean(analysis.ci_upper_limit)),
        ("confidence level", clean(analysis.ci_pct_value)),
        ("p value", clean(analysis.p_value)),
        ("measure", facts.stated_type),
    ]


def _compared_class(outcome: OutcomeMeasure, analysis: Analysis) -> int | None:
    """The measured class (time point, subgroup) that the analysis is about; ``None`` where that is not said."""
    wanted = clean(analysis.group_description).casefold()
    named = [k for k, item in enumerate(outcome.classes) if wanted and clean(item.title).casefold() == wanted]
    if len(named) == 1:
        return named[0]
    return 0 if len(outcome.classes) == 1 else None


def _timeframe(outcome: OutcomeMeasure, analysis: Analysis) -> str:
    """The analysed time point where the analysis names one of several measured classes, else the outcome's time frame."""
    at = _compared_class(outcome, analysis)
    if at is not None and len(outcome.classes) > 1:
        return clean(outcome.classes[at].title)
    return clean(outcome.time_frame)


def _arms(outcome: OutcomeMeasure, analysis: Analysis, kind: EffectType, value: float) -> tuple[str, str]:
    """``(intervention, comparator)``: the groups as listed, exchanged where the measurements show that the estimate is the other way."""
    titles = [clean(outcome.groups[group_named(outcome.groups, g, "groupIds")].title) or g for g in analysis.group_ids]
    if len(titles) == 2 and _mirrored(_measured_pair(outcome, analysis), kind, value):
        titles.reverse()
    return titles[0], "; ".join(titles[1:])


def _measured_pair(outcome: OutcomeMeasure, analysis: Analysis) -> tuple[float, float] | None:
    at = _compared_class(outcome, analysis)
    if at is None or len(outcome.classes[at].categories) != 1:
        return None
    by_group = {m.group_id: figure(m.value) for m in outcome.classes[at].categories[0].measurements}
    first, second = (by_group.get(group) for group in analysis.group_ids)
    return None if first is None or second is None else (first, second)


def _mirrored(pair: tuple[float, float] | None, kind: EffectType, value: float) -> bool:
    """Whether the estimate is second minus first (or second by first), judged by the measured values."""
    if pair is None or kind is EffectType.STANDARDISED_MEAN_DIFFERENCE:
        return False
    if kind in RATIOS:
        if kind is EffectType.HAZARD_RATIO or min(pair) <= 0:
            return False
        contrast, estimate = math.log(pair[0] / pair[1]), math.log(value)
    else:
        contrast, estimate = pair[0] - pair[1], value
    return contrast != 0 and abs(estimate + contrast) <= MIRROR * abs(contrast)


def _spans(grounds: Grounds, outcome: OutcomeMeasure, analysis: Analysis, place: tuple[int, int]) -> tuple[tuple[Span, ...], int | None]:
    """The analysis as a whole, the outcome's title, time, unit and population, and the numbers of participants with their sum."""
    path = f"{OUTCOMES}/{place[0]}"
    at = _compared_class(outcome, analysis)
    paths, total = _analysed(outcome, analysis, path, at)
    stated = [f"{path}/title", f"{path}/timeFrame", f"{path}/unitOfMeasure", f"{path}/populationDescription", *paths]
    table = grounds.table(analysis_table(*place))
    return ((table,) if table else ()) + grounds.rows_at(stated), total


def _analysed(outcome: OutcomeMeasure, analysis: Analysis, path: str, at: int | None) -> tuple[list[str], int | None]:
    """Pointers of the participants analysed in the compared groups, and their sum; nothing where the source leaves it open."""
    own = any(item.denoms for item in outcome.classes)
    holder: MeasureClass | OutcomeMeasure = outcome
    if own and at is None:
        return [], None
    if at is not None and outcome.classes[at].denoms:
        holder, path = outcome.classes[at], f"{path}/classes/{at}"
    for d, denom in enumerate(holder.denoms):
        if denom.units.casefold() in {"", "participants"}:
            return _counted(denom, analysis, f"{path}/denoms/{d}")
    return [], None


def _counted(denom: Denominator, analysis: Analysis, path: str) -> tuple[list[str], int | None]:
    found = {c.group_id: (f"{path}/counts/{k}", figure(c.value)) for k, c in enumerate(denom.counts)}
    chosen = [found.get(group) for group in dict.fromkeys(analysis.group_ids)]
    values = [item[1] for item in chosen if item and item[1] is not None and item[1] == int(item[1]) and item[1] >= 0]
    if len(values) != len(chosen) or sum(values) < 1:
        return [], None
    return [item[0] for item in chosen if item], int(sum(values))
