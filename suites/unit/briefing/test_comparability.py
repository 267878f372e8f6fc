"""What makes two effects comparable: time point, dose, population, adjustment, read from the effect's own words."""

from __future__ import annotations

from typing import Any

import pytest

from system.evidence.briefing.comparability import NOT_STATED, UNCLEAR, outcome_alone, setting_of
from system.evidence.briefing.pooling import StudyEffect, pool
from system.evidence.briefing.time_points import time_points
from system.evidence.extraction.assemble import extract
from system.evidence.ir import Source
from system.evidence.records import Effect, EffectType
from system.evidence.sources import parse

from .conftest import Shelf


def read(sentence: str) -> Effect:
    """The effect that an abstract of this one sentence states; of several the least one."""
    raw = (
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>71</PMID><Article><ArticleTitle>T</ArticleTitle><Abstract>"
        f'<AbstractText Label="RESULTS">{sentence}</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>'
    ).encode()
    return min(extract(parse(Source.PUBMED, "pubmed:71#1:x", raw), raw).effects, key=lambda effect: effect.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("12 months", "1 year", True),
        ("Week 8", "at eight weeks", True),
        ("Day 28", "4 weeks", True),
        ("24 hours", "1 day", True),
        ("18-month", "1.5 years", True),
        ("Baseline to Week 16", "16 weeks", True),
        ("4 weeks", "1 month", False),
        ("52 weeks", "1 year", False),
        ("6 weeks", "6 months", False),
        ("Baseline, Weeks 4 and 8", "Week 8", False),
        ("up to 5 years", "5 years", False),
        ("30 days", "1 month", False),
    ],
)
def test_time_points_have_one_form(one: str, other: str, *, same: bool) -> None:
    """Months and years are one family, hours, days and weeks another; between them nothing is equal."""
    forms = [[m.normal for m in time_points(text) if not m.zero] for text in (one, other)]
    assert (forms[0] == forms[1] != []) is same


@pytest.mark.parametrize(
    "text",
    [
        "patients over 70 years",
        "children aged 6 years",
        "stay fell by 3 days",
        "every 2 weeks",
        "older than 5 years",
        "18 years of age",
        "per 100 person-years",
        "(4.1 vs 6.0 days)",
        "a 5-year history of pain",
    ],
)
def test_ages_and_amounts_of_time_are_no_time_points(text: str) -> None:
    """What a sentence counts in days and years is not when it was measured."""
    assert time_points(text, prose=True) == ()


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("At 6 weeks, Quellin reduced itching compared with placebo (mean difference -2.0, 95% CI -3.0 to -1.0).", "6 weeks"),
        ("Quellin reduced itching compared with placebo at one year (mean difference -2.0, 95% CI -3.0 to -1.0).", "1 year"),
        ("The 3-month difference favoured Quellin (mean difference -2.0, 95% CI -3.0 to -1.0).", "3 months"),
        ("Quellin reduced itching compared with placebo (mean difference -2.0 days, 95% CI -3.0 to -1.0).", NOT_STATED),
        ("Itching fell at 4 and 8 weeks with Quellin (mean difference -2.0, 95% CI -3.0 to -1.0).", UNCLEAR),
        ("Itching fell at week 2 (MD -1.0, 95% CI -2.0 to -0.5); at week 9 it fell more (MD -2.0, 95% CI -3.0 to -1.0).", "9 weeks"),
        ("In patients over 70 years Quellin reduced itching (mean difference -2.0, 95% CI -3.0 to -1.0).", NOT_STATED),
    ],
)
def test_the_time_point_is_the_effects_own(sentence: str, wanted: str) -> None:
    """Of several time points the clause's counts; where the sentence does not tell whose they are, it is unclear."""
    assert setting_of(read(sentence)).time_point == wanted


