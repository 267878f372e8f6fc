"""The claim-versus-quote check: any change of a claim that its quote does not carry is flagged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from system.evidence.extraction.check import check_criterion, check_dose, check_effect, check_event, check_pico, states
from system.evidence.extraction.doses import doses_from_label
from system.evidence.extraction.prose_effects import effects_from_prose
from system.evidence.ir import Block, BlockKind, Document, Metadata, Source, Span
from system.evidence.records import AdverseEvent, Check, CheckStatus, Criterion, Effect, EffectType, Pico

AGREES, FLAGGED = CheckStatus.AGREES, CheckStatus.FLAGGED
FINE = Check(AGREES)
QUOTE = (
    "Among 240 patients, the risk of stroke at 12 months was lower with apixaban than with warfarin "
    "(hazard ratio, 0.79; 95% CI, 0.66 to 0.95; P=0.011), and 1.5 of 11.5 kg were lost by 37 women."
)


def document(text: str, source: Source = Source.JATS, loinc: str | None = None) -> Document:
    block = Block(0, BlockKind.PARAGRAPH, 0, len(text), "Results", "/p", loinc)
    return Document("d", source, "d", "1", "en", text, (block,), (), (), Metadata(interventions=("Zen",)), "", "t/1")


def effect(text: str = QUOTE) -> Effect:
    (found,) = effects_from_prose(document(text))
    return found


def changed(record: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(record, **fields)


def test_the_claim_itself_agrees() -> None:
    """A claim that its quote carries has no flag."""
    claim = effect()
    assert (check_effect(claim).status, claim.n_total, claim.outcome) == (AGREES, 240, "stroke")


@given(
    field=st.sampled_from(["value", "ci_low", "ci_high", "ci_percent", "p_value", "n_total"]),
    number=st.one_of(
        st.floats(0.001, 500, allow_nan=False), st.sampled_from([0.66, 0.95, 0.79, 95.0, 0.011, 12.0, 1.5, 11.5, 37.0, 240.0, 0.0])
    ),
)
@settings(max_examples=300, deadline=None)
def test_mutating_any_number_flags_the_claim(field: str, number: float) -> None:
    """Also a number that stands elsewhere in the quote cannot take another one's place."""
    claim = effect()
    value = int(number) if field == "n_total" else number
    assume(value != getattr(claim, field))
    assert check_effect(changed(claim, **{field: value})).status is FLAGGED


@given(
    field=st.sampled_from(["value", "ci_low", "ci_high", "ci_percent", "p_value"]),
    number=st.sampled_from([0.46, 0.2, 1.05, 0.07, 95.0, 6.0, 3.0, -0.46, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_mutating_any_number_of_a_table_effect_flags_it(field: str, number: float) -> None:
    """Value and limits are the cell's own first numbers; the row's label and the heading cannot lend theirs."""
    spans = tuple(Span(i, i + 1, quote) for i, quote in enumerate(["0.46a (0.20, 1.05)", "0.07", "Stroke at 6 of 3", "OR (95% CI)"]))
    claim = Effect("r", "d", EffectType.ODDS_RATIO, 0.46, "Stroke", spans, FINE, 0.2, 1.05, 95, 0.07, "=", stated_type="OR", origin="table")
    assert check_effect(claim).status is AGREES
    assume(number != getattr(claim, field))
    assert check_effect(changed(claim, **{field: number})).status is FLAGGED


@pytest.mark.parametrize("sign", [-1, 10, 0.1, 1.0001])
def test_a_scaled_value_is_flagged(sign: float) -> None:
    """A sign or a decimal place is part of the number."""
    claim = effect("Weight changed (mean difference −1.4 kg; 95% CI −2.7 to −0.2).")
    assert check_effect(claim).status is AGREES
    assert check_effect(changed(claim, value=claim.value * sign)).status is FLAGGED


@given(field=st.sampled_from(["amount", "frequency_per_day", "duration_days"]), number=st.floats(0.01, 999, allow_nan=False))
@settings(max_examples=100, deadline=None)
def test_mutating_any_number_of_a_dose_flags_it(field: str, number: float) -> None:
    """Amount, frequency and duration must be one statement of the quote."""
    (dose,) = doses_from_label(document("Zen 500 mg orally every 8 hours for 10 days.", Source.SPL, "34068-7"))
    assert dose.check.status is AGREES
    assume(number != getattr(dose, field))
    assert check_dose(changed(dose, **{field: number})).status is FLAGGED


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"outcome": "death"}, "entity:outcome"),
        ({"timeframe": "at 24 months"}, "entity:timeframe"),
        ({"intervention": "rivaroxaban"}, "arm"),
        ({"comparator": "placebo"}, "arm"),
        ({"stated_type": "odds ratio"}, "measure"),
        ({"unit": "kcal"}, "unit"),
        ({"p_operator": "<"}, "together"),
    ],
)
def test_words_of_the_claim_stand_in_the_quote(fields: dict[str, str], flag: str) -> None:
    """Entities, arms, measure, unit and operator are checked as well as numbers."""
    assert flag in check_effect(changed(effect(), **fields)).flags


