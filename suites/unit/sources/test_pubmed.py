from __future__ import annotations

import pytest

from system.evidence.ir import Source
from system.evidence.sources import parse
from system.platform.errors import BadInput


@pytest.fixture(scope="module")
def records(read, sample):
    return read(Source.PUBMED, sample(Source.PUBMED))


def test_a_structured_abstract_has_a_section_a_label(records, sound) -> None:
    """Labels become sections, markup keeps its meaning, categories become block labels."""
    first = records[0]
    sound(first)
    parts = {b.section: (first.text[b.start : b.end], b.label) for b in first.blocks if b.kind == "paragraph"}
    assert parts["Abstract > BACKGROUND"] == ("Samplinib is new.", "background")
    assert parts["Abstract > METHODS AND RESULTS"][0] == "We saw 10^5 CFU; mortality was 12% vs. 21% (p = 0.004)."
    assert first.metadata.title == "Samplinib in Streptococcus disease: effect on CD4+ cells."


def test_metadata_of_an_article(records) -> None:
    """MeSH headings without check tags (main topics first), substances, ids of the article only, year of a loose date."""
    meta = records[0].metadata
    assert meta.conditions == ("Streptococcal Infections", "Fever")
    assert meta.interventions == ("samplinib",)
    assert dict(meta.identifiers) == {"pmid": "39000001", "pmcid": "PMC9000001", "doi": "10.5555/jst.2021.1", "nct": "NCT09000001"}
    assert (meta.year, meta.authors) == (2021, ("Jane A Doe", "The Sample Group"))


def test_versions_languages_and_books(records) -> None:
    """The revision date is the version, else the PMID's own; a letter has only its title; a book record is recognised."""
    assert [r.version for r in records] == ["2022-02-03", "2", "1"]
    assert [r.language for r in records] == ["en", "de", "en"]
    assert records[1].text == "A letter without abstract."
    assert (records[2].metadata.study_type, records[2].metadata.journal) == ("book", "The Book of Samples")


def test_a_set_of_several_must_be_split_first(sample) -> None:
    """Parsing takes exactly one record."""
    with pytest.raises(BadInput, match="split"):
        parse(Source.PUBMED, "", sample(Source.PUBMED))
