"""Values that pySHACL alone judged wrongly: the gate refuses and accepts them as SHACL says, whichever engine answers."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("name", "property_", "value", "shape"),
    [
        ("study", "nct", "NCT00000102\n", "NctFormat"),
        ("document", "pmid", "12345\n", "PmidFormat"),
        ("document", "pmcid", "PMC12345\n", "PmcidFormat"),
        ("chunk", "loinc", "34068-7\n", "LoincFormat"),
        ("activity", "schema_hash", "a" * 64 + "\n", "ActivitySchemaHash"),
        ("activity", "ts", "2026-01-01T00:00:00Z\n", "ActivityTimestamp"),
        ("evidence", "unit_ucum", "mg\n", "UnitUcum"),
    ],
)
def test_a_line_feed_behind_a_code_is_part_of_it(name: str, property_: str, value: str, shape: str, draft: Any, broken: Any) -> None:
    """A pattern's end is the end of the text."""
    assert shape in broken(draft.node(name, **{property_: value}))


@pytest.mark.parametrize(
    ("name", "changes", "shape"),
    [
        ("evidence", {"ci_low": False}, "CiLow"),
        ("evidence", {"p_value": True}, "PValue"),
        ("evidence", {"ci_percent": True}, "CiPercent"),
        ("criterion", {"age_min_years": True}, "AgeBounds"),
        ("dose", {"amount": True}, "DoseAmount"),
    ],
)
def test_a_truth_value_in_place_of_a_number_is_refused(name: str, changes: dict[str, Any], shape: str, draft: Any, broken: Any) -> None:
    """Nothing orders it against a number, so no bound holds."""
    assert shape in broken(draft.node(name, **changes))


def test_a_truth_value_is_not_said_to_be_below_zero(draft: Any, broken: Any) -> None:
    """What is wrong with it is that it is no number; a ratio that is not positive is another defect."""
    assert broken(draft.node("evidence", value=False, ci_low=None, ci_high=None)) == {"EvidenceValue"}
