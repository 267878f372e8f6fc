"""MathML as one line of marked text: 10^5, 1/2, √2, x_1; one presentation is read, annotations never are.

Operators of the line that the page shows by position alone (power, fraction, root, matrix) are inserted as separators, and what stands
off the line is a level of its own, so that no digit touches another that it does not touch on the page.
"""

from __future__ import annotations

from collections.abc import Callable

from system.evidence.sources.formula import grouped, is_seen
from system.evidence.sources.levels import APART, END, INSERTED, LEVEL, Marked, text_of
from system.evidence.sources.xml import Element, attribute, local

_SILENT = frozenset({"annotation", "annotation-xml", "maligngroup", "malignmark", "mprescripts", "none", "mphantom", "mglyph"})
_TOKENS = frozenset({"mi", "mn", "mo", "mtext", "ms"})
_ROWS = frozenset({"math", "mrow", "mstyle", "mpadded", "merror", "menclose", "mscarry", "msrow", "mtd"})
_INVISIBLE = str.maketrans(dict.fromkeys("\u2061\u2062\u2063\u2064", APART))
_ACCENTS = frozenset("¯‾^~˜ˆˇ˘˙¨→←↔⃗´`_̲-−–.·∙⏞⏟⏜⏝︷︸")
_ACCENT_MAX = 40  # characters with marks: an accent is one character


def math_text(element: Element) -> Marked:
    """The marked text of a ``math`` element; it stands apart from what surrounds it."""
    return Marked(f"{APART}{_of(element)}{APART}")


def _of(element: Element) -> str:
    name = local(element)
    if name in _SILENT:
        return APART
    if name in _TOKENS:
        return _token(element)
    if name in _ROWS:
        return _row(element)
    drawn = _DRAWN.get(name)
    return drawn(element) if drawn is not None else _unknown(element)


def _token(element: Element) -> str:
    """The text of a token; HTML inside ``mtext`` and glyphs inside tokens stand apart."""
    pieces = [element.text or ""]
    for child in element:
        pieces += [APART, _of(child), APART, child.tail or ""]
    text = "".join(pieces).translate(_INVISIBLE)
    return text.strip() if local(element) == "mn" else text


def _row(element: Element) -> str:
    """Children side by side, as printed. Text between elements is no MathML, but it is not lost."""
    pieces = [(element.text or "").lstrip()]
    for child, following in zip(element, [*element[1:], None], strict=True):
        tail = child.tail or ""
        together = not tail.strip() and _numeric(child) and _numeric(following)  # white space of the source splits no number
        pieces += [_of(child), "" if together else tail]
    return "".join(pieces)


def _numeric(element: Element | None) -> bool:
    """Whether a token is a number or the point in one: converters write 0.05 as three tokens."""
    text = (element.text or "").strip() if element is not None and len(element) == 0 and local(element) in _TOKENS else ""
    return text.isdecimal() or text in (".", "·", ",") or (local(element) == "mn" if text else False)


def _unknown(element: Element) -> str:
    """An element without a rule (content MathML, elementary arithmetic): its pieces stand apart and off the line."""
    pieces = [element.text or ""]
    for child in element:
        pieces += [APART, _of(child), APART, child.tail or ""]
    return _level("".join(pieces))


def _kids(element: Element) -> list[str]:
    return [_of(child) for child in element if local(child)]


def _level(text: str) -> str:
    return f"{APART}{LEVEL}{text}{END}{APART}" if is_seen(text) else APART


def _script(text: str, sign: str) -> str:
    return f"{INSERTED}{sign}{LEVEL}{grouped(text)}{END}{APART}" if is_seen(text) else APART


def _scripted(under: str, over: str) -> Callable[[Element], str]:
    """Base with scripts; an accent over or under a base is no script."""

    def drawn(element: Element) -> str:
        base, *scripts = [*_kids(element), "", ""][:3]
        signs = [sign for sign in (under, over) if sign]
        return base + "".join(_attached(text, sign) for sign, text in zip(signs, scripts, strict=False))

    return drawn


