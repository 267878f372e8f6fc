"""Records of hand-written studies: effects, adverse events, eligibility, PICO."""

from __future__ import annotations

import json
import math

import pytest

from system.evidence.extraction.registry import extract_registry
from system.evidence.extraction.registry_measures import age_in_years, effect_type, figure, p_value
from system.evidence.ir import BlockKind
from system.evidence.records import CheckStatus, EffectType
from system.evidence.sources.ctgov import parse_ctgov
from system.platform.errors import BadInput


@pytest.fixture
def extraction(read, two_arms):
    return read(two_arms)[1]


def test_only_stated_comparisons_become_effects(extraction):
    """Rates of one arm, log scales, one-group contrasts, missing, infinite and impossible estimates do not; each says why."""
    assert [(e.type.value, e.value) for e in extraction.effects] == [
        ("MD", -3.0),
        ("MD", 4.1),
        ("MD", -1.5),
        ("median_difference", -2.0),
        ("HR", 0.48),
        ("RR", 0.49),
        ("RD", -4.1),
    ]
    reasons = dict(extraction.refused)
    outcomes = "/resultsSection/outcomeMeasuresModule/outcomeMeasures"
    assert len(reasons) == 7
    assert "fewer than two groups" in reasons[f"{outcomes}/0/analyses/4"]
    assert "no estimate" in reasons[f"{outcomes}/0/analyses/5"]
    assert "above 0" in reasons[f"{outcomes}/1/analyses/1"]
    assert "no effect measure" in reasons[f"{outcomes}/1/analyses/3"]
    assert "Kaplan-Meier" in reasons[f"{outcomes}/1/analyses/4"]
    assert "no effect measure" in reasons[f"{outcomes}/1/analyses/5"]
    assert "not one number" in reasons[f"{outcomes}/1/analyses/6"]


def test_an_effect_keeps_level_limits_operator_time_and_numbers(extraction):
    """The confidence level is the stated one, the time point the analysed one, n the sum of the analysed participants."""
    first, second, _, median, hazard, *_ = extraction.effects
    assert (first.ci_percent, first.ci_low, first.ci_high) == (97.5, -5.5, -0.5)
    assert (first.p_operator, first.p_value, first.timeframe, first.n_total) == ("=", 0.0071, "Week 6", 198)
    assert any(span.quote == "Week 6 Participants analysed | 100 | 98" for span in first.spans)
    assert (second.p_operator, second.p_value, second.n_total, second.timeframe) == ("<", 0.001, 200, "Week 12")
    assert (median.ci_low, median.ci_high) == (None, -0.4)
    assert (hazard.method, hazard.unit, hazard.stated_type, hazard.origin) == ("Log Rank", "", "Hazard Ratio (HR)", "registry")
    assert first.unit == "mmHg"


def test_arms_follow_the_direction_of_the_measurements(extraction):
    """The groups stand as listed, or exchanged where the measured means show second minus first."""
    first, second = extraction.effects[:2]
    assert (first.intervention, first.comparator) == ("Examplol 10 mg", "Placebo")
    assert (second.intervention, second.comparator) == ("Placebo", "Examplol 10 mg")


def test_contradictions_are_flagged(extraction):
    """A significant p beside an interval across the null, an estimate outside its interval, a p in words; a non-inferiority p is not."""
    flags = [e.check.flags for e in extraction.effects]
    assert flags == [
        (),
        (),
        ("p_contradicts_ci",),
        ("p_not_a_number",),
        (),
        ("ci_excludes_value",),
        (),
    ]
    assert extraction.effects[2].check.status is CheckStatus.FLAGGED
    assert extraction.effects[0].check.status is CheckStatus.AGREES


def test_adverse_events_are_rows_as_reported(extraction):
    """One record a term and arm; missing stays missing, zero stays zero; the same term in both lists is two records."""
    rows = [(e.term, e.serious, e.arm_id, e.arm, e.count, e.denominator, e.events, e.vocabulary) for e in extraction.adverse_events]
    assert rows == [
        ("Syncope", True, "EG000", "Examplol 10 mg", 3, 101, 4, "MedDRA 20.0"),
        ("Syncope", True, "EG001", "Placebo", 0, 99, 0, "MedDRA 20.0"),
        ("Syncope", False, "EG000", "Examplol 10 mg", 9, 101, None, ""),
        ("Syncope", False, "EG001", "Placebo", None, 99, None, ""),
        ("Cough", False, "EG001", "Placebo", 120, 99, None, ""),
    ]
    assert len({e.record_id for e in extraction.adverse_events}) == 5
    assert [e.check.flags for e in extraction.adverse_events][-1] == ("number:count",)
    assert extraction.adverse_events[0].spans[0].quote.startswith("Syncope | Nervous system disorders | MedDRA 20.0 |")


