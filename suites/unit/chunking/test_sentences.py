from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.evidence.chunking.sentences import cut, sentences, tokens

WORDS = st.lists(
    st.sampled_from(
        ["the", "risk", "0.05", "(p", "=", "0.004).", "Fig.", "e.g.", "J.", "End.", "hypercholesterolaemia", "12345678", "x;", "é,"]
    ),
    max_size=60,
)


def split(text: str) -> list[str]:
    return [text[a:b] for a, b in sentences(text, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One ended. Two began.", ["One ended.", "Two began."]),
        ("It fell (p = 0.05). Then it rose.", ["It fell (p = 0.05).", "Then it rose."]),
        ("See Fig. 2 and Smith et al. In short.", ["See Fig. 2 and Smith et al. In short."]),
        ("Drugs, e.g. Aspirin, vs. Placebo.", ["Drugs, e.g. Aspirin, vs. Placebo."]),
        ("J. R. Smith came. He left!", ["J. R. Smith came.", "He left!"]),
        ("Was it so? “Yes.” No.", ["Was it so?", "“Yes.”", "No."]),
        ("of 1.5 mg. 12 died.", ["of 1.5 mg.", "12 died."]),
        ("no end", ["no end"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    """Abbreviations, initials and decimals do not end a sentence."""
    assert split(text) == expected


@given(WORDS)
def test_sentences_cover_the_text(words: list[str]) -> None:
    """Joined by single spaces, the sentences are the text again."""
    text = " ".join(words)
    assert " ".join(split(text)) == text


@given(WORDS, st.integers(1, 30))
def test_cut_pieces_fit_and_cover(words: list[str], maximum: int) -> None:
    """Every piece has at most the maximum and nothing but white space is dropped."""
    text = " ".join(words)
    pieces = list(cut(text, 0, len(text), maximum))
    assert "".join(text[a:b] for a, b in pieces).replace(" ", "") == text.replace(" ", "")
    assert all(a < b and tokens(text[a:b]) <= maximum for a, b in pieces)
    assert all(first[1] <= second[0] for first, second in pairwise(pieces))


@given(WORDS, WORDS)
def test_the_estimate_is_additive(a: list[str], b: list[str]) -> None:
    """The estimate of two texts is the sum of theirs, so packing by sums is exact."""
    left, right = " ".join(a), " ".join(b)
    assert tokens(f"{left} {right}") == tokens(left) + tokens(right)


def test_an_endless_word_is_cut_in_linear_time() -> None:
    """Two million characters without a space are cut within seconds."""
    started = time.monotonic()
    text = "x" * 2_000_000
    pieces = list(cut(text, 0, len(text), 220))
    assert "".join(text[a:b] for a, b in pieces) == text
    assert time.monotonic() - started < 5
