"""Effects from table grids and doses from labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from system.evidence.extraction.dose_grammar import dose_statements
from system.evidence.extraction.doses import doses_from_label
from system.evidence.extraction.table_effects import effects_from_tables
from system.evidence.extraction.units import ucum
from system.evidence.ir import BlockKind, Metadata, Source
from system.evidence.records import CheckStatus

Make = Callable[..., Any]


def numbers(effect: Any) -> tuple[Any, ...]:
    return effect.type.value, effect.value, effect.ci_low, effect.ci_high, effect.ci_percent, effect.p_value


def test_reads_value_and_interval_in_one_cell(draft: Make) -> None:
    """A cell below "OR (95% CI)" is an effect whose spans are the cell, its row's label and the headings."""
    document = draft().table([["Outcome", "OR (95% CI)", "P value"], ["Stroke", "0.46a (0.20, 1.05)", "0.07"]]).build()
    (effect,) = effects_from_tables(document)
    assert numbers(effect) == ("OR", 0.46, 0.20, 1.05, 95, 0.07)
    assert effect.outcome == "Stroke"
    assert [span.quote for span in effect.spans] == ["0.46a (0.20, 1.05)", "0.07", "Stroke", "OR (95% CI)"]
    assert effect.check.status is CheckStatus.AGREES


def test_survives_row_and_column_spans(draft: Make) -> None:
    """Headings that span columns and labels that span rows reach every cell they cover."""
    rows = [
        [("Outcome", 2, 1), ("Drug vs Placebo", 1, 2), ("N", 2, 1)],
        ["Hazard ratio (97.5% CI)", "p"],
        [("Death", 2, 1), "0.80 (0.70 to 0.90)", "<0.001", "10"],
        ["0.95 (0.85 to 1.06)", "0.40", "12"],
    ]
    first, second = effects_from_tables(draft().table(rows, headers=2).build())
    assert numbers(first) == ("HR", 0.80, 0.70, 0.90, 97.5, 0.001)
    assert numbers(second) == ("HR", 0.95, 0.85, 1.06, 97.5, 0.40)
    assert (first.outcome, second.outcome, first.intervention, first.comparator) == ("Death", "Death", "Drug", "Placebo")


@pytest.mark.parametrize(
    "rows",
    [
        [["Outcome", "Odds ratio", "95% confidence interval", "P"], ["Pain", "1.48", "1.22–1.80", "<0.0001"]],
        [["Outcome", "Odds ratio", "Lower 95% CI", "Upper 95% CI", "P"], ["Pain", "1.48", "1.22", "1.80", "<0.0001"]],
    ],
)
def test_reads_limits_from_their_own_columns(draft: Make, rows: list[list[str]]) -> None:
    """Value and limits may stand in two or three columns; every one of them is a span."""
    (effect,) = effects_from_tables(draft().table(rows).build())
    assert numbers(effect) == ("OR", 1.48, 1.22, 1.80, 95, 0.0001)
    assert effect.check.status is CheckStatus.AGREES
    assert all(part in {span.quote for span in effect.spans} for part in rows[1][:-1])


@pytest.mark.parametrize(
    "rows",
    [
        [["Outcome", "HR, bpm", "n"], ["Rest", "72 (60–80)", "9"]],
        [["Outcome", "OR (IQR)", "n"], ["Pain", "1.4 (1.2–1.8)", "9"]],
        [["Outcome", "β or OR", "95% CI"], ["Pain", "1.4", "1.2–1.8"]],
        [["Outcome", "Mean (SD)", "n"], ["Pain", "1.4 (1.2–1.8)", "9"]],
        [["Outcome", "OR (95% CI)", "n"], ["Pain", "1.00 (reference)", "9"]],
        [["Outcome", "OR (95% CI)", "n"], ["Pain", "-1.4 (-1.8 to -1.2)", "9"]],
        [["Outcome", "P value", "OR (95% CI)"], ["Pain", "0.04 (0.01, 0.09)", "–"]],
    ],
)
def test_leaves_other_cells_alone(draft: Make, rows: list[list[str]]) -> None:
    """Heart rates, spreads, mixed columns, reference rows, negative ratios and p columns make no effect."""
    assert effects_from_tables(draft().table(rows).build()) == ()


