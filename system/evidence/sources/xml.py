"""Safe XML reading: no network, no DTD, no entity expansion, bounded size, depth and element count.

Every refusal is a :class:`BadInput` that names a line and column or an element path. Element paths are XPaths over local
names (``/article/body[1]/sec[2]/p[1]``), made while walking: asking libxml2 for a path costs a scan of all siblings.
"""

from __future__ import annotations

import codecs
import html.entities
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lxml import etree

from system.evidence.sources.guess import looks_like
from system.platform.errors import BadInput

Element: TypeAlias = Any  # lxml ships no types

MAX_BYTES = 20 * 1024 * 1024
MAX_DEPTH = 100  # the deepest real article has about thirty levels
MAX_ELEMENTS = 500_000

_ENCODINGS = {"utf-8": "utf-8", "ascii": "ascii", "iso8859-1": "iso8859-1", "iso8859-15": "iso8859-15", "cp1252": "cp1252"}
_DECLARATION = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"'][^>]{0,200}?\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE(?:[^\[>\"']|\"[^\"]*\"|'[^']*')*(?:\[[^\]]*\]\s*)?>")
_NAMED_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_MARKUP_ENTITIES = frozenset({"lt", "gt", "amp", "quot", "apos"})
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_SAFE = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")
_COUNT = etree.XPath("count(//*)")


