"""HL7 v3 structured product labels (SPL): nested LOINC-coded sections, paragraphs, lists, tables, products."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from system.evidence.ir import BlockKind, Document, Metadata, Source
from system.evidence.sources.builder import MAX_TITLE, RawTable, TextBuilder, clean
from system.evidence.sources.guess import looks_like
from system.evidence.sources.inline import Inline
from system.evidence.sources.jats_tables import read_rows
from system.evidence.sources.levels import APART, Marked
from system.evidence.sources.xml import Element, attribute, children, descendants, first, language_of, local, parse_xml
from system.platform.errors import BadInput

PARSER = "spl/2"
WHAT = "a structured product label (SPL)"

UNCLASSIFIED = "42229-5"  # such a section means what its parent means
_LOINC = "2.16.840.1.113883.6.1"
_NDC = "2.16.840.1.113883.6.69"
_UNII = "2.16.840.1.113883.4.9"
_ACTIVE = frozenset({"ACTIB", "ACTIM", "ACTIR"})
_HIGHLIGHTS = "Highlights"
_DISCLAIMER = re.compile(r"^These highlights do not include .*?See full prescribing information for [^.]*\.\s*", re.IGNORECASE)

INLINE = Inline(
    skip=frozenset({"footnote", "footnoteRef", "renderMultiMedia", "observationMedia"}),
    apart=frozenset({"paragraph", "list", "item", "caption", "tr", "td", "th", "table"}),
    references=frozenset({"footnoteRef"}),
)
_FLOW = frozenset({"paragraph", "list", "table"})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the reader stands: section titles and the nearest section code that says something."""

    sections: tuple[str, ...]
    loinc: str | None

    @property
    def section(self) -> str:
        return " > ".join(self.sections)


def parse_spl(doc_id: str, raw: bytes) -> Document:
    """The document of one label. Raises ``BadInput`` for anything else."""
    root = read_label(raw)
    native_id, version = identify(root)
    metadata = _metadata(root, native_id)
    reader = _Reader(TextBuilder())
    reader.builder.add_block(BlockKind.TITLE, INLINE.marked(first(root, "title")), "", "/document/title[1]")
    reader.sections(root, "/document", _Place((), None))
    if reader.builder.empty:
        raise BadInput("the label has neither title nor sections", "/document/component", "send the whole label as DailyMed serves it")
    language = language_of(attribute(first(root, "languageCode"), "code"))
    return reader.builder.build(Source.SPL, native_id, version, raw, metadata, PARSER, doc_id=doc_id, language=language)


def read_label(raw: bytes) -> Element:
    """The ``document`` element of a label."""
    root = parse_xml(raw, WHAT)
    if local(root) != "document":
        remedy = "send an HL7 v3 <document>, or choose the matching source"
        raise BadInput(f"this is not a structured product label: it looks like {looks_like(raw)}", f"/{local(root)}", remedy)
    if first(root, "setId") is None:
        raise BadInput("the document has no setId", "/document/setId", "send a label with its set id, as DailyMed serves it")
    return root


def identify(root: Element) -> tuple[str, str]:
    """Set id (lower case) and version number."""
    set_id = attribute(first(root, "setId"), "root").lower()
    version = attribute(first(root, "versionNumber"), "value")
    if not re.fullmatch(r"[0-9a-z.-]{1,64}", set_id):
        raise BadInput(f"set id {set_id[:80]!r} is not a UUID or OID", "/document/setId/@root", "send a label with its set id")
    if not re.fullmatch(r"\d{1,9}", version):
        place = "/document/versionNumber/@value"
        raise BadInput(f"version number {version[:40]!r} is not a whole number", place, "send a label with its version number")
    return set_id, version


def _unique(names: Iterator[str]) -> tuple[str, ...]:
    """Names without repetition regardless of case, in order."""
    seen: dict[str, str] = {}
    for name in names:
        seen.setdefault(clean(name).casefold(), clean(name))
    return tuple(name for name in seen.values() if name)


def _products(root: Element) -> Iterator[str]:
    for product in descendants(root, "manufacturedProduct", "manufacturedMedicine", "partProduct", "partMedicine"):
        name = first(product, "name")
        if name is not None:
            yield " ".join(piece.strip() for piece in name.itertext())


def _ingredients(root: Element) -> Iterator[str]:
    for node in descendants(root, "genericMedicine"):
        yield INLINE.text(first(node, "name"))
    for node in descendants(root, "ingredient", "activeIngredient"):
        if attribute(node, "classCode") in _ACTIVE or local(node) == "activeIngredient":
            for substance in descendants(node, "ingredientSubstance", "activeIngredientSubstance"):
                yield INLINE.text(first(substance, "name"))
                yield from (INLINE.text(first(moiety, "name")) for moiety in descendants(substance, "activeMoiety"))


def _codes(root: Element) -> Iterator[tuple[str, str]]:
    """NDC of the products (of their packages where a product of the older form has none) and UNII of the active ingredients."""
    for product in descendants(root, "manufacturedProduct", "partProduct", "manufacturedMedicine", "partMedicine"):
        own = _code(first(product, "code"), _NDC)
        packages = descendants(product, "containerPackagedMedicine") if local(product).endswith("Medicine") and not own else ()
        yield from (("ndc", code) for code in (own, *(_code(first(package, "code"), _NDC) for package in packages)) if code)
    for node in descendants(root, "ingredient", "activeIngredient"):
        substance = first(node, "ingredientSubstance")
        substance = first(node, "activeIngredientSubstance") if substance is None else substance
        code = _code(first(substance, "code"), _UNII)
        if code and (attribute(node, "classCode") in _ACTIVE or local(node) == "activeIngredient"):
            yield "unii", code


