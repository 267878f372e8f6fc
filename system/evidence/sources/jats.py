"""JATS / NLM article XML to the IR: front, abstract, sections, lists, boxes, captions, tables, notes; not the references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from system.evidence.ir import BlockKind, Document, Source
from system.evidence.sources.builder import MAX_TITLE, TextBuilder, clean
from system.evidence.sources.inline import join
from system.evidence.sources.jats_front import identify, metadata_of, read_article, title_of
from system.evidence.sources.jats_tables import INLINE, read_table_wrap
from system.evidence.sources.levels import APART, INSERTED, Marked
from system.evidence.sources.xml import Element, attribute, children, descendants, first, language_of, local
from system.platform.errors import BadInput

PARSER = "jats/2"

# What a picture holds besides its caption, and a table besides its rows: more text of the article.
_TABLE_PARTS = frozenset(
    {
        "label",
        "caption",
        "table",
        "tgroup",
        "alternatives",
        "table-wrap-foot",
        "graphic",
        "object-id",
        "permissions",
        "alt-text",
        "long-desc",
        "fn",
        "table-wrap",
        "attrib",
        "abstract",
        "kwd-group",
        "subj-group",
        "processing-meta",
    }
)
# Floats stand beside the text: they are read after the paragraph that holds them, so that its sentence stays whole.
_GROUPS = frozenset({"fig-group", "table-wrap-group", "boxed-text"})
_FLOATS = _GROUPS | {"fig", "table-wrap", "supplementary-material", "fn", "media", "chem-struct-wrap"}
_FLOW = frozenset({"list", "def-list", "disp-quote", "statement", "verse-group", "speech", "disp-formula-group"})
_BLOCKS = _FLOATS | _FLOW | {"p", "sec"}
_IGNORED = frozenset(
    {
        "title",
        "label",
        "ref-list",
        "object-id",
        "graphic",
        "sec-meta",
        "permissions",
        "caption",
        "front",
        "front-stub",
        "processing-meta",
    }
)
_UNTITLED = {
    "ack": "Acknowledgements",
    "floats-group": "Tables and figures",
    "fn-group": "Notes",
    "app": "Appendix",
    "boxed-text": "Box",
    "notes": "Notes",
}

Sections = tuple[str, ...]


def parse_jats(doc_id: str, raw: bytes) -> Document:
    """The document of one JATS article. Raises ``BadInput`` for anything else."""
    article, path = read_article(raw)
    native_id, version = identify(article)
    reader = _Reader(TextBuilder())
    reader.article(article, path, ())
    if reader.builder.empty:
        raise BadInput("the article has neither title nor text", path, "send the article's full text")
    language = language_of(attribute(article, "lang"))
    return reader.builder.build(Source.JATS, native_id, version, raw, metadata_of(article), PARSER, doc_id=doc_id, language=language)


@dataclass(slots=True)
class _Reader:
    """Walks an article and fills the builder; ``sections`` is the path of section titles of the place it stands at."""

    builder: TextBuilder
    tables: int = 0
    handlers: dict[str, Callable[[Element, str, Sections], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.handlers = {
            "p": self._paragraph,
            "list": self._list,
            "def-list": self._definitions,
            "fig": self._caption,
            "supplementary-material": self._caption,
            "media": self._caption,
            "chem-struct-wrap": self._caption,
            "table-wrap": self._table,
            "fn": self._footnote,
            "sub-article": self._sub_article,
            "response": self._sub_article,
            "abstract": self._abstract,
        }

    def article(self, article: Element, path: str, sections: Sections) -> None:
        """Front matter, then body, back, floats and sub-articles in document order."""
        if not sections:
            self.builder.add_block(BlockKind.TITLE, title_of(article), "", f"{path}/front[1]/article-meta[1]/title-group[1]")
        for name, part, part_path in children(article, path):
            if name in ("front", "front-stub"):
                self._front(part, part_path, sections)
            elif name in ("body", "back"):
                self._walk(part, part_path, sections)
            else:
                self._dispatch(name, part, part_path, sections)

    def _front(self, front: Element, path: str, sections: Sections) -> None:
        for name, part, part_path in children(front, path):
            if name in ("article-meta", "abstract", "notes"):
                for inner, node, node_path in [(name, part, part_path)] if name != "article-meta" else children(part, part_path):
                    if inner in ("abstract", "notes"):
                        self._dispatch(inner, node, node_path, sections)

    def _abstract(self, node: Element, path: str, sections: Sections) -> None:
        kind = attribute(node, "abstract-type")
        shown = INLINE.marked(first(node, "title"))
        title = clean(shown) or (f"Abstract ({kind})" if kind else "Abstract")
        self.builder.add_block(BlockKind.HEADING, shown if clean(shown) else title, _join((*sections, title)), f"{path}/title[1]")
        self._walk(node, path, (*sections, title))

    def _sub_article(self, node: Element, path: str, sections: Sections) -> None:
        title = clean(INLINE.text(next(descendants(node, "article-title"), None))) or attribute(node, "article-type") or local(node)
        self.builder.add_block(BlockKind.HEADING, title, _join((*sections, title)), path)
        self.article(node, path, (*sections, title))

    def _walk(self, node: Element, path: str, sections: Sections) -> None:
        for name, child, child_path in children(node, path):
            self._dispatch(name, child, child_path, sections)

    def _dispatch(self, name: str, node: Element, path: str, sections: Sections) -> None:
        handler = self.handlers.get(name)
        if handler is not None:
            handler(node, path, sections)
        elif name not in _IGNORED:
            if any(True for _ in descendants(node, *_BLOCKS)):
                self._container(name, node, path, sections)
            else:
                out: list[str] = []
                INLINE.collect_child(node, out)  # the element itself: a formula is read in one presentation
                self.builder.add_block(BlockKind.PARAGRAPH, Marked("".join(out)), _join(sections), path)

    def _container(self, name: str, node: Element, path: str, sections: Sections) -> None:
        """A section, box or group of floats: its title becomes a heading and a step of the path, the rest of its caption a block."""
        label, caption = INLINE.marked(first(node, "label")), first(node, "caption")
        shown = INLINE.marked(first(node, "title")) or INLINE.marked(first(caption, "title"))
        title = clean(shown) or _UNTITLED.get(name, "")
        inner = (*sections, title) if title else sections
        if title:
            self.builder.add_block(BlockKind.HEADING, join((label, shown if clean(shown) else title)), _join(inner), f"{path}/title[1]")
        if caption is not None and name in _GROUPS:
            titled = bool(title) and bool(clean(INLINE.marked(first(caption, "title")))) and first(node, "title") is None
            parts = [INLINE.marked(part) for part in caption if not (titled and local(part) == "title")]
            kind = "figure" if name == "fig-group" else "group"
            text = join(([] if title else [label]) + parts)
            self.builder.add_block(BlockKind.CAPTION, text, _join(inner), f"{path}/caption[1]", label=kind)
        elif not title and clean(label):
            self.builder.add_block(BlockKind.HEADING, label, _join(inner), f"{path}/label[1]")
        self._walk(node, path, inner)

    def _paragraph(self, node: Element, path: str, sections: Sections) -> None:
        self._flow(node, path, sections, BlockKind.PARAGRAPH)

    def _flow(self, node: Element, path: str, sections: Sections, kind: BlockKind) -> None:
        """Running text: lists and quotes interrupt it, floats are read behind it."""
        out = [node.text or ""]
        floats: list[tuple[str, Element, str]] = []
        for name, child, child_path in children(node, path):
            if name in _FLOATS:
                floats.append((name, child, child_path))
                out.append(APART)
            elif name in _FLOW:
                self.builder.add_block(kind, Marked("".join(out)), _join(sections), path)
                self._dispatch(name, child, child_path, sections)
                out = []
            else:
                INLINE.collect_child(child, out)
                floats.extend(_nested(child, child_path))
            out.append(child.tail or "")
        self.builder.add_block(kind, Marked("".join(out)), _join(sections), path)
        for name, child, child_path in floats:
            self._dispatch(name, child, child_path, sections)

    def _list(self, node: Element, path: str, sections: Sections) -> None:
        for name, item, item_path in children(node, path):
            if name == "title":
                self.builder.add_block(BlockKind.PARAGRAPH, INLINE.marked(item), _join(sections), item_path)
            elif name == "list-item":
                self._item(item, item_path, sections)

    def _item(self, item: Element, path: str, sections: Sections) -> None:
        """One list item: its paragraphs are one block; lists inside it follow as items of their own."""
        out: list[str] = []
        later: list[tuple[str, Element, str]] = []
        for name, child, child_path in children(item, path):
            if name in _BLOCKS and name != "p":
                later.append((name, child, child_path))
                continue
            nested = [entry for entry in children(child, child_path) if entry[0] in _FLOATS or entry[0] in _FLOW]
            later.extend(nested)
            if nested:
                out.append(_without(child))
            else:
                INLINE.collect_child(child, out)
                later.extend(_nested(child, child_path))
            out.append(" ")
        self.builder.add_block(BlockKind.LIST_ITEM, Marked("".join(out)), _join(sections), path)
        for name, child, child_path in later:
            self._dispatch(name, child, child_path, sections)

    def _definitions(self, node: Element, path: str, sections: Sections) -> None:
        for name, item, item_path in children(node, path):
            if name == "def-item":
                text = Marked(f"{INLINE.marked(first(item, 'term')).strip()}{INSERTED}: {INLINE.marked(first(item, 'def'))}")
                self.builder.add_block(BlockKind.LIST_ITEM, text, _join(sections), item_path)
            elif name == "def-list":
                self._definitions(item, item_path, sections)

    def _caption(self, node: Element, path: str, sections: Sections) -> None:
        """A figure, film or supplement: its label and caption are one block; captions and text of what it holds follow."""
        name, caption = local(node), first(node, "caption")
        text = join(INLINE.marked(part) for part in (first(node, "label"), caption))
        self.builder.add_block(BlockKind.CAPTION, text, _join(sections), path, label="figure" if name == "fig" else "supplement")
        for kind, child, child_path in children(node, path):
            if kind in ("p", "table-wrap", "fn", "media", "supplementary-material", "fig", "attrib") or kind in _FLOW:
                self._dispatch(kind, child, child_path, sections)

    def _table(self, node: Element, path: str, sections: Sections) -> None:
        self.tables += 1
        for table in read_table_wrap(node, path, self.tables):
            self.builder.add_table(table, _join(sections))
        for name, child, child_path in children(node, path):
            if name not in _TABLE_PARTS and next(descendants(child, "table", "tgroup"), None) is None:
                self._dispatch(name, child, child_path, sections)

    def _footnote(self, node: Element, path: str, sections: Sections) -> None:
        self.builder.add_block(BlockKind.FOOTNOTE, INLINE.marked(node), _join(sections), path)


def _nested(node: Element, path: str) -> list[tuple[str, Element, str]]:
    """The floats deep inside running text that the reader of running text leaves out, outermost only."""
    found = []
    for name, child, child_path in children(node, path):
        if name in ("fn", "media", "supplementary-material"):
            found.append((name, child, child_path))
        elif name not in ("table-wrap", "fig"):
            found.extend(_nested(child, child_path))
    return found


def _without(node: Element) -> Marked:
    """The running text of a paragraph without the blocks inside it."""
    out = [node.text or ""]
    for child in node:
        if local(child) not in _FLOATS and local(child) not in _FLOW:
            INLINE.collect_child(child, out)
        else:
            out.append(APART)
        out.append(child.tail or "")
    return Marked("".join(out))


def _join(sections: Sections) -> str:
    """The section path; titles are clipped, because every block below carries them."""
    return " > ".join(title[:MAX_TITLE] for title in sections)
