"""One negative test a shape: the changed batch breaks exactly that shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rdflib import RDF, SH, URIRef

from system.evidence.graph.engine_reference import load_shapes
from system.evidence.graph.engines import SHAPES_DIR
from system.evidence.graph.gate import is_ucum
from system.platform.ports import NodeRef

STRANGER = NodeRef("Condition", "congenital adrenal hyperplasia")
NEGATIVES: dict[str, Callable[[Any], Any]] = {
    "UnitUcum": lambda d: d.node("evidence", unit_ucum="milligrams"),
    "DoseUnitPresent": lambda d: d.node("dose", unit_ucum=None),
    "KnownClass": lambda d: d.rename("condition", "x", label="Opinion").without("ABOUT"),
    "DocumentKey": lambda d: d.rename("document", "somewhere"),
    "ChunkKey": lambda d: d.rename("chunk", "chunk-1"),
    "StudyKey": lambda d: d.rename("study", "NCT1"),
    "NctFormat": lambda d: d.node("study", nct="NCT1"),
    "PmidFormat": lambda d: d.node("document", pmid="012"),
    "PmcidFormat": lambda d: d.node("document", pmcid="12345"),
    "DoiFormat": lambda d: d.node("document", doi="https://doi.org/10.1000/x"),
    "SetidFormat": lambda d: d.node("document", setid="not-a-uuid"),
    "LoincFormat": lambda d: d.node("chunk", loinc="340687"),
    "SpanStart": lambda d: d.edge("DERIVES_FROM evidence", start=None),
    "SpanEnd": lambda d: d.edge("DERIVES_FROM evidence", end=None),
    "SpanOrder": lambda d: d.edge("DERIVES_FROM evidence", end=10),
    "SpanQuote": lambda d: d.edge("DERIVES_FROM evidence", quote=""),
    "SpanQuoteLength": lambda d: d.edge("DERIVES_FROM evidence", quote="shorter"),
    "SpanStartInChunk": lambda d: d.node("chunk", start=11),
    "SpanEndInChunk": lambda d: d.node("chunk", end=20),
    "DerivedFromChunk": lambda d: d.without("DERIVES_FROM evidence"),
    "GeneratedByActivity": lambda d: d.without("WAS_GENERATED_BY ae"),
    "MeasuresOutcome": lambda d: d.without("MEASURES"),
    "ActivityModel": lambda d: d.node("activity", model=""),
    "ActivityVersion": lambda d: d.node("activity", version=None),
    "ActivitySchemaHash": lambda d: d.node("activity", schema_hash="x"),
    "ActivityPromptHash": lambda d: d.node("activity", prompt_hash=None),
    "ActivityTimestamp": lambda d: d.node("activity", ts="yesterday"),
    "EdgeSourceExists": lambda d: d.ends("HAS_OUTCOME", source=NodeRef("Study", "NCT99999999")),
    "EdgeTargetExists": lambda d: d.ends("HAS_OUTCOME", target=NodeRef("Outcome", "nowhere")),
    "AeKnownProperties": lambda d: d.edge("HAS_AE", denominator=-3),
    "AeCount": lambda d: d.edge("HAS_AE", count=-1),
    "AeDenom": lambda d: d.edge("HAS_AE", denom=-40, count=None),
    "AeCountWithinDenom": lambda d: d.edge("HAS_AE", count=41),
    "AeEvents": lambda d: d.edge("HAS_AE", events=-1),
    "AeGrade": lambda d: d.edge("HAS_AE", grade=9),
    "AeSerious": lambda d: d.edge("HAS_AE", serious=None),
    "AeChunk": lambda d: d.edge("HAS_AE", chunk=None),
    "EffectType": lambda d: d.node("evidence", effect_type="hazard"),
    "EvidenceValue": lambda d: d.node("evidence", value=None),
    "RatioPositive": lambda d: d.node("evidence", value=0.0, ci_low=-0.1, ci_high=0.1),
    "CiLow": lambda d: d.node("evidence", ci_low=0.85),
    "CiHigh": lambda d: d.node("evidence", ci_high=0.75),
    "CiPercent": lambda d: d.node("evidence", ci_percent=100.0),
    "PValue": lambda d: d.node("evidence", p_value=1.2),
    "SampleSize": lambda d: d.node("evidence", n_total=0),
    "DoseAmount": lambda d: d.node("dose", amount=0.0),
    "AgeBounds": lambda d: d.node("criterion", age_min_years=70.0),
    "CriterionKind": lambda d: d.node("criterion", kind="maybe"),
}
for kind, source, target in (
    ("HAS_CHUNK", STRANGER, None),
    ("HAS_ARM", STRANGER, STRANGER),
    ("USES_INTERVENTION", STRANGER, STRANGER),
    ("ABOUT", STRANGER, NodeRef("Outcome", "blood pressure")),
    ("HAS_OUTCOME", STRANGER, STRANGER),
    ("REPORTS", STRANGER, STRANGER),
    ("HAS_AE", STRANGER, STRANGER),
    ("HAS_DOSE", STRANGER, STRANGER),
    ("HAS_ELIGIBILITY", STRANGER, STRANGER),
    ("MEASURES", None, STRANGER),
    ("WAS_GENERATED_BY evidence", None, STRANGER),
    ("DERIVES_FROM evidence", None, STRANGER),
):
    name = "".join(part.capitalize() for part in kind.split()[0].split("_"))
    if source is not None:
        NEGATIVES[f"{name}Source"] = lambda d, kind=kind, ref=source: d.ends(kind, source=ref)
    if target is not None:
        NEGATIVES[f"{name}Target"] = lambda d, kind=kind, ref=target: d.ends(kind, target=ref)
# An edge that leaves its only possible source also takes away what that source must have: two shapes, said here.
ELSEWHERE = {
    "HasChunkTarget": (lambda d: d.ends("HAS_CHUNK", target=STRANGER), set()),
    "MeasuresSource": (lambda d: d.ends("MEASURES", source=STRANGER), {"MeasuresOutcome"}),
    "WasGeneratedBySource": (lambda d: d.ends("WAS_GENERATED_BY dose", source=STRANGER), {"GeneratedByActivity"}),
    "DerivesFromSource": (lambda d: d.ends("DERIVES_FROM dose", source=STRANGER), {"DerivedFromChunk"}),
}


def _named_shapes() -> set[str]:
    shapes = load_shapes(SHAPES_DIR)
    found = {s for kind in (SH.PropertyShape, SH.NodeShape) for s in shapes.subjects(RDF.type, kind) if isinstance(s, URIRef)}
    return {str(shape).rpartition("#")[2] for shape in found}


def test_valid_batch_passes(draft: Any, broken: Any) -> None:
    """A batch with every label and every edge type passes."""
    assert broken(draft) == set()


@pytest.mark.parametrize("shape", sorted(NEGATIVES))
def test_negative_breaks_exactly_its_shape(shape: str, draft: Any, broken: Any) -> None:
    """The defect is reported by the shape made for it and by no other."""
    assert broken(NEGATIVES[shape](draft)) == {shape}


@pytest.mark.parametrize("shape", sorted(ELSEWHERE))
def test_moved_edge_breaks_its_shape_and_what_it_leaves_behind(shape: str, draft: Any, broken: Any) -> None:
    """An edge moved to a wrong end breaks its end shape and the mandatory edge it was."""
    change, more = ELSEWHERE[shape]
    assert broken(change(draft)) == {shape} | more


def test_every_shape_has_a_negative() -> None:
    """No shape goes untested: the lists above name all of them."""
    assert _named_shapes() == NEGATIVES.keys() | ELSEWHERE.keys()


def test_every_shape_has_a_message() -> None:
    """Each named shape says what to do."""
    shapes = load_shapes(SHAPES_DIR)
    for name in _named_shapes():
        assert shapes.value(URIRef(f"https://evidence-harness.example/shapes#{name}"), SH.message)


UCUM = (
    "1 % mg g kg ug ng mL L uL dL mmol/L umol/L mm[Hg] cm[H2O] mg/dL mg/m2 ug/kg/min mg/kg/d 10*3/uL 10*9/L /uL /min {score} {tablet} [IU] "
    "[IU]/mL m[IU]/L [iU] U/L mL/min/{1.73_m2} kg/m2 h min s d wk mo a Cel [degF] kPa mL/(min.kg) mg/(kg.d) meq/L mosm/kg Gy MBq mCi kcal "
    "{cells}/uL [pH] [in_i] [lb_av] [ppm] fL m/s L/min [CFU]/mL g/(24.h) mmol/mol 10*-3"
)


WORDS = ["milligrams", "mmHg", "mcg", "IU", "units", "tablet", "mg/day", "mg//L", "mg/", "hours", "bpm", "years"]


@pytest.mark.parametrize("unit", UCUM.split())
def test_ucum_codes_are_taken(unit: str) -> None:
    """Codes in clinical use pass."""
    assert is_ucum(unit)


@pytest.mark.parametrize("unit", [*WORDS, "mg per day", "mg\n", "", "9" * 81])
def test_words_are_not_ucum(unit: str) -> None:
    """Words, print forms and broken terms are refused, also long ones, without delay."""
    assert not is_ucum(unit)
