"""Records in words: plain statements built from a record's own fields, without interpretation."""

from __future__ import annotations

from collections.abc import Sequence

from system.evidence.briefing.model import Pooled, PoolingKey, StudyEntry
from system.evidence.records import AdverseEvent, Dose, Effect, Pico

_SHOWN = 8  # names of one list; the rest is counted


def describe_effect(effect: Effect) -> str:
    """As in "mortality: HR 0.67 (95% CI 0.29 to 1.48), p = 0.33; drug versus placebo; at 12 months; n = 240"; only what is stated."""
    parts = [f"{effect.type.value} {effect.value:g}{_unit(effect.unit)}{_interval(effect)}{_p(effect)}"]
    parts += [part for part in (arms_of(effect), effect.timeframe, f"n = {effect.n_total}" if effect.n_total else "") if part]
    return (f"{effect.outcome}: " if effect.outcome else "") + "; ".join(parts)


def arms_of(effect: Effect) -> str:
    """Intervention and comparator as far as they are stated."""
    if effect.intervention and effect.comparator:
        return f"{effect.intervention} versus {effect.comparator}"
    return effect.intervention or (f"compared with {effect.comparator}" if effect.comparator else "")


def describe_event(event: AdverseEvent) -> str:
    """As in "Nausea: 12 of 100 in Placebo (serious, grade 3)"; a percentage only where both counts are stated."""
    if event.count is None:
        counted = f"{event.events} events" if event.events is not None else "count not stated"
    elif event.denominator:
        counted = f"{event.count} of {event.denominator} ({100 * event.count / event.denominator:.1f} %)"
    else:
        counted = str(event.count)
    more = [word for word in ("serious" if event.serious else "", f"grade {event.grade}" if event.grade else "") if word]
    arm = f" in {event.arm or event.arm_id}" if event.arm or event.arm_id else ""
    return f"{event.term}: {counted}{arm}" + (f" ({', '.join(more)})" if more else "")


def describe_dose(dose: Dose) -> str:
    """As in "Drug: 10 to 80 mg, oral, 1 a day, for 10 days; adults"; only what is stated."""
    amount = f"{dose.amount:g}" + (f" to {dose.amount_high:g}" if dose.amount_high is not None else "") + f" {dose.unit}"
    parts = [amount, dose.route, _frequency(dose.frequency_per_day), f"for {dose.duration_days:g} days" if dose.duration_days else ""]
    return (
        (f"{dose.drug}: " if dose.drug else "")
        + ", ".join(part for part in parts if part)
        + (f"; {dose.population}" if dose.population else "")
    )


def describe_pico(pico: Pico) -> str:
    """Population, interventions, comparators and outcomes, each as listed by the study."""
    parts = [
        ("Population", pico.population),
        ("Interventions", pico.interventions),
        ("Comparators", pico.comparators),
        ("Outcomes", pico.outcomes),
        ("Time frames", tuple(dict.fromkeys(pico.timeframes))),
    ]
    text = ". ".join(f"{name}: {_listed(values)}" for name, values in parts if values)
    return text + (f". Enrolment: {pico.enrolment}" if pico.enrolment is not None else "") + "."


def describe_pooled(pooled: Pooled) -> str:
    """The pooled estimate with its interval, its studies and its heterogeneity."""
    arms = f"{pooled.intervention} versus {pooled.comparator}" if pooled.intervention else f"compared with {pooled.comparator}"
    return (
        f"{pooled.outcome}: pooled {pooled.type.value} {pooled.value:.3g}{_unit(pooled.unit)} (95% CI {pooled.ci_low:.3g}"
        f" to {pooled.ci_high:.3g}), "
        f"{arms}; {pooled.studies} studies, random effects, I² = {pooled.i2:.1f} %; {describe_key(pooled.key)}"
    )


def describe_key(key: PoolingKey) -> str:
    """The circumstances in which the members of a group are alike, or the values in which they differ."""
    unit = f"unit: {key.unit}; " if key.unit else ""
    return f"{unit}time point: {key.time_point}; dose: {key.dose}; population: {key.population}; adjustment: {key.adjustment}"


def describe_study(entry: StudyEntry) -> str:
    """As in "One study, NCT01234567: [1] ctgov:…, [2] pubmed:…; the same by NCT NCT01234567, DOI 10.5555/x."."""
    documents = ", ".join(f"[{document.number}] {document.doc_id}" for document in entry.documents)
    names = ", ".join(f"{scheme.upper()} {value}" for scheme, value in entry.shared)
    return f"One study, {entry.key}: {documents}" + (f"; the same by {names}." if names else "; the same record of one source.")


def _interval(effect: Effect) -> str:
    if effect.ci_low is None or effect.ci_high is None:
        return ""
    percent = f"{effect.ci_percent:g}% " if effect.ci_percent is not None else ""
    return f" ({percent}CI {effect.ci_low:g} to {effect.ci_high:g})"


def _p(effect: Effect) -> str:
    return f", p {effect.p_operator or '='} {effect.p_value:g}" if effect.p_value is not None else ""


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _frequency(per_day: float | None) -> str:
    if per_day is None:
        return ""
    return f"{per_day:g} a day" if per_day >= 1 else f"once in {1 / per_day:g} days"


def _listed(values: Sequence[str]) -> str:
    more = len(values) - _SHOWN
    return "; ".join(value.rstrip(" .;") for value in values[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
