"""Sentences are exact ranges; numbers are whole tokens."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from system.evidence.extraction.numbers import missing_numbers, numbers_in, parse_number
from system.evidence.extraction.sentences import sentences


def split(text: str) -> list[str]:
    return [text[s.start : s.end] for s in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("HR was 0.55. Then 1.5 rose.", ["HR was 0.55.", "Then 1.5 rose."]),
        ("Drug vs. Placebo won (Fig. 3). Next.", ["Drug vs. Placebo won (Fig. 3).", "Next."]),
        ("As J. Smith et al. Found, P. falciparum died. We saw it.", ["As J. Smith et al. Found, P. falciparum died.", "We saw it."]),
        ("Doses e.g. Aspirin b.i.d. Or more.", ["Doses e.g. Aspirin b.i.d. Or more."]),
        ("It fell (HR 0.5. 95% CI 0.3 to 0.9) again. End!", ["It fell (HR 0.5. 95% CI 0.3 to 0.9) again.", "End!"]),
        ("Really? Yes… No", ["Really?", "Yes…", "No"]),
        ("An open ( bracket. Second one.", ["An open ( bracket.", "Second one."]),
        ("", []),
        ("   ", []),
    ],
)
def test_splits_where_a_reader_would(text: str, expected: list[str]) -> None:
    """Abbreviations, decimals, initials and brackets do not end a sentence."""
    assert split(text) == expected


@given(st.text(alphabet="ab. ()[]?!A0…\n", max_size=80), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_no_character_is_lost(text: str, start: int) -> None:
    """Ranges are ordered, disjoint, trimmed and hold every non-blank character of their part."""
    found = sentences(text, min(start, len(text)))
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert all(text[s.start : s.end] == text[s.start : s.end].strip() != "" for s in found)
    assert "".join("".join(text[s.start : s.end].split()) for s in found) == "".join(text[min(start, len(text)) :].split())


@pytest.mark.parametrize(
    ("text", "value"),
    [("0·55", 0.55), ("−1.4", -1.4), ("-1,082.82", -1082.82), ("–0.3", -0.3), (".99", 0.99), ("2,061", 2061.0), ("‐7", -7.0)],
)
def test_reads_printed_numbers(text: str, value: float) -> None:
    """Middle dots, Unicode minus signs, thousands commas and bare decimals have their value."""
    assert parse_number(text) == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("11.5", [11.5]),
        ("1.50x", []),
        ("1.05-1.68", [1.05, 1.68]),
        ("0.83 – 2.01", [0.83, 2.01]),
        ("(-2.7 to -0.2)", [-2.7, -0.2]),
        ("10mg of 0.97a", [10, 0.97]),
        ("NCT01367860 IL-6 B12", []),
        ("95%CI", [95]),
    ],
)
def test_number_tokens_are_whole(text: str, values: list[float]) -> None:
    """A number is never a piece of another number or of a name."""
    assert [token.value for token in numbers_in(text)] == values


def test_one_token_stands_for_one_claim() -> None:
    """A number that is printed once cannot support two claimed numbers."""
    assert missing_numbers([0.5, 0.5], "HR 0.5") == (0.5,)
    assert missing_numbers([0.5, 0.5], "HR 0.5 and 0.50") == ()
