"""What the readers of figures see of a document: nothing that stands off the line, in a citation or across a separator.

Offsets are those of the document's text, so what is found is quoted from the document itself.
"""

from __future__ import annotations

from system.evidence.ir import LEVEL, SEPARATOR, Document

HIDDEN = "\ufdd0"  # stands for a hidden character; a noncharacter that no document holds and no grammar reads across


def readable(document: Document) -> str:
    """The text with the digits of every piece off the line hidden, and every separator that stands at a digit or at one hidden."""
    separators = [entry for entry in document.span_map if entry.transform == SEPARATOR]
    levels = [entry for entry in document.span_map if entry.transform == LEVEL]
    if not separators and not levels:
        return document.text
    text = list(document.text)
    done = 0
    for entry in sorted(levels, key=lambda entry: entry.start):  # pieces lie inside each other: each character is looked at once
        start = max(entry.start, done)
        text[start : entry.end] = [HIDDEN if c.isdecimal() else c for c in text[start : entry.end]]
        done = max(done, entry.end)
    for entry in separators:
        around = text[entry.start - 1 : entry.start] + text[entry.end : entry.end + 1]
        if all(c.isdecimal() or c in ".,·∙-−–+" or c == HIDDEN for c in around):
            text[entry.start : entry.end] = [HIDDEN] * (entry.end - entry.start)
    return "".join(text)