def test_bounds_and_criteria(extraction):
    """Age bounds in years and the sex come first, then each criterion with its side."""
    bounds, *criteria = extraction.criteria
    assert (bounds.kind, bounds.age_min_years, bounds.age_max_years, bounds.sex) == ("inclusion", 18.0, None, "ALL")
    assert [(c.kind, c.text) for c in criteria] == [
        ("inclusion", "Systolic pressure > 140 mmHg"),
        ("inclusion", "At least one of: 1. diabetes 2. smoking"),
        ("exclusion", "Pregnancy"),
        ("exclusion", "Heart failure"),
    ]


def test_text_without_a_side_and_boilerplate_give_no_criterion(read, observational):
    """What stands before any heading is not guessed; "other criteria apply" is none; ages in months become years."""
    _, extraction = read(observational)
    bounds, *criteria = extraction.criteria
    assert (bounds.age_min_years, bounds.age_max_years, bounds.sex) == (0.25, 2.0, "FEMALE")
    assert [(c.kind, c.text) for c in criteria] == [
        ("inclusion", "born at term"),
        ("inclusion", "both twins take part with both parents"),
        ("exclusion", "exclusion of allergy was not possible"),
        ("exclusion", "preterm"),
    ]


def test_pico(read, extraction, observational):
    """What only comparator arms receive is no intervention; time frames run parallel to the outcomes; an enrolment of zero is stated."""
    pico = extraction.picos[0]
    assert pico.population == ("Hypertension", "Café au lait spots")
    assert (pico.interventions, pico.comparators) == (("Examplol",), ("Placebo",))
    assert pico.outcomes == ("Change in systolic blood pressure", "Death from any cause")
    assert pico.timeframes == ("12 weeks", "")
    assert pico.enrolment == 200
    assert any(span.quote == "Enrolment | 200" for span in pico.spans)
    other = read(observational)[1].picos[0]
    assert (other.population, other.interventions, other.enrolment) == (("Sleep", "Infants from two clinics"), (), 0)


def test_quotes_equal_their_slices_and_ids_repeat(read, two_arms):
    """Every span is verbatim; extracting twice gives equal records in the same order, with distinct ids."""
    document, once = read(two_arms)
    _, again = read(two_arms)
    assert once == again
    records = [*once.effects, *once.adverse_events, *once.criteria, *once.picos]
    assert len({r.record_id for r in records}) == len(records)
    for record in records:
        assert all(document.text[s.start : s.end] == s.quote for s in record.spans)
        assert record.doc_id == document.doc_id


def test_the_check_sees_a_claim_that_the_quote_does_not_hold(two_arms):
    """When a document's text does not show the claimed figure, the record is flagged, not repaired."""
    import msgspec

    from system.evidence.extraction.grounding import Grounds
    from system.evidence.extraction.registry_events import registry_events
    from system.evidence.sources.ctgov_decode import decode_study

    document = parse_ctgov("", two_arms)
    tampered = msgspec.structs.replace(document, text=document.text.replace("| 3 | 101 | 4", "| 5 | 101 | 4"))
    first = registry_events(Grounds.of(tampered), decode_study(two_arms))[0]
    assert first.check.flags == ("quote:affected",)


def test_foreign_bytes_are_refused(two_arms, observational):
    """A document and the bytes of another study do not go together."""
    with pytest.raises(BadInput):
        extract_registry(parse_ctgov("", two_arms), observational)


def test_a_hundred_same_criteria_have_ids_of_their_own(read, two_arms):
    """Repeated list items stay separate records."""
    study = json.loads(two_arms)
    study["protocolSection"]["eligibilityModule"]["eligibilityCriteria"] = "Inclusion Criteria:\n" + "\n* same" * 100
    document, extraction = read(json.dumps(study).encode())
    assert len({c.record_id for c in extraction.criteria}) == 101
    assert sum(b.kind is BlockKind.LIST_ITEM and b.label == "inclusion" for b in document.blocks) == 100


