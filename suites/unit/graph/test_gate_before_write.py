from __future__ import annotations

from typing import Any

import pytest

from system.evidence.graph.build import document_batch
from system.evidence.graph.gate import Gate
from system.evidence.ir import Chunk, Document, Metadata, Source, Span, chunk_id, document_id
from system.evidence.records import Check, CheckStatus, Effect, EffectType, Extraction
from system.platform.errors import GateRefused
from system.platform.ports import GraphBatch
from system.stores.graph import BoltGraph


def article(name: str, ci_low: float) -> GraphBatch:
    text = f"{name}: hazard ratio 0.80."
    doc_id = document_id(Source.PUBMED, name, "1", text.encode())
    metadata = Metadata(title=name, conditions=("Asthma",))
    made = Document(doc_id, Source.PUBMED, name, "1", "en", text, (), (), (), metadata, "0" * 64, "p/1")
    part = Chunk(chunk_id(doc_id, 0, text), doc_id, 0, 0, len(text), text, "", "text", "")
    effect = Effect(
        "r" + name,
        doc_id,
        EffectType.HAZARD_RATIO,
        0.8,
        "Death",
        (Span(0, len(text), text),),
        Check(CheckStatus.AGREES),
        ci_low=ci_low,
        ci_high=0.9,
    )
    return document_batch(made, [part], Extraction(doc_id, "rules/1", (effect,)))


def write(gate: Gate, graph: BoltGraph, batch: GraphBatch) -> None:
    gate.check(batch, lambda ref: ref in graph.existing([ref]))
    graph.replace_contribution(batch)


def test_refused_document_leaves_the_graph_as_it_was(connected: Any) -> None:
    """One impossible interval: nothing of that document is written; the sound one beside it stays and leaves without a trace."""
    gate, sound, broken = Gate(), article("1001", 0.7), article("1002", 0.85)
    write(gate, connected, sound)
    before = connected.counts()
    with pytest.raises(GateRefused) as refused:
        write(gate, connected, broken)
    assert refused.value.issues[0].shape.endswith("#CiLow")
    assert connected.counts() == before
    assert not connected.contribution_exists(broken.supporter)
    write(gate, connected, article("1002", 0.75))
    assert connected.counts()["Condition"] == 1
    assert connected.counts()["Evidence"] == 2
    connected.remove_contribution(broken.supporter)
    assert connected.counts() == before
    connected.remove_contribution(sound.supporter)
    assert not any(connected.counts().values())
