"""No criterion turns the side of its list: what names the other side without being a heading stays where it stands."""

from __future__ import annotations

import json
import random

import pytest

from system.evidence.extraction.registry import extract_registry
from system.evidence.sources.ctgov import parse_ctgov
from system.evidence.sources.ctgov_eligibility import heading_side

PLAIN = ("Known liver disease", "Breast feeding", "Weight of 50 kg or more", "Able to read Danish", "Prior stroke")
NAMING = (
    "Not meeting the inclusion criteria",
    "No exclusion criteria",
    "None of the exclusion criteria",
    "Failure to meet inclusion criteria",
    "Any participant not meeting inclusion criteria",
    "Any participant not meeting the inclusion criteria:",
    "NOT FULFILLING INCLUSION CRITERIA",
    "Meets all inclusion criteria",
    "Does not satisfy inclusion criteria",
    "Inability to comply with inclusion criteria",
    "Absence of exclusion criteria",
    "Inclusion criteria not met",
    "Inclusion criteria are not met:",
    "Exclusion criteria absent",
    "Subjects without exclusion criteria:",
    "Violation of inclusion criteria",
    "Same as inclusion criteria",
    "Reason for exclusion",
    "Patients with unlisted exclusion criteria",
    "Non-fulfilment of inclusion criteria",
)


def criteria(text: str) -> list[tuple[str, str]]:
    """(kind, text) of the criteria of a study with this eligibility text."""
    protocol = {
        "identificationModule": {"nctId": "NCT00000081", "briefTitle": "Sides"},
        "statusModule": {"overallStatus": "COMPLETED"},
        "eligibilityModule": {"eligibilityCriteria": text},
    }
    raw = json.dumps({"protocolSection": protocol}).encode()
    return [(c.kind, c.text) for c in extract_registry(parse_ctgov("", raw), raw).criteria]


@pytest.mark.parametrize("line", NAMING)
@pytest.mark.parametrize("side", ["inclusion", "exclusion"])
def test_an_item_that_names_a_side_stays_in_its_list(line: str, side: str) -> None:
    """It is a criterion of its list, and so is what follows it."""
    text = f"{side.title()} Criteria:\n\n* {PLAIN[0]}\n* {line}\n* {PLAIN[1]}"
    assert criteria(text) == [(side, PLAIN[0]), (side, line), (side, PLAIN[1])]


@pytest.mark.parametrize("line", NAMING)
def test_a_paragraph_that_names_a_side_opens_none(line: str) -> None:
    """Written without bullets it is no heading either."""
    assert heading_side(line) is None


@pytest.mark.parametrize("marker", ["* ", "- ", "1. ", "a) ", "• "])
@pytest.mark.parametrize("line", NAMING[:4])
def test_the_list_mark_does_not_matter(marker: str, line: str) -> None:
    """Bullets, dashes, numbers and letters are all list items."""
    text = f"EXCLUSION CRITERIA\n\n{marker}{line}\n{marker}{PLAIN[2]}"
    assert criteria(text) == [("exclusion", line), ("exclusion", PLAIN[2])]


def test_moving_or_negating_a_line_changes_that_line_only() -> None:
    """In 60 seeded lists every criterion keeps its list's side, wherever a line stands that names the other side."""
    dice = random.Random(5)
    for _ in range(60):
        lists = {side: [*dice.sample(PLAIN, 3), dice.choice(NAMING)] for side in ("inclusion", "exclusion")}
        for lines in lists.values():
            dice.shuffle(lines)
        text = "\n\n".join(f"{side.title()} Criteria:\n\n" + "\n".join(f"* {line}" for line in lines) for side, lines in lists.items())
        assert criteria(text) == [(side, line) for side, lines in lists.items() for line in lines]


@pytest.mark.parametrize(
    ("line", "side"),
    [
        ("Inclusion Criteria", "inclusion"),
        ("exclusion criteria", "exclusion"),
        ("EXCLUSION CRITERIA", "exclusion"),
        ("II.4 EXCLUSION CRITERIA", "exclusion"),
        ("2. Exclusion criteria", "exclusion"),
        ("Main exclusion criteria:", "exclusion"),
        ("**Key Inclusion Criteria**", "inclusion"),
        ("Inclusion criteria are as follows:", "inclusion"),
        ("Exclusion Criteria (none may be present):", "exclusion"),
        ("The following exclusion criteria apply:", "exclusion"),
        ("Cohort B inclusion criteria:", "inclusion"),
        ("Study exclusion criteria. Gout. Epilepsy.", "exclusion"),
        ("Inclusion and exclusion criteria:", ""),
    ],
)
def test_headings_still_open_their_side(line: str, side: str) -> None:
    """Colon, title or upper case."""
    found = heading_side(line)
    assert found is not None
    assert found[0] == side


def test_headings_as_list_items_open_their_side() -> None:
    """Some registries number the two headings like items."""
    text = "1. Inclusion criteria:\n\n   * Adults\n\n2. Exclusion criteria:\n\n   * Gout"
    assert criteria(text) == [("inclusion", "Adults"), ("exclusion", "Gout")]


def test_the_wrapped_rest_of_an_item_opens_nothing() -> None:
    """A line break in "who do not meet / inclusion criteria" makes no heading."""
    text = "Exclusion Criteria:\n\n* Patients who do not meet\n  inclusion criteria\n* Gout"
    assert criteria(text) == [("exclusion", "Patients who do not meet inclusion criteria"), ("exclusion", "Gout")]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Main Eligibility Criteria:\n\n* Adults\n* Gout", [("unknown", "Adults"), ("unknown", "Gout")]),
        ("Volunteers must:\n\n1. Be 20 or older\n\nExclusion Criteria:\n\n1. Gout", [("unknown", "Be 20 or older"), ("exclusion", "Gout")]),
        ("Adults with gout.", [("unknown", "Adults with gout.")]),
        ("We ask by post.\n\nInclusion Criteria:\n\n* Adults", [("inclusion", "Adults")]),
        ("Inclusion/Exclusion Criteria:\n\n* Adults", [("unknown", "Adults")]),
    ],
)
def test_a_criterion_whose_side_is_not_said_is_kept(text: str, wanted: list[tuple[str, str]]) -> None:
    """Its kind is "unknown"; a preface before known lists is none."""
    assert criteria(text) == wanted
