from __future__ import annotations

import html.entities
import re
import unicodedata
from collections import Counter

from lxml import etree

from system.evidence.ir import Source
from system.evidence.sources import parse
from system.evidence.sources.split import SplitItem, split

BOILERPLATE = ("Clickherefor", "Clickhereforadditionaldatafile.", "Clickhereforfile")


def squeeze(text: str) -> str:
    return re.sub(r"[\s\u200b\u00ad\ufeff\u2060]+", "", text)


def character(match: re.Match[str]) -> str:
    name = match.group(1)
    return match.group() if name in ("lt", "gt", "amp", "quot", "apos") else html.entities.html5.get(f"{name};", match.group())


def tree(raw: bytes):
    text = re.sub(r"&([A-Za-z]+);", character, raw.decode())
    return etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, remove_comments=True, remove_pis=True, encoding="utf-8"))


def lost(root, document, containers: tuple[str, ...], skip: tuple[str, ...]) -> list[str]:
    """Pieces of running text below ``containers`` that the document does not hold; a second reading of the source, by other code."""
    held = squeeze(document.text)
    found = []
    for container in root.iter(*(f"{{*}}{name}" for name in containers)):
        for node in container.iter("{*}*"):
            outer = {a.tag.rpartition("}")[2] for a in (node, *node.iterancestors())}
            if outer & set(skip):
                continue
            for piece in (node.text, *(child.tail for child in node)):
                wanted = squeeze(unicodedata.normalize("NFC", piece or ""))
                if wanted and wanted not in held and wanted not in BOILERPLATE:
                    found.append(piece)
    return found


def test_every_real_article_parses_with_every_cell(real_articles, sound) -> None:
    """All 101 articles parse, and the cells are as many as an independent count of td and th finds."""
    assert len(real_articles) == 101
    for name, raw in real_articles.items():
        (item,) = split(Source.JATS, raw)
        document = parse(Source.JATS, item.doc_id, item.raw)
        sound(document)
        root = tree(raw)
        assert sum(len(t.cells) for t in document.tables) == len(root.xpath(".//table//td | .//table//th")), name
        pictures = [w for w in root.xpath(".//table-wrap") if not w.xpath(".//table")]
        assert sum(t.image_only for t in document.tables) == len(pictures), name
        assert document.metadata.title, name
        assert document.metadata.year, name
        assert document.metadata.licence, name


def test_no_text_of_a_real_article_is_lost(real_articles) -> None:
    """Every piece of body, abstract, back matter and floats stands in the document, but for references and notices."""
    for name, raw in real_articles.items():
        document = parse(Source.JATS, "", raw)
        skip = ("ref-list", "object-id", "tex-math", "permissions", "label")
        assert lost(tree(raw), document, ("body", "back", "abstract", "floats-group"), skip) == [], name


def test_every_real_label_parses_without_loss(real_labels, sound) -> None:
    """All six labels parse; no text or title is lost; dosage carries 34068-7."""
    assert len(real_labels) == 6
    for name, raw in real_labels.items():
        (item,) = split(Source.SPL, raw)
        document = parse(Source.SPL, item.doc_id, item.raw)
        sound(document)
        root = tree(raw)
        assert lost(root, document, ("text", "title"), ()) == [], name
        assert sum(len(t.cells) for t in document.tables) == len(root.xpath(".//*[local-name()='td' or local-name()='th']")), name
        assert any(b.loinc == "34068-7" for b in document.blocks), name
        assert document.metadata.interventions, name
        assert document.metadata.title, name


def test_every_real_record_parses(real_records, sound) -> None:
    """All 124 records of 11 files parse, each by itself, with year, title and as many abstract words as the source has."""
    documents = []
    for raw in real_records.values():
        for item in split(Source.PUBMED, raw):
            assert isinstance(item, SplitItem)
            document = parse(Source.PUBMED, item.doc_id, item.raw)
            sound(document)
            root = tree(item.raw)
            assert lost(root, document, ("AbstractText", "ArticleTitle"), ("OtherAbstract",)) == []
            documents.append(document)
    assert len(documents) == 124
    assert all(d.metadata.year and d.metadata.title for d in documents)
    assert sum(len([b for b in d.blocks if b.section.startswith("Abstract > ")]) > 0 for d in documents) > 10


def test_parsing_twice_gives_the_same_document(real_articles, real_labels) -> None:
    """The same bytes give equal documents."""
    for source, raws in ((Source.JATS, real_articles), (Source.SPL, real_labels)):
        raw = next(iter(raws.values()))
        assert parse(source, "", raw) == parse(source, "", raw)


def test_licences_of_the_articles_are_creative_commons(real_articles) -> None:
    """Every article of the collection states a Creative Commons licence that the parser finds."""
    licences = [parse(Source.JATS, "", raw).metadata.licence.lower() for raw in real_articles.values()]
    kinds = Counter(bool(re.search(r"creative\s?commons", licence)) for licence in licences)
    assert kinds[True] >= 95, [licence for licence in licences if "commons" not in licence]
