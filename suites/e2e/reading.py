"""What was read of each document, what was refused and what was lost: the platform's own counts beside an independent count of its source.

Standard library only, no code shared with the platform. A piece of text is a text node of the source where its format has running
text; it was read when its letters and digits stand in the document's text, in their order and with nothing between them but marks.
"""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from suites.e2e import independent
from suites.e2e.agreement import SHOWN, Judged

Row = Mapping[str, Any]
KINDS = ("pico", "effects", "ae", "dose", "eligibility")
LEAST = 4  # letters and digits of a piece: shorter ones stand everywhere
_UNREAD = frozenset(
    {"ref-list", "tex-math", "annotation", "annotation-xml", "alternatives", "object-id", "xref", "label"}
)  # no running text
_TEXT_OF: Mapping[str, tuple[str, ...]] = {"jats": ("abstract", "body"), "spl": ("text",), "pubmed": ("ArticleTitle", "AbstractText")}
_PLACE = re.compile(r"^/resultsSection/outcomeMeasuresModule/outcomeMeasures/(\d+)/analyses/(\d+)$")


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """One document: ``records`` by kind and ``refused`` as the platform says; ``pieces`` of its source's text, and those not found."""

    doc_id: str
    source: str
    records: Mapping[str, int]
    flagged: int
    refused: tuple[tuple[str, str], ...]  # (place, reason)
    pieces: int
    lost: tuple[str, ...]
    candidates: int | None = None  # effects that the source may state, where they can be counted: analyses of a registry record

    def row(self) -> tuple[str, ...]:
        """As a table shows it: the document, its records, what was refused and why, what was lost and an example."""
        reasons = Counter(reason for _, reason in self.refused)
        why = "; ".join(f"{count} × {reason}" if count > 1 else reason for reason, count in reasons.most_common(3))
        records = (str(self.records.get(kind, 0)) for kind in KINDS)
        lost = f"{self.lost[0][:60]} …" if self.lost else ""
        return self.doc_id, *records, str(self.flagged), str(len(self.refused)), why, str(self.pieces), str(len(self.lost)), lost


COLUMNS = ("document", *KINDS, "flagged", "refused", "reasons", "pieces of text", "lost", "for example")


def read(reading: Row, source: str, content: bytes, text: str) -> Read:
    """One document from the platform's answer about it, its source's bytes and its text."""
    found = list(pieces(source, content, reading["doc_id"]))
    letters = _letters(text)
    lost = tuple(piece for piece in found if _letters(piece) not in letters)
    refused = tuple((item["place"], item["reason"]) for item in reading["refused"])
    stated = len(analyses(content)) if source == "ctgov" else None
    return Read(reading["doc_id"], source, reading["records"], reading["flagged"], refused, len(found), lost, stated)


def pieces(source: str, content: bytes, doc_id: str = "") -> Iterator[str]:
    """The text nodes of a source that are running text; of a set of records only that of ``doc_id``."""
    found = _registry(content) if source == "ctgov" else _marked_up(source, content, doc_id)
    yield from (piece for piece in found if len(_letters(piece)) >= LEAST)


def _registry(content: bytes) -> Iterator[str]:
    study = json.loads(content)
    protocol, results = study["protocolSection"], study.get("resultsSection", {})
    yield from str(protocol.get("descriptionModule", {}).get("briefSummary", "")).splitlines()
    for line in str(protocol.get("eligibilityModule", {}).get("eligibilityCriteria", "")).splitlines():
        yield re.sub(r"\\(.)", r"\1", re.sub(r"^\s*(?:[*•·-]|\(?\w{1,3}[.)])\s+", "", line))
    outcomes = protocol.get("outcomesModule", {})
    yield from (str(item.get("measure", "")) for kind in ("primaryOutcomes", "secondaryOutcomes") for item in outcomes.get(kind, []))
    yield from (str(item.get("title", "")) for item in results.get("outcomeMeasuresModule", {}).get("outcomeMeasures", []))
    events = results.get("adverseEventsModule", {})
    yield from (str(item.get("term", "")) for kind in ("seriousEvents", "otherEvents") for item in events.get(kind, []))


def analyses(content: bytes) -> set[tuple[int, int]]:
    """(outcome measure, analysis) of everything that a registry record may state as an effect."""
    measures = json.loads(content).get("resultsSection", {}).get("outcomeMeasuresModule", {}).get("outcomeMeasures", [])
    return {(at, number) for at, measure in enumerate(measures) for number, _ in enumerate(measure.get("analyses", []))}


def _marked_up(source: str, content: bytes, doc_id: str) -> Iterator[str]:
    roots: Sequence[Any] = [independent.root_of(content)]
    if source == "pubmed":
        number = doc_id.partition(":")[2].partition("#")[0]
        roots = [one for one in roots[0].iter("PubmedArticle") if one.findtext("MedlineCitation/PMID") == number]
    for root in roots:
        for element in root.iter():
            if independent.local(element) in _TEXT_OF[source]:
                yield from _nodes(element)


def _nodes(element: ET.Element) -> Iterator[str]:
    if independent.local(element) in _UNREAD or not isinstance(element.tag, str):
        return
    yield element.text or ""
    for child in element:
        yield from _nodes(child)
        yield child.tail or ""


def _letters(text: str) -> str:
    return "".join(character for character in unicodedata.normalize("NFC", text).casefold() if character.isalnum())


def accounted_for(found: Read) -> Judged:
    """Every analysis of a registry record is an effect or is refused, with its place and a reason: none is lost in silence."""
    problems = [f"{found.doc_id}: {place} is refused without a reason" for place, reason in found.refused if not reason.strip()]
    if found.candidates is not None:
        problems += [f"{found.doc_id}: {place} is no analysis" for place, _ in found.refused if not _PLACE.match(place)]
        told = found.records["effects"] + len({place for place, _ in found.refused})
        problems += [f"{found.doc_id}: {found.candidates} analyses, {told} are read or refused"] if told != found.candidates else []
    return Judged((found.candidates or 0) + len(found.refused), tuple(problems[:SHOWN]))


def counted(found: Read, stored: Mapping[str, int]) -> Judged:
    """The platform says of a document exactly the numbers of records that it answers."""
    wrong = [
        f"{found.doc_id}: says {found.records.get(kind, 0)} {kind}, has {stored.get(kind, 0)}"
        for kind in KINDS
        if found.records.get(kind, 0) != stored.get(kind, 0)
    ]
    return Judged(len(KINDS), tuple(wrong))
