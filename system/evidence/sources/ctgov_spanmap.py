"""Names what was done to each piece of a study's text, by comparing it with the value its JSON pointer leads to."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from system.evidence.ir import Document, SpanMapEntry
from system.evidence.sources.builder import normalise

MARKDOWN = "markdown"  # a part of a free text, or one whose Markdown marks were removed
RENDERED = "rendered"  # composed of several values: a figure with its spread, a label of a row


def _texts(study: object) -> Iterator[tuple[str, str]]:
    """Every text and whole number of a study with its pointer; iterative, so that depth is no danger."""
    stack: list[tuple[str, object]] = [("", study)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict):
            stack.extend((f"{path}/{key}", value) for key, value in node.items())
        elif isinstance(node, list):
            stack.extend((f"{path}/{index}", value) for index, value in enumerate(node))
        elif isinstance(node, str) or type(node) is int:
            yield path, str(node)


def with_transforms(document: Document, raw: bytes) -> Document:
    """``document`` with a span map that says ``identity`` (and what the builder's normalisation did) only where that is all."""
    texts = dict(_texts(msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))))
    used = {entry.path for entry in document.span_map} & texts.keys()
    sources = {path: (texts[path], *normalise(texts[path])) for path in used}  # once each: thousands of criteria share one text
    entries = tuple(_named(document.text[entry.start : entry.end], entry, sources.get(entry.path)) for entry in document.span_map)
    return msgspec.structs.replace(document, span_map=entries)


def _named(shown: str, entry: SpanMapEntry, source: tuple[str, str, str] | None) -> SpanMapEntry:
    """``source`` is the raw value, its normalised form and the name of that transform; ``None`` where the pointer leads to no value."""
    if source is None:
        return SpanMapEntry(entry.start, entry.end, entry.path, RENDERED)
    raw, text, transform = source
    if raw == shown:
        return entry
    if text != shown:
        transform = MARKDOWN if entry.transform == "identity" else f"{MARKDOWN}+{entry.transform}"
    return SpanMapEntry(entry.start, entry.end, entry.path, transform)
