"""What a payload says of its own version, in every format."""

from __future__ import annotations

import pytest

from suites.unit.versions.payloads import article, citation, dated, label, number, study
from system.evidence.ir import Source
from system.evidence.sources.split import SplitItem, split
from system.evidence.sources.versions import lineage_of
from system.platform.lineage import Lineage

NCT = "NCT93000011"
SET = "7c0f5c1e-1111-4222-8333-aaaaaaaaaaaa"
PMC = {"pmc": "PMC7300011"}
DOI = {"doi": "10.5555/quornitis.2021.7"}
F1000 = "10.12688/f1000research.73011"
JATS_STAGE = '<article-version vocab="JAV">{}</article-version>'


def read(source: Source, payload: bytes) -> Lineage:
    (item,) = split(source, payload)
    assert isinstance(item, SplitItem)
    return lineage_of(source, item.native_id, item.raw)


NEWER = {
    "study, posted later": (Source.CTGOV, study(NCT, "2021-03-09"), study(NCT, "2021-11-02")),
    "study, dated after undated": (Source.CTGOV, study(NCT, None), study(NCT, "2009-01-01")),
    "study, submitted later, posted the same day": (
        Source.CTGOV,
        study(NCT, "2022-01-05", submitted="2021-12-28"),
        study(NCT, "2022-01-05", submitted="2021-12-30"),
    ),
    "study, taken from later data": (
        Source.CTGOV,
        study(NCT, "2022-01-05", held="2023-01-01"),
        study(NCT, "2022-01-05", held="2023-02-01"),
    ),
    "study, to the day after to the month": (Source.CTGOV, study(NCT, "2022-05"), study(NCT, "2022-05-17")),
    "article, numbered": (Source.JATS, article(PMC, version=number("1")), article(PMC, version=number("2"))),
    "article, ten after nine": (Source.JATS, article(PMC, version=number("9")), article(PMC, version=number("10"))),
    "article, 1.10 after 1.9": (Source.JATS, article(DOI, version=number("1.9")), article(DOI, version=number("1.10"))),
    "article, v2 after unnumbered": (
        Source.JATS,
        article(PMC, dates=dated("2023")),
        article(PMC, version=number("v2"), dates=dated("2023")),
    ),
    "article, corrected record": (
        Source.JATS,
        article(DOI, version=JATS_STAGE.format("VoR")),
        article(DOI, version=JATS_STAGE.format("CVoR")),
    ),
    "article, manuscript before record": (
        Source.JATS,
        article(DOI, version=JATS_STAGE.format("Accepted Manuscript")),
        article(DOI, version=JATS_STAGE.format("Version of Record")),
    ),
    "article, later date": (Source.JATS, article(PMC, dates=dated("2021", "4", "9")), article(PMC, dates=dated("2021", "11", "2"))),
    "article, corrected later": (
        Source.JATS,
        article(PMC, dates=dated("2021", "4", "9")),
        article(
            PMC,
            dates=dated("2021", "4", "9")
            + '<history><date date-type="corrected"><day>1</day><month>Jun</month><year>2022</year></date></history>',
        ),
    ),
    "article, version behind its DOI": (Source.JATS, article({"doi": f"{F1000}.1"}), article({"doi": f"{F1000}.2"})),
    "article, version behind a preprint's DOI": (
        Source.JATS,
        article({"doi": "10.21203/rs.3.rs-730011/v1"}),
        article({"doi": "10.21203/rs.3.rs-730011/v2"}),
    ),
    "article, a PMC id with its second version": (
        Source.JATS,
        article({"doi": "https://doi.org/10.5555/Late.1"}, version=number("1")),
        article({"doi": "10.5555/late.1", **PMC}, version=number("2")),
    ),
    "article, version behind its PMC id": (Source.JATS, article({"pmc": "PMC7300011.1"}), article({"pmc": "PMC7300011.2"})),
    "article, version of its DOI under one PMC id": (
        Source.JATS,
        article({**PMC, "doi": f"{F1000}.1"}),
        article({**PMC, "doi": f"{F1000}.3"}),
    ),
    "citation, revised later": (Source.PUBMED, citation("93000011", ("2021", "09", "30")), citation("93000011", ("2021", "10", "02"))),
    "citation, month by name": (Source.PUBMED, citation("93000011", ("2021", "Apr", "3")), citation("93000011", ("2021", "Sep", "1"))),
    "citation, second version revised earlier": (
        Source.PUBMED,
        citation("93000011", ("2023", "01", "01"), version="1"),
        citation("93000011", ("2022", "01", "01"), version="2"),
    ),
    "label, next version": (Source.SPL, label(SET, "4"), label(SET, "12")),
    "label, same version effective later": (Source.SPL, label(SET, "4", "20210304"), label(SET, "4", "20210401")),
    "label, version before time": (Source.SPL, label(SET, "4", "20230101"), label(SET, "5", "20220101")),
}


