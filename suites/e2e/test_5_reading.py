"""What was read, refused and lost is known of each document, and stands in the report."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping

import pytest

from harness.journal.events import Measured, Table
from harness.run.protocols import Emitter
from suites.e2e import agreement, independent, reading
from suites.wing.api import Api
from suites.wing.corpus import Corpus, Payload

LOST_MAX_PERCENT = 1.0  # of a document's pieces of text
NOTE = (
    "Records by kind as stored; refused are candidates that became no record. Pieces of text are counted in the source, by another reader."
)


@pytest.fixture(scope="module")
def read(api: Api, corpus: Corpus, journal: Emitter) -> Mapping[str, reading.Read]:
    """What was read of each document of the corpus that stands, by document id; told in the report."""
    payloads = dict(_by_document(corpus))
    found = {}
    for row in api.readings():
        payload = payloads.get(_key(row["doc_id"]))
        if payload is not None:
            found[row["doc_id"]] = reading.read(row, payload.source, payload.content, api.ir(row["doc_id"])["text"])
    rows = tuple(one.row() for one in found.values())
    journal.emit(Table(trial="", title="Read, refused and lost, a document a row", columns=reading.COLUMNS, rows=rows, note=NOTE))
    figures = {
        "records_read": sum(sum(one.records.values()) for one in found.values()),
        "candidates_refused": sum(len(one.refused) for one in found.values()),
        "text_lost": sum(len(one.lost) for one in found.values()),
    }
    for name, value in figures.items():
        journal.emit(Measured(trial="", metric=name, unit="1", value=float(value)))
    return found


def _by_document(corpus: Corpus) -> list[tuple[str, Payload]]:
    """Payloads by what tells their documents: numbers of the registry and of citations, else the hash of the bytes."""
    return [(key, payload) for payload in corpus.payloads for key in _keys(payload)]


def _keys(payload: Payload) -> list[str]:
    if payload.source == "ctgov":
        return [f"ctgov:{independent.trial_id(payload.content)}"]
    if payload.source == "pubmed":
        return [f"pubmed:{number}" for number in independent.pubmed_ids(payload.content)]
    return [hashlib.sha256(payload.content).hexdigest()[:12]]


def _key(doc_id: str) -> str:
    return doc_id.partition("#")[0] if doc_id.startswith(("ctgov:", "pubmed:")) else doc_id.rpartition(":")[2]


def test_every_document_says_what_was_read_of_it(read: Mapping[str, reading.Read], api: Api, corpus: Corpus, examined) -> None:
    """Each document of the corpus has its counts, and they are those of the records that are answered."""
    assert {key for key, _ in _by_document(corpus)} - {_key(doc_id) for doc_id in read} == set()
    stored: dict[str, dict[str, int]] = defaultdict(dict)
    for kind in reading.KINDS:
        for extraction in api.extractions(kind):
            stored[extraction["doc_id"]][kind] = len(extraction["records"])
    for doc_id, one in read.items():
        judged = reading.counted(one, stored[doc_id])
        examined(judged.examined)
        assert judged.problems == ()


def test_no_candidate_is_lost_in_silence(read: Mapping[str, reading.Read], examined) -> None:
    """Each analysis of a registry record is read as an effect, or refused with its place and a reason."""
    judged = agreement.total(reading.accounted_for(one) for one in read.values())
    examined(judged.examined)
    assert judged.problems == ()


def test_text_of_the_sources_is_not_lost(read: Mapping[str, reading.Read], examined) -> None:
    """The running text of each source stands in its document; what does not is counted, and is little."""
    for doc_id, one in read.items():
        examined(one.pieces)
        assert len(one.lost) <= one.pieces * LOST_MAX_PERCENT / 100, (doc_id, one.lost[:5])
