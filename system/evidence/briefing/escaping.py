"""The one place where text from documents is made harmless before it reaches a page."""

from __future__ import annotations

import re

# C0 and C1 controls but for tab and line feed; bidirectional overrides, isolates and marks; line separators; byte order marks; surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\u061c\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_INLINE = re.compile(r"([\\`*_\[\]|<>~&$])")
_FIRST = re.compile(r"^(\d*)([#+=.)-])")  # what would open a heading, a list or an underline at the start of a line
_ADDRESS = re.compile(r"(?i)(?<=[a-z0-9]:)//|(?<=www)\.|(?<=javascript):|(?<=mailto):|@")


def visible(text: str) -> str:
    """The text with every control and direction character shown as U+FFFD: nothing hides, reorders or ends a line."""
    return _UNSAFE.sub("\ufffd", text)


def markdown(text: str) -> str:
    """One line of Markdown that renders as the text itself: no mark-up, link, table cell or HTML comes out of it."""
    line = _INLINE.sub(r"\\\1", re.sub(r"\s+", " ", visible(text)).strip())
    line = _ADDRESS.sub(lambda match: "".join(f"\\{character}" for character in match.group()), line)
    return _FIRST.sub(r"\1\\\2", line)