@pytest.mark.parametrize("case", sorted(NEWER))
def test_the_newer_version_has_the_greater_rank_in_the_same_series(case: str) -> None:
    """By number, stage or date, whatever the format has."""
    source, old, new = NEWER[case]
    older, newer = read(source, old), read(source, new)
    assert older.series == newer.series
    assert older.rank < newer.rank


SAME = {
    "study, other words": (Source.CTGOV, study(NCT, "2021-03-09"), study(NCT, "2021-03-09", note="again")),
    "label, other words": (Source.SPL, label(SET, "4", "20210304"), label(SET, "4", "20210304", "Take 6 mg once daily.")),
    "article, other words": (Source.JATS, article(PMC, dates=dated("2021")), article(PMC, dates=dated("2021"), says="Itch fell.")),
    "citation, other words": (Source.PUBMED, citation("93000011", None), citation("93000011", None, says="Itch fell.")),
}


@pytest.mark.parametrize("case", sorted(SAME))
def test_what_nothing_orders_has_equal_ranks(case: str) -> None:
    """Other bytes of the same version: only the order of receipt is left."""
    source, one, other = SAME[case]
    assert read(source, one) == read(source, other)


OTHERS = {
    "two studies": (Source.CTGOV, study(NCT, "2021-03-09"), study("NCT93000012", "2021-03-09")),
    "two labels": (Source.SPL, label(SET, "1"), label(SET.replace("a", "b"), "1")),
    "two citations": (Source.PUBMED, citation("93000011", None), citation("9300001", None)),
    "two articles": (Source.JATS, article({"doi": "10.5555/one"}), article({"doi": "10.5555/two"})),
    "two volumes of a journal": (Source.JATS, article({"doi": "10.5555/annals-v1"}), article({"doi": "10.5555/annals-v2"})),
    "two articles of an open platform": (Source.JATS, article({"doi": f"{F1000}.1"}), article({"doi": "10.12688/f1000research.73012.1"})),
}


@pytest.mark.parametrize("case", sorted(OTHERS))
def test_different_works_are_different_series(case: str) -> None:
    """An id that merely resembles another supersedes nothing."""
    source, one, other = OTHERS[case]
    assert read(source, one).series != read(source, other).series


def test_a_doi_is_one_series_in_any_case() -> None:
    """DOIs are compared without case; the id in the document stays as it was written."""
    assert read(Source.JATS, article({"doi": "10.5555/ABC.d"})) == read(Source.JATS, article({"doi": "10.5555/abc.D"}))


def test_passages_have_no_versions() -> None:
    """An id of one test collection says nothing about the same id in another."""
    assert lineage_of(Source.PASSAGES, "17", b'{"_id": "17", "text": "x"}') == Lineage()


@pytest.mark.parametrize(
    "raw",
    [
        b'{"protocolSection": {"statusModule": {"lastUpdatePostDateStruct": {"date": 20210101}}}}',
        b'{"protocolSection": {"statusModule": 3}}',
        b'{"protocolSection": {"statusModule": {"lastUpdatePostDateStruct": {"date": "soon"}}}}',
        b'{"derivedSection": null}',
        b"[]",
    ],
)
def test_a_version_that_cannot_be_read_ranks_below_every_other(raw: bytes) -> None:
    """The parser says what is wrong with the document; nothing is superseded by it."""
    found = lineage_of(Source.CTGOV, NCT, raw)
    assert found.series == f"ctgov:{NCT}"
    assert found.rank < read(Source.CTGOV, study(NCT, "1999-01-01")).rank
