"""Seeded mutations: whatever arrives, split and parse answer with documents or with BadInput, within seconds."""

from __future__ import annotations

import gzip
import random
import time
import zlib
from collections.abc import Callable

import pytest

from system.evidence.chunking import chunk
from system.evidence.ir import Source
from system.evidence.sources import parse
from system.evidence.sources.split import SplitFailure, SplitItem, split
from system.platform.errors import BadInput

LIMIT_S = 5.0
REAL = {
    Source.JATS: "jats/pone.0000217.nxml.gz",
    Source.SPL: "dailymed_spl/cough.xml.gz",
    Source.PUBMED: "pubmed_xml/biopython_pubmed4.xml",
    Source.CTGOV: "clinicaltrials_gov/studies_page.v2.json",
    Source.PASSAGES: "scifact/corpus.jsonl.gz",
}
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'


def _flip(raw: bytes, rng: random.Random, count: int) -> bytes:
    out = bytearray(raw)
    for _ in range(count):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def _shuffle(raw: bytes, rng: random.Random) -> bytes:
    parts = raw.split(b"<" if b"<" in raw[:50] else b",")
    rng.shuffle(parts)
    return (b"<" if b"<" in raw[:50] else b",").join(parts)


def _replace_numbers(raw: bytes, rng: random.Random, new: bytes) -> bytes:
    """Some digits become something huge or odd."""
    out = raw
    for digit in rng.sample([b"1", b"2", b"7"], 2):
        out = out.replace(digit, new, 40)
    return out


def _cut_out(raw: bytes, rng: random.Random) -> bytes:
    a = rng.randrange(len(raw))
    return raw[:a] + raw[a + rng.randrange(1, 2000) :]


def _repeat(raw: bytes, rng: random.Random) -> bytes:
    a = rng.randrange(len(raw))
    return raw[:a] + raw[a : a + 300] * 50 + raw[a:]


def _nest(raw: bytes, opening: bytes, closing: bytes, depth: int) -> bytes:
    return raw[: len(raw) // 2] + opening * depth + closing * depth + raw[len(raw) // 2 :]


def _without(*words: bytes) -> Callable[[bytes, random.Random], bytes]:
    def mutate(raw: bytes, _: random.Random) -> bytes:
        for word in words:
            raw = raw.replace(word, b"gone")
        return raw

    return mutate


MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncate-half": lambda raw, _: raw[: len(raw) // 2],
    "truncate-anywhere": lambda raw, rng: raw[: rng.randrange(1, len(raw))],
    "truncate-front": lambda raw, rng: raw[rng.randrange(1, len(raw)) :],
    "flip-1": lambda raw, rng: _flip(raw, rng, 1),
    "flip-20": lambda raw, rng: _flip(raw, rng, 20),
    "flip-2000": lambda raw, rng: _flip(raw, rng, 2000),
    "cut-out": _cut_out,
    "repeat": _repeat,
    "shuffle": _shuffle,
    "utf16": lambda raw, _: raw.decode("utf-8", "replace").encode("utf-16"),
    "utf16-no-bom": lambda raw, _: raw.decode("utf-8", "replace").encode("utf-16-le"),
    "latin1": lambda raw, _: raw.decode("utf-8", "replace").replace("a", "é").encode("latin-1", "replace"),
    "bom": lambda raw, _: b"\xef\xbb\xbf" + raw,
    "entity-bomb": lambda raw, _: BOMB + raw + b"&c;",
    "entity-bomb-inside": lambda raw, _: raw.replace(b"<!DOCTYPE", BOMB[:-1] + b"<!DOCTYPE", 1),
    "huge-number": lambda raw, rng: _replace_numbers(raw, rng, b"9" * 400),
    "endless-number": lambda raw, rng: _replace_numbers(raw, rng, b"1" * 6000),
    "exponent": lambda raw, rng: _replace_numbers(raw, rng, b"1e999"),
    "negative": lambda raw, rng: _replace_numbers(raw, rng, b"-1"),
    "no-ids": _without(b"article-id", b"setId", b"PMID", b"nctId", b"_id"),
    "no-versions": _without(b"versionNumber", b"Version", b"lastUpdatePostDateStruct", b"versionHolder", b"pub-date"),
    "other-names": _without(b"<p>", b"<text>", b"<sec", b"AbstractText", b"protocolSection", b'"text"'),
    "deep-xml": lambda raw, _: _nest(raw, b"<p>", b"</p>", 5000),
    "deep-xml-90": lambda raw, _: raw.replace(b"</p>", b"<sec>" * 60 + b"<p>x</p>" + b"</sec>" * 60 + b"</p>", 1),
    "deep-json": lambda raw, _: _nest(raw, b'{"a":[', b"]}", 50_000),
    "nul": lambda raw, rng: raw[:100] + b"\x00" * 8 + raw[100:],
    "nul-escape": lambda raw, _: raw.replace(b"e", b"\\u0000", 20).replace(b"o", b"&#0;", 3),
    "surrogate": lambda raw, _: raw.replace(b" ", b"\\ud800", 9).replace(b"o", b"&#xD800;", 1),
    "html": lambda raw, _: b"<!DOCTYPE html><html><body>" + raw + b"</body></html>",
    "gzip": lambda raw, _: gzip.compress(raw, mtime=0),
    "gzip-torn": lambda raw, _: gzip.compress(raw, mtime=0)[:-20],
    "gzip-twice": lambda raw, _: gzip.compress(gzip.compress(raw, mtime=0), mtime=0),
    "bidi": lambda raw, _: raw.replace(b"a", "\u202e".encode(), 200),
    "combining": lambda raw, _: raw.replace(b" ", "\u0301\u0338".encode(), 200),
    "long-word": lambda raw, _: raw.replace(b" the ", b"x" * 200_000, 1),
    "spans": lambda raw, _: raw.replace(b"<td", b'<td rowspan="65534" colspan="999999"'),
}


