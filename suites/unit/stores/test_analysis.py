"""Text to index terms."""

from __future__ import annotations

import concurrent.futures

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.platform.identifiers import named_identifiers
from system.stores.analysis import MAX_TERM, STOP_WORDS, terms


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The Inhibition of TUMOURS", ["inhibit", "tumour"]),
        ("β-blocker, 5 mg/day", ["β", "blocker", "5", "mg", "day"]),
        ("patient's patients", ["patient", "patient"]),
        ("ﬁbrosis", ["fibrosi"]),
        ("snake_case COVID-19", ["snake", "case", "covid", "19"]),
        ("the of and", []),
        ("", []),
    ],
)
def test_terms(text: str, wanted: list[str]) -> None:
    """Lower case, words, no stop words, stems; ligatures are resolved."""
    assert terms(text) == wanted


@given(st.text(max_size=200))
def test_terms_are_bounded_and_ignore_case(text: str) -> None:
    """No term is empty, longer than the bound or a stop word's whole form; the same text gives the same terms."""
    found = terms(text)
    assert all(0 < len(term) <= MAX_TERM for term in found)
    assert found == terms(text)
    assert terms("\n".join(STOP_WORDS)) == []


def test_threads_do_not_share_a_stemmer() -> None:
    """Stems are the same when many threads make them at once."""
    words = [f"running{n} tumours inhibition relational {n}" for n in range(50)]
    expected = [terms(word) for word in words]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(terms, words)) == expected


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("results of nct01367860 and NCT01367860?", ("NCT01367860",)),
        ("PMID: 123456, pmid 7 and pmc123456", ("123456", "7", "PMC123456")),
        ("NCT123 or 31234567", ()),
        ("label 0A1B2C3D-0000-1111-2222-333344445555", ("0A1B2C3D-0000-1111-2222-333344445555",)),
    ],
)
def test_identifiers_are_read_as_people_write_them(text: str, wanted: tuple[str, ...]) -> None:
    """Registry, article and label ids are found in any case; bare numbers are not ids."""
    assert named_identifiers(text) == wanted
