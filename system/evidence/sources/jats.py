"""JATS / NLM article XML to the IR: front, abstract, sections, lists, boxes, captions, tables, notes; not the references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from system.evidence.ir import BlockKind, Document, Source
from system.evidence.sources.builder import MAX_TITLE, TextBuilder, clean
from system.evidence.sources.jats_front import identify, metadata_of, read_article, title_of
from system.evidence.sources.jats_tables import INLINE, read_table_wrap
from system.evidence.sources.xml import Element, attribute, children, descendants, first, language_of, local
from system.platform.errors import BadInput

PARSER = "jats/1"

# Floats stand beside the text: they are read after the paragraph that holds them, so that its sentence stays whole.
_FLOATS = frozenset({"fig", "fig-group", "table-wrap", "table-wrap-group", "boxed-text", "supplementary-material", "fn", "media"})
_FLOW = frozenset({"list", "def-list", "disp-quote", "statement", "verse-group", "speech", "disp-formula-group"})
_BLOCKS = _FLOATS | _FLOW | {"p", "sec"}
_IGNORED = frozenset(
    {
        "title",
        "label",
        "ref-list",
        "object-id",
        "graphic",
        "media",
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
        title = clean(INLINE.text(first(node, "title"))) or (f"Abstract ({kind})" if kind else "Abstract")
        self.builder.add_block(BlockKind.HEADING, title, _join((*sections, title)), f"{path}/title[1]")
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
                self.builder.add_block(BlockKind.PARAGRAPH, INLINE.text(node), _join(sections), path)

    def _container(self, name: str, node: Element, path: str, sections: Sections) -> None:
        """A section or box: its title becomes a heading and a step of the section path."""
        title = clean(f"{INLINE.text(first(node, 'title'))}") or clean(INLINE.text(first(node, "caption/title"))) or _UNTITLED.get(name, "")
        inner = (*sections, title) if title else sections
        if title:
            label = INLINE.text(first(node, "label"))
            self.builder.add_block(BlockKind.HEADING, f"{label} {title}", _join(inner), f"{path}/title[1]")
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
            elif name in _FLOW:
                self.builder.add_block(kind, "".join(out), _join(sections), path)
                self._dispatch(name, child, child_path, sections)
                out = []
            else:
                INLINE.collect_child(child, out)
            out.append(child.tail or "")
        self.builder.add_block(kind, "".join(out), _join(sections), path)
        for name, child, child_path in floats:
            self._dispatch(name, child, child_path, sections)

    def _list(self, node: Element, path: str, sections: Sections) -> None:
        for name, item, item_path in children(node, path):
            if name == "title":
                self.builder.add_block(BlockKind.PARAGRAPH, INLINE.text(item), _join(sections), item_path)
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
            out.append(" ")
        self.builder.add_block(BlockKind.LIST_ITEM, "".join(out), _join(sections), path)
        for name, child, child_path in later:
            self._dispatch(name, child, child_path, sections)

    def _definitions(self, node: Element, path: str, sections: Sections) -> None:
        for name, item, item_path in children(node, path):
            if name == "def-item":
                text = f"{clean(INLINE.text(first(item, 'term')))}: {INLINE.text(first(item, 'def'))}"
                self.builder.add_block(BlockKind.LIST_ITEM, text, _join(sections), item_path)
            elif name == "def-list":
                self._definitions(item, item_path, sections)

    def _caption(self, node: Element, path: str, sections: Sections) -> None:
        caption = first(node, "caption")
        caption = first(node, "media/caption") if caption is None else caption
        text = f"{INLINE.text(first(node, 'label'))} {INLINE.text(caption)}"
        self.builder.add_block(BlockKind.CAPTION, text, _join(sections), path, label="figure" if local(node) == "fig" else "supplement")
        for name, child, child_path in children(node, path):
            if name in ("p", "table-wrap", "fn"):
                self._dispatch(name, child, child_path, sections)

    def _table(self, node: Element, path: str, sections: Sections) -> None:
        self.tables += 1
        for table in read_table_wrap(node, path, self.tables):
            self.builder.add_table(table, _join(sections))

    def _footnote(self, node: Element, path: str, sections: Sections) -> None:
        self.builder.add_block(BlockKind.FOOTNOTE, INLINE.text(node), _join(sections), path)


def _without(node: Element) -> str:
    """The running text of a paragraph without the blocks inside it."""
    out = [node.text or ""]
    for child in node:
        if local(child) not in _FLOATS and local(child) not in _FLOW:
            INLINE.collect_child(child, out)
        out.append(child.tail or "")
    return "".join(out)


def _join(sections: Sections) -> str:
    """The section path; titles are clipped, because every block below carries them."""
    return " > ".join(title[:MAX_TITLE] for title in sections)
