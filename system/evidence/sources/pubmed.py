"""PubMed efetch XML: one record a document; book records are recognised. Works with the 2012 DTD and newer ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from system.evidence.ir import BlockKind, Document, Metadata, Source
from system.evidence.sources.builder import TextBuilder, clean
from system.evidence.sources.guess import looks_like
from system.evidence.sources.jats_tables import INLINE
from system.evidence.sources.registrations import own_registrations, registrations
from system.evidence.sources.xml import Element, attribute, children, descendants, first, local, parse_xml
from system.platform.errors import BadInput

PARSER = "pubmed/2"
WHAT = "a PubMed article set"
RECORDS = ("PubmedArticle", "PubmedBookArticle")
DELETIONS = ("DeleteCitation", "DeleteDocument")
_SETS = ("PubmedArticleSet", "PubmedBookArticleSet")

# Check tags describe the subjects of nearly every study and are no conditions.
_CHECK_TAGS = frozenset(
    {
        "Adolescent", "Adult", "Aged", "Aged, 80 and over", "Animals", "Child", "Child, Preschool",
        "Female", "Humans", "Infant", "Infant, Newborn", "Male", "Middle Aged", "Young Adult",
    }
)  # fmt: skip
_LANGUAGES = {
    "eng": "en", "ger": "de", "fre": "fr", "spa": "es", "ita": "it", "por": "pt",
    "jpn": "ja", "chi": "zh", "rus": "ru", "dut": "nl", "pol": "pl", "kor": "ko",
}  # fmt: skip
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def records(raw: bytes) -> tuple[Element, ...]:
    """The record elements of an article set or a lone record. Raises ``BadInput`` where there is none."""
    found, deleted = read_set(raw)
    if not found:
        remedy = "delete the documents yourself: a deletion notice is no document"
        raise BadInput(f"the set holds no record, only deletion notices for PMID {', '.join(deleted)}", "/PubmedArticleSet", remedy)
    return found


def read_set(raw: bytes) -> tuple[tuple[Element, ...], tuple[str, ...]]:
    """The record elements of a set, and the PMIDs that it declares deleted. Raises ``BadInput`` where there is neither."""
    root = parse_xml(raw, WHAT)
    name = local(root)
    if name in RECORDS:
        return (root,), ()
    if name not in _SETS:
        remedy = "send efetch XML (db=pubmed, retmode=xml), or choose the matching source"
        raise BadInput(f"this is not a PubMed article set: it looks like {looks_like(raw)}", f"/{name}", remedy)
    found = tuple(child for child in root if local(child) in RECORDS)
    deleted = tuple(
        clean(INLINE.text(pmid)) for notice in root if local(notice) in DELETIONS for pmid in descendants(notice, "PMID") if pmid.text
    )
    if not found and not deleted:
        raise BadInput("the article set is empty", f"/{name}", "send a set with at least one PubmedArticle")
    return found, tuple(dict.fromkeys(deleted))


def deletion(pmid: str) -> tuple[BadInput, bytes]:
    """What is said of a deletion notice, and its own bytes: nothing is deleted on the word of a payload."""
    safe = re.sub(r"[^0-9A-Za-z]", "", pmid)[:40]
    remedy = "delete the document yourself: DELETE /v1/documents/{doc_id} for every version of this PMID"
    raw = f"<PubmedArticleSet><DeleteCitation><PMID>{safe}</PMID></DeleteCitation></PubmedArticleSet>".encode()
    return BadInput(
        f"deletion notice for PMID {safe}: nothing was deleted", f"/PubmedArticleSet/DeleteCitation/PMID[.='{safe}']", remedy
    ), raw


def parse_pubmed(doc_id: str, raw: bytes) -> Document:
    """The document of a payload with exactly one record."""
    found = records(raw)
    if len(found) != 1:
        raise BadInput(f"the set holds {len(found)} records, one is expected", "/PubmedArticleSet", "split the set first")
    record = found[0]
    native_id, version = identify(record)
    builder = TextBuilder()
    article, path = _body(record)
    step = "ArticleTitle" if local(record) == RECORDS[0] else "BookTitle"
    builder.add_block(BlockKind.TITLE, INLINE.marked(_title(record)), "", f"{path}/{step}[1]")
    own = [item for item in children(article, path) if item[0] == "Abstract"]
    for _, abstract, abstract_path in own or [item for item in _others(record) if item[0] == "OtherAbstract"][:1]:
        _abstract(builder, abstract, abstract_path, "Abstract")
    if builder.empty:
        raise BadInput(f"record {native_id} has neither title nor abstract", path, "send a record with a title")
    language = _LANGUAGES.get(clean(INLINE.text(first(article, "Language"))), "en")
    return builder.build(Source.PUBMED, native_id, version, raw, _metadata(record, native_id), PARSER, doc_id=doc_id, language=language)


def identify(record: Element) -> tuple[str, str]:
    """PMID and version: the date of the last revision where given, else the PMID's version number."""
    node = first(record, "MedlineCitation/PMID")
    node = first(record, "BookDocument/PMID") if node is None else node
    pmid = clean(INLINE.text(node))
    if not re.fullmatch(r"[1-9]\d{0,8}", pmid):
        place = f"/{local(record)}//PMID"
        raise BadInput(f"PMID {pmid[:40]!r} is not a number of at most nine digits", place, "send a record with its PMID")
    revised = first(record, "MedlineCitation/DateRevised")
    date = iso_date(revised) if revised is not None else ""
    return pmid, date or attribute(node, "Version") or "1"


