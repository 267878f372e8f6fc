"""The front of a JATS article: what it is called, who wrote it, when, under which ids and licence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from system.evidence.ir import Metadata
from system.evidence.sources.builder import clean
from system.evidence.sources.guess import looks_like
from system.evidence.sources.jats_tables import INLINE
from system.evidence.sources.levels import INSERTED, Marked, unmarked
from system.evidence.sources.registrations import own_registrations
from system.evidence.sources.xml import Element, attribute, descendants, first, local, parse_xml
from system.platform.errors import BadInput

WHAT = "a JATS article"
_TITLE = replace(INLINE, skip=INLINE.skip | {"xref"})  # a title's cross references are marks of notes


def read_article(raw: bytes) -> tuple[Element, str]:
    """The ``article`` element and its path; wrappers with exactly one article are opened."""
    root = parse_xml(raw, WHAT)
    if local(root) == "article":
        return root, "/article"
    inside = list(descendants(root, "article"))
    if len(inside) == 1 and local(root) in ("pmc-articleset", "OAI-PMH", "record", "metadata", "articles"):
        return inside[0], "//article"
    remedy = "send one <article>, or choose the matching source"
    raise BadInput(f"this is not a JATS article: it looks like {looks_like(raw)}", f"/{local(root)}", remedy)


def identify(article: Element) -> tuple[str, str]:
    """Native id (PMC id, else DOI, else PubMed id) and version (article version, else publication date, else 1)."""
    ids = dict(_identifiers(article))
    native = ids.get("pmcid") or ids.get("doi") or ids.get("pmid")
    if not native:
        place = "/article/front/article-meta/article-id"
        raise BadInput("the article has no PMC id, DOI or PubMed id", place, "add an article-id of type pmc, doi or pmid")
    version = clean(INLINE.text(first(article, "front/article-meta/article-version")))
    return native, version or _publication_date(article) or "1"


def _identifiers(article: Element) -> Iterator[tuple[str, str]]:
    meta = first(article, "front/article-meta")
    for node in meta if meta is not None else ():
        if local(node) != "article-id":
            continue
        kind, value = attribute(node, "pub-id-type"), "".join(clean(INLINE.text(node)).split())
        if kind in ("pmc", "pmcid", "pmc-id") and value:
            yield "pmcid", value if value.upper().startswith("PMC") else f"PMC{value}"
        elif kind in ("doi", "pmid") and value:
            yield kind, value


def _dates(article: Element) -> Iterator[tuple[str, str, str, str]]:
    meta = first(article, "front/article-meta")
    for node in meta if meta is not None else ():
        if local(node) == "pub-date":
            kind = attribute(node, "pub-type") or attribute(node, "date-type") or attribute(node, "publication-format")
            year, month, day = (clean(INLINE.text(first(node, part))) for part in ("year", "month", "day"))
            if re.fullmatch(r"[12]\d{3}", year):
                yield kind, year, month, day


def _publication_date(article: Element) -> str:
    """The date of first publication as far as it is given, ISO 8601."""
    dates = list(_dates(article))
    rank = {"epub": 0, "pub": 1, "ppub": 2, "collection": 3}
    if not dates:
        return ""
    _, year, month, day = min(dates, key=lambda item: (rank.get(item[0], 4), item[1:]))
    parts = [year]
    for part in (month, day):
        if not (part.isascii() and part.isdigit() and len(part) <= 2):
            break
        parts.append(part.zfill(2))
    return "-".join(parts)


def _authors(article: Element) -> Iterator[str]:
    meta = first(article, "front/article-meta")
    for contrib in descendants(meta, "contrib") if meta is not None else ():
        if attribute(contrib, "contrib-type") not in ("author", ""):
            continue
        name = next(descendants(contrib, "name", "string-name"), None)
        group = first(contrib, "collab")
        if name is not None:
            parts = (clean(INLINE.text(first(name, part))) for part in ("given-names", "surname", "suffix"))
            yield " ".join(part for part in parts if part) or clean(INLINE.text(name))
        elif group is not None:
            yield clean(INLINE.text(group))


def _licence(article: Element) -> str:
    node = next(descendants(article, "license"), None)
    if node is None:  # before JATS the licence was a sentence of the copyright statement
        return clean(INLINE.text(next(descendants(article, "copyright-statement"), None)))[:300]
    link = attribute(node, "href") or next((attribute(x, "href") for x in descendants(node, "ext-link", "uri", "license_ref")), "")
    return clean(link or INLINE.text(node) or attribute(node, "license-type"))[:300]


def title_of(article: Element) -> Marked:
    """Title and subtitle with their marks."""
    group = first(article, "front/article-meta/title-group")
    title, subtitle = (_TITLE.marked(first(group, name)) for name in ("article-title", "subtitle"))
    return Marked(f"{title.strip()}{INSERTED}: {subtitle}") if clean(title) and clean(subtitle) else title or subtitle


def metadata_of(article: Element) -> Metadata:
    date = _publication_date(article)
    journal = first(article, "front/journal-meta")
    title = next(descendants(journal, "journal-title"), None) if journal is not None else None
    meta = first(article, "front/article-meta")
    trials = own_registrations(unmarked(INLINE.marked(meta))) if meta is not None else ()
    return Metadata(
        title=clean(title_of(article)),
        year=int(date[:4]) if date else None,
        journal=clean(INLINE.text(title)),
        authors=tuple(name for name in _authors(article) if name),
        identifiers=(*dict.fromkeys(_identifiers(article)), *trials),
        licence=_licence(article),
        study_type=attribute(article, "article-type"),
    )
