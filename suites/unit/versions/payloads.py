"""Small documents in the four formats, each with the one fact that tells its version, and the dates that order it."""

from __future__ import annotations

from typing import Any

import msgspec


def study(
    number: str, posted: str | None, *, status: str = "COMPLETED", effect: float = -1.5, submitted: str = "", held: str = "", note: str = ""
) -> bytes:
    """A registry record with results: its mean difference is ``effect``."""
    status_module: dict[str, Any] = {"overallStatus": status}
    if posted is not None:
        status_module["lastUpdatePostDateStruct"] = {"date": posted}
    if submitted:
        status_module["lastUpdateSubmitDate"] = submitted
    protocol = {
        "identificationModule": {"nctId": number, "briefTitle": f"Melbrinone against quornitis {note}".strip()},
        "statusModule": status_module,
        "conditionsModule": {"conditions": ["Quornitis"]},
        "designModule": {"studyType": "INTERVENTIONAL"},
        "armsInterventionsModule": {
            "armGroups": [{"label": "Melbrinone", "type": "EXPERIMENTAL"}, {"label": "Sham", "type": "PLACEBO_COMPARATOR"}],
            "interventions": [{"type": "DRUG", "name": "Melbrinone"}],
        },
        "outcomesModule": {"primaryOutcomes": [{"measure": "Itch", "timeFrame": "6 weeks"}]},
        "eligibilityModule": {"eligibilityCriteria": "Inclusion Criteria:\n\n* Itch for a month", "sex": "ALL", "minimumAge": "21 Years"},
    }
    derived = {"derivedSection": {"miscInfoModule": {"versionHolder": held}}} if held else {}
    return msgspec.json.encode({"protocolSection": protocol, "resultsSection": _results(effect), "hasResults": True, **derived})


def _results(effect: float) -> dict[str, Any]:
    groups = ["OG000", "OG001"]
    measurements = [
        {"groupId": "OG000", "value": str(6.0 + effect), "spread": "0.3"},
        {"groupId": "OG001", "value": "6.0", "spread": "0.3"},
    ]
    measure = {
        "type": "PRIMARY",
        "title": "Itch score",
        "timeFrame": "6 weeks",
        "reportingStatus": "POSTED",
        "paramType": "MEAN",
        "dispersionType": "Standard Error",
        "unitOfMeasure": "points",
        "groups": [{"id": "OG000", "title": "Melbrinone"}, {"id": "OG001", "title": "Sham"}],
        "denoms": [{"units": "Participants", "counts": [{"groupId": group, "value": "61"} for group in groups]}],
        "classes": [{"categories": [{"measurements": measurements}]}],
        "analyses": [
            {
                "groupIds": groups,
                "paramType": "Mean Difference (Final Values)",
                "paramValue": str(effect),
                "ciPctValue": "95",
                "ciNumSides": "TWO_SIDED",
                "ciLowerLimit": str(effect - 1.1),
                "ciUpperLimit": str(effect + 1.1),
                "pValue": "0.03",
                "statisticalMethod": "ANCOVA",
            }
        ],
    }
    return {"outcomeMeasuresModule": {"outcomeMeasures": [measure]}}


def article(ids: dict[str, str], *, version: str = "", dates: str = "", says: str = "Itch fell by 3 points.") -> bytes:
    """A JATS article; ``version`` and ``dates`` are markup of its article-meta."""
    named = "".join(f'<article-id pub-id-type="{kind}">{value}</article-id>' for kind, value in ids.items())
    title = "<title-group><article-title>Melbrinone against quornitis</article-title></title-group>"
    meta = f"<article-meta>{named}{version}{title}{dates}</article-meta>"
    return f"<article><front>{meta}</front><body><sec><title>Results</title><p>{says}</p></sec></body></article>".encode()


def number(text: str) -> str:
    return f'<article-version article-version-type="number">{text}</article-version>'


def dated(year: str, month: str = "", day: str = "", kind: str = "epub") -> str:
    parts = "".join(f"<{name}>{value}</{name}>" for name, value in (("day", day), ("month", month), ("year", year)) if value)
    return f'<pub-date pub-type="{kind}">{parts}</pub-date>'


def citation(pmid: str, revised: tuple[str, str, str] | None, *, version: str = "1", says: str = "Itch fell by 3 points.") -> bytes:
    """A PubMed record, alone in its set."""
    date = f"<DateRevised><Year>{revised[0]}</Year><Month>{revised[1]}</Month><Day>{revised[2]}</Day></DateRevised>" if revised else ""
    body = f"<Article><ArticleTitle>Melbrinone</ArticleTitle><Abstract><AbstractText>{says}</AbstractText></Abstract></Article>"
    record = f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID>{date}{body}</MedlineCitation></PubmedArticle>'
    return f"<PubmedArticleSet>{record}</PubmedArticleSet>".encode()


def label(set_id: str, version: str, effective: str = "", says: str = "Take 5 mg once daily.") -> bytes:
    """A structured product label with one section."""
    time = f'<effectiveTime value="{effective}"/>' if effective else ""
    text = f"<title>Dosage</title><text><paragraph>{says}</paragraph></text>"
    section = f'<section><code code="34068-7" codeSystem="2.16.840.1.113883.6.1"/>{text}</section>'
    head = f'<title>Melbrinone tablets</title>{time}<setId root="{set_id}"/><versionNumber value="{version}"/>'
    body = f"<component><structuredBody><component>{section}</component></structuredBody></component>"
    return f'<document xmlns="urn:hl7-org:v3">{head}{body}</document>'.encode()
