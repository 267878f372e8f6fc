"""Safe XML reading: no network, no DTD, no entity expansion, bounded size, depth and element count.

Every refusal is a :class:`BadInput` that names a line and column or an element path. Element paths are XPaths over local
names (``/article/body[1]/sec[2]/p[1]``), made while walking: asking libxml2 for a path costs a scan of all siblings.
"""

from __future__ import annotations

import codecs
import html.entities
import re
from collections.abc import Iterator
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
# Noncharacters (U+FDD0 to U+FDEF), written out or by number: the readers of inline markup use them as marks of their own.
_MARK = re.compile("[\ufdd0-\ufdef]")
_NUMBERED_MARK = re.compile(r"&#(?:x0*fd[de][0-9a-f]|0*(?:6497[6-9]|649[89][0-9]|6500[0-7]));", re.IGNORECASE)
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
    text = _NUMBERED_MARK.sub("\ufffd", text if text.isascii() else _MARK.sub("\ufffd", text))
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