@pytest.mark.parametrize(
    ("intervention", "comparator", "wanted"),
    [
        ("Quellin 20 mg", "Placebo", "20 mg"),
        ("Quellin 0.02 g", "Placebo", "20 mg"),
        ("Quellin (20 mg)", "Placebo", "20 mg"),
        ("20-mg Quellin", "Placebo", "20 mg"),
        ("Quellin 20 mg twice daily", "Placebo", "20 mg, 2 a day"),
        ("Quellin 80 mg", "Quellin 20 mg", "80 mg versus 20 mg"),
        ("High-dose Quellin", "Placebo", "high dose"),
        ("Quellin 3 mg/kg", "Placebo", "3 mg/kg"),
        ("Insulin 40 units", "Placebo", "40 units"),
        ("Quellin", "Placebo", NOT_STATED),
    ],
)
def test_doses_have_one_form(shelf: Shelf, intervention: str, comparator: str, wanted: str) -> None:
    """Strength, frequency and the comparator's strength, masses in milligrams."""
    effect = shelf.put("a").effect(0.8, 0.7, 0.9, origin="registry", intervention=intervention, comparator=comparator)
    assert setting_of(effect).dose == wanted


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("In women, Quellin reduced itching compared with placebo", "women"),
        ("Among patients with diabetes, Quellin reduced itching compared with placebo", "diabetes"),
        ("In patients with rash, Quellin reduced itching compared with placebo", NOT_STATED),
        ("In the per-protocol population, Quellin reduced itching compared with placebo", "per protocol"),
        ("In the intention-to-treat analysis, Quellin reduced itching compared with placebo", "intention to treat"),
        ("In patients aged 65 years or older, Quellin reduced itching compared with placebo", "age >= 65"),
        ("Quellin reduced itching compared with placebo in the subgroup of smokers", "smokers"),
        ("In patients receiving Quellin itching was lower than in patients receiving placebo", NOT_STATED),
    ],
)
def test_people_set_apart_are_a_population(said: str, wanted: str) -> None:
    """Analysis sets, ages and subgroups count; the topic's own patients and the arms set nobody apart."""
    assert setting_of(read(f"{said} (mean difference -2.0, 95% CI -3.0 to -1.0)."), "rash").population == wanted


@pytest.mark.parametrize(
    ("quote", "field", "wanted"),
    [
        ("Comparison | Week 6", "time_point", "6 weeks"),
        ("Comparison | Women", "population", "women"),
        ("Per-protocol population", "population", "per protocol"),
        ("FAS included all randomised participants with one dose", "population", "full analysis set"),
        ("Group | Men's vitamin | OG000", "population", NOT_STATED),
        ("P value comment | adjusted for multiplicity", "adjustment", NOT_STATED),
        ("Method comment | adjusted for age", "adjustment", "adjusted"),
    ],
)
def test_a_registry_analysis_says_its_circumstances_in_rows(shelf: Shelf, quote: str, field: str, wanted: str) -> None:
    """The comparison's row, the description of who was analysed, and comments on the method."""
    frame = "Baseline, Weeks 2, 4 and 6"
    effect = shelf.put("a", [quote]).effect(0.8, 0.7, 0.9, quote, origin="registry", timeframe=frame)
    assert getattr(setting_of(effect), field) == wanted


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("points (0-10)", "points (0-100)", False), ("mmHg", "mmHg", True), ("", "", True), ("", "kg", False)],
)
def test_differences_are_pooled_in_one_unit(shelf: Shelf, one: str, other: str, *, same: bool) -> None:
    """A unit that is not stated is a unit of its own, and the key says so."""
    units = (one, one, other)
    effects = [shelf.put(f"s{i}").effect(1.0, 0.5, 1.5, type=EffectType.MEAN_DIFFERENCE, unit=unit) for i, unit in enumerate(units)]
    pooled, _ = pool([StudyEffect(e.doc_id, e) for e in effects])
    assert [result.key.unit for result in pooled] == ([one.casefold() or NOT_STATED] if same else [])


@pytest.mark.parametrize(
    ("measure", "wanted"),
    [
        ("adjusted hazard ratio", "adjusted"),
        ("unadjusted hazard ratio", "crude"),
        ("crude odds ratio", "crude"),
        ("aHR", "adjusted"),
        ("hazard ratio", NOT_STATED),
    ],
)
def test_adjustment_is_named_by_the_measure(measure: str, wanted: str) -> None:
    """Adjusted, crude, or not stated; nothing is inferred."""
    assert setting_of(read(f"Quellin reduced death compared with placebo ({measure} 0.80, 95% CI 0.70 to 0.91).")).adjustment == wanted


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("after adjustment for age", "adjusted"), ("in multivariable analysis", "adjusted"), ("in univariate analysis", "crude")],
)
def test_adjustment_is_named_by_the_sentence(words: str, wanted: str) -> None:
    """Where the measure's name does not say it, the sentence does."""
    assert setting_of(read(f"Quellin reduced death compared with placebo {words} (HR 0.80, 95% CI 0.70 to 0.91).")).adjustment == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [("Death at 12 months", "12-month death"), ("Change in weight at Week 24", "Change in weight"), ("Stroke within 30 days", "Stroke")],
)
def test_an_outcome_is_named_without_its_time(one: str, other: str) -> None:
    """The time point stands in its own field of the key, so that it is compared by its value and not by its words."""
    assert outcome_alone(one).casefold() == outcome_alone(other).casefold()


