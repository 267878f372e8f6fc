from __future__ import annotations

import gzip
import json

import pytest

from system.evidence.ir import Source
from system.evidence.sources import parse
from system.evidence.sources.split import SplitFailure, SplitItem, decompress, split
from system.platform.errors import BadInput


def ids(source: Source, payload: bytes) -> list[str]:
    return [item.doc_id for item in split(source, payload) if isinstance(item, SplitItem)]


def test_a_study_has_one_id_however_it_is_sent(sample) -> None:
    """Alone, pretty-printed, in a page, an array, as a line or zipped: the same bytes come out."""
    raw = sample(Source.CTGOV)
    study = json.loads(raw)
    forms = [
        raw,
        json.dumps(study, indent=2).encode(),
        json.dumps({"studies": [study], "nextPageToken": "x"}).encode(),
        json.dumps([study]).encode(),
        json.dumps(study).encode() + b"\n\n" + json.dumps(study).encode() + b"\n",
        gzip.compress(raw),
        b"\xef\xbb\xbf" + raw,
        json.dumps(dict(reversed(study.items()))).encode(),
    ]
    assert {i for form in forms for i in ids(Source.CTGOV, form)} == set(ids(Source.CTGOV, raw))
    assert ids(Source.CTGOV, raw)[0].startswith("ctgov:NCT09000001#2021-05-06:")


def test_the_version_holder_serves_where_no_update_is_posted(sample) -> None:
    """Without a posted update the registry's version holder is the version."""
    study = json.loads(sample(Source.CTGOV))
    del study["protocolSection"]["statusModule"]["lastUpdatePostDateStruct"]
    (item,) = split(Source.CTGOV, json.dumps(study).encode())
    assert item.version == "2024-12-16"


def test_a_record_alone_or_in_a_set_has_the_same_bytes(sample) -> None:
    """A PubMed record taken out of its set and split again is unchanged and parses to the same document."""
    items = split(Source.PUBMED, sample(Source.PUBMED))
    assert len(items) == 3
    for item in items:
        (again,) = split(Source.PUBMED, item.raw)
        assert again == item
        assert parse(Source.PUBMED, item.doc_id, item.raw).doc_id == item.doc_id


def test_one_bad_line_harms_no_other() -> None:
    """A broken line and a passage without text fail with their line; the others live."""
    payload = b'{"_id": "a", "text": "x"}\n{"_id": "b", "text"\n{"_id": "c", "text": " "}\n{"_id": "d", "text": "y"}'
    items = split(Source.PASSAGES, payload)
    assert [type(item) for item in items] == [SplitItem, SplitFailure, SplitFailure, SplitItem]
    assert [item.place for item in items if isinstance(item, SplitFailure)] == ["line 2", "line 3"]
    assert items[1].raw == b'{"_id": "b", "text"'
    assert all(all(item.reason.reason().values()) for item in items if isinstance(item, SplitFailure))


def test_one_bad_record_harms_no_other(sample) -> None:
    """A PubMed record without PMID fails alone."""
    items = split(Source.PUBMED, sample(Source.PUBMED).replace(b">39000002<", b"><"))
    assert [isinstance(item, SplitItem) for item in items] == [True, False, True]
    assert items[1].place == "/PubmedArticleSet/PubmedArticle[2]"


def test_one_bad_study_of_a_page_harms_no_other(sample) -> None:
    """A study without NCT number, a number and a null fail; the study beside them lives."""
    study = json.loads(sample(Source.CTGOV))
    items = split(Source.CTGOV, json.dumps({"studies": [{"a": 1}, study, 5, None]}).encode())
    assert [isinstance(item, SplitItem) for item in items] == [False, True, False, False]
    assert items[0].place == "/studies/0"


@pytest.mark.parametrize(
    ("source", "payload", "kind"),
    [
        (Source.JATS, Source.SPL, "product label"),
        (Source.JATS, Source.PUBMED, "PubMed"),
        (Source.JATS, Source.CTGOV, "ClinicalTrials.gov"),
        (Source.SPL, Source.JATS, "JATS"),
        (Source.PUBMED, Source.JATS, "JATS"),
        (Source.CTGOV, Source.JATS, "JATS"),
        (Source.CTGOV, Source.PASSAGES, "study"),
        (Source.PASSAGES, Source.PUBMED, "PubMed"),
        (Source.PASSAGES, Source.CTGOV, "_id"),
    ],
)
def test_a_payload_of_another_source_is_named(sample, source: Source, payload: Source, kind: str) -> None:
    """Sending one source's payload as another's gives an error that names what it looks like."""
    try:
        items = split(source, sample(payload))
    except BadInput as error:
        assert kind in str(error)
    else:
        assert items
        assert all(isinstance(item, SplitFailure) and kind in str(item.reason) for item in items)


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" \n",
        b"%PDF-1.4",
        b"<html></html>",
        "<a/>".encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        b"\x00" * 64,
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
    ],
    ids=["empty", "blank", "pdf", "html", "utf16", "utf16le", "nul", "array", "object", "null", "deep"],
)
def test_unusable_payloads_are_refused_with_place_and_remedy(source: Source, payload: bytes) -> None:
    """Nothing unusable yields a document, and every refusal says what, where and what to do."""
    try:
        items = split(source, payload)
    except BadInput as error:
        assert all(error.reason().values())
    else:
        assert items
        assert all(isinstance(item, SplitFailure) and all(item.reason.reason().values()) for item in items)


def test_gzip_is_bounded_and_checked() -> None:
    """A bomb is refused before it grows, a torn file is named, several members are joined."""
    bomb = gzip.compress(b"\x00" * 50_000_000)
    for payload, word in ((bomb, "unpacks"), (gzip.compress(b"x" * 1000)[:-9], "ends early"), (b"\x1f\x8b\x08garbage!!!!", "gzip")):
        with pytest.raises(BadInput, match=word):
            decompress(payload, max_bytes=1_000_000)
    assert decompress(gzip.compress(b"ab") + gzip.compress(b"cd")) == b"abcd"


def test_passage_ids_are_checked() -> None:
    """Numbers are taken as ids; white space, '#' and endless ids are refused."""
    assert [i.native_id for i in split(Source.PASSAGES, b'{"_id": 7, "text": "x"}') if isinstance(i, SplitItem)] == ["7"]
    for bad in ("a b", "a#b", "", "x" * 201, "a\u0000"):
        (item,) = split(Source.PASSAGES, json.dumps({"_id": bad, "text": "x"}).encode())
        assert isinstance(item, SplitFailure)
