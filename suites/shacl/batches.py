"""A batch that touches every shape, and one change a shape that breaks it; as the API takes them, without any code of the platform."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

Batch = dict[str, Any]
Change = Callable[[Batch], None]
QUOTE = "Hyperkalaemia in 3 of 40"
STRANGER = ("Condition", "shacl suite: a condition")
TEXT_START = 10


def valid_batch(write_id: str, tag: str) -> Batch:
    """Every label, every edge type, every optional property that a shape looks at. ``tag``: 6 digits that make its keys unique."""
    doc, study = f"ctgov:NCT90{tag}#1:0123456789ab", f"NCT90{tag}"
    keys = {
        "Document": doc,
        "Chunk": f"{doc}:c0#01234567",
        "Study": study,
        "Arm": f"{study}/eg000",
        "Intervention": f"shacl suite {tag}: a drug",
        "Condition": STRANGER[1],
        "Outcome": f"shacl suite {tag}: an outcome",
        "Evidence": f"shacl-{tag}-evidence",
        "AdverseEvent": f"shacl suite {tag}: an event",
        "EligibilityConstraint": f"shacl-{tag}-criterion",
        "Dose": f"shacl-{tag}-dose",
        "EvidenceVariable": f"shacl-{tag}-variable",
        "ExtractionActivity": f"shacl-{tag}-activity",
    }
    nodes: list[dict[str, Any]] = [
        {"label": label, "key": key, "properties": dict(_PROPERTIES.get(label, {}))} for label, key in keys.items()
    ]
    for node in nodes:
        if node["label"] in {"Document", "Study"}:
            node["properties"]["nct"] = study
    ref = {label: {"label": label, "key": key} for label, key in keys.items()}
    place = {"start": TEXT_START, "end": TEXT_START + len(QUOTE), "quote": QUOTE}
    event = {"count": 3, "denom": 40, "events": 4, "grade": 2, "serious": False, "arm": "A drug", "chunk": keys["Chunk"], **place}
    edges = [_edge(kind, ref[source], ref[target]) for kind, source, target in _PLAIN]
    edges.append(_edge("HAS_AE", ref["Study"], ref["AdverseEvent"], "A drug|2|other", event))
    for label in ("Evidence", "AdverseEvent", "Dose", "EligibilityConstraint", "EvidenceVariable"):
        edges.append(_edge("DERIVES_FROM", ref[label], ref["Chunk"], "", place))
        edges.append(_edge("WAS_GENERATED_BY", ref[label], ref["ExtractionActivity"]))
    return {"write_id": write_id, "nodes": nodes, "edges": edges}


_PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "Document": {
        "pmid": "12345",
        "pmcid": "PMC12345",
        "doi": "10.1000/x",
        "setid": "0a1b2c3d-0000-1111-2222-333344445555",
        "title": "SHACL suite",
    },
    "Chunk": {"start": 0, "end": 400, "loinc": "34068-7"},
    "Arm": {"name": "A drug"},
    "Outcome": {"name": "An outcome"},
    "Evidence": {
        "effect_type": "HR",
        "value": 0.8,
        "ci_low": 0.7,
        "ci_high": 0.9,
        "ci_percent": 95.0,
        "p_value": 0.01,
        "n_total": 40,
        "outcome": "An outcome",
        "unit_ucum": "mm[Hg]",
    },
    "Dose": {"amount": 10.0, "unit_ucum": "mg", "drug": "A drug"},
    "EligibilityConstraint": {"kind": "inclusion", "text": "Adults", "age_min_years": 18.0, "age_max_years": 65.0},
    "EvidenceVariable": {"population": ["Adults"], "outcomes": ["An outcome"]},
    "ExtractionActivity": {
        "model": "shacl suite",
        "version": "1",
        "schema_hash": "a" * 64,
        "prompt_hash": "b" * 64,
        "ts": "2026-01-01T00:00:00Z",
    },
}
_PLAIN = (
    ("HAS_CHUNK", "Document", "Chunk"),
    ("HAS_ARM", "Study", "Arm"),
    ("USES_INTERVENTION", "Arm", "Intervention"),
    ("ABOUT", "Study", "Condition"),
    ("HAS_OUTCOME", "Study", "Outcome"),
    ("REPORTS", "Study", "Evidence"),
    ("MEASURES", "Evidence", "Outcome"),
    ("HAS_DOSE", "Intervention", "Dose"),
    ("HAS_ELIGIBILITY", "Study", "EligibilityConstraint"),
)


def _edge(
    kind: str, source: Mapping[str, str], target: Mapping[str, str], qualifier: str = "", properties: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    found = dict(properties or {})
    return {"type": kind, "source": dict(source), "target": dict(target), "qualifier": qualifier, "properties": found}


def changed(batch: Batch, change: Change) -> Batch:
    """A copy with one change."""
    made = copy.deepcopy(batch)
    change(made)
    return made


def _node(batch: Batch, label: str) -> dict[str, Any]:
    return next(node for node in batch["nodes"] if node["label"] == label)


def _find(batch: Batch, kind: str, source: str = "") -> dict[str, Any]:
    return next(edge for edge in batch["edges"] if edge["type"] == kind and source in {"", edge["source"]["label"]})


def _set(properties: dict[str, Any], changes: Mapping[str, Any]) -> None:
    properties.update(changes)
    for name in [name for name, value in properties.items() if value is None]:
        del properties[name]


def node(label: str, **changes: Any) -> Change:
    """Change properties of a node; None takes one away."""
    return lambda batch: _set(_node(batch, label)["properties"], changes)


def edge(kind: str, source: str = "", **changes: Any) -> Change:
    return lambda batch: _set(_find(batch, kind, source)["properties"], changes)


def end(kind: str, which: str, ref: tuple[str, str], source: str = "") -> Change:
    """Move one end of an edge to another node."""
    return lambda batch: _find(batch, kind, source).update({which: {"label": ref[0], "key": ref[1]}})


def without(kind: str, source: str = "") -> Change:
    return lambda batch: batch["edges"].remove(_find(batch, kind, source))


def renamed(label: str, key: str, to: str = "") -> Change:
    """Another key (and label) for a node, everywhere."""

    def change(batch: Batch) -> None:
        found = _node(batch, label)
        old, new = {"label": label, "key": found["key"]}, {"label": to or label, "key": key}
        found.update(new)
        for item in batch["edges"]:
            for which in ("source", "target"):
                if item[which] == old:
                    item[which] = dict(new)

    return change


def opinion(batch: Batch) -> None:
    """A node of a label that the model does not have."""
    batch["nodes"].append({"label": "Opinion", "key": "x", "properties": {}})


# shape -> the change that breaks it, and the value that the refusal must name ("" where a value is missing, None where it is not said)
NEGATIVES: dict[str, tuple[Change, str | None]] = {
    "UnitUcum": (node("Evidence", unit_ucum="milligrams"), "milligrams"),
    "DoseUnitPresent": (node("Dose", unit_ucum=None), ""),
    "KnownClass": (opinion, None),
    "DocumentKey": (renamed("Document", "somewhere"), "somewhere"),
    "ChunkKey": (renamed("Chunk", "chunk-1"), "chunk-1"),
    "StudyKey": (renamed("Study", "NCT1"), "NCT1"),
    "NctFormat": (node("Study", nct="NCT1"), "NCT1"),
    "PmidFormat": (node("Document", pmid="012"), "012"),
    "PmcidFormat": (node("Document", pmcid="12345"), "12345"),
    "DoiFormat": (node("Document", doi="https://doi.org/10.1000/x"), "https://doi.org/10.1000/x"),
    "SetidFormat": (node("Document", setid="not-a-uuid"), "not-a-uuid"),
    "LoincFormat": (node("Chunk", loinc="340687"), "340687"),
    "SpanStart": (edge("DERIVES_FROM", "Evidence", start=None), ""),
    "SpanEnd": (edge("DERIVES_FROM", "Evidence", end=None), ""),
    "SpanOrder": (edge("DERIVES_FROM", "Evidence", end=TEXT_START), str(TEXT_START)),
    "SpanQuote": (edge("DERIVES_FROM", "Evidence", quote=""), None),
    "SpanQuoteLength": (edge("DERIVES_FROM", "Evidence", quote="shorter"), None),
    "SpanStartInChunk": (node("Chunk", start=11), None),
    "SpanEndInChunk": (node("Chunk", end=20), None),
    "DerivedFromChunk": (without("DERIVES_FROM", "Evidence"), ""),
    "GeneratedByActivity": (without("WAS_GENERATED_BY", "AdverseEvent"), ""),
    "MeasuresOutcome": (without("MEASURES"), ""),
    "ActivityModel": (node("ExtractionActivity", model=""), None),
    "ActivityVersion": (node("ExtractionActivity", version=None), ""),
    "ActivitySchemaHash": (node("ExtractionActivity", schema_hash="x"), "x"),
    "ActivityPromptHash": (node("ExtractionActivity", prompt_hash=None), ""),
    "ActivityTimestamp": (node("ExtractionActivity", ts="yesterday"), "yesterday"),
    "EdgeSourceExists": (end("HAS_OUTCOME", "source", ("Study", "NCT99999999")), ""),
    "EdgeTargetExists": (end("HAS_OUTCOME", "target", ("Outcome", "shacl suite: nowhere")), ""),
    "AeKnownProperties": (edge("HAS_AE", denominator=-3), "-3"),
    "AeCount": (edge("HAS_AE", count=-1), "-1"),
    "AeDenom": (edge("HAS_AE", denom=-40, count=None), "-40"),
    "AeCountWithinDenom": (edge("HAS_AE", count=41), "41"),
    "AeEvents": (edge("HAS_AE", events=-1), "-1"),
    "AeGrade": (edge("HAS_AE", grade=9), "9"),
    "AeSerious": (edge("HAS_AE", serious=None), ""),
    "AeChunk": (edge("HAS_AE", chunk=None), ""),
    "EffectType": (node("Evidence", effect_type="hazard"), "hazard"),
    "EvidenceValue": (node("Evidence", value=None), ""),
    "RatioPositive": (node("Evidence", value=0.0, ci_low=-0.1, ci_high=0.1), None),
    "CiLow": (node("Evidence", ci_low=0.85), "0.85"),
    "CiHigh": (node("Evidence", ci_high=0.75), None),
    "CiPercent": (node("Evidence", ci_percent=100.0), "100.0"),
    "PValue": (node("Evidence", p_value=1.2), "1.2"),
    "SampleSize": (node("Evidence", n_total=0), "0"),
    "DoseAmount": (node("Dose", amount=0.0), "0.0"),
    "AgeBounds": (node("EligibilityConstraint", age_min_years=70.0), "70.0"),
    "CriterionKind": (node("EligibilityConstraint", kind="maybe"), "maybe"),
}
_ENDS = (
    ("HAS_CHUNK", ("source", "target"), ""),
    ("HAS_ARM", ("source", "target"), ""),
    ("USES_INTERVENTION", ("source", "target"), ""),
    ("ABOUT", ("source",), ""),
    ("HAS_OUTCOME", ("source", "target"), ""),
    ("REPORTS", ("source", "target"), ""),
    ("MEASURES", ("source", "target"), ""),
    ("HAS_AE", ("source", "target"), ""),
    ("HAS_DOSE", ("source", "target"), ""),
    ("HAS_ELIGIBILITY", ("source", "target"), ""),
    ("DERIVES_FROM", ("source", "target"), "Dose"),
    ("WAS_GENERATED_BY", ("source", "target"), "Dose"),
)
for _kind, _sides, _source in _ENDS:
    for _side in _sides:
        _name = "".join(part.capitalize() for part in _kind.split("_")) + _side.capitalize()
        NEGATIVES[_name] = (end(_kind, _side, STRANGER, _source), None)


def about_an_activity(batch: Batch) -> None:
    """ABOUT may end at a condition: another node takes the stranger's part."""
    activity = _node(batch, "ExtractionActivity")
    _find(batch, "ABOUT")["target"] = {"label": "ExtractionActivity", "key": activity["key"]}


NEGATIVES["AboutTarget"] = (about_an_activity, None)
