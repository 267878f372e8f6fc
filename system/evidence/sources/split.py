"""Splitting: a submitted payload may hold several documents; each becomes an item with its own bytes.

Items are re-serialised canonically, so a study sent alone, in a page, in an array or as a line has the same bytes and the
same document id. One bad item becomes a :class:`SplitFailure` and never harms the others.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec
from lxml import etree

from system.evidence.ir import Source, document_id
from system.evidence.sources import jats_front, passages, pubmed, spl
from system.evidence.sources.guess import looks_like
from system.evidence.sources.xml import local
from system.platform.errors import BadInput

MAX_PAYLOAD_BYTES = 64 * 1024 * 1024  # after decompression
MAX_ITEMS = 50_000

_JSON = {Source.CTGOV: "ClinicalTrials.gov API v2 JSON", Source.PASSAGES: 'JSON passages {"_id", "title", "text"}'}
_AGAIN = "send the file again, uncompressed or as intact gzip"
_BYTE = re.compile(r"\(byte (\d+)\)")
Json: TypeAlias = Any  # decoded JSON before it is known to be what was asked for


class SplitItem(msgspec.Struct, frozen=True):
    """One document of a payload: its identity and its bytes, which ``parse`` understands."""

    source: Source
    native_id: str
    version: str
    raw: bytes

    @property
    def doc_id(self) -> str:
        """``source:native_id#version:sha12``."""
        return document_id(self.source, self.native_id, self.version, self.raw)


class SplitFailure(msgspec.Struct, frozen=True):
    """One unusable item: ``position`` is its 0-based index in the payload, ``place`` where to look."""

    position: int
    place: str
    reason: BadInput
    raw: bytes


Split = tuple[SplitItem | SplitFailure, ...]
_Identify = Callable[[Json, str], tuple[str, str]]