def _code(node: Element | None, system: str) -> str:
    """The code of an element if it is one of the code system ``system``, else the empty string."""
    return attribute(node, "code") if attribute(node, "codeSystem") == system else ""


def _metadata(root: Element, set_id: str) -> Metadata:
    title = _DISCLAIMER.sub("", clean(INLINE.text(first(root, "title"))))
    products, ingredients = _unique(_products(root)), _unique(_ingredients(root))
    year = attribute(first(root, "effectiveTime"), "value")[:4]
    maker = clean(INLINE.text(first(root, "author/assignedEntity/representedOrganization/name")))
    return Metadata(
        title=title or ", ".join(products[:3] or ingredients[:3]),
        year=int(year) if re.fullmatch(r"[12]\d{3}", year) else None,
        authors=(maker,) if maker else (),
        identifiers=(("setid", set_id), *dict.fromkeys(_codes(root))),
        interventions=_unique(iter((*products, *ingredients))),
        licence="US government public data",
        study_type=clean(attribute(first(root, "code"), "displayName")),
    )


@dataclass(slots=True)
class _Reader:
    """Walks a label's sections and fills the builder."""

    builder: TextBuilder
    tables: int = 0

    def sections(self, node: Element, path: str, place: _Place) -> None:
        """The sections below ``node`` in document order."""
        for name, child, child_path in children(node, path):
            if name == "section":
                self._section(child, child_path, place)
            elif name in ("component", "structuredBody"):
                self.sections(child, child_path, place)
            elif name == "observationMedia":
                self._add(BlockKind.CAPTION, INLINE.marked(first(child, "text")), place, child_path, "figure")

    def _section(self, section: Element, path: str, outer: _Place) -> None:
        code = first(section, "code")
        value = attribute(code, "code") if attribute(code, "codeSystem") in (_LOINC, "") else ""
        told = value if value and value != UNCLASSIFIED else ""
        heading = INLINE.marked(first(section, "title"))
        title = clean(heading)
        name = title or (clean(attribute(code, "displayName")) if told else "")
        place = _Place((*outer.sections, name[:MAX_TITLE]) if name else outer.sections, told or outer.loinc)
        self._add(BlockKind.HEADING, heading, place, f"{path}/title[1]")
        for kind, child, child_path in children(section, path):
            if kind == "text":
                self._flow(child, child_path, place, BlockKind.PARAGRAPH)
            elif kind == "excerpt":
                self._excerpt(child, child_path, _Place((*place.sections, _HIGHLIGHTS), place.loinc))
            elif kind == "component":
                self.sections(child, child_path, place)
            elif kind == "section":
                self._section(child, child_path, place)

    def _excerpt(self, excerpt: Element, path: str, place: _Place) -> None:
        for _, highlight, highlight_path in children(excerpt, path):
            for name, text, text_path in children(highlight, highlight_path):
                if name == "text":
                    self._flow(text, text_path, place, BlockKind.PARAGRAPH)

    def _flow(self, node: Element, path: str, place: _Place, kind: BlockKind) -> None:
        """Running text with paragraphs, lists and tables in it; notes are read behind it."""
        out = [node.text or ""]
        asides: list[tuple[BlockKind, Element, str]] = []
        later: list[tuple[str, Element, str]] = []
        for name, child, child_path in children(node, path):
            if name in _FLOW and kind is BlockKind.LIST_ITEM and name != "paragraph":
                later.append((name, child, child_path))
                out.append(APART)
            elif name in _FLOW and kind is not BlockKind.LIST_ITEM:
                self._add(kind, Marked("".join(out)), place, path)
                out = []
                self._block(name, child, child_path, place)
            else:
                INLINE.collect_child(child, out)
                asides.extend(_asides(child, child_path))
            out.append(child.tail or "")
        self._add(kind, Marked("".join(out)), place, path)
        for aside_kind, aside, aside_path in asides:
            self._add(aside_kind, INLINE.marked(aside), place, aside_path)
        for name, child, child_path in later:
            self._block(name, child, child_path, place)

    def _block(self, name: str, node: Element, path: str, place: _Place) -> None:
        if name == "paragraph":
            self._flow(node, path, place, BlockKind.PARAGRAPH)
        elif name == "table":
            self._table(node, path, place)
        else:
            for kind, item, item_path in children(node, path):
                if kind == "item":
                    self._flow(item, item_path, place, BlockKind.LIST_ITEM)
                elif kind == "caption":
                    self._add(BlockKind.PARAGRAPH, INLINE.marked(item), place, item_path)

    def _table(self, node: Element, path: str, place: _Place) -> None:
        self.tables += 1
        rows = read_rows(node, path, INLINE)
        notes = tuple(INLINE.marked(note) for note in descendants(node, "footnote"))
        name = attribute(node, "ID") or f"table-{self.tables}"
        table = RawTable(name, path, rows.rows, rows.groups, INLINE.marked(first(node, "caption")), notes)
        self.builder.add_table(table, place.section, place.loinc)

    def _add(self, kind: BlockKind, text: str, place: _Place, path: str, label: str | None = None) -> None:
        self.builder.add_block(kind, text, place.section, path, place.loinc, label)


def _asides(node: Element, path: str) -> Iterator[tuple[BlockKind, Element, str]]:
    """What running text leaves out: its footnotes and the captions of its pictures."""
    for aside in node.iter("{*}footnote", "{*}renderMultiMedia"):
        inner = path if aside is node else f"{path}//{local(aside)}"
        if local(aside) == "footnote":
            yield BlockKind.FOOTNOTE, aside, inner
        elif first(aside, "caption") is not None:
            yield BlockKind.CAPTION, first(aside, "caption"), f"{inner}/caption[1]"