DIFFERENT: list[dict[str, Any]] = [
    {"timeframe": "5 years"},
    {"timeframe": ""},
    {"outcome": "asthma attack at 24 months"},
    {"intervention": "Zen 80 mg"},
    {"intervention": "Zen"},
    {"comparator": "placebo 5 mg"},
    {"outcome": "asthma attack in women"},
    {"outcome": "asthma attack (per-protocol)"},
    {"outcome": "asthma attack, patients aged 65 years or older"},
    {"stated_type": "adjusted hazard ratio"},
    {"stated_type": "unadjusted hazard ratio"},
    {"type": EffectType.RISK_RATIO},
    {"stated_type": "pooled hazard ratio"},
]


@pytest.mark.parametrize("change", DIFFERENT)
def test_effects_in_other_circumstances_are_not_pooled(shelf: Shelf, change: dict[str, Any]) -> None:
    """A third study at another time point, dose, population or adjustment, or with none stated, does not make three."""
    fixed = {"origin": "registry", "timeframe": "12 months", "intervention": "Zen 10 mg"}
    rows = ((0.80, 0.70, 0.92), (0.75, 0.62, 0.91), (0.85, 0.70, 1.03))
    given = [fixed, fixed, {**fixed, **change}]
    pooled, singly = pool([StudyEffect(f"S{i}", shelf.put(f"s{i}").effect(*row, **given[i])) for i, row in enumerate(rows)])
    assert pooled == ()
    assert singly[0].reason == "2 comparable studies; pooling needs 3"


def test_studies_that_only_differ_in_time_are_listed_with_their_times(shelf: Shelf) -> None:
    """Nothing is pooled, and the reason names the values that differ."""
    rows = [(0.8, "4 weeks"), (0.75, "12 months"), (0.85, "5 years")]
    effects = [shelf.put(f"s{i}").effect(v, v - 0.1, v + 0.1, origin="registry", timeframe=t) for i, (v, t) in enumerate(rows)]
    pooled, (group,) = pool([StudyEffect(e.doc_id, e) for e in effects])
    assert pooled == ()
    assert group.reason == "not comparable: different time point (1 year; 4 weeks; 5 years)"
    assert (group.key.time_point, group.key.dose) == ("1 year | 4 weeks | 5 years", NOT_STATED)
    assert len(group.record_ids) == 3


def test_equal_circumstances_are_pooled_and_shown(shelf: Shelf) -> None:
    """Three spellings of one setting are one group, and the key says which."""
    said = [("12 months", "Zen 10 mg"), ("1 year", "Zen 0.01 g"), ("Month 12", "10-mg Zen")]
    effects = [shelf.put(f"s{i}").effect(0.8, 0.7, 0.92, origin="registry", timeframe=t, intervention=n) for i, (t, n) in enumerate(said)]
    (result,), singly = pool([StudyEffect(e.doc_id, e) for e in effects])
    assert (result.studies, result.key.time_point, result.key.dose, singly) == (3, "1 year", "10 mg", ())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Pain (VAS)", "Pain (NRS)", False),
        ("Overall survival (OS)", "Overall survival", True),
        ("Pain, worst", "Pain (worst)", True),
        ("Response (ACR20)", "Response (ACR50)", False),
    ],
)
def test_what_stands_in_brackets_makes_another_outcome(shelf: Shelf, one: str, other: str, *, same: bool) -> None:
    """But for the abbreviation of the name itself."""
    effects = [shelf.put(f"s{i}").effect(0.8, 0.7, 0.92, outcome=name) for i, name in enumerate((one, one, other))]
    pooled, _ = pool([StudyEffect(e.doc_id, e) for e in effects])
    assert bool(pooled) is same
