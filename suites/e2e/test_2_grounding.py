"""Every quote, stored or answered, is its document's text at its offsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness.journal.events import Measured
from suites.wing.api import Api

KINDS = ("pico", "effects", "ae", "dose", "eligibility")


@pytest.mark.requirement("OPS-2.1")
def test_every_stored_quote_equals_its_slice(api: Api, journal, ingested: int, examined) -> None:
    """All spans of all extraction records equal the text they point to."""
    assert ingested > 0
    wrong: list[str] = []
    total = 0
    texts: dict[str, str] = {}
    for kind in KINDS:
        for extraction in api.extractions(kind):
            text = texts.setdefault(extraction["doc_id"], api.ir(extraction["doc_id"])["text"])
            for span in spans(extraction["records"]):
                total += 1
                if text[span["start"] : span["end"]] != span["quote"]:
                    wrong.append(f"{extraction['doc_id']} {span['start']}:{span['end']}")
    examined(total)
    journal.emit(Measured(trial="", metric="grounded_quotes", unit="%", value=100.0 * (total - len(wrong)) / total if total else 0.0))
    assert wrong == []


def test_every_chunk_equals_its_slice(api: Api, ingested: int, examined) -> None:
    """A chunk is its document's text between its offsets, also in the answers of retrieve."""
    assert ingested > 0
    for row in list(api.documents(state="completed"))[:40]:
        text = api.ir(row["doc_id"])["text"]
        for chunk in api.chunks(row["doc_id"]):
            examined(1)
            assert text[chunk["start"] : chunk["end"]] == chunk["text"], chunk["chunk_id"]
    for hit in api.post("/v1/retrieve", {"query": "adverse events and dose", "top_k": 50})["results"]:
        examined(1)
        text = api.ir(hit["doc_id"])["text"]
        assert text[hit["start"] : hit["end"]] == hit["text"], hit["chunk_id"]


def spans(records: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The spans of records; a record without any is a defect."""
    for record in records:
        assert record["spans"], record["record_id"]
        yield from record["spans"]