def _body(record: Element) -> tuple[Element, str]:
    """The element that holds title and abstract, with its path."""
    for steps in ("MedlineCitation/Article", "BookDocument"):
        found = first(record, steps)
        if found is not None:
            return found, f"/{local(record)}/" + "/".join(f"{step}[1]" for step in steps.split("/"))
    raise BadInput("the record has no article", f"/{local(record)}", "send the whole record as efetch serves it")


def _title(record: Element) -> Element | None:
    article, _ = _body(record)
    for steps in ("ArticleTitle", "Book/BookTitle"):
        found = first(article, steps)
        if found is not None and clean(INLINE.text(found)):
            return found
    return first(article, "VernacularTitle")


def _others(record: Element) -> Iterator[tuple[str, Element, str]]:
    citation = first(record, "MedlineCitation")
    if citation is not None:
        yield from children(citation, f"/{local(record)}/MedlineCitation[1]")


def _abstract(builder: TextBuilder, node: Element, path: str, section: str) -> None:
    """Labelled parts become sections of their own; an unlabelled abstract is one section."""
    builder.add_block(BlockKind.HEADING, section, section, path)
    for name, part, part_path in children(node, path):
        if name != "AbstractText":
            continue
        label = clean(attribute(part, "Label"))
        inner = f"{section} > {label}" if label and label.upper() != "UNLABELLED" else section
        if inner != section:
            builder.add_block(BlockKind.HEADING, label, inner, f"{part_path}/@Label")
        category = attribute(part, "NlmCategory").lower().replace("unassigned", "") or None
        builder.add_block(BlockKind.PARAGRAPH, INLINE.marked(part), inner, part_path, label=category)


def iso_date(node: Element | None) -> str:
    """ISO date as far as given; month names are understood."""
    year, month, day = (clean(INLINE.text(first(node, part))) if node is not None else "" for part in ("Year", "Month", "Day"))
    if not re.fullmatch(r"[12]\d{3}", year):
        return ""
    named = month[:3].title()
    month = f"{_MONTHS.index(named) + 1:02}" if named in _MONTHS else month.zfill(2) if re.fullmatch(r"\d{1,2}", month) else ""
    return "-".join(part for part in (year, month, day.zfill(2) if month and re.fullmatch(r"\d{1,2}", day) else "") if part)


def _year(record: Element) -> int | None:
    article, _ = _body(record)
    for steps in ("Journal/JournalIssue/PubDate", "ArticleDate", "Book/PubDate"):
        node = first(article, steps)
        found = re.search(r"\b[12]\d{3}\b", iso_date(node)[:4] or INLINE.text(first(node, "MedlineDate")) if node is not None else "")
        if found:
            return int(found.group())
    return None


def _authors(record: Element) -> Iterator[str]:
    for author in descendants(_body(record)[0], "Author"):
        parts = (clean(INLINE.text(first(author, part))) for part in ("ForeName", "LastName", "Suffix"))
        yield " ".join(part for part in parts if part) or clean(INLINE.text(first(author, "CollectiveName")))


def _identifiers(record: Element, pmid: str) -> Iterator[tuple[str, str]]:
    yield "pmid", pmid
    kinds = {"doi": "doi", "pmc": "pmcid", "bookaccession": "bookaccession"}
    for steps in ("PubmedData/ArticleIdList", "PubmedBookData/ArticleIdList", "BookDocument/ArticleIdList"):  # not those of the references
        found = first(record, steps)
        for node in found if found is not None else ():
            kind = kinds.get(attribute(node, "IdType"))
            if kind and clean(INLINE.text(node)):
                yield kind, clean(INLINE.text(node))
    for node in _body(record)[0]:
        valid = attribute(node, "EIdType") == "doi" and attribute(node, "ValidYN") != "N"
        if local(node) == "ELocationID" and valid and clean(INLINE.text(node)):
            yield "doi", clean(INLINE.text(node))
    deposited = "\n".join(INLINE.text(node) for node in descendants(_body(record)[0], "AccessionNumber"))
    abstract = "\n".join(INLINE.text(node) for node in descendants(_body(record)[0], "AbstractText"))
    yield from registrations(deposited) or own_registrations(abstract)


def _mesh(record: Element) -> tuple[str, ...]:
    """MeSH descriptors, those of the main topic first, without check tags."""
    headings = sorted(
        descendants(record, "MeshHeading"), key=lambda heading: all(attribute(part, "MajorTopicYN") != "Y" for part in heading)
    )
    ordered = [clean(INLINE.text(first(heading, "DescriptorName"))) for heading in headings]
    return tuple(dict.fromkeys(name for name in ordered if name and name not in _CHECK_TAGS))


def _metadata(record: Element, pmid: str) -> Metadata:
    article, _ = _body(record)
    is_book = local(record) == "PubmedBookArticle"
    types = [clean(INLINE.text(node)) for node in descendants(article, "PublicationType")]
    return Metadata(
        title=clean(INLINE.text(_title(record))),
        year=_year(record),
        journal=clean(INLINE.text(first(article, "Book/BookTitle" if is_book else "Journal/Title"))),
        authors=tuple(dict.fromkeys(name for name in _authors(record) if name)),
        identifiers=tuple(dict.fromkeys(_identifiers(record, pmid))),
        conditions=_mesh(record),
        interventions=tuple(dict.fromkeys(clean(INLINE.text(node)) for node in descendants(record, "NameOfSubstance"))),
        licence=clean(INLINE.text(next(descendants(article, "CopyrightInformation"), None)))[:300],
        study_type="; ".join(name for name in types if name) or ("book" if is_book else ""),
        status=clean(attribute(first(record, "MedlineCitation"), "Status")),
    )
