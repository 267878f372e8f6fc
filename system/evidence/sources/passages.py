"""Passages of a test collection (BEIR layout): one JSON object ``{"_id", "title", "text"}`` a document."""

from __future__ import annotations

import re

import msgspec

from system.evidence.ir import BlockKind, Document, Metadata, Source
from system.evidence.sources.builder import TextBuilder, clean
from system.platform.errors import BadInput

PARSER = "passages/1"
VERSION = "1"  # passages carry no version; their content is in the document id


class Passage(msgspec.Struct, frozen=True):
    """The wire form; ``_id`` may be a number, other keys are ignored."""

    id: str | int = msgspec.field(name="_id")
    text: str
    title: str = ""


def read_passage(value: object, place: str) -> Passage:
    """A decoded JSON value as passage; ``place`` names it in errors."""
    try:
        passage = msgspec.convert(value, Passage)
    except msgspec.ValidationError as error:
        raise BadInput(f"not a passage: {error}", place, 'send objects {"_id": …, "title": …, "text": …}') from error
    if not re.fullmatch(r"[^\s\x00-\x1f#\x7f]{1,200}", str(passage.id)):
        problem = "the passage's _id is empty, longer than 200 characters or holds white space or '#'"
        raise BadInput(problem, f"{place}/_id", "give every passage a short id")
    if not clean(passage.text) and not clean(passage.title):
        raise BadInput("the passage holds no text", f"{place}/text", "give the passage a text")
    return passage


def parse_passages(doc_id: str, raw: bytes) -> Document:
    """The document of one passage."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}", "/", 'send one object {"_id": …, "title": …, "text": …}') from error
    passage = read_passage(value, "")
    builder = TextBuilder()
    builder.add_block(BlockKind.TITLE, passage.title, "", "/title")
    builder.add_block(BlockKind.PARAGRAPH, passage.text, "", "/text")
    metadata = Metadata(title=clean(passage.title), identifiers=(("passage", str(passage.id)),))
    return builder.build(Source.PASSAGES, str(passage.id), VERSION, raw, metadata, PARSER, doc_id=doc_id)
