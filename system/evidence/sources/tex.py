r"""TeX of a formula as one line of marked text, for a formula without MathML: x^{23}, \frac12, \sqrt[3]{2}.

Only what moves digits off the line is understood (scripts, fractions, roots, rows of a matrix); every other command keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from system.evidence.sources.formula import grouped
from system.evidence.sources.levels import APART, END, INSERTED, LEVEL, Marked

_BEGIN, _END = r"\begin{document}", r"\end{document}"
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_&~\[\]]|\s+|[^\\{}^_&~\[\]\s]", re.DOTALL)
_SPACES = frozenset({r"\,", r"\;", r"\:", r"\ ", r"\quad", r"\qquad", "~", r"\thinspace"})
_NOTHING = frozenset(
    {r"\left", r"\right", r"\!", r"\displaystyle", r"\textstyle", r"\limits", r"\nolimits", r"\big", r"\Big", r"\bigl", r"\bigr"}
)
_FONTS = frozenset(
    {r"\mathrm", r"\text", r"\textrm", r"\mathbf", r"\mathit", r"\textit", r"\textbf", r"\mathsf", r"\mathcal", r"\operatorname", r"\mbox"}
)
_SIGNS = {
    r"\times": "×", r"\cdot": "·", r"\pm": "±", r"\le": "≤", r"\leq": "≤", r"\ge": "≥", r"\geq": "≥", r"\ne": "≠", r"\neq": "≠",
    r"\approx": "≈", r"\sim": "~", r"\%": "%", r"\$": "$", r"\&": "&", r"\_": "_", r"\#": "#", r"\{": "{", r"\}": "}", r"\-": "",
}  # fmt: skip
_FRACTIONS = frozenset({r"\frac", r"\dfrac", r"\tfrac", r"\cfrac", r"\sfrac", r"\nicefrac"})
_BINOMIALS = frozenset({r"\binom", r"\dbinom", r"\tbinom"})
_COLUMN, _ROW = f"{APART}{INSERTED},{INSERTED} ", f"{APART}{INSERTED};{INSERTED} "
_PLAIN = {
    **dict.fromkeys(_SPACES, " "), **dict.fromkeys(_NOTHING | _FONTS, ""), **_SIGNS, "&": _COLUMN, r"\\": _ROW, r"\cr": _ROW,
}  # fmt: skip
MAX_GROUPS = 50  # nested deeper, the braces stay as they are
MAX_SOURCE = 20_000  # characters; what is longer is no formula and is kept as it stands


def tex_text(source: str) -> Marked:
    """The marked text of a ``tex-math`` element's content, without the frame of a whole TeX document and without ``$$``."""
    body = (source.partition(_BEGIN)[2] or source).partition(_END)[0].replace("$$", "").strip().strip("$")
    if len(body) > MAX_SOURCE:
        return Marked(f"{APART}{LEVEL}{body}{END}{APART}")
    return Marked(f"{APART}{_Reader(_TOKEN.findall(body)).upto('')}{APART}")


@dataclass(slots=True)
class _Reader:
    """Reads tokens from the left; ``depth`` counts open groups."""

    tokens: list[str]
    place: int = 0
    depth: int = 0

    def upto(self, closing: str) -> str:
        """The text up to ``closing`` (which is consumed) or the end."""
        return "".join(self._pieces(closing))

    def _pieces(self, closing: str) -> Iterator[str]:
        while self.place < len(self.tokens):
            sign = self._next()
            if sign == closing:
                return
            yield self._piece(sign)

    def _next(self) -> str:
        sign = self.tokens[self.place]
        self.place += 1
        return sign

    def _piece(self, sign: str) -> str:
        if sign == "{" and self.depth < MAX_GROUPS:
            return self._group("}")
        if sign in ("^", "_"):
            return f"{INSERTED}{sign}{LEVEL}{grouped(self._argument())}{END}{APART}"
        if sign in _FRACTIONS or sign in _BINOMIALS:
            upper, lower = grouped(self._argument()), grouped(self._argument())
            return f"{APART}{LEVEL}{upper}{INSERTED}{';' if sign in _BINOMIALS else '/'}{lower}{END}{APART}"
        if sign == r"\sqrt":
            index = self._index()
            return f"{APART}{LEVEL}{INSERTED}√{index}{grouped(self._argument())}{END}{APART}"
        return self._plain(sign)

    def _plain(self, sign: str) -> str:
        if sign in _PLAIN:
            return _PLAIN[sign]
        if sign.isspace():
            return "" if self._inside_number() else " "
        return f"{APART}{sign}{APART}" if sign.startswith("\\") else sign

    def _inside_number(self) -> bool:
        """TeX prints no white space of its source: "1 0" is 10 on the page."""
        before, behind = self.tokens[self.place - 2 : self.place - 1], self.tokens[self.place : self.place + 1]
        return bool(before and behind) and before[0].isdecimal() and behind[0].isdecimal()

    def _group(self, closing: str) -> str:
        self.depth += 1
        text = self.upto(closing)
        self.depth -= 1
        return text

    def _argument(self) -> str:
        """A group, or the one sign that follows: in ``x^23`` only the 2 is raised."""
        while self.place < len(self.tokens) and self.tokens[self.place].isspace():
            self.place += 1
        if self.place >= len(self.tokens):
            return ""
        if self.tokens[self.place] == "}":
            return ""
        sign = self._next()
        if self.depth >= MAX_GROUPS and sign not in ("{", "}"):
            return self._plain(sign)
        if sign in _FONTS:
            return self._argument()
        self.depth += 1
        text = self._piece(sign)
        self.depth -= 1
        return text

    def _index(self) -> str:
        if self.tokens[self.place : self.place + 1] != ["["]:
            return ""
        self.place += 1
        return f"{INSERTED}[{self._group(']')}{INSERTED}]"
