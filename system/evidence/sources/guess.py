"""What a payload looks like, for error messages: a person who sent the wrong file learns which one it was."""

from __future__ import annotations

import re

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstandard data"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe\x00\x00", "UTF-32 text"),
    (b"\x00\x00\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text (little endian)"),
    (b"\xfe\xff", "UTF-16 text (big endian)"),
)

_ROOTS: dict[str, str] = {
    "article": "XML of a JATS article",
    "PubmedArticleSet": "XML of a PubMed article set",
    "PubmedArticle": "XML of a PubMed article",
    "PubmedBookArticle": "XML of a PubMed book article",
    "PubmedBookArticleSet": "XML of PubMed book articles",
    "eSearchResult": "XML of an E-utilities search result (identifiers only)",
    "eSummaryResult": "XML of an E-utilities summary",
    "clinical_study": "XML of the retired ClinicalTrials.gov format",
    "OAI-PMH": "XML of an OAI-PMH answer",
    "html": "an HTML page",
    "book": "XML of a book",
    "book-part-wrapper": "XML of a book part",
    "TEI": "XML of a TEI document",
    "rss": "an RSS feed",
    "svg": "an SVG image",
}
_FIRST_TAG = re.compile(r"<(?!\?|!)(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)([^>]{0,2000})")
_NOISE = re.compile(r"<!--.{0,4000}?-->|<\?.{0,1000}?\?>|<!DOCTYPE[^>\[]{0,1000}(?:\[[^\]]{0,1000}\])?[^>]{0,50}>", re.DOTALL)


def looks_like(raw: bytes) -> str:
    """A short description of a payload by its first bytes; XML kinds begin with ``XML``."""
    if not raw.strip():
        return "an empty payload"
    for magic, name in _MAGIC:
        if raw.startswith(magic):
            return name
    head = raw[:8192]
    if head[:200].count(0) >= max(2, len(head[:200]) // 4):
        return "UTF-16 text without a byte order mark" if head[:200].strip(b"\x00")[:1] in b"<{[ \n" else "binary data"
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        return _xml_kind(text)
    if text.startswith(("{", "[")):
        return _json_kind(text)
    controls = sum(1 for c in text[:1000] if c < " " and c not in "\t\r\n")
    return "binary data" if controls * 20 > len(text[:1000]) else "plain text"


def _xml_kind(text: str) -> str:
    if re.match(r"<!doctype\s+html", text, re.IGNORECASE):
        return "an HTML page"
    found = _FIRST_TAG.search(_NOISE.sub("", text))
    if found is None:
        return "XML without a root element"
    name, attributes = found.groups()
    if name == "document" and "hl7" in attributes:
        return "XML of a structured product label (SPL)"
    return _ROOTS.get(name) or _ROOTS.get(name.lower() if name.lower() == "html" else "") or f"XML with root element <{name[:60]}>"


def _json_kind(text: str) -> str:
    if '"protocolSection"' in text or '"studies"' in text:
        return "JSON of ClinicalTrials.gov studies"
    if '"_id"' in text and '"text"' in text:
        return "JSON passages"
    return "JSON"