def answer(source: Source, payload: bytes) -> tuple[int, int]:
    """(documents, refusals); every document can be chunked and stored, every refusal says what, where and what to do."""
    try:
        items = split(source, payload)
    except BadInput as error:
        assert all(error.reason().values())
        return 0, 1
    documents = refusals = 0
    assert items
    for item in items:
        reason = item.reason if isinstance(item, SplitFailure) else None
        if isinstance(item, SplitItem):
            try:
                document = parse(source, item.doc_id, item.raw)
            except BadInput as error:
                reason = error
            else:
                assert document.text.strip()
                assert document.doc_id == item.doc_id
                assert all(c.text.encode() for c in chunk(document))
                documents += 1
        if reason is not None:
            assert all(reason.reason().values())
            refusals += 1
    return documents, refusals


def check(source: Source, raw: bytes, name: str) -> tuple[int, int]:
    seed = zlib.crc32(f"{source}:{name}".encode())
    mutated = MUTATIONS[name](raw, random.Random(seed))
    started = time.monotonic()
    result = answer(source, mutated)
    assert time.monotonic() - started < LIMIT_S, f"{source} {name} took too long"
    return result


@pytest.mark.parametrize("source", list(Source))
def test_mutated_samples_give_documents_or_refusals(sample, source: Source) -> None:
    """Every mutation of the hand-written sample ends in documents or BadInput, and some end in each."""
    results = [check(source, sample(source), name) for name in MUTATIONS]
    assert sum(1 for documents, _ in results if documents) >= 5
    assert sum(1 for _, refusals in results if refusals) >= 10


@pytest.mark.parametrize("source", list(Source))
def test_mutated_real_files_give_documents_or_refusals(real_file, source: Source) -> None:
    """The same holds for a real file of every source."""
    (raw,) = real_file(REAL[source]).values()
    raw = b"".join(raw.splitlines(keepends=True)[:40]) if source is Source.PASSAGES else raw
    assert answer(source, raw)[0] >= 1
    for name in MUTATIONS:
        check(source, raw, name)


FLOODS = {
    "empty-marks": b"<p>" + b"<sup/>" * 20_000 + b"</p>",
    "paragraphs": b"<p>a</p>" * 20_000,
    "notes-in-a-cell": b"<table-wrap><table><tr><td>" + b"<fn><p>1</p></fn>" * 20_000 + b"</td></tr></table></table-wrap>",
    "items": b"<list>" + b"<list-item><p>a</p></list-item>" * 20_000 + b"</list>",
    "tables": b"<table-wrap><table><tr><td>1</td></tr></table></table-wrap>" * 5_000,
    "cells": b"<table-wrap><table><tr>" + b"<td>1</td>" * 50_000 + b"</tr></table></table-wrap>",
    "long-titles": (b"<sec><title>" + b"tt" * 10_000 + b"</title>") * 90 + b"<p>b</p>" * 300 + b"</sec>" * 90,
    "tex": b"<p><inline-formula><tex-math>" + b"\\begin{document}" * 50_000 + b"</tex-math></inline-formula></p>",
    "nested-fractions": b"<p><inline-formula><math>"
    + b"<mfrac><mn>1</mn>" * 60
    + b"<mrow>"
    + b"<msup><mi>x</mi><mn>2</mn></msup>" * 15_000
    + b"</mrow>"
    + b"</mfrac>" * 60
    + b"</math></inline-formula></p>",
    "no-sentence-end": b"<p>" + b"A. " * 200_000 + b"</p>",
    "one-word": b"<p>" + b"x" * 1_000_000 + b"</p>",
    "brackets": b"<p>" + b".)" * 200_000 + b"</p>",
}


@pytest.mark.parametrize("name", list(FLOODS))
def test_floods_stay_linear(sample, name: str) -> None:
    """An article flooded with one thing is read and cut within seconds."""
    raw = sample(Source.JATS).replace(b"</body>", b"<sec>" + FLOODS[name] + b"</sec></body>")
    started = time.monotonic()
    assert answer(Source.JATS, raw)[0] == 1
    assert time.monotonic() - started < LIMIT_S


@pytest.mark.parametrize("source", list(Source))
def test_every_sample_sent_as_another_source_is_refused(sample, source: Source) -> None:
    """Swapped sources never give a document."""
    for other in Source:
        if other is not source:
            assert answer(source, sample(other))[0] == 0, (source, other)
