"""Thirty hostile texts, and documents in all four formats that carry them wherever a document has text."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from pathlib import Path

from suites.wing.corpus import sample_corpus

SOURCES = ("ctgov", "jats", "spl", "pubmed")
RUN = "window.__hit=1;alert(1)"

TEXTS: tuple[str, ...] = (
    f"<script>{RUN}</script>",
    f'"><script>{RUN}</script>',
    f"</title></style></textarea><script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f"<svg/onload={RUN}>",
    f"'\" onmouseover='{RUN}' autofocus onfocus='{RUN}' x='",
    f'<a href="javascript:{RUN}">click</a>',
    f"[click](javascript:{RUN}) ![x](http://127.0.0.1:9/pixel.png)",
    f"<javascript:{RUN}> <http://127.0.0.1:9/>",
    '<iframe src="http://127.0.0.1:9/"></iframe><object data="http://127.0.0.1:9/"></object>',
    '<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/">',
    '<base href="http://127.0.0.1:9/"><link rel=stylesheet href="http://127.0.0.1:9/x.css">',
    "<style>@import 'http://127.0.0.1:9/x.css';body{display:none}</style>",
    '<form action="http://127.0.0.1:9/"><input name=q autofocus></form>',
    f"<details open ontoggle={RUN}>",
    "{{7*7}} {% raw %} ${7*7} #{7*7} <%= 7*7 %> {{config}}",
    "]]>--><!-- &#60;script&#62; &lt;script&gt; &amp;lt;script&amp;gt;",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\x1b[1A\x9b31m",
    "\x00\x01\x02\x07\x08\x0b\x0c\x0e\x1f\x7f\x85\x90\x9d bell",
    "back\rover the line\x08\x08\x08\x08gone",
    "safe\u202egnp.exe\u202c \u2066isolate\u2069 \u200fmark\u200e",
    "ze\u200bro\u200d wi\ufeffdth \u2028line\u2029paragraph \ufffe\uffff",
    '=HYPERLINK("http://127.0.0.1:9/";"x")',
    "+1+cmd|' /C calc'!A0 @SUM(1+1) -2+3",
    "../../../../etc/passwd ..\\..\\windows\\system32 /etc/shadow C:\\CON file:///etc/passwd",
    "'; DROP TABLE documents; -- \" OR 1=1 \\'; SELECT pg_sleep(10)",
    "}) DETACH DELETE n // MATCH (n) RETURN n `backtick` $param",
    "W" * 5000,
    "Z\u0351\u036b\u0343" * 300 + " \U0001f469\u200d\U0001f4bb \U0010ffff",
    "# heading\n\n---\n* * *\n| a | b |\n|---|---|\n```\n<script>\n1. one\n> quote\n\n[1]: javascript:alert(1)",
)
assert len(TEXTS) == 30


@dataclasses.dataclass(frozen=True, slots=True)
class Hostile:
    """One document; ``marker`` stands beside the hostile text wherever that stands, so that its way can be followed."""

    source: str
    marker: str
    text: str
    content: bytes


def documents(sample: Path) -> tuple[Hostile, ...]:
    """One document a text, in the four formats by turns; control characters are no XML, so those texts come from the registry."""
    good = {payload.source: payload.content for payload in sample_corpus(sample).payloads if payload.documents == 1}
    found = []
    for number, text in enumerate(TEXTS):
        source = SOURCES[number % len(SOURCES)] if _is_xml(text) else "ctgov"
        marker = f"HOSTILE{number:02}"
        make = _study if source == "ctgov" else _xml
        found.append(Hostile(source, marker, text, make(good[source], number, f"{marker} {text}")))
    return tuple(found)


def _is_xml(text: str) -> bool:
    return not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text)


_SPOILED_KEYS = frozenset(
    [
        *("briefTitle", "officialTitle", "title", "label", "description", "term", "eligibilityCriteria"),
        *("briefSummary", "name", "timeFrame", "measure", "organSystem"),
    ]
)


def _study(good: bytes, number: int, text: str) -> bytes:
    study = json.loads(good)
    protocol = study["protocolSection"]
    protocol["identificationModule"]["nctId"] = f"NCT8800{number:04}"
    protocol["conditionsModule"]["conditions"] = ["Migraine", text]
    protocol["conditionsModule"]["keywords"] = [text]
    for module in (protocol["identificationModule"], protocol["descriptionModule"], protocol["sponsorCollaboratorsModule"]):
        _spoil(module, text)
    for part in (protocol["armsInterventionsModule"], protocol["outcomesModule"], protocol["eligibilityModule"], study["resultsSection"]):
        _spoil(part, text)
    return json.dumps(study).encode()


def _spoil(value: object, text: str) -> None:
    """Append the text to every text that people read; ids that link parts stay, or the parts would not be found."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and key in _SPOILED_KEYS:
                joint = "\n* " if key == "eligibilityCriteria" else " "
                value[key] = f"{inner}{joint}{text}"
            else:
                _spoil(inner, text)
    elif isinstance(value, list):
        for inner in value:
            _spoil(inner, text)


_XML_ENDS = (
    rb"</(article-title|journal-title|title|p|td|th|surname|given-names"  # JATS
    rb"|paragraph|item|caption|name"  # SPL
    rb"|ArticleTitle|AbstractText|LastName|Title)>"  # PubMed
)


def _xml(good: bytes, number: int, text: str) -> bytes:
    escaped = html.escape(text.replace("\r", " "), quote=False).encode()
    content = re.sub(_XML_ENDS, lambda found: b" " + escaped + found[0], good)
    content = content.replace(b"PMC99000001", b"PMC8800%04d" % number).replace(b"0000000000aa", b"00000000%04d" % number)
    content = content.replace(b"99000001", b"8800%04d" % number).replace(
        b"10.5555/velotril.2021.1", b"10.5555/<".replace(b"<", b"&lt;") + b"x"
    )
    return content.replace(b"https://creativecommons.org/licenses/by/4.0/", f"javascript:{RUN}".encode())