def split(source: Source, payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> Split:
    """The items of a payload (plain or gzip) in order. Raises ``BadInput`` where the payload as a whole cannot be used."""
    raw = decompress(payload, max_bytes)
    if not raw.strip():
        raise BadInput("the payload is empty", "byte 0", f"send at least one {source.value} document")
    if source is Source.JATS:
        native_id, version = jats_front.identify(jats_front.read_article(raw)[0])
        return (SplitItem(source, native_id, version, raw),)
    if source is Source.SPL:
        native_id, version = spl.identify(spl.read_label(raw))
        return (SplitItem(source, native_id, version, raw),)
    if source is Source.PUBMED:
        return tuple(_pubmed_items(raw))
    return tuple(_json_items(source, raw, _identify_study if source is Source.CTGOV else _identify_passage))


def decompress(payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
    """The payload itself, or what a gzip payload holds; bounded, so a bomb is refused before it grows."""
    if not payload.startswith(b"\x1f\x8b"):
        if len(payload) > max_bytes:
            raise BadInput(f"the payload has {len(payload)} bytes, {max_bytes} are allowed", "payload", "send it in smaller pieces")
        return payload
    out, rest, size = [], payload, 0
    while rest.startswith(b"\x1f\x8b"):  # a gzip file may have several members
        member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(rest, max_bytes + 1 - size)
        except zlib.error as error:
            raise BadInput(f"damaged gzip data: {error}", f"byte {len(payload) - len(rest)}", _AGAIN) from error
        size += len(piece)
        if size > max_bytes:
            raise BadInput(f"the gzip data unpacks to more than {max_bytes} bytes", f"byte {max_bytes}", "send it in smaller pieces")
        if not member.eof:
            raise BadInput("the gzip data ends early", f"byte {len(payload)}", _AGAIN)
        out.append(piece)
        rest = member.unused_data.lstrip(b"\x00")
    return b"".join(out)


def _pubmed_items(raw: bytes) -> Iterator[SplitItem | SplitFailure]:
    found, deleted = pubmed.read_set(raw)
    for position, record in enumerate(_bounded([*found, *deleted])[: len(found)]):
        inner = etree.tostring(record, method="c14n", exclusive=True, with_tail=False)
        own = b"<PubmedArticleSet>" + inner + b"</PubmedArticleSet>"
        try:
            native_id, version = pubmed.identify(record)
        except BadInput as reason:
            yield SplitFailure(position, f"/PubmedArticleSet/{local(record)}[{position + 1}]", reason, own)
        else:
            yield SplitItem(Source.PUBMED, native_id, version, own)
    for position, pmid in enumerate(deleted, len(found)):
        refused, own = pubmed.deletion(pmid)
        yield SplitFailure(position, refused.place, refused, own)


def _json_items(source: Source, raw: bytes, identify: _Identify) -> Iterator[SplitItem | SplitFailure]:
    for position, (place, value, bad) in enumerate(_bounded(list(_values(source, raw)))):
        own = bad if isinstance(value, BadInput) else b""
        try:
            if isinstance(value, BadInput):
                raise value
            own = msgspec.json.encode(value, order="deterministic")
            native_id, version = identify(value, place)
        except BadInput as reason:
            yield SplitFailure(position, place, reason, own)
        except (RecursionError, OverflowError, ValueError, msgspec.MsgspecError) as error:
            yield SplitFailure(position, place, BadInput(f"the object cannot be kept as JSON: {error}", place, "correct the object"), own)
        else:
            yield SplitItem(source, native_id, version, own)


def _values(source: Source, raw: bytes) -> Iterator[tuple[str, Json, bytes]]:
    """The (place, value, bytes of a bad value) of a JSON object, page, array or JSON lines."""
    text = raw.removeprefix(b"\xef\xbb\xbf")
    what = _JSON[source]
    try:
        whole = decode_json(text, what)
    except BadInput as error:
        lines = list(_lines(text, what))
        if not any(isinstance(value, dict) for _, value, _ in lines):
            raise error from None
        yield from lines
        return
    if isinstance(whole, dict) and source is Source.CTGOV and isinstance(whole.get("studies"), list):
        yield from ((f"/studies/{i}", value, b"") for i, value in enumerate(whole["studies"]))
    elif isinstance(whole, list):
        yield from ((f"/{i}", value, b"") for i, value in enumerate(whole))
    else:
        yield "/", whole, b""


def _lines(text: bytes, what: str) -> Iterator[tuple[str, Json, bytes]]:
    seen = 0
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip():
            continue
        seen += 1
        if seen > MAX_ITEMS:
            raise BadInput(f"the payload holds more than {MAX_ITEMS} lines", f"line {number}", "send it in smaller pieces")
        try:
            yield f"line {number}", decode_json(line, what), b""
        except BadInput as error:
            yield f"line {number}", BadInput(error.error, f"line {number}, {error.place}", error.remedy), line


def decode_json(raw: bytes, what: str) -> Json:
    """Strict JSON (UTF-8, no NaN, bounded nesting); errors name the byte and what the payload looks like."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        kind = looks_like(raw)
        hint = "" if kind.startswith("JSON") else f"; it looks like {kind}"
        found = _BYTE.search(str(error))
        offset = error.start if isinstance(error, UnicodeDecodeError) else int(found.group(1)) if found else 0
        raise BadInput(f"not valid JSON: {error}{hint}", f"byte {offset}", f"send {what} as UTF-8") from error


def _bounded(items: list[Any]) -> list[Any]:
    if len(items) > MAX_ITEMS:
        raise BadInput(f"the payload holds {len(items)} documents, {MAX_ITEMS} are allowed", "payload", "send it in smaller pieces")
    if not items:
        raise BadInput("the payload holds no documents", "payload", "send at least one document")
    return items


def _identify_passage(value: Json, place: str) -> tuple[str, str]:
    return str(passages.read_passage(value, place).id), passages.VERSION


def _identify_study(value: Json, place: str) -> tuple[str, str]:
    """NCT number and version: the date of the last posted update, else the registry's version holder."""
    native_id = _text_at(value, "protocolSection", "identificationModule", "nctId")
    if not re.fullmatch(r"NCT\d{8}", native_id):
        path = f"{place.rstrip('/')}/protocolSection/identificationModule/nctId"
        known = "" if isinstance(value, dict) and "protocolSection" in value else "; the object is not a study of API v2"
        raise BadInput(f"NCT number {native_id[:40]!r} is not NCT and eight digits{known}", path, "send studies as the API v2 serves them")
    version = _text_at(value, "protocolSection", "statusModule", "lastUpdatePostDateStruct", "date")
    version = version or _text_at(value, "derivedSection", "miscInfoModule", "versionHolder")
    return native_id, version if re.fullmatch(r"[0-9A-Za-z.-]{1,32}", version) else "undated"


def _text_at(value: Json, *keys: str) -> str:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
