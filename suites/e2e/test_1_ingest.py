"""Every document of the corpus is ingested, twice, with the same result; counts agree with an independent reading."""

from __future__ import annotations

from collections import Counter

import pytest

from suites.e2e import independent
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
    rows = list(api.documents())
    by_source = Counter(row["source"] for row in rows if row["state"] == "completed")
    expected: Counter[str] = Counter()
    for payload in corpus.payloads:
        expected[payload.source] += payload.documents
    examined(sum(expected.values()))
    assert {source: by_source[source] for source in expected} == dict(expected), [row for row in rows if row["state"] != "completed"]
    native = {row["native_id"] for row in rows}
    wanted = {independent.trial_id(p.content) for p in corpus.payloads if p.source == "ctgov"}
    wanted |= {pmid for p in corpus.payloads if p.source == "pubmed" for pmid in independent.pubmed_ids(p.content)}
    assert wanted <= native


def test_adverse_events_agree_with_the_registry_row_by_row(api: Api, corpus: Corpus, examined) -> None:
    """Every event of every arm has exactly the counts of the registry record."""
    for payload in (p for p in corpus.payloads if p.source == "ctgov"):
        expected = Counter(independent.adverse_event_rows(payload.content))
        found: Counter[tuple[str, bool, str, int | None, int | None]] = Counter()
        for extraction in api.extractions("ae", _doc_id(api, independent.trial_id(payload.content))):
            found.update((r["term"], r["serious"], r["arm_id"], r.get("count"), r.get("denominator")) for r in extraction["records"])
        examined(sum(expected.values()))
        assert found == expected, payload.name


def test_effects_are_among_what_the_registry_states(api: Api, corpus: Corpus, examined) -> None:
    """No effect is invented: each has the value of an analysis of its study."""
    for payload in (p for p in corpus.payloads if p.source == "ctgov"):
        stated = Counter(float(value) for _, value in independent.stated_effects(payload.content) if _number(value))
        for extraction in api.extractions("effects", _doc_id(api, independent.trial_id(payload.content))):
            found = Counter(float(record["value"]) for record in extraction["records"])
            examined(sum(found.values()))
            assert not found - stated, payload.name


def test_tables_of_articles_are_whole(api: Api, corpus: Corpus, examined) -> None:
    """The IR of an article has exactly the cells that its XML has."""
    rows = [row for row in api.documents(source="jats")]
    cells = sorted(sum(len(table["cells"]) for table in api.ir(row["doc_id"])["tables"]) for row in rows)
    expected = sorted(independent.table_cells(p.content) for p in corpus.payloads if p.source == "jats")
    examined(sum(expected))
    assert cells == expected


def test_labels_keep_their_coded_sections(api: Api, corpus: Corpus, examined) -> None:
    """Every LOINC code of a label's sections that holds text is a section of its IR."""
    found = [{block["loinc"] for block in api.ir(row["doc_id"])["blocks"] if block.get("loinc")} for row in api.documents(source="spl")]
    for payload in (p for p in corpus.payloads if p.source == "spl"):
        expected = independent.section_codes(payload.content) - {"48780-1"}  # product data elements: no text of their own
        examined(len(expected))
        best = max((len(codes & expected) for codes in found), default=0)
        assert best >= 0.9 * len(expected), payload.name


def _doc_id(api: Api, native_id: str) -> str:
    return next(str(row["doc_id"]) for row in api.documents(source="ctgov") if row["native_id"] == native_id)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
