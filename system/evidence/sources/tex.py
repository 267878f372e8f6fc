"""TeX of a formula as one line of marked text, for formulae that have no MathML: x^{23}, \\frac12, \\sqrt[3]{2}.

Only what moves digits off the line is understood (scripts, fractions, roots, rows of a matrix); every other command keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from system.evidence.sources.levels import APART, END, INSERTED, LEVEL, Marked, text_of

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
            token = self._next()
            if token == closing:
                return
            yield self._piece(token)

    def _next(self) -> str:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def _piece(self, token: str) -> str:
        if token == "{" and self.depth < MAX_GROUPS:
            return self._group("}")
        if token in ("^", "_"):
            return f"{INSERTED}{token}{LEVEL}{_grouped(self._argument())}{END}{APART}"
        if token in _FRACTIONS or token in _BINOMIALS:
            upper, lower = _grouped(self._argument()), _grouped(self._argument())
            return f"{APART}{LEVEL}{upper}{INSERTED}{';' if token in _BINOMIALS else '/'}{lower}{END}{APART}"
        if token == r"\sqrt":
            index = self._index()
            return f"{APART}{LEVEL}{INSERTED}√{index}{_grouped(self._argument())}{END}{APART}"
        return self._plain(token)

    def _plain(self, token: str) -> str:
        if token in _SPACES:
            return " "
        if token.isspace():
            return "" if self._inside_number() else " "
        if token == "&":
            return f"{APART}{INSERTED},{INSERTED} "
        if token in (r"\\", r"\cr"):
            return f"{APART}{INSERTED};{INSERTED} "
        if token in _NOTHING or token in _FONTS:
            return ""
        if token in _SIGNS:
            return _SIGNS[token]
        return f"{APART}{token}{APART}" if token.startswith("\\") else token

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
        """A group, or the one token that follows: in ``x^23`` only the 2 is raised."""
        while self.place < len(self.tokens) and self.tokens[self.place].isspace():
            self.place += 1
        if self.place >= len(self.tokens):
            return ""
        if self.tokens[self.place] == "}":
            return ""
        token = self._next()
        if self.depth >= MAX_GROUPS and token not in ("{", "}"):
            return self._plain(token)
        if token in _FONTS:
            return self._argument()
        self.depth += 1
        text = self._piece(token)
        self.depth -= 1
        return text

    def _index(self) -> str:
        if self.tokens[self.place : self.place + 1] != ["["]:
            return ""
        self.place += 1
        return f"{INSERTED}[{self._group(']')}{INSERTED}]"


def _grouped(text: str) -> str:
    shown = text_of(Marked(text))
    body = shown[1:] if shown[:1] in ("-", "−", "+") else shown
    return text if len(body) <= 1 or body.replace(".", "").isalnum() else f"{INSERTED}({text}{INSERTED})"
