"""Running text inside an element: what touches on the page touches in the text, everything else is marked (see ``levels``)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from system.evidence.sources.levels import APART, CITED, END, LOWERED, NOTED, RAISED, Marked, text_of
from system.evidence.sources.mathml import math_text
from system.evidence.sources.tex import tex_text
from system.evidence.sources.xml import Element, attribute, descendants, local

# Wrappers that change how letters look, not where they stand: text inside and outside touches.
_TYPOGRAPHIC = frozenset(
    {
        "italic",
        "bold",
        "sc",
        "underline",
        "overline",
        "strike",
        "monospace",
        "roman",
        "sans-serif",
        "styled-content",
        "named-content",
        "ext-link",
        "uri",
        "email",
        "abbrev",
        "i",
        "b",
        "u",
        "em",
        "strong",
        "tt",
        "small",
        "big",
        "span",
        "font",
        "a",
        "s",
        "del",
        "ins",
        "mark",
        "content",
        "linkHtml",
        "emphasis",
    }
)
_RAISED = frozenset({"sup", "superscript", "super"})
_LOWERED = frozenset({"sub", "subscript", "inf"})
_FORMULAE = frozenset({"alternatives", "inline-formula", "disp-formula", "DispFormula", "chem-struct", "chem-struct-wrap"})
_PRESENTATIONS = frozenset({"math", "tex-math", "alt-text", "textual-form"})
_STYLES = ("styleCode", "style", "style-type", "content-type", "specific-use", "class")
_STYLE = re.compile(r"(?:^|[\s:;_-])(?P<level>super|sup|sub|inferior)(?:script)?(?:$|[\s;_-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Inline:
    """How running text is read.

    ``skip`` is left out, ``apart`` is set apart by spaces, ``breaks`` become a space, ``references`` are citations.
    """

    skip: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset({"break", "br"})
    references: frozenset[str] = frozenset({"xref"})

    def text(self, element: Element | None) -> str:
        """The element's running text without its tail; as it stands where nothing is inside, else canonical."""
        if element is None:
            return ""
        return (element.text or "") if len(element) == 0 else text_of(self.marked(element))

    def marked(self, element: Element | None) -> Marked:
        """The element's running text with its marks, without its tail."""
        out: list[str] = []
        if element is not None:
            self.collect(element, out)
        return Marked("".join(out))

    def collect(self, element: Element, out: list[str]) -> None:
        """Append the pieces of the element's running text to ``out``."""
        if element.text:
            out.append(element.text)
        for child in element:
            self.collect_child(child, out)
            if child.tail:
                out.append(child.tail)

    def collect_child(self, child: Element, out: list[str]) -> None:
        """Append one child's text without its tail, marked as its kind asks for."""
        name = local(child)
        if name in self.breaks:
            out.append(" ")
        elif name in self.skip:
            out.append(APART)
        elif name in self.apart:
            self._around(child, out, " ", " ")
        elif name == "math":
            out.append(math_text(child))
        elif name in _FORMULAE:
            self._formula(child, out)
        elif name == "tex-math":
            out.append(tex_text("".join(child.itertext())))
        else:
            mark = self._level(child, name)
            if mark:
                self._around(child, out, mark, END)
            elif name in _TYPOGRAPHIC:
                self.collect(child, out)
            else:
                self._around(child, out, APART, APART)

    def _around(self, child: Element, out: list[str], before: str, behind: str) -> None:
        out.append(before)
        self.collect(child, out)
        out.append(behind)

    def _level(self, child: Element, name: str) -> str:
        """The mark of an element whose text stands off the line or in a citation, "" for any other."""
        if name in self.references:
            return NOTED if any(local(inner) in _RAISED for inner in child) else CITED
        style = _styled(child)
        if name in _RAISED or style == "sup":
            return NOTED if any(local(inner) in self.references for inner in child) else RAISED
        return LOWERED if name in _LOWERED or style == "sub" else ""

    def _formula(self, element: Element, out: list[str]) -> None:
        """One presentation of a formula: MathML, else its words, else its TeX, else what it holds; beside it the formula's own text."""
        math = next(descendants(element, "math"), None)
        words = next(descendants(element, "alt-text", "textual-form"), None)
        if math is not None:
            chosen = frozenset({"math"})
        elif words is not None:
            chosen = frozenset({"alt-text", "textual-form"})
        else:
            chosen = frozenset({"tex-math"})
        self._chosen(element, chosen, out, alone=local(element) == "alternatives")
        out.append(APART)

    def _chosen(self, element: Element, chosen: frozenset[str], out: list[str], *, alone: bool) -> None:
        """The text of a formula, of its presentations only the ``chosen``; of alternatives (``alone``) only the first such."""
        holders = [child for child in element if next(descendants(child, *chosen), None) is not None]
        others = _PRESENTATIONS - chosen
        out.append(APART if alone else element.text or "")
        for child in (holders or element) if alone else element:
            piece: list[str] = []
            if local(child) in chosen:
                self.collect_child(child, piece)
            elif child in holders:
                self._chosen(child, chosen, piece, alone=local(child) == "alternatives")
            elif local(child) not in others:
                self.collect_child(child, piece)
            out += [APART, *piece, APART]
            if alone and text_of(Marked("".join(piece))):
                break
            out.append("" if alone else child.tail or "")


def _styled(element: Element) -> str:
    """``sup`` or ``sub`` where an attribute of style says so, else ""."""
    for name in _STYLES if element.attrib else ():
        found = _STYLE.search(attribute(element, name))
        if found is not None:
            return "sup" if found["level"].lower().startswith("sup") else "sub"
    return ""


def join(pieces: Iterable[str]) -> Marked:
    """Several marked pieces as one, a space between them."""
    return Marked(" ".join(pieces))