@pytest.mark.parametrize(
    ("stated", "parameter", "kind"),
    [
        ("Hazard Ratio (HR)", "NUMBER", EffectType.HAZARD_RATIO),
        ("Cox Proportional Hazard Ratio", "NUMBER", EffectType.HAZARD_RATIO),
        ("Odds Ratio (OR)", "NUMBER", EffectType.ODDS_RATIO),
        ("Risk Ratio (RR)", "NUMBER", EffectType.RISK_RATIO),
        ("Relative Risk", "NUMBER", EffectType.RISK_RATIO),
        ("Ratio of Response Rate", "NUMBER", EffectType.RESPONSE_RATE_RATIO),
        ("Risk Difference (RD)", "NUMBER", EffectType.RISK_DIFFERENCE),
        ("Difference in proportions", "NUMBER", EffectType.RISK_DIFFERENCE),
        ("Mean Difference (Net)", "MEAN", EffectType.MEAN_DIFFERENCE),
        ("LS mean difference", "LEAST_SQUARES_MEAN", EffectType.MEAN_DIFFERENCE),
        ("Difference in LS means", "NUMBER", EffectType.MEAN_DIFFERENCE),
        ("Difference in least squares means", "NUMBER", EffectType.MEAN_DIFFERENCE),
        ("Treatment Difference", "LEAST_SQUARES_MEAN", EffectType.MEAN_DIFFERENCE),
        ("Treatment Difference", "NUMBER", None),
        ("Median Difference (Final Values)", "MEAN", EffectType.MEDIAN_DIFFERENCE),
        ("Hodges-Lehmann estimate", "MEDIAN", EffectType.MEDIAN_DIFFERENCE),
        ("Standardized Mean Difference", "MEAN", EffectType.STANDARDISED_MEAN_DIFFERENCE),
        ("Hazard Ratio, log", "NUMBER", None),
        ("Geometric mean ratio", "GEOMETRIC_MEAN", None),
        ("Geometric LS mean difference", "GEOMETRIC_MEAN", None),
        ("Kaplan-Meier survival rate", "NUMBER", None),
        ("Rate ratio", "NUMBER", None),
        ("Slope", "MEAN", None),
        ("", "MEAN", None),
    ],
)
def test_measures_by_name(stated, parameter, kind):
    """A measure is what its name says; other scales and plain rates are none of ours."""
    assert effect_type(stated, parameter) is kind


@pytest.mark.parametrize(
    ("text", "value"),
    [("-3.60", -3.6), ("−0.5", -0.5), (".05", 0.05), ("1,234.5", 1234.5), ("2e-3", 0.002), ("+4", 4.0), ("0", 0.0)],
)
def test_figures(text, value):
    """Registry figures are read with their sign, separators and exponent."""
    assert figure(text) == value


@pytest.mark.parametrize("text", ["", "NA", "1e99", "3.1 (0.2)", "<0.05", "12,34", "1.2.3", "inf", "nan", "9" * 100, "-", "."])
def test_no_figures(text):
    """Everything else is no figure; nothing is guessed."""
    assert figure(text) is None


@pytest.mark.parametrize(
    ("text", "operator", "value"),
    [
        ("0.05", "=", 0.05),
        ("<0.05", "<", 0.05),
        ("< .001", "<", 0.001),
        ("P=0.03", "=", 0.03),
        ("≤0.01", "<=", 0.01),
        (">0.99", ">", 0.99),
        ("p-value < 1e-4", "<", 1e-4),
    ],
)
def test_p_values_keep_their_operator(text, operator, value):
    """A p value is an operator and a number."""
    found = p_value(text)
    assert found is not None
    assert (found.operator, found.value) == (operator, value)


@pytest.mark.parametrize("text", ["NS", "not significant", "", "0.05 (adjusted)"])
def test_words_are_no_p_values(text):
    """Words are not turned into numbers."""
    assert p_value(text) is None


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("18 Years", 18.0),
        ("1 Year", 1.0),
        ("6 Months", 0.5),
        ("14 Days", 14 / 365),
        ("36 Hours", 1.5 / 365),
        ("N/A", None),
        ("", None),
    ],
)
def test_ages_in_years(text, years):
    """Ages carry a unit and become years."""
    found = age_in_years(text)
    assert found == years if years is None else math.isclose(found or 0, years)