def _attached(text: str, sign: str) -> str:
    shown = text_of(Marked(text)) if len(text) <= _ACCENT_MAX else ""
    accent = sign in ("_", "^") and len(shown) == 1 and shown in _ACCENTS and shown not in "-−–"
    return f"{text}{APART}" if accent else _script(text, sign)


def _multi(element: Element) -> str:
    """Base, then pairs of scripts; those behind ``mprescripts`` stand before the base."""
    nodes = [child for child in element if local(child)]
    marks = [place for place, child in enumerate(nodes) if local(child) == "mprescripts"]
    cut = marks[0] if marks else len(nodes)
    return _pairs(nodes[cut + 1 :]) + (_of(nodes[0]) if nodes and cut else "") + _pairs(nodes[1:cut])


def _pairs(nodes: list[Element]) -> str:
    return "".join(_script(_of(node), "_^"[place % 2]) for place, node in enumerate(nodes) if local(node) not in ("none", "mprescripts"))


def _fraction(element: Element) -> str:
    upper, lower = [*_kids(element), "", ""][:2]
    sign = f"{INSERTED};" if attribute(element, "linethickness").strip().startswith("0") else f"{INSERTED}/"
    return _level(f"{grouped(upper)}{sign}{grouped(lower)}")


def _root(element: Element) -> str:
    return _radical(_row(element), "")


def _nth_root(element: Element) -> str:
    body, index = [*_kids(element), "", ""][:2]
    return _radical(body, f"{INSERTED}[{index}{INSERTED}]" if is_seen(index) else "")


def _radical(body: str, index: str) -> str:
    return f"{APART}{LEVEL}{INSERTED}√{index}{grouped(body)}{END}{APART}"


def _table(element: Element) -> str:
    rows = [_inserted(", ").join(_cells(row)) for row in element if local(row) in ("mtr", "mlabeledtr", "mtd")]
    return _level(f"{_inserted('[')}{_inserted('; ').join(rows)}{_inserted(']')}") if rows else APART


def _cells(row: Element) -> list[str]:
    return [_of(row)] if local(row) == "mtd" else _kids(row)


def _fenced(element: Element) -> str:
    """Brackets and commas are attributes here; an empty attribute means none, a missing one the usual sign."""
    opening, closing, signs = (element.get(name, usual).strip() for name, usual in (("open", "("), ("close", ")"), ("separators", ",")))
    kids = _kids(element)
    pieces = [_inserted(opening)]
    for place, kid in enumerate(kids):
        pieces += [kid, _inserted(f"{signs[min(place, len(signs) - 1)]} ") if signs and place + 1 < len(kids) else APART]
    return "".join([*pieces, _inserted(closing)])


def _inserted(text: str) -> str:
    """``text`` as separators: characters that a page draws and the source only implies."""
    return "".join(f"{INSERTED}{c}" for c in text)


def _semantics(element: Element) -> str:
    """The first presentation alone: the first child, or an annotation in presentation MathML where that is content MathML."""
    nodes = [child for child in element if local(child)]
    if nodes and local(nodes[0]) in ("apply", "cn", "ci", "csymbol"):
        for node in nodes[1:]:
            if local(node) == "annotation-xml" and "presentation" in attribute(node, "encoding").lower():
                return _row(node)
    return _of(nodes[0]) if nodes else ""


def _first(element: Element) -> str:
    """Of alternatives that replace each other, the one shown first."""
    return next(iter(_kids(element)), "")


def _space(_element: Element) -> str:
    return " "


_DRAWN: dict[str, Callable[[Element], str]] = {
    "msup": _scripted("", "^"),
    "msub": _scripted("_", ""),
    "msubsup": _scripted("_", "^"),
    "munder": _scripted("_", ""),
    "mover": _scripted("", "^"),
    "munderover": _scripted("_", "^"),
    "mmultiscripts": _multi,
    "mfrac": _fraction,
    "msqrt": _root,
    "mroot": _nth_root,
    "mtable": _table,
    "mfenced": _fenced,
    "semantics": _semantics,
    "maction": _first,
    "mspace": _space,
}
