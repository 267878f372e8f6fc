"""Text that came from outside: made safe for terminals, XML and spreadsheets in this one place."""

from __future__ import annotations

import re

OUTSIDE_TEXT_LIMIT = 4_000  # characters of foreign text that a journal keeps of one field
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
# C0 without tab and newline, C1, DEL; bidirectional overrides and isolates; invisible marks; what XML 1.0 forbids
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
_HIDDEN = re.compile(f"{_FORBIDDEN.pattern}|[\n\t]")
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r")


def clean(text: str) -> str:
    """``text`` without ANSI sequences, control, bidirectional and invisible characters; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _FORBIDDEN.sub("", _ANSI.sub("", text.replace("\r\n", "\n")))


def visible(text: str) -> str:
    """``text`` on one line with everything that ``clean`` would drop written as an escape, so that two names never become one."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def safe_str(value: object) -> str:
    """``str(value)``, or a note where the value refuses: a hostile exception must not take down whoever reports it."""
    try:
        text = str(value)
    except KeyboardInterrupt:
        raise  # a person's Ctrl-C may come at this very moment
    except BaseException as error:  # noqa: BLE001 - whatever a foreign __str__ raises, SystemExit too
        return f"<a {type_name(value)} whose text cannot be made: {type_name(error)}>"
    return text if type(text) is str else str.__str__(text)


def type_name(value: object) -> str:
    """The name of a value's class, also where a metaclass hides it."""
    return str(type.__getattribute__(type(value), "__name__"))


def bounded(text: str, limit: int = OUTSIDE_TEXT_LIMIT) -> str:
    """At most ``limit`` characters; says how many were left out."""
    if len(text) <= limit:
        return text
    note = f"… ({len(text)} characters)"
    return text[: max(0, limit - len(note))] + note[:limit]


def outside(text: str, limit: int = OUTSIDE_TEXT_LIMIT) -> str:
    """Foreign text as a journal may keep it: cleaned and bounded."""
    return bounded(clean(text), limit)


def one_line(text: str, limit: int = 200) -> str:
    """Foreign text for one line of a terminal."""
    return bounded(" ".join(clean(text).split()), limit)


def csv_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    cleaned = clean(text)
    return "'" + cleaned if cleaned.startswith(_FORMULA_START) else cleaned
