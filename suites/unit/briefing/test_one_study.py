"""One study seen through several documents is one study: the crosswalk, its key, and what the dossier makes of it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from system.evidence.briefing.dossier import build_dossier
from system.evidence.briefing.model import Dossier, Topic
from system.evidence.briefing.render_html import render_html
from system.evidence.briefing.render_markdown import render_markdown
from system.evidence.extraction.assemble import extract
from system.evidence.ir import Source, document_id
from system.evidence.sources import parse
from system.evidence.sources.registrations import own_registrations, registrations
from system.evidence.sources.split import split
from system.evidence.studies import crosswalk, normal_identifier

from .conftest import Shelf

Given = tuple[Source, bytes]


def pubmed(pmid: str, effect: str = "", title: str = "Nivolin for gout", **more: str) -> Given:
    """One PubMed record; ``doi``, ``pmc``, ``bank`` (accession numbers, blank between), ``kind`` (publication type)."""
    ids = "".join(f'<ArticleId IdType="{name}">{more[name]}</ArticleId>' for name in ("doi", "pmc") if name in more)
    bank = "".join(f"<AccessionNumber>{number}</AccessionNumber>" for number in more.get("bank", "").split())
    return Source.PUBMED, (
        f"<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>{pmid}</PMID><Article><ArticleTitle>{title}</ArticleTitle><Abstract>"
        f'<AbstractText Label="RESULTS">{effect or "Nothing."}</AbstractText></Abstract><DataBankList><DataBank><AccessionNumberList>{bank}'
        f"</AccessionNumberList></DataBank></DataBankList><PublicationTypeList><PublicationType>{more.get('kind', 'Journal Article')}"
        f"</PublicationType></PublicationTypeList></Article></MedlineCitation><PubmedData><ArticleIdList>{ids}</ArticleIdList></PubmedData>"
        "</PubmedArticle></PubmedArticleSet>"
    ).encode()


def jats(effect: str = "", abstract: str = "", kind: str = "research-article", title: str = "Nivolin for gout", **ids: str) -> Given:
    """One article with article ids ``pmc``, ``pmid``, ``doi`` and its version."""
    named = "".join(f'<article-id pub-id-type="{name}">{value}</article-id>' for name, value in ids.items() if name != "version")
    return Source.JATS, (
        f'<article article-type="{kind}"><front><article-meta>{named}<article-version>{ids.get("version", "1")}</article-version>'
        f"<title-group><article-title>{title}</article-title></title-group><abstract><p>{abstract or 'Gout.'}</p></abstract></article-meta>"
        f"</front><body><sec><title>Results</title><p>{effect or 'Nothing.'}</p></sec></body></article>"
    ).encode()


def registry(nct: str, *others: str, alias: str = "", result: str = "", kind: str = "RESULT") -> Given:
    """One registry record with further numbers, the number it had before, and a reference to a publication."""
    identification = {"nctId": nct, "briefTitle": "Nivolin for gout", "secondaryIdInfos": [{"id": other} for other in others]}
    identification |= {"nctIdAliases": [alias]} if alias else {}
    protocol: dict[str, Any] = {"identificationModule": identification, "statusModule": {"overallStatus": "COMPLETED"}}
    protocol["conditionsModule"] = {"conditions": ["Gout"]}
    protocol["referencesModule"] = {"references": [{"pmid": result, "type": kind}] if result else []}
    return Source.CTGOV, json.dumps({"protocolSection": protocol}).encode()


def put(shelf: Shelf, *given: Given) -> list[str]:
    """The documents of the payloads on the shelf, with what is extracted from them; their ids."""
    ids = []
    for source, raw in given:
        (item,) = split(source, raw)
        doc_id = document_id(source, item.native_id, item.version, item.raw)
        shelf.documents[doc_id] = parse(source, doc_id, item.raw)
        shelf.extractions[doc_id] = extract(shelf.documents[doc_id], item.raw)
        ids.append(doc_id)
    return ids


def hazard(value: float, low: float, high: float) -> str:
    return f"Nivolin reduced flares compared with placebo (hazard ratio {value}, 95% CI {low} to {high})."


def studies(shelf: Shelf) -> int:
    return len(crosswalk(shelf.documents.values()).studies)


def dossier_of(shelf: Shelf) -> Dossier:
    return build_dossier(shelf, Topic("gout", "Nivolin"))


def test_one_article_in_three_forms_is_one_study_and_never_pooled(shelf: Shelf) -> None:
    """PubMed record and two versions of the full text: one study, no pooled result, and the dossier says what joins them."""
    put(
        shelf,
        pubmed("31", hazard(0.71, 0.6, 0.84), doi="10.5555/Gout.7"),
        jats(hazard(0.72, 0.61, 0.85), doi="10.5555/gout.7", pmid="31", version="1"),
        jats(hazard(0.73, 0.62, 0.86), doi="10.5555/gout.7", pmid="31", version="2"),
    )
    dossier = dossier_of(shelf)
    assert (dossier.pooled, dossier.not_pooled) == ((), ())
    (study,) = dossier.studies
    assert (study.key, len(study.documents), study.shared) == ("pmid:31", 3, (("pmid", "31"), ("doi", "10.5555/gout.7")))
    for page in (render_markdown(dossier).replace("\\", ""), render_html(dossier)):
        assert "Studies (a trial's registry record and its articles are one): 1." in page.replace("&#39;", "'")
        assert "One study, pmid:31: [1]" in page
        assert "the same by PMID 31, DOI 10.5555/gout.7." in page


def test_three_studies_stay_three(shelf: Shelf) -> None:
    """Different articles are pooled, also beside second forms of two of them."""
    put(
        shelf,
        *(pubmed(str(40 + i), hazard(0.7 + i / 100, 0.6, 0.85), doi=f"10.5555/a{i}") for i in range(3)),
        jats(hazard(0.7, 0.6, 0.85), pmc="PMC9", doi="10.5555/A0"),
        jats(hazard(0.71, 0.6, 0.85), pmc="PMC10", pmid="41"),
    )
    dossier = dossier_of(shelf)
    assert [(p.studies, len(p.record_ids)) for p in dossier.pooled] == [(3, 3)]
    assert len(dossier.studies) == 3


SAME: dict[str, tuple[Given, ...]] = {
    "a number the record had before": (registry("NCT00000101", alias="NCT00000109"), pubmed("101", bank="NCT00000109")),
    "a publication the record names as its result": (registry("NCT00000101", result="102"), pubmed("102")),
    "doi in another case": (pubmed("1", doi="10.5555/ABC"), jats(doi="10.5555/abc")),
    "doi as an address": (pubmed("1", doi="https://doi.org/10.5555/abc"), jats(doi="10.5555/abc")),
    "doi with prefix": (pubmed("1", doi="doi:10.5555/abc"), jats(doi="10.5555/abc")),
    "versions of a preprint": (jats(doi="10.1101/2020.01.02.123v1"), jats(doi="10.1101/2020.01.02.123v3")),
    "versions with a stroke": (jats(doi="10.21203/rs.3.rs-77/v1"), jats(doi="10.21203/rs.3.rs-77/v2")),
    "versions of an archive's preprint": (jats(doi="10.48550/arXiv.2301.00077v1"), jats(doi="10.48550/arXiv.2301.00077v4")),
    "open review versions of a funder": (jats(doi="10.3310/nihropenres.77.1"), jats(doi="10.3310/nihropenres.77.2")),
    "open review versions": (jats(doi="10.12688/f1000research.77.1"), jats(doi="10.12688/f1000research.77.2")),
    "pmc without prefix": (pubmed("1", pmc="PMC77"), jats(pmc="77")),
    "pmc with version": (pubmed("1", pmc="PMC77.2"), jats(pmc="PMC77")),
    "over a third": (pubmed("1", doi="10.5555/abc"), jats(pmc="PMC77", doi="10.5555/abc"), jats(pmid="5", pmc="77", version="9")),
    "registry and PubMed": (registry("NCT00000071"), pubmed("1", bank="NCT00000071")),
    "registry and article": (registry("NCT00000071"), jats(doi="10.5555/a", abstract="Registered as NCT00000071.")),
    "registry and secondary analysis": (
        registry("NCT00000071"), pubmed("1", bank="NCT00000071"), pubmed("2", bank="NCT00000071", title="Nivolin for gout in the kidney"),
    ),
    "abstract's registration": (registry("NCT00000071"), pubmed("1", "Trial registration: ClinicalTrials.gov NCT00000071.")),
    "European number": (registry("NCT00000071", "2015-001234-12"), pubmed("1", bank="2015-001234-12")),
    "two registries of one trial": (
        registry("NCT00000071"), pubmed("1", bank="NCT00000071 ISRCTN00000071"), pubmed("2", bank="ISRCTN00000071"),
    ),
    "registry over an article's two forms": (registry("NCT00000071"), pubmed("1", bank="NCT00000071"), jats(pmid="1", version="2")),
    "full text that mentions another trial": (
        registry("NCT00000071"), pubmed("1", bank="NCT00000071"),
        jats(pmid="1", abstract="We ran NCT00000071. The trial NCT00000099 is similar."),
    ),
}  # fmt: skip


@pytest.mark.parametrize("given", SAME.values(), ids=SAME)
def test_shared_identifiers_make_one_study(shelf: Shelf, given: tuple[Given, ...]) -> None:
    """Whatever their spelling, and over a third document too."""
    put(shelf, *given)
    assert studies(shelf) == 1


DIFFERENT: dict[str, tuple[Given, ...]] = {
    "a publication named as background": (registry("NCT00000101", result="103", kind="BACKGROUND"), pubmed("103")),
    "a review named as a result": (registry("NCT00000101", result="104"), pubmed("104", kind="Meta-Analysis")),
    "a report that two trials name": (registry("NCT00000101", result="105"), registry("NCT00000102", result="105"), pubmed("105")),
    "meta-analysis of two trials": (
        registry("NCT00000071"), registry("NCT00000072"), pubmed("1", bank="NCT00000071 NCT00000072", kind="Meta-Analysis"),
    ),
    "review that names one trial": (registry("NCT00000071"), pubmed("1", bank="NCT00000071", kind="Systematic Review")),
    "review by its title": (
        registry("NCT00000071"), jats(doi="10.5555/r", title="Gout: a meta-analysis", abstract="As NCT00000071 showed."),
    ),
    "review article": (registry("NCT00000071"), jats(doi="10.5555/r", kind="review-article", abstract="NCT00000071 is one trial.")),
    "article on several trials": (registry("NCT00000071"), registry("NCT00000072"), pubmed("1", bank="NCT00000071 NCT00000072")),
    "mention of other people's trial": (registry("NCT00000071"), pubmed("1", "Unlike in NCT00000071, flares were fewer.")),
    "letter with an id of its own": (pubmed("1", doi="10.5555/a"), pubmed("2", doi="10.5555/b", kind="Letter")),
    "another trial": (registry("NCT00000071"), registry("NCT00000072")),
    "longer numbers": (pubmed("12"), pubmed("123"), pubmed("1")),
    "volumes that look like versions": (jats(doi="10.5555/annals.v12"), jats(doi="10.5555/annals.v13")),
    "numbers behind a year": (jats(doi="10.15252/embx.2019.77"), jats(doi="10.15252/embx.2019.78")),
    "longer dois": (jats(doi="10.5555/abc"), jats(doi="10.5555/abc.2"), jats(doi="10.5555/abcd")),
}  # fmt: skip


@pytest.mark.parametrize("given", DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_not_shared_makes_no_study(shelf: Shelf, given: tuple[Given, ...]) -> None:
    """Reviews, articles on several trials, mentions and neighbours are studies of their own."""
    put(shelf, *given)
    assert studies(shelf) == len(given)


@pytest.mark.parametrize("given", [SAME["over a third"], SAME["two registries of one trial"], DIFFERENT["article on several trials"]])
def test_the_order_of_arrival_does_not_show(given: tuple[Given, ...]) -> None:
    """Every order of the documents gives the same studies with the same keys."""
    found = set()
    for order in itertools.permutations(given):
        shelf = Shelf()
        put(shelf, *order)
        found.add(crosswalk(shelf.documents.values()))
    assert len(found) == 1


def test_who_reports_the_same_participants_is_pooled_once(shelf: Shelf) -> None:
    """An article on two trials is not pooled with those trials, and a meta-analysis with nobody."""
    put(
        shelf,
        pubmed("1", hazard(0.70, 0.6, 0.82), bank="NCT00000071"),
        pubmed("2", hazard(0.71, 0.6, 0.84), bank="NCT00000072"),
        pubmed("3", hazard(0.72, 0.6, 0.86), bank="NCT00000071 NCT00000072"),
        pubmed("4", hazard(0.70, 0.6, 0.82), kind="Meta-Analysis"),
    )
    dossier = dossier_of(shelf)
    assert dossier.pooled == ()
    assert [group.reason for group in dossier.not_pooled] == ["2 comparable studies; pooling needs 3"]


def test_two_effects_of_one_study_are_one_study(shelf: Shelf) -> None:
    """Three effects in one article neither make three studies nor a pool."""
    put(shelf, pubmed("1", " ".join(hazard(v, 0.6, 0.9) for v in (0.7, 0.75, 0.8))))
    dossier = dossier_of(shelf)
    assert (len(dossier.studies), dossier.pooled, dossier.not_pooled) == (1, (), ())


def test_a_label_is_no_study(full_shelf: Shelf) -> None:
    """Labels state doses; they are documents of the dossier and none of its studies."""
    dossier = build_dossier(full_shelf, Topic("asthma"))
    assert len(dossier.studies) == 6
    assert not any("spl:" in document.doc_id for study in dossier.studies for document in study.documents)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ClinicalTrials.gov: NCT 01234567", ("nct", "NCT01234567")),
        ("isrctn-12345678", ("isrctn", "ISRCTN12345678")),
        ("EudraCT number: 2009-012345-67", ("eudract", "2009-012345-67")),
        ("EU CT 2022-501234-12-00", ("euct", "2022-501234-12")),
        ("ACTRN12610000000123", ("actrn", "ACTRN12610000000123")),
        ("ChiCTR-TRC-10001234", ("chictr", "CHICTR-TRC-10001234")),
        ("CTRI/2015/08/006123", ("ctri", "CTRI/2015/08/006123")),
        ("DRKS00001234", ("drks", "DRKS00001234")),
        ("UMIN000012345", ("umin", "UMIN000012345")),
    ],
)
def test_registration_numbers_have_one_form(text: str, wanted: tuple[str, str]) -> None:
    """Each registry's numbers are read whatever stands around them."""
    assert registrations(f"({text}),") == (wanted,)


@pytest.mark.parametrize("text", ["NCT123", "XNCT01234567", "NCT012345678", "2009-112345-67", "page 2015-001"])
def test_what_only_looks_like_a_number_is_none(text: str) -> None:
    """Too short, too long, part of another word."""
    assert registrations(text) == ()


def test_numbers_of_others_are_not_ones_own() -> None:
    """A sentence that compares speaks of another trial."""
    assert own_registrations("Registered as NCT00000001. Similar to NCT00000002, it failed.") == (("nct", "NCT00000001"),)


@pytest.mark.parametrize(("scheme", "value"), [("doi", "abc"), ("pmid", "PMC7"), ("pmcid", "x"), ("doi", "")])
def test_what_is_no_identifier_joins_nobody(scheme: str, value: str) -> None:
    """A value that is none of its scheme has no normal form."""
    assert normal_identifier(scheme, value) == ""