def parse_xml(raw: bytes, what: str, max_bytes: int = MAX_BYTES) -> Element:
    """The root element of ``raw``; ``what`` names the expected kind in errors (e.g. "a JATS article")."""
    if len(raw) > max_bytes:
        raise BadInput(f"the payload has {len(raw)} bytes, {max_bytes} are allowed", "payload", f"send {what} in smaller pieces")
    text = decode_xml(raw, what)
    _refuse_entity_declarations(text)
    # The named characters of XHTML and ISO live in DTDs that are never loaded: the declaration goes, the characters come.
    source = _NAMED_ENTITY.sub(_named_character, _DOCTYPE.sub(_only_lines, text, count=1)).encode("utf-8")
    parser = etree.XMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False, **_SAFE)
    try:
        root = etree.fromstring(source, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _syntax_error(error, raw, what) from error
    _check_bounds(root, what)
    return root


def decode_xml(raw: bytes, what: str) -> str:
    """The payload as text by its declared encoding (UTF-8 where none is declared), its XML declaration's encoding dropped."""
    if not raw.strip():
        raise BadInput("the payload is empty", "byte 0", f"send {what}")
    if not raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or b"\x00" in raw[:2]:
        raise BadInput(f"this is not XML: it looks like {looks_like(raw)}", "byte 0", f"send {what} as UTF-8 encoded XML")
    declared = _DECLARATION.match(raw.removeprefix(codecs.BOM_UTF8)[:600])
    name = declared.group(1).decode("ascii") if declared else "utf-8"
    try:
        codec = _ENCODINGS.get(codecs.lookup(name).name, "")
    except LookupError:
        codec = ""
    if not codec:
        raise BadInput(f"encoding {name!r} is not supported", "XML declaration", f"send {what} as UTF-8")
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode(codec)
    except UnicodeDecodeError as error:
        raise BadInput(f"the bytes are not valid {name} ({error.reason})", f"byte {error.start}", f"send {what} as valid UTF-8") from error
    return text.lstrip()


def local(element: Element) -> str:
    """The local name of an element; the empty string for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Element, path: str) -> Iterator[tuple[str, Element, str]]:
    """The child elements in order as (local name, element, path). Comments and instructions are dropped when parsing."""
    counts: dict[str, int] = {}
    for child in element:
        name = local(child)
        counts[name] = counts.get(name, 0) + 1
        yield name, child, f"{path}/{name}[{counts[name]}]"


def descendants(element: Element, *names: str) -> Iterator[Element]:
    """All descendants with one of the local ``names`` in document order."""
    yield from element.iter(*(f"{{*}}{name}" for name in names))


def first(element: Element | None, path: str) -> Element | None:
    """The first element at a ``/``-separated path of local names below ``element``; ``None`` where there is none."""
    for name in path.split("/"):
        if element is None:
            return None
        element = next((child for child in element if local(child) == name), None)
    return element


def attribute(element: Element | None, name: str) -> str:
    """An attribute by its local name; the empty string where there is none."""
    if element is None:
        return ""
    found = element.get(name)
    if found is not None:
        return str(found).strip()
    return next((str(value).strip() for key, value in element.items() if key.rpartition("}")[2] == name), "")


def language_of(value: str) -> str:
    """The ISO 639-1 code of a language attribute such as ``EN`` or ``en-US``; English where it says nothing usable."""
    code = value[:2].lower()
    return code if len(code) == 2 and code.isascii() and code.isalpha() else "en"


@dataclass(frozen=True, slots=True)
class Inline:
    """How running text is read.

    ``skip`` is left out, ``apart`` is set apart by spaces, ``breaks`` become a space, ``references`` are elements whose
    superscript marks a note or citation.
    """

    skip: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset({"break", "br"})
    references: frozenset[str] = frozenset({"xref"})

    def text(self, element: Element | None) -> str:
        """The element's running text, without its tail."""
        if element is None:
            return ""
        if len(element) == 0:
            return element.text or ""
        out: list[str] = []
        self.collect(element, out)
        return "".join(out)

    def collect(self, element: Element, out: list[str]) -> None:
        """Append the pieces of the element's running text to ``out``."""
        if element.text:
            out.append(element.text)
        for child in element:
            self.collect_child(child, out)
            if child.tail:
                out.append(child.tail)

    def collect_child(self, child: Element, out: list[str]) -> None:
        """Append one child's text without its tail, set apart as its kind asks for."""
        name = local(child)
        if name in self.breaks or name in self.skip:
            out.append(" " if name in self.breaks else "")
        elif name in self.apart:
            out.append(" ")
            self.collect(child, out)
            out.append(" ")
        elif name == "sup" or name in self.references:
            self._raised(child, name, out)
        elif name in ("alternatives", "inline-formula", "disp-formula"):
            out.append(_formula(child, self))
        elif name != "tex-math":
            self.collect(child, out)

    def _raised(self, child: Element, name: str, out: list[str]) -> None:
        """A superscript must not change the number before it: 10 to the 5th is not 105, and 0.05 with note 2 is not 0.052."""
        inner: list[str] = []
        self.collect(child, inner)
        text = "".join(inner)
        before = next((piece[-1] for piece in reversed(out[-8:]) if piece), " ")  # bounded: a flood of empty marks stays linear
        marks = name in self.references or any(local(d) in self.references for d in child)
        if text and (name == "sup" or any(local(d) == "sup" for d in child)):
            out.append(_joint(before, text.strip(), marks=marks))
        out.append(text)


def _joint(before: str, raised: str, *, marks: bool) -> str:
    """What stands between a character and the superscript behind it: nothing, ``^`` before an exponent, else a space."""
    if not marks and (before.isdigit() or before == ")") and _EXPONENT.fullmatch(raised):
        return "^"
    apart = before.isdigit() or before in ")]%" or (marks and before.isalpha())
    return " " if apart and raised[:1].isalnum() and raised not in _ORDINALS else ""


_ORDINALS = frozenset({"st", "nd", "rd", "th"})
_EXPONENT = re.compile(r"[-+−–]?\d+")
_TEX_BEGIN, _TEX_END = r"\begin{document}", r"\end{document}"


def _formula(element: Element, inline: Inline) -> str:
    """A formula's words: its MathML text, else its alternative text, else its TeX, else what it holds."""
    math = next(descendants(element, "math"), None)
    if math is not None:
        return inline.text(math)
    alternative = next(descendants(element, "alt-text", "textual-form"), None)
    if alternative is not None:
        return inline.text(alternative)
    tex = next(descendants(element, "tex-math"), None)
    if tex is not None:
        source = "".join(tex.itertext())
        body = source.partition(_TEX_BEGIN)[2] or source
        return body.partition(_TEX_END)[0].replace("$$", "").strip()
    return inline.text(element)


def _only_lines(match: re.Match[str]) -> str:
    return "\n" * match.group(0).count("\n")


def _named_character(match: re.Match[str]) -> str:
    """The character of a known name, escaped where it is markup; an unknown name stays visible as text."""
    name = match.group(1)
    if name in _MARKUP_ENTITIES:
        return match.group(0)
    found = html.entities.html5.get(f"{name};", "")
    return found.translate(_ESCAPES) if found else f"&amp;{name};"


def _refuse_entity_declarations(text: str) -> None:
    start = text.find("<!ENTITY")
    if start >= 0 and "<!DOCTYPE" in text:
        line = text.count("\n", 0, start) + 1
        remedy = "remove the internal DTD subset; entities are never expanded"
        raise BadInput("the document declares entities of its own", f"line {line}", remedy)


def _check_bounds(root: Element, what: str) -> None:
    tree = root.getroottree()
    if _TOO_DEEP(tree):
        raise BadInput(f"elements are nested deeper than {MAX_DEPTH} levels", f"/{local(root)}", f"send {what} as its publisher made it")
    if _COUNT(tree) > MAX_ELEMENTS:
        raise BadInput(f"more than {MAX_ELEMENTS} elements", f"/{local(root)}", f"send {what} in smaller pieces")


def _syntax_error(error: Exception, raw: bytes, what: str) -> BadInput:
    line, column = getattr(error, "position", None) or (1, 1)
    message = (getattr(error, "msg", "") or str(error) or type(error).__name__).removesuffix(f", line {line}, column {column}")
    kind = looks_like(raw)
    hint = "" if kind.startswith("XML") else f"; it looks like {kind}"
    return BadInput(f"not well-formed XML: {message}{hint}", f"line {line}, column {column}", f"send {what} as well-formed UTF-8 XML")
