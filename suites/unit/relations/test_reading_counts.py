"""The independent count of a source's running text, and what is said of candidates."""

from __future__ import annotations

from typing import Any

import pytest

from suites.e2e.invented import Trial, article, citation, label
from suites.e2e.reading import COLUMNS, Read, accounted_for, counted, pieces, read

TRIAL = Trial(
    "NCT95000023", "Plurgitis", "vorsine", "Vorsine", "Change in plurg score", -1.5, inclusion=("Plurgitis for a year",), unstated=2
)
LINES = {
    "ctgov": (TRIAL.payload(), {"Plurgitis for a year", "Pregnancy or breast-feeding", "Change in plurg score"}),
    "jats": (
        article({"pmc": "PMC9500002"}, "T", ["Plurg fell.", "It rose <sup>again</sup> later."]),
        {"Plurg fell.", "It rose ", "again", " later."},
    ),
    "spl": (label("95000023-0000-4000-8000-000000000002", "vorsine", "plurgitis", ["Take 5 mg daily."]), {"Take 5 mg daily."}),
    "pubmed": (citation("95000023", "On vorsine", "Plurg was rare."), {"On vorsine.", "Plurg was rare."}),
}


@pytest.mark.parametrize("source", sorted(LINES))
def test_running_text_is_counted_by_its_nodes(source: str) -> None:
    """Every node that holds running text, as the source has it."""
    content, expected = LINES[source]
    assert expected <= set(pieces(source, content, "pubmed:95000023#1:x"))


def test_a_set_of_records_is_counted_record_by_record() -> None:
    """Another record's text is no text of this one."""
    content = LINES["pubmed"][0]
    assert list(pieces("pubmed", content, "pubmed:95000024#1:x")) == []


def reading(**more: Any) -> dict[str, Any]:
    return {"doc_id": "jats:PMC9500002#1:x", "records": {"effects": 1}, "flagged": 0, "refused": [], **more}


def test_text_that_stands_nowhere_is_lost() -> None:
    """Marks and blanks between the letters do not matter, letters do."""
    found = read(reading(), "jats", LINES["jats"][0], "T\n\nResults\n\nPlurg  fell.\n\nIt rose [again] later")
    assert (found.pieces, found.lost) == (5, ())
    assert read(reading(), "jats", LINES["jats"][0], "T\n\nResults\n\nPlurg fell.\n\nIt rose later").lost == ("again",)


def of(effects: int, *refused: tuple[str, str], candidates: int | None = 3) -> Read:
    return Read("ctgov:N#1:x", "ctgov", {"effects": effects}, 0, refused, 0, (), candidates)


PLACE = "/resultsSection/outcomeMeasuresModule/outcomeMeasures/0/analyses/"


@pytest.mark.parametrize(
    "found",
    [
        of(2),  # one of three is neither
        of(3, (f"{PLACE}2", "no estimate is stated")),  # one is both
        of(2, (f"{PLACE}2", " ")),  # nobody says why
        of(2, ("/protocolSection", "no estimate is stated")),  # where nothing is a candidate
        of(1, (f"{PLACE}2", "a"), (f"{PLACE}2", "b")),  # one place twice is one candidate
    ],
)
def test_a_candidate_that_is_not_accounted_for_is_a_problem(found: Read) -> None:
    """Each analysis is read or refused, with its place and a reason, and once."""
    assert accounted_for(found).problems


def test_what_is_read_or_refused_is_accounted_for() -> None:
    """Where candidates cannot be counted nothing is asked but reasons."""
    assert accounted_for(of(2, (f"{PLACE}2", "no estimate is stated"))).problems == ()
    assert accounted_for(of(7, candidates=None)).problems == ()


def test_a_count_that_is_not_that_of_the_records_is_a_problem() -> None:
    """Also one of no records at all."""
    assert counted(of(2), {"effects": 2}).problems == ()
    assert counted(of(2), {"effects": 1}).problems
    assert counted(of(2), {}).problems


def test_a_row_says_why_candidates_were_refused() -> None:
    """One cell a column; like reasons are counted."""
    row = dict(zip(COLUMNS, of(1, ("a", "no estimate is stated"), ("b", "no estimate is stated")).row(), strict=True))
    assert (row["effects"], row["refused"], row["reasons"]) == ("1", "2", "2 × no estimate is stated")
