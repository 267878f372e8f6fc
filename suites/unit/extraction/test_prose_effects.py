"""Effects from sentences: what is stated is found, what is not stated is never attached."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from system.evidence.extraction.prose_effects import effects_from_prose, reports_own_results
from system.evidence.ir import Document
from system.evidence.records import CheckStatus, EffectType

Make = Callable[..., Document]


@pytest.mark.parametrize(
    ("sentence", "kind", "numbers"),
    [
        ("Death fell (HR 0.77 (95% CI 0.32–1.80, p = 0.55)).", "HR", (0.77, 0.32, 1.80, 95, 0.55)),
        ("Death fell (HR, 0.57; 95 % CI, 0.44 to 0.69; P<.001).", "HR", (0.57, 0.44, 0.69, 95, 0.001)),
        ("Mortality: hazard ratio 0·55 (95% CI 0·44–0·69; p<0·0001).", "HR", (0.55, 0.44, 0.69, 95, 0.0001)),
        ("Events [odds ratio and 95% confidence interval: 1.70 (1.22, 2.37), p<0.001].", "OR", (1.70, 1.22, 2.37, 95, 0.001)),
        ("Healing was shorter (MD, −9.40; 95% CI, −10.99 to −7.81; P<0.00001).", "MD", (-9.40, -10.99, -7.81, 95, 0.00001)),
        ("The mean difference after adjustment was -1.4 kg (95% CI: -2.7 to -0.2).", "MD", (-1.4, -2.7, -0.2, 95, None)),
        ("An aOR 1.33, 97.5% CI 1.05-1.68 was seen.", "OR", (1.33, 1.05, 1.68, 97.5, None)),
        ("A standardised mean difference of 0.31 (95% CI 0.10 to 0.52) favoured therapy.", "SMD", (0.31, 0.10, 0.52, 95, None)),
        ("The relative risk was 0.81 (99% CI 0.70–0.94).", "RR", (0.81, 0.70, 0.94, 99, None)),
        ("Wounds healed (RR = 0.35 (95% CI = 0.227, 0.529)).", "RR", (0.35, 0.227, 0.529, 95, None)),
        ("Risk (hazard ratio for drug vs. placebo, 0.86; 95% CI, 0.75 to 0.97; P=0.02).", "HR", (0.86, 0.75, 0.97, 95, 0.02)),
        ("The risk difference −3.2% (95% CI −5.1% to −1.3%) was small.", "RD", (-3.2, -5.1, -1.3, 95, None)),
    ],
)
def test_reads_the_printed_forms(prose: Make, sentence: str, kind: str, numbers: tuple[float | None, ...]) -> None:
    """Every usual way of printing a measure gives its value, interval, percentage and p, and agrees with its own quote."""
    (effect,) = effects_from_prose(prose(f"Before it. {sentence} After it."))
    assert (effect.type.value, effect.value, effect.ci_low, effect.ci_high, effect.ci_percent, effect.p_value) == (kind, *numbers)
    assert effect.spans[0].quote == sentence
    assert effect.check.status is CheckStatus.AGREES, effect.check.flags


@pytest.mark.parametrize(
    "sentence",
    [
        "There was no effect on mortality (p = 0.55).",
        "The treatment had no effect on the hazard ratio.",
        "HR was 72 bpm and rose to 80 bpm (p = 0.01).",
        "Median HR 0.8 (IQR 0.5-0.9).",
        "HR 60-80 was normal.",
        "Patients were treated in the OR 3 days later.",
        "A hazard ratio of -0.5 (95% CI -1.0 to 0.2) was printed.",
        "HR of 0 (95% CI 0 to 0.2).",
        "We assumed a hazard ratio of 0.70 for the sample size.",
        "To detect an odds ratio of 2.0 (95% CI 1.5 to 3.0) we needed power.",
        "Smith et al. found a hazard ratio of 0.70 (95% CI 0.5 to 0.9).",
        "In previous trials the odds ratio was 0.7 (95% CI 0.5 to 0.9).",
        "The relative risk reduction was 25% (95% CI 10 to 40).",
        "The rate ratio (RR) was 0.6 (95% CI 0.5 to 0.7).",
        "OR 95% CI: 0.5, 0.9.",
        "MD = 11.83, SD = 18.11.",
    ],
)
def test_refuses_what_is_no_effect(prose: Make, sentence: str) -> None:
    """No effect, other meanings, negative ratios, planned and foreign numbers make no record."""
    assert effects_from_prose(prose(sentence)) == ()


@pytest.mark.parametrize(
    "sentence",
    [
        "The hazard ratio was 0.80; median survival was 12 months (95% CI 10 to 14).",
        "The hazard ratio was 0.80 (range 0.5 to 0.9).",
        "The hazard ratio was 0.80 (0.5 to 0.9).",
        "The hazard ratio was 0.80 (IQR 0.5 to 0.9).",
        "The hazard ratio was 0.80 and the mean (95% CI 0.5 to 0.9) was other.",
        "The hazard ratio was 0.80 (95% credible interval 0.5 to 0.9).",
    ],
)
def test_attaches_no_foreign_interval(prose: Make, sentence: str) -> None:
    """An interval without a label, of another measure or of another kind stays where it is."""
    (effect,) = effects_from_prose(prose(sentence))
    assert (effect.value, effect.ci_low, effect.ci_high, effect.ci_percent) == (0.8, None, None, None)


def test_an_impossible_interval_is_left_out_and_flagged(prose: Make) -> None:
    """An interval that does not hold its value, or that is reversed, is no interval; the record says so and is never pooled."""
    effects = effects_from_prose(prose("HR 0.77 (95% CI 0.80 to 0.90) for one. HR 0.50 (95% CI 0.90 to 0.30) for two."))
    assert [(e.ci_low, e.check.status, e.check.flags) for e in effects] == [
        (None, CheckStatus.FLAGGED, ("ci_excludes_value",)),
        (None, CheckStatus.FLAGGED, ("ci_reversed",)),
    ]


def test_each_measure_of_a_sentence_keeps_its_own_numbers(prose: Make) -> None:
    """Two statements in one sentence are two records with one span each."""
    text = (
        "Survival favoured drug with a hazard ratio (HR) of 0.67 (95% CI 0.29–1.48, p = 0.33); "
        "adjusted, HR 0.77 (95% CI 0.32–1.80, p = 0.55)."
    )
    first, second = effects_from_prose(prose(text))
    assert (first.value, first.ci_low, first.p_value, second.value, second.ci_low, second.p_value) == (0.67, 0.29, 0.33, 0.77, 0.32, 0.55)
    assert first.record_id != second.record_id


def test_context_is_stated_or_absent(prose: Make) -> None:
    """Outcome, arms, time frame and total are pieces of the sentence; where it names none, they stay empty."""
    stated = (
        "Among 240 patients, the risk of stroke at 12 months was lower with apixaban than with warfarin "
        "(hazard ratio, 0.79; 95% CI, 0.66 to 0.95)."
    )
    (effect,) = effects_from_prose(prose(stated))
    assert (effect.outcome, effect.intervention, effect.comparator, effect.timeframe, effect.n_total) == (
        "stroke",
        "apixaban",
        "warfarin",
        "at 12 months",
        240,
    )
    (bare,) = effects_from_prose(prose("The hazard ratio was 0.79 (95% CI 0.66 to 0.95)."))
    assert (bare.outcome, bare.intervention, bare.comparator, bare.timeframe, bare.n_total) == ("", "", "", "", None)


@pytest.mark.parametrize(
    ("sentence", "outcome", "intervention", "comparator"),
    [
        ("Zen reduced all-cause mortality compared with placebo (HR 0.80, 95% CI 0.70 to 0.92).", "all-cause mortality", "Zen", "placebo"),
        ("Compared with placebo, zen reduced stroke (HR 0.85, 95% CI 0.70 to 1.03).", "stroke", "zen", "placebo"),
        ("Zen did not reduce stroke compared with placebo (OR 0.98; 95% CI 0.80 to 1.20).", "stroke", "Zen", "placebo"),
        (
            "Death from any cause was lower with zen than with placebo (HR 0.75; 95% CI 0.62–0.91).",
            "Death from any cause",
            "zen",
            "placebo",
        ),
        ("In the zen group, mortality was lower than in the placebo group (HR 0.80, 95% CI 0.70-0.92).", "mortality", "zen", "placebo"),
        (
            "HR for fatal falls in the zen group as compared with the placebo group was 0.80 (95% CI 0.70 to 0.92).",
            "fatal falls",
            "zen",
            "placebo",
        ),
        (
            "Treatment with zen was associated with a lower risk of stroke than placebo (RR, 0.81; 95% CI, 0.70 to 0.94).",
            "stroke",
            "zen",
            "placebo",
        ),
        (
            "The mean difference in blood pressure between zen and placebo was -5.2 mmHg (95% CI -7.1 to -3.3).",
            "blood pressure",
            "zen",
            "placebo",
        ),
        (
            "Patients receiving zen had fewer falls versus patients receiving placebo (HR, 0.65; 95% CI, 0.57 to 0.74).",
            "",
            "zen",
            "placebo",
        ),
        ("Zen versus placebo: cough, odds ratio 2.0 (95% CI 1.5 to 2.5).", "cough", "Zen", "placebo"),
        ("Smoking was associated with a higher risk of stroke (OR 1.7; 95% CI 1.1 to 2.8).", "stroke", "", ""),
        ("An increase in CPI predicted mortality (HR 2.1, p = 0.004).", "", "", ""),
        (
            "Failure to close a duct fell: the risk of failure to close a duct was low (RR 0.41, 95% CI 0.27 to 0.64).",
            "failure to close a duct",
            "",
            "",
        ),
        ("The mean difference between the control and the zen group was 111 m (95% CI 65 to 139 m).", "", "", ""),
    ],
)
def test_names_outcome_and_arms_as_the_sentence_does(prose: Make, sentence: str, outcome: str, intervention: str, comparator: str) -> None:
    """The usual ways of naming a comparison are read; the words are those of the sentence."""
    (effect,) = effects_from_prose(prose(sentence))
    assert (effect.outcome, effect.intervention, effect.comparator, effect.check.flags) == (outcome, intervention, comparator, ())


@pytest.mark.parametrize(
    ("section", "own"),
    [
        ("Results", True), ("Abstract > RESULTS", True), ("Abstract", True), ("Results and Discussion", True),
        ("Abstract > Methods and Findings", True), ("", True),
        ("Introduction", False), ("Methods > Statistics", False), ("Discussion", False),
        ("Abstract > BACKGROUND", False), ("References", False),
    ],
)  # fmt: skip
def test_only_own_results_are_read(section: str, *, own: bool) -> None:
    """What others found and what was planned stands in other sections."""
    assert reports_own_results(section) is own


def test_discussion_makes_no_record(prose: Make) -> None:
    """A number of the discussion is a repetition or somebody else's."""
    assert effects_from_prose(prose("The hazard ratio was 0.79 (95% CI 0.66 to 0.95).", "Discussion")) == ()


def test_no_sentence_grows_out_of_time(prose: Make) -> None:
    """Long hostile text is read in linear time: no pattern backtracks without bound."""
    for piece in ("HR (", "95% CI ", "1,1,1,1", "risk of a ", "mean difference in the ", "((((", "a vs. "):
        effects_from_prose(prose(piece * 3000))


def test_type_is_the_stated_one(prose: Make) -> None:
    """The measure's name is kept as printed."""
    (effect,) = effects_from_prose(prose("It had an unadjusted odds ratio of 2.1 (95% CI 1.2 to 3.4)."))
    assert (effect.type, effect.stated_type) == (EffectType.ODDS_RATIO, "unadjusted odds ratio")
