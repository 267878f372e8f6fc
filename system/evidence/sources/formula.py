"""What the readers of formulae share: whether a part is seen at all, and whether it needs brackets on the line.

Parts are asked again by every part around them, so neither question reads more of a long part than its beginning.
"""

from __future__ import annotations

import re
from typing import Final

from system.evidence.sources.levels import INSERTED, LEVEL, Marked, text_of

_SEEN: Final = re.compile(rf"[^\s{LEVEL}-{INSERTED}]")
_NAME_MAX: Final = 200  # characters with marks: no single name or number is longer
_SIGNS: Final = ("-", "−", "–", "+")
_BRACKETS: Final = {"(": ")", "[": "]"}


def is_seen(text: str) -> bool:
    """Whether anything of a marked text shows on the page."""
    return _SEEN.search(text) is not None


def grouped(text: str) -> str:
    """What is more than one name or number is set in brackets, so that the line reads as the page does."""
    return text if len(text) <= _NAME_MAX and _is_one(text_of(Marked(text))) else f"{INSERTED}({text}{INSERTED})"


def _is_one(shown: str) -> bool:
    body = shown[1:] if shown[:1] in _SIGNS else shown
    return len(body) <= 1 or body.replace(".", "").replace("·", "").isalnum() or _is_bracketed(body)


def _is_bracketed(body: str) -> bool:
    """Whether one pair of brackets holds all of it: ``(a+b)``, not ``(a)+(b)``."""
    closing = _BRACKETS.get(body[0])
    if closing is None:
        return False
    depth = 0
    for place, character in enumerate(body):
        depth += (character == body[0]) - (character == closing)
        if depth == 0:
            return place == len(body) - 1
    return False
