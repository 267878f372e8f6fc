"""Every document of the corpus is ingested, twice, with the same result; counts agree with an independent reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from suites.e2e import agreement, independent
from suites.wing.api import Api
from suites.wing.corpus import Corpus


@pytest.mark.requirement("OPS-2.1")
def test_two_passes_give_the_same_ids_and_counts(scenario, corpus: Corpus) -> None:
    """A second ingest from empty stores ends with identical ids and counts."""
    assert corpus.documents > 0
    scenario("e2e_ingest").require_pass()


@pytest.mark.requirement("OPS-2.1", "RES-PPS.2")
def test_every_document_is_completed_and_none_is_missing(api: Api, corpus: Corpus, examined) -> None:
    """Each document of each payload stands completed in the ledger, under the id its source gives it."""
    expected: Counter[str] = Counter()
    for payload in corpus.payloads:
        expected[payload.source] += payload.documents
    native = {independent.trial_id(p.content) for p in corpus.payloads if p.source == "ctgov"}
    native |= {pmid for p in corpus.payloads if p.source == "pubmed" for pmid in independent.pubmed_ids(p.content)}
    rows = [row for row in api.documents() if row["source"] in expected]
    judged = agreement.documents_complete(rows, expected, native)
    examined(judged.examined)
    assert judged.problems == ()


def test_adverse_events_agree_with_the_registry_row_by_row(api: Api, corpus: Corpus, examined) -> None:
    """Every event of every arm has exactly the counts of the registry record."""
    for payload in (p for p in corpus.payloads if p.source == "ctgov"):
        records = _records(api, "ae", independent.trial_id(payload.content))
        judged = agreement.adverse_events_agree(payload.name, records, independent.adverse_event_rows(payload.content))
        examined(judged.examined)
        assert judged.problems == ()


def test_effects_are_among_what_the_registry_states(api: Api, corpus: Corpus, examined) -> None:
    """No effect is invented: each has the value of an analysis of its study."""
    for payload in (p for p in corpus.payloads if p.source == "ctgov"):
        records = _records(api, "effects", independent.trial_id(payload.content))
        judged = agreement.effects_stated(payload.name, records, [value for _, value in independent.stated_effects(payload.content)])
        examined(judged.examined)
        assert judged.problems == ()


def test_tables_of_articles_are_whole(api: Api, corpus: Corpus, examined) -> None:
    """The IR of an article has exactly the cells that its XML has."""
    cells = [sum(len(table["cells"]) for table in api.ir(row["doc_id"])["tables"]) for row in api.documents(source="jats")]
    judged = agreement.tables_whole(cells, [independent.table_cells(p.content) for p in corpus.payloads if p.source == "jats"])
    examined(judged.examined)
    assert judged.problems == ()


def test_articles_show_no_digits_that_their_page_does_not(api: Api, corpus: Corpus, examined) -> None:
    """Every run of digits of an article's text stands in one piece of an article's XML: nothing off the line is glued to it."""
    texts = {row["native_id"]: api.ir(row["doc_id"])["text"] for row in api.documents(source="jats", state="completed")}
    for payload in (p for p in corpus.payloads if p.source == "jats"):
        printed = independent.digit_runs(payload.content)
        for native in texts.keys() & independent.article_ids(payload.content):
            judged = agreement.digits_printed(native, texts[native], printed)
            examined(judged.examined)
            assert judged.problems == ()


def test_labels_keep_their_coded_sections(api: Api, corpus: Corpus, examined) -> None:
    """Every LOINC code of a label's sections that holds text is a section of its IR."""
    found = [{block["loinc"] for block in api.ir(row["doc_id"])["blocks"] if block.get("loinc")} for row in api.documents(source="spl")]
    for payload in (p for p in corpus.payloads if p.source == "spl"):
        judged = agreement.label_sections_kept(found, payload.name, independent.section_codes(payload.content))
        examined(judged.examined)
        assert judged.problems == ()


def _records(api: Api, kind: str, native_id: str) -> list[Mapping[str, Any]]:
    doc_id = _doc_id(api, native_id)
    return [record for extraction in api.extractions(kind, doc_id) for record in extraction["records"]]


def _doc_id(api: Api, native_id: str) -> str:
    return next(str(row["doc_id"]) for row in api.documents(source="ctgov") if row["native_id"] == native_id)
