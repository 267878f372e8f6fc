from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from system.evidence.graph.build import document_batch
from system.evidence.graph.gate import Gate
from system.evidence.graph.names import normal_name
from system.evidence.ir import Chunk, Document, Metadata, Source, Span, chunk_id, document_id
from system.evidence.records import AdverseEvent, Check, CheckStatus, Criterion, Dose, Effect, EffectType, Extraction, Pico
from system.platform.errors import GateRefused
from system.platform.ports import GraphBatch

TEXT = (
    "Aspirin 100 mg daily against placebo.\n\n"
    "Hazard ratio 0.80 (95% CI 0.70 to 0.90) for death.\n\n"
    "Headache: 3 of 40 with aspirin, 1 of 41 with placebo.\n\nInclusion: adults 18 to 65 years."
)
AGREES = Check(CheckStatus.AGREES)


def place(quote: str) -> tuple[Span, ...]:
    start = TEXT.index(quote)
    return (Span(start, start + len(quote), quote),)


def document(source: Source = Source.CTGOV) -> Document:
    doc_id = document_id(source, "NCT00000102", "1", TEXT.encode())
    metadata = Metadata(
        title="Aspirin trial",
        identifiers=(("nct", "NCT00000102"), ("org", "x")),
        conditions=("Stroke", "STROKE"),
        interventions=("Aspirin",),
    )
    return Document(doc_id, source, "NCT00000102", "1", "en", TEXT, (), (), (), metadata, "0" * 64, "p/1")


def chunks(of: Document) -> list[Chunk]:
    made, start = [], 0
    for index, text in enumerate(TEXT.split("\n\n")):
        made.append(Chunk(chunk_id(of.doc_id, index, text), of.doc_id, index, start, start + len(text), text, "", "text", ""))
        start += len(text) + 2
    return made


def extraction(of: Document) -> Extraction:
    effect = Effect(
        "r1",
        of.doc_id,
        EffectType.HAZARD_RATIO,
        0.8,
        "Death",
        place("Hazard ratio 0.80 (95% CI 0.70 to 0.90) for death"),
        AGREES,
        ci_low=0.7,
        ci_high=0.9,
        ci_percent=95.0,
        n_total=81,
        intervention="aspirin",
        unit="mmHg",
        timeframe="1 year",
    )
    rows = [("EG000", "Aspirin", "3 of 40 with aspirin", 3, 40), ("EG001", "Placebo", "1 of 41 with placebo", 1, 41)]
    events = tuple(
        AdverseEvent(f"a{arm}{serious}", of.doc_id, "Headache", "Nervous system", arm, name, serious, place(quote), AGREES, count, total)
        for arm, name, quote, count, total in rows
        for serious in (True, False)
    )
    dose = Dose("d1", of.doc_id, "Aspirin", 100.0, "mg", place("Aspirin 100 mg daily"), AGREES, frequency_per_day=1.0)
    criterion = Criterion(
        "c1", of.doc_id, "inclusion", "adults", place("adults 18 to 65 years"), AGREES, age_min_years=18.0, age_max_years=65.0
    )
    pico = Pico("p1", of.doc_id, ("adults",), ("Aspirin",), ("placebo",), ("Death",), place("Aspirin 100 mg daily against placebo"), AGREES)
    return Extraction(of.doc_id, "rules/3", (effect,), events, (dose,), (criterion,), (pico,))


def build(source: Source = Source.CTGOV) -> GraphBatch:
    made = document(source)
    return document_batch(made, chunks(made), extraction(made))


def edges(batch: GraphBatch, type_: str) -> list[Any]:
    return [edge for edge in batch.edges if edge.type == type_]


@pytest.mark.parametrize("source", [Source.CTGOV, Source.JATS])
def test_document_passes_the_gate(source: Source) -> None:
    """Registry documents and articles alike make a batch that needs nothing from outside."""
    Gate().check(build(source), lambda _ref: False)


def test_every_assertion_hangs_on_text_and_activity() -> None:
    """Each quote is the slice of the document at its offsets, inside the chunk it points to."""
    batch = build()
    spans = {node.ref: node.properties for node in batch.nodes if node.ref.label == "Chunk"}
    for edge in edges(batch, "DERIVES_FROM"):
        start, end = edge.properties["start"], edge.properties["end"]
        assert TEXT[start:end] == edge.properties["quote"]
        assert spans[edge.target]["start"] <= start < end <= spans[edge.target]["end"]
    asserted = {
        node.ref
        for node in batch.nodes
        if node.ref.label in {"Evidence", "EvidenceVariable", "AdverseEvent", "Dose", "EligibilityConstraint"}
    }
    assert {edge.source for edge in edges(batch, "DERIVES_FROM")} == asserted
    assert {edge.source for edge in edges(batch, "WAS_GENERATED_BY")} == asserted


def test_rows_of_arms_and_seriousness_stay_apart() -> None:
    """One term in two arms, serious and other, makes four edges with their own counts."""
    found = {edge.qualifier: (edge.properties["count"], edge.properties["denom"]) for edge in edges(build(), "HAS_AE")}
    assert found == {
        f"{arm}||{kind}|Nervous system": counts for arm, counts in (("EG000", (3, 40)), ("EG001", (1, 41))) for kind in ("serious", "other")
    }


def test_units_that_are_no_code_are_text_only() -> None:
    """A printed unit is kept as text; a code stands beside it where there is one."""
    (evidence,) = [node for node in build().nodes if node.ref.label == "Evidence"]
    assert evidence.properties["unit_text"] == "mmHg"
    assert evidence.properties["unit_ucum"] == "mm[Hg]"


def test_names_that_differ_in_case_are_one_node() -> None:
    """Stroke and STROKE are one condition, spelt the same in every order."""
    (condition,) = [node for node in build().nodes if node.ref.label == "Condition"]
    assert (condition.ref.key, condition.properties) == ("stroke", {"name": "STROKE"})
    assert len(normal_name("x y " * 500)) == 200
    assert normal_name("x" * 500) != normal_name("x" * 501)


def test_order_of_records_and_chunks_does_not_show() -> None:
    """Any order of chunks and records makes byte for byte the same batch."""
    made = document()
    whole, parts, rng = extraction(made), chunks(made), random.Random(7)
    once = msgspec.msgpack.encode(document_batch(made, parts, whole))
    for _ in range(5):
        rng.shuffle(parts)
        events = tuple(rng.sample(whole.adverse_events, len(whole.adverse_events)))
        assert msgspec.msgpack.encode(document_batch(made, parts, msgspec.structs.replace(whole, adverse_events=events))) == once


def test_span_across_chunks_is_cut_at_their_borders() -> None:
    """A span over two chunks becomes two places, each an exact slice inside its chunk."""
    made = document()
    quote = TEXT[10:60]
    effect = msgspec.structs.replace(extraction(made).effects[0], spans=(Span(10, 60, quote),))
    batch = document_batch(made, chunks(made), Extraction(made.doc_id, "rules/3", (effect,)))
    Gate().check(batch, lambda _ref: False)
    assert [edge.properties["quote"] for edge in edges(batch, "DERIVES_FROM")] == [TEXT[10:37], TEXT[39:60]]


def test_record_without_a_place_is_refused() -> None:
    """No span, no write: a record whose spans lie in no chunk does not pass."""
    made = document()
    with pytest.raises(GateRefused) as refused:
        Gate().check(document_batch(made, chunks(made)[:1], extraction(made)), lambda _ref: False)
    assert {"DerivedFromChunk", "AeChunk"} <= {issue.shape.rpartition("#")[2] for issue in refused.value.issues}
