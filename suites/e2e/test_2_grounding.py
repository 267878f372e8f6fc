"""Every quote, stored or answered, is its document's text at its offsets."""

from __future__ import annotations

import pytest

from harness.journal.events import Measured
from suites.e2e import agreement
from suites.wing.api import Api

KINDS = ("pico", "effects", "ae", "dose", "eligibility")


@pytest.mark.requirement("OPS-2.1")
def test_every_stored_quote_equals_its_slice(api: Api, journal, ingested: int, examined) -> None:
    """All spans of all extraction records equal the text they point to."""
    assert ingested > 0
    found = agreement.NOTHING
    texts: dict[str, str] = {}
    for kind in KINDS:
        for extraction in api.extractions(kind):
            text = texts.setdefault(extraction["doc_id"], api.ir(extraction["doc_id"])["text"])
            found += agreement.quotes_equal_slices(text, extraction["records"])
    examined(found.examined)
    grounded = 100.0 * (found.examined - len(found.problems)) / found.examined if found.examined else 0.0
    journal.emit(Measured(trial="", metric="grounded_quotes", unit="%", value=grounded))
    assert found.problems == ()


def test_every_chunk_equals_its_slice(api: Api, ingested: int, examined) -> None:
    """A chunk is its document's text between its offsets, also in the answers of retrieve; chunks follow the text."""
    assert ingested > 0
    for row in list(api.documents(state="completed"))[:40]:
        chunks = api.chunks(row["doc_id"])
        judged = agreement.chunks_equal_slices(api.ir(row["doc_id"])["text"], chunks) + agreement.chunks_in_order(chunks)
        examined(len(chunks))
        assert judged.problems == ()
    for hit in api.post("/v1/retrieve", {"query": "adverse events and dose", "top_k": 50})["results"]:
        examined(1)
        assert agreement.chunks_equal_slices(api.ir(hit["doc_id"])["text"], [hit]).problems == ()
