"""An independent reading of the sources: standard library only, no code shared with the platform.

It counts what the platform must have found: documents, table cells, adverse-event rows, effects, sections.
"""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

RATIOS = frozenset({"HR", "RR", "OR", "response_rate_ratio"})
DIFFERENCE_WORDS = ("mean difference", "ls mean", "least squares mean")
LETTERS = {"italic", "bold", "underline", "sc", "monospace", "named-content", "styled-content", "ext-link", "i", "b", "u", "mn", "mo"}
XHTML = "{http://www.w3.org/1999/xhtml}"


def adverse_event_rows(content: bytes) -> list[tuple[str, bool, str, int | None, int | None]]:
    """(term, serious, group id, affected, at risk) for every event and arm of a study."""
    module = json.loads(content).get("resultsSection", {}).get("adverseEventsModule", {})
    rows = []
    for kind, serious in (("seriousEvents", True), ("otherEvents", False)):
        for event in module.get(kind, []):
            stats = event.get("stats", [])
            rows += [(event["term"], serious, stat["groupId"], stat.get("numAffected"), stat.get("numAtRisk")) for stat in stats]
    return rows


def eligibility_ages(content: bytes) -> tuple[str | None, str | None]:
    """Minimum and maximum age as the registry states them."""
    module = json.loads(content)["protocolSection"].get("eligibilityModule", {})
    return module.get("minimumAge"), module.get("maximumAge")


def stated_effects(content: bytes) -> list[tuple[str, str]]:
    """(measure, value) of every analysis that compares two groups and states a value: what *may* be an effect."""
    module = json.loads(content).get("resultsSection", {}).get("outcomeMeasuresModule", {})
    found = []
    for measure in module.get("outcomeMeasures", []):
        compared = [item for item in measure.get("analyses", []) if len(item.get("groupIds", [])) >= 2]
        valued = [item for item in compared if item.get("paramValue") not in (None, "")]
        found += [(str(item.get("paramType", "")), str(item["paramValue"])) for item in valued]
    return found


def table_cells(content: bytes) -> int:
    """td and th, and the entries of CALS rows, of every table of an article, wherever it stands."""
    root = root_of(content)
    html = sum(1 for element in root.iter() if local(element) in {"td", "th"})
    return html + sum(1 for row in root.iter() if local(row) == "row" for entry in row if local(entry) == "entry")


def article_ids(content: bytes) -> set[str]:
    """Every identifier that an article gives itself; a PMC number with and without its letters."""
    ids = {str(node.text).strip() for node in root_of(content).iter() if local(node) == "article-id" and node.text}
    return ids | {f"PMC{name}" for name in ids}


def digit_runs(content: bytes) -> set[str]:
    """Every run of digits that the page of an article can show: within a text node, or over letters that only look different."""
    root = root_of(content)
    line: list[str] = []
    _spell(root, line)
    names = [element.get("id", "") for element in root.iter()]  # a table without a caption is called by its id, or numbered
    numbered = [str(number) for number, _ in enumerate((e for e in root.iter() if local(e) == "table-wrap"), 1)]
    return set(re.findall(r"\d+", "\n".join(["".join(line), *names, *numbered])))


def _spell(element: Any, line: list[str]) -> None:
    """Append an element's text; a line break stands wherever an element is no mere change of letters."""
    edge = "" if local(element) in LETTERS else "\n"
    line += [edge, element.text or ""]
    for child in element:
        _spell(child, line)
        line.append(child.tail or "")
    line.append(edge)


def section_codes(content: bytes) -> set[str]:
    """LOINC codes of a label's sections."""
    root = root_of(content)
    found: set[str] = set()
    for section in (element for element in root.iter() if local(element) == "section"):
        for child in section:
            if local(child) == "code" and child.get("codeSystem") == "2.16.840.1.113883.6.1" and child.get("code"):
                found.add(str(child.get("code")))
    return found


def pubmed_ids(content: bytes) -> list[str]:
    """PMID of every record of a set."""
    root = root_of(content)
    return [str(article.findtext("MedlineCitation/PMID")) for article in root.iter("PubmedArticle")]


def abstract_words(content: bytes) -> list[int]:
    """Words of each record's abstract."""
    root = root_of(content)
    return [sum(len("".join(part.itertext()).split()) for part in article.iter("AbstractText")) for article in root.iter("PubmedArticle")]


def random_effects(measure: str, effects: Sequence[Mapping[str, Any]]) -> tuple[float, float, float, float]:
    """(value, lower, upper limit at 95 %, I² in percent) after DerSimonian and Laird, from values and stated intervals."""
    ratio = measure in RATIOS
    scale = math.log if ratio else float
    rows = []
    for effect in effects:
        z = NormalDist().inv_cdf((1 + effect["ci_percent"] / 100) / 2)
        rows.append((scale(effect["value"]), ((scale(effect["ci_high"]) - scale(effect["ci_low"])) / z / 2) ** 2))
    weights = [1 / variance for _, variance in rows]
    centre = sum(w * y for w, (y, _) in zip(weights, rows, strict=True)) / sum(weights)
    q, df = sum(w * (y - centre) ** 2 for w, (y, _) in zip(weights, rows, strict=True)), len(rows) - 1
    between = max(0.0, q - df) / (sum(weights) - sum(w * w for w in weights) / sum(weights))
    weights = [1 / (variance + between) for _, variance in rows]
    mean = sum(w * y for w, (y, _) in zip(weights, rows, strict=True)) / sum(weights)
    half = NormalDist().inv_cdf(0.975) / math.sqrt(sum(weights))
    value, low, high = (math.exp(n) if ratio else n for n in (mean, mean - half, mean + half))
    return value, low, high, 100 * (q - df) / q if q > df else 0.0


def trial_id(content: bytes) -> str:
    return str(json.loads(content)["protocolSection"]["identificationModule"]["nctId"])


def root_of(content: bytes) -> ET.Element:
    text = re.sub(rb"<!DOCTYPE[^\[>]*(?:\[[^\]]*\])?[^>]*>", b"", content, count=1)
    return ET.fromstring(text)


def local(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