def test_a_row_of_a_risk_factor_table_is_no_outcome(draft: Make) -> None:
    """Where the caption speaks of risk factors the outcome is not stated by the row."""
    document = draft().table([["Factor", "OR (95% CI)"], ["Age", "1.2 (1.1–1.3)"]], caption="Risk factors for death").build()
    (effect,) = effects_from_tables(document)
    assert effect.outcome == ""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("mg", "mg"), ("mcg", "ug"), ("µg", "ug"), ("μg", "ug"), ("micrograms", "ug"), ("mL", "mL"), ("IU", "[iU]"),
        ("mg/kg", "mg/kg"), ("mg per kg", "mg/kg"),
        ("mg/m2", "mg/m2"), ("mg/m²", "mg/m2"), ("%", "%"), ("mm Hg", "mm[Hg]"), ("mmol/L", "mmol/L"),
        ("units", None), ("drops", None), ("", None), ("mg/foo", None), ("Mg", "mg"),
    ],
)  # fmt: skip
def test_units_have_their_ucum_code_or_none(text: str, code: str | None) -> None:
    """A known unit has its code; an unknown one has none, and makes no record."""
    assert ucum(text) == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dose range: 10 to 80 mg once daily (2.1).", [(10, 80, "mg", "", 1.0, None)]),
        ("0.5 mg to 2 mg b.i.d.", [(0.5, 2, "mg", "", 2.0, None)]),
        ("Moderate - 0.5 mg to 2 mg b.i.d. or t.i.d.", [(0.5, 2, "mg", "", None, None)]),
        ("start at 10 or 20 mg once daily", [(10, None, "mg", "", 1.0, None), (20, None, "mg", "", 1.0, None)]),
        ("500 mg orally q8h for 10 days", [(500, None, "mg", "oral", 3.0, 10)]),
        ("250 mcg intravenously every 12 hours for 3 months", [(250, None, "ug", "intravenous", 2.0, 90)]),
        ("5,000 IU subcutaneously TID", [(5000, None, "[iU]", "subcutaneous", 3.0, None)]),
        ("40 mg every other week", [(40, None, "mg", "", 1 / 14, None)]),
        ("40 mg every week", [(40, None, "mg", "", 1 / 7, None)]),
        ("0.05 mg/kg/day to 0.15 mg/kg/day", [(0.05, 0.15, "mg/kg", "", 1.0, None)]),
        ("75 mg/m2 IV four times a day for 6 months", [(75, None, "mg/m2", "intravenous", 4.0, 180)]),
        ("650 mg every 4 to 6 hours", [(650, None, "mg", "", None, None)]),
        ("10 mg daily in divided doses", [(10, None, "mg", "", None, None)]),
        ("80 mg initial dose, followed by 40 mg every other week", [(80, None, "mg", "", None, None), (40, None, "mg", "", 1 / 14, None)]),
    ],
)
def test_dosing_statements_are_read_as_printed(text: str, expected: list[tuple[Any, ...]]) -> None:
    """Amount, range, unit, route, frequency and duration come from the words; alternatives leave a field empty."""
    found = [(s.amount, s.amount_high, s.unit, s.route, s.frequency_per_day, s.duration_days) for s in dose_statements(text)]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "creatinine clearance <30 mL/minute", "LDL-C remains ≥ 190 mg/dL", "patients weighing 15 kg to 40 kg",
        "doses greater than 20 mg", "two 500 mg tablets",
        "increased by 5 mg", "a solution of 40 mg/0.8 mL", "dilute in 100 mL of sterile water", "20 units once daily", "a reduction of 45%",
    ],
)  # fmt: skip
def test_other_amounts_are_no_dose(text: str) -> None:
    """Concentrations, limits, weights, strengths, steps, diluents and unknown units make no statement."""
    assert dose_statements(text) == ()


def label(draft: Make) -> Any:
    return draft(Source.SPL, Metadata(title="ZEN tablets", interventions=("Zen",))).add("ZEN tablets", "", BlockKind.TITLE)


def test_only_dosage_sections_of_labels_dose(draft: Make) -> None:
    """34068-7 and its subsections dose; the boxed warning 34066-1 does not, nor does any article."""
    made = label(draft).add("Do not take 900 mg once daily.", "Boxed warning", loinc="34066-1")
    made.add("The dose of Zen is 10 mg once daily.", "2 DOSAGE", loinc="34068-7").add(
        "Children: 5 mg twice daily.", "2 DOSAGE > 2.1 Children", loinc="42229-5"
    )
    made.add("In a study 700 mg once daily was given.", "14 CLINICAL STUDIES")
    doses = doses_from_label(made.build())
    assert [(d.amount, d.unit, d.frequency_per_day, d.drug, d.check.status) for d in doses] == [
        (10, "mg", 1.0, "Zen", CheckStatus.AGREES),
        (5, "mg", 2.0, "Zen", CheckStatus.AGREES),
    ]
    assert [span.quote for span in doses[1].spans] == ["Children: 5 mg twice daily.", "ZEN tablets"]
    assert doses_from_label(draft().add("The dose is 10 mg once daily.", "2 DOSAGE", loinc="34068-7").build()) == ()


def test_dosage_tables_keep_their_row(draft: Make) -> None:
    """A cell's dose carries the row's label as population and as a second span."""
    made = label(draft).add("Give by weight.", "2 DOSAGE", loinc="34068-7")
    made.table([["Weight", "Dose"], ["15 kg to <30 kg", "20 mg every other week"]], section="2 DOSAGE > 2.1", loinc="42229-5")
    (dose,) = doses_from_label(made.build())
    assert (dose.amount, dose.population, dose.frequency_per_day, dose.check.status) == (20, "15 kg to <30 kg", 1 / 14, CheckStatus.AGREES)