def test_unit_and_route_of_a_dose_are_checked() -> None:
    """Micrograms are not milligrams and intravenous is not oral."""
    (dose,) = doses_from_label(document("Zen 500 mg orally every 8 hours.", Source.SPL, "34068-7"))
    assert "unit" in check_dose(changed(dose, unit="ug")).flags
    assert check_dose(changed(dose, route="intravenous")).status is FLAGGED
    assert "entity:drug" in check_dose(changed(dose, drug="Aspirin")).flags


@pytest.mark.parametrize(
    ("sentence", "flags"),
    [
        ("The risk of death was reduced: a reduced risk was seen (hazard ratio 1.40; 95% CI 1.10 to 1.80).", ("direction",)),
        ("There was a lower risk of stroke (odds ratio 1.40; 95% CI 1.10 to 1.80).", ("direction",)),
        ("There was an increased risk of stroke (odds ratio 0.40; 95% CI 0.10 to 0.80).", ("direction",)),
        ("Diet was not associated with stroke (odds ratio 0.40; 95% CI 0.10 to 0.80).", ("negation",)),
        ("There was no significant difference in death (hazard ratio 0.60; 95% CI 0.40 to 0.80).", ("negation",)),
        ("Death fell (hazard ratio 0.90; 95% CI 0.70 to 1.10; p = 0.01).", ("p_contradicts_ci",)),
        ("Death fell (hazard ratio 0.90; 95% CI 0.70 to 1.10; p < 0.05).", ("p_contradicts_ci",)),
        ("Death fell (hazard ratio 0.90; 95% CI 0.80 to 0.95; p = 0.30).", ("p_contradicts_ci",)),
        ("The mean difference was 0.3 kg (95% CI −0.2 to 0.8; p < 0.05).", ("p_contradicts_ci",)),
        ("There was no significant difference in death (hazard ratio 0.90; 95% CI 0.70 to 1.10; p = 0.30).", ()),
        ("There was a lower risk of stroke (odds ratio 0.40; 95% CI 0.10 to 0.80).", ()),
        ("Death fell (hazard ratio 0.90; 97.5% CI 0.79 to 1.02; p = 0.04).", ()),
    ],
)
def test_words_and_numbers_must_not_contradict(sentence: str, flags: tuple[str, ...]) -> None:
    """Direction, negation and significance of the sentence agree with its numbers, at the interval's own level."""
    assert effect(sentence).check.flags == flags


def test_events_criteria_and_picos_are_checked_alike() -> None:
    """Counts, arms, texts, ages and lists must stand in the quotes."""
    row = (Span(0, 30, "Nausea | 12 | 100 | Drug | EG000"),)
    event = AdverseEvent("r", "d", "Nausea", "", "EG000", "Drug", False, row, FINE, 12, 100)
    assert check_event(event).status is AGREES
    bad = [
        changed(event, count=13),
        changed(event, denominator=10),
        changed(event, term="Vomiting"),
        changed(event, arm="Placebo", arm_id="EG001"),
    ]
    bad.append(changed(event, count=100, denominator=12))
    assert all(check_event(record).status is FLAGGED for record in bad)
    criterion = Criterion("r", "d", "inclusion", "Age 18 Years or older", (Span(0, 9, "Age 18 Years or older"),), FINE, age_min_years=18)
    assert check_criterion(criterion).status is AGREES
    assert check_criterion(changed(criterion, age_min_years=81)).status is FLAGGED
    assert check_criterion(changed(criterion, text="Age 19 Years")).status is FLAGGED
    assert check_criterion(changed(criterion, kind="other")).status is FLAGGED
    infant = changed(criterion, text="from 6 Months", spans=(Span(0, 9, "from 6 Months"),), age_min_years=0.5)
    assert check_criterion(infant).status is AGREES
    pico = Pico("r", "d", ("adults",), ("drug",), (), ("death",), (Span(0, 9, "Adults | drug | death | 40"),), FINE, enrolment=40)
    assert check_pico(pico).status is AGREES
    assert check_pico(changed(pico, enrolment=4)).flags == ("number:4",)
    assert check_pico(changed(pico, outcomes=("stroke",))).flags == ("entity:outcomes",)


@pytest.mark.parametrize(
    ("quote", "phrase", "expected"),
    [
        ("the risk of Stroke-like events", "stroke like", True),
        ("strokes", "stroke", False),
        ("death or stroke", "death stroke", False),
        ("any", "", True),
    ],
)
def test_phrases_are_whole_adjacent_words(quote: str, phrase: str, *, expected: bool) -> None:
    """Case and punctuation do not matter, missing and added words do."""
    assert states(quote, phrase) is expected
