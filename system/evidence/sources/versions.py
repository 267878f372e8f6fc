"""What a payload says of its own version, format by format: the series it belongs to and its rank in it.

A rank is text that grows with the versions: its parts from the most to the least telling, each in a form that compares by code
point, a missing part before any other. A date that is not given to the day counts as the begin of its month or year.

| source | series | rank |
|---|---|---|
| ctgov | NCT number | last update posted, last update submitted, the registry's data version |
| jats | DOI, else PMC id, else PubMed id, each without its version | number of the version, its stage (draft … corrected), latest date |
| pubmed | PMID | number of the version, date revised |
| spl | set id | version number, effective time |

Passages of a test collection have no versions: their ids mean something inside their collection only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from system.evidence.ir import Source
from system.evidence.sources import jats_front, pubmed, spl
from system.evidence.sources.dois import bare, work_and_version
from system.evidence.sources.xml import Element, attribute, descendants, first, local
from system.platform.errors import PlatformError
from system.platform.lineage import Lineage

_ISO: Final = re.compile(r"[12]\d{3}(?:-\d{2}(?:-\d{2})?)?")
_NUMBER: Final = re.compile(r"v?\.?\s*(\d{1,9}(?:\.\d{1,9}){0,3})", re.IGNORECASE)
_PMC: Final = re.compile(r"(PMC\d+)\.(\d{1,4})", re.IGNORECASE)
_STAGES: Final[Mapping[str, int]] = {  # NISO RP-8: journal article versions
    "ao": 1, "author's original": 1, "preprint": 1,
    "smur": 2, "submitted manuscript under review": 2,
    "am": 3, "accepted manuscript": 3,
    "p": 4, "proof": 4,
    "vor": 5, "version of record": 5,
    "cvor": 6, "corrected version of record": 6,
    "evor": 7, "enhanced version of record": 7,
}  # fmt: skip
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905 - reads as a list of words


def lineage_of(source: Source, native_id: str, raw: bytes) -> Lineage:
    """Series and rank of one document (the bytes of one item of a payload); what cannot be read has no rank."""
    reader = _READERS.get(source)
    if reader is None:
        return Lineage()
    try:
        work, parts = reader(native_id, raw)
    except (PlatformError, msgspec.MsgspecError, ValueError):  # the parser says what is wrong with it, and no version supersedes by it
        work, parts = native_id, ()
    return Lineage(f"{source.value}:{work}", " ".join(part or "-" for part in parts))


class _Date(msgspec.Struct):
    date: str = ""


class _Status(msgspec.Struct, rename="camel"):
    last_update_post_date_struct: _Date = msgspec.field(default_factory=_Date)
    last_update_submit_date: str = ""


class _Protocol(msgspec.Struct, rename="camel"):
    status_module: _Status = msgspec.field(default_factory=_Status)


class _Misc(msgspec.Struct, rename="camel"):
    version_holder: str = ""


class _Derived(msgspec.Struct, rename="camel"):
    misc_info_module: _Misc = msgspec.field(default_factory=_Misc)


class _Dates(msgspec.Struct, rename="camel"):
    """Of a study only what tells its versions apart."""

    protocol_section: _Protocol = msgspec.field(default_factory=_Protocol)
    derived_section: _Derived = msgspec.field(default_factory=_Derived)


_STUDY: Final = msgspec.json.Decoder(_Dates)
_Read = tuple[str, tuple[str, ...]]


def _study(native_id: str, raw: bytes) -> _Read:
    dates = _STUDY.decode(raw)
    status = dates.protocol_section.status_module
    told = (status.last_update_post_date_struct.date, status.last_update_submit_date, dates.derived_section.misc_info_module.version_holder)
    return native_id, tuple(_iso(date) for date in told)


def _article(native_id: str, raw: bytes) -> _Read:
    article = jats_front.read_article(raw)[0]
    meta = first(article, "front/article-meta")
    work, behind = _versionless(native_id)
    work = _doi(meta) or work  # a preprint may get its PMC id with a later version
    named = [_text(node) for node in descendants(meta, "article-version")] if meta is not None else []
    numbers = [found.group(1) for text in named if (found := _NUMBER.fullmatch(text))]
    stage = max((_STAGES.get(text.casefold(), 0) for text in named), default=0)
    behind = behind or max(_behind_ids(meta), key=int, default="") if meta is not None else behind
    number = max(map(_padded, [*numbers, *([behind] if behind else [])]), default="")
    return work, (number, str(stage or ""), max(_article_dates(meta), default=""))


def _doi(meta: Element | None) -> str:
    """The article's DOI without address and version; empty where it has none, or several."""
    found = {
        work_and_version(bare(_text(node)))[0]
        for node in (meta if meta is not None else ())
        if local(node) == "article-id" and attribute(node, "pub-id-type") == "doi"
    }
    return next(iter(found)) if len(found) == 1 else ""


def _behind_ids(meta: Element) -> Iterator[str]:
    """Versions that stand behind the ids of an article."""
    for node in meta:
        if local(node) == "article-id":
            behind = _versionless("".join(_text(node).split()))[1]
            if behind:
                yield behind


def _article_dates(meta: Element | None) -> Iterator[str]:
    for node in descendants(meta, "pub-date", "date") if meta is not None else ():
        year, month, day = (_text(first(node, part)) for part in ("year", "month", "day"))
        yield _iso("-".join(part for part in (year, _month(month), day.zfill(2) if day else "") if part))


def _citation(native_id: str, raw: bytes) -> _Read:
    (record,) = pubmed.records(raw)
    node = first(record, "MedlineCitation/PMID")
    node = first(record, "BookDocument/PMID") if node is None else node
    version = attribute(node, "Version")
    return native_id, (
        _padded(version) if _NUMBER.fullmatch(version) else "",
        pubmed.iso_date(first(record, "MedlineCitation/DateRevised")),
    )


def _label(native_id: str, raw: bytes) -> _Read:
    root = spl.read_label(raw)
    effective = re.match(r"\d{4,14}", attribute(first(root, "effectiveTime"), "value"))
    return native_id, (_padded(attribute(first(root, "versionNumber"), "value")), effective.group() if effective else "")


_READERS: Final[Mapping[Source, Callable[[str, bytes], _Read]]] = {
    Source.CTGOV: _study,
    Source.JATS: _article,
    Source.PUBMED: _citation,
    Source.SPL: _label,
}


def _versionless(identifier: str) -> tuple[str, str]:
    """An id without the version behind it, and that version ("" where there is none)."""
    if found := _PMC.fullmatch(identifier):
        return found[1], found[2]
    return work_and_version(identifier) if identifier.startswith("10.") else (identifier, "")


def _padded(number: str) -> str:
    """``2.11`` → ``000000002.000000011``: numbers that compare as text."""
    return ".".join(part.zfill(9) for part in re.findall(r"\d+", number))


def _iso(date: str) -> str:
    found = _ISO.match(date)
    return found.group() if found else ""


def _month(text: str) -> str:
    named = text[:3].casefold()
    return f"{_MONTHS.index(named) + 1:02}" if named in _MONTHS else text.zfill(2) if text.isdigit() else ""


def _text(node: Element | None) -> str:
    return " ".join("".join(map(str, node.itertext())).split()) if node is not None else ""
