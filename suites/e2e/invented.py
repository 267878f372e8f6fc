"""Documents in the formats of the sample corpus, made from a seed: names, numbers and values that stand in no other document.

Each function makes the bytes of one payload. The four formats are written as in ``samples/corpus``; what a relation changes is a
parameter, everything else stays as it is, byte for byte.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

FIRST = ("zor", "quil", "brem", "tav", "neph", "dralo", "mirt", "vosk", "yel", "ophr", "kesh", "wub", "pluv", "gorth")
MIDDLE = ("a", "i", "o", "u", "ani", "eto", "olu", "iva")
LAST = ("bal", "mend", "trix", "dorn", "quen", "farl", "pith", "zel", "gund", "vask", "thorp", "lunk")
WEEKS = ("6 weeks", "12 weeks", "24 weeks")


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """What one topic is about. ``word`` makes further words that nobody else has; ``number`` seven digits for ids."""

    source: random.Random

    @classmethod
    def of(cls, seed: int, topic: str) -> Names:
        return cls(random.Random(f"{seed}/{topic}"))

    def word(self, ending: str = "") -> str:
        parts = [self.source.choice(FIRST), self.source.choice(MIDDLE), self.source.choice(LAST), self.source.choice(MIDDLE)]
        return "".join(parts) + self.source.choice(LAST) + ending

    def number(self) -> str:
        return f"{self.source.randrange(10**7):07d}"

    def tenths(self, low: int, high: int) -> float:
        return self.source.randrange(low, high) / 10


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """A registry record with one outcome measure: a mean difference and its interval of ± ``half``."""

    nct: str
    condition: str
    drug: str
    arm: str
    outcome: str
    value: float
    half: float = 0.6
    weeks: str = "12 weeks"
    posted: str = "2021-05-06"
    inclusion: Sequence[str] = ("Symptoms for at least one year",)
    exclusion: Sequence[str] = ("Pregnancy or breast-feeding",)
    note: str = ""
    unstated: int = 0  # further analyses that state no estimate: candidates that become no record

    def payload(self) -> bytes:
        listed = [f"* {line}" for line in self.inclusion], [f"* {line}" for line in self.exclusion]
        criteria = "\n".join(["Inclusion Criteria:", "", *listed[0], "", "Exclusion Criteria:", "", *listed[1]])
        arms = [{"label": self.arm, "type": "EXPERIMENTAL"}, {"label": "Placebo", "type": "PLACEBO_COMPARATOR"}]
        protocol: dict[str, Any] = {
            "identificationModule": {"nctId": self.nct, "briefTitle": f"{self.drug} against {self.condition} {self.note}".strip()},
            "statusModule": {"overallStatus": "COMPLETED", "lastUpdatePostDateStruct": {"date": self.posted, "type": "ACTUAL"}},
            "conditionsModule": {"conditions": [self.condition]},
            "designModule": {"studyType": "INTERVENTIONAL", "phases": ["PHASE3"]},
            "armsInterventionsModule": {"armGroups": arms, "interventions": [{"type": "DRUG", "name": self.drug}]},
            "outcomesModule": {"primaryOutcomes": [{"measure": self.outcome, "timeFrame": self.weeks}]},
            "eligibilityModule": {"eligibilityCriteria": criteria, "sex": "ALL", "minimumAge": "18 Years"},
        }
        results = {"outcomeMeasuresModule": {"outcomeMeasures": [self._measure()]}}
        return json.dumps({"protocolSection": protocol, "resultsSection": results, "hasResults": True}).encode()

    def _measure(self) -> dict[str, Any]:
        groups = ("OG000", "OG001")
        measured = [
            {"groupId": group, "value": f"{value:.1f}", "spread": "0.3"} for group, value in zip(groups, (9 + self.value, 9.0), strict=True)
        ]
        analysis = {
            "groupIds": list(groups),
            "paramType": "Mean Difference (Final Values)",
            "paramValue": f"{self.value:.1f}",
            "ciPctValue": "95",
            "ciNumSides": "TWO_SIDED",
            "ciLowerLimit": f"{self.value - self.half:.1f}",
            "ciUpperLimit": f"{self.value + self.half:.1f}",
            "statisticalMethod": "ANCOVA",
        }
        return {
            "type": "PRIMARY", "title": self.outcome, "timeFrame": self.weeks, "paramType": "MEAN", "dispersionType": "Standard Error",
            "unitOfMeasure": "points", "groups": [{"id": groups[0], "title": self.arm}, {"id": groups[1], "title": "Placebo"}],
            "denoms": [{"units": "Participants", "counts": [{"groupId": group, "value": "90"} for group in groups]}],
            "classes": [{"categories": [{"measurements": measured}]}],
            "analyses": [analysis, *[{**analysis, "paramValue": ""}] * self.unstated],
        }  # fmt: skip


def citation(
    pmid: str, title: str, text: str, *, revised: str = "2020-06-01", ids: Mapping[str, str] | None = None, trial: str = ""
) -> bytes:
    """One PubMed record; ``trial`` is a registration number it names, ``ids`` further article ids by type."""
    year, month, day = revised.split("-")
    named = "".join(f'<ArticleId IdType="{kind}">{value}</ArticleId>' for kind, value in {"pubmed": pmid, **(ids or {})}.items())
    bank = (
        '<DataBankList CompleteYN="Y"><DataBank><DataBankName>ClinicalTrials.gov</DataBankName><AccessionNumberList>'
        f"<AccessionNumber>{trial}</AccessionNumber></AccessionNumberList></DataBank></DataBankList>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<PubmedArticleSet><PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM">'
        f'<PMID Version="1">{pmid}</PMID><DateRevised><Year>{year}</Year><Month>{month}</Month><Day>{day}</Day></DateRevised>'
        '<Article PubModel="Print"><Journal><JournalIssue CitedMedium="Internet"><PubDate><Year>2020</Year></PubDate></JournalIssue>'
        f"<Title>Example Journal</Title></Journal><ArticleTitle>{title}.</ArticleTitle>"
        f'<Abstract><AbstractText Label="RESULTS" NlmCategory="RESULTS">{text}</AbstractText></Abstract><Language>eng</Language>'
        f'{bank if trial else ""}<PublicationTypeList><PublicationType UI="D016449">Randomized Controlled Trial</PublicationType>'
        "</PublicationTypeList></Article></MedlineCitation>"
        f"<PubmedData><ArticleIdList>{named}</ArticleIdList></PubmedData></PubmedArticle></PubmedArticleSet>"
    ).encode()


def article(ids: Mapping[str, str], title: str, paragraphs: Sequence[str], *, version: int = 1) -> bytes:
    """One JATS article; ``ids`` by type (pmc, pmid, doi)."""
    named = "".join(f'<article-id pub-id-type="{kind}">{value}</article-id>' for kind, value in ids.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<article article-type="research-article" xml:lang="en"><front><article-meta>'
        f'{named}<article-version article-version-type="number">{version}</article-version>'
        f"<title-group><article-title>{title}</article-title></title-group>"
        '<pub-date pub-type="epub"><day>4</day><month>5</month><year>2020</year></pub-date></article-meta></front>'
        f"<body><sec><title>Results</title>{''.join(f'<p>{text}</p>' for text in paragraphs)}</sec></body></article>"
    ).encode()


def label(set_id: str, drug: str, condition: str, dosage: Sequence[str], *, version: int = 1) -> bytes:
    """One product label: indication, and a paragraph a statement in the dosage section."""
    loinc = 'codeSystem="2.16.840.1.113883.6.1"'
    product = (
        f'<component><section><code code="48780-1" {loinc}/><subject><manufacturedProduct><manufacturedProduct><name>{drug}</name>'
        f"<asEntityWithGeneric><genericMedicine><name>{drug}</name></genericMedicine></asEntityWithGeneric>"
        f'<ingredient classCode="ACTIB"><ingredientSubstance><name>{drug}</name></ingredientSubstance></ingredient>'
        "</manufacturedProduct></manufacturedProduct></subject></section></component>"
    )
    paragraphs = "".join(f"<paragraph>{text}</paragraph>" for text in dosage)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<document xmlns="urn:hl7-org:v3"><id root="{set_id[:-4]}{version:04d}"/>'
        f'<code code="34391-3" {loinc}/><title>{drug.upper()} ({drug}) tablets, for oral use</title>'
        f'<effectiveTime value="202{version}0601"/><setId root="{set_id}"/><versionNumber value="{version}"/>'
        f"<component><structuredBody>{product}"
        f'<component><section><code code="34067-9" {loinc}/><title>1 INDICATIONS AND USAGE</title><text>'
        f"<paragraph>{drug.title()} is indicated for {condition} in adults.</paragraph></text></section></component>"
        f'<component><section><code code="34068-7" {loinc}/><title>2 DOSAGE AND ADMINISTRATION</title>'
        f"<text>{paragraphs}</text></section></component>"
        "</structuredBody></component></document>"
    ).encode()
