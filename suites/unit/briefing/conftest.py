"""Small hand-made evidence: documents whose text is written here, records whose spans point into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from system.evidence.briefing.model import Topic
from system.evidence.ir import Block, BlockKind, Document, Metadata, Source
from system.evidence.records import AdverseEvent, Check, CheckStatus, Criterion, Dose, Effect, EffectType, Extraction, Pico
from system.platform.ports import SearchFilter

FINE = Check(CheckStatus.AGREES)


class Shelf:
    """An :class:`EvidenceSource` in memory: finds everything, as a generous retrieval would."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.extractions: dict[str, Extraction] = {}

    def studies_for(self, topic: Topic, filters: SearchFilter) -> Sequence[str]:
        assert topic.condition
        assert filters is not None
        return list(self.documents)

    def document(self, doc_id: str) -> Document:
        return self.documents[doc_id]

    def extraction(self, doc_id: str) -> Extraction:
        return self.extractions[doc_id]

    def put(self, name: str, lines: Sequence[str] = (), title: str = "Zen for asthma", source: Source = Source.JATS, **more: Any) -> Paper:
        return Paper(self, name, [title, *lines], source, more)


class Paper:
    """One document of the shelf; records are added to it by quoting one of its lines."""

    def __init__(self, shelf: Shelf, name: str, lines: Sequence[str], source: Source, more: dict[str, Any]) -> None:
        text, blocks = "", []
        for index, line in enumerate(lines):
            text += "\n\n" if text else ""
            kind = BlockKind.PARAGRAPH if index else BlockKind.TITLE
            blocks.append(Block(index, kind, len(text), len(text) + len(line), "", f"/p[{index}]"))
            text += line
        meta = Metadata(**{"title": lines[0], "conditions": ("Asthma",), "interventions": ("Zen",), "year": 2020, **more})
        self.shelf = shelf
        self.document = Document(
            f"{source.value}:{name}#1:000000000000", source, name, "1", "en", text, tuple(blocks), (), (), meta, "0" * 64, "t/1"
        )
        shelf.documents[self.document.doc_id] = self.document
        shelf.extractions[self.document.doc_id] = Extraction(self.document.doc_id, "t/1")

    def _spans(self, quote: str) -> tuple[Any, ...]:
        start = self.document.text.index(quote)
        return (self.document.span(start, start + len(quote)),)

    def _add(self, field: str, record: Any) -> Any:
        from msgspec.structs import replace

        doc_id = self.document.doc_id
        known = self.shelf.extractions[doc_id]
        self.shelf.extractions[doc_id] = replace(known, **{field: (*getattr(known, field), record)})
        return record

    def _id(self, kind: str) -> str:
        known = self.shelf.extractions[self.document.doc_id]
        count = sum(map(len, (known.effects, known.adverse_events, known.doses, known.criteria, known.picos)))
        return f"{self.document.native_id}-{kind}-{count}"

    def effect(self, value: float, low: float | None, high: float | None, quote: str | None = None, **more: Any) -> Effect:
        given = {
            "type": EffectType.HAZARD_RATIO,
            "outcome": "asthma attack",
            "intervention": "Zen",
            "comparator": "placebo",
            "ci_percent": 95.0,
            "check": FINE,
            **more,
        }
        return self._add(
            "effects",
            Effect(
                self._id("e"),
                self.document.doc_id,
                value=value,
                ci_low=low,
                ci_high=high,
                spans=self._spans(quote or self.document.metadata.title),
                **given,
            ),
        )

    def event(self, term: str, quote: str, **more: Any) -> AdverseEvent:
        given = {"organ_system": "", "arm_id": "A", "arm": "Zen", "serious": False, "check": FINE, **more}
        return self._add("adverse_events", AdverseEvent(self._id("a"), self.document.doc_id, term, spans=self._spans(quote), **given))

    def dose(self, amount: float, quote: str, **more: Any) -> Dose:
        return self._add("doses", Dose(self._id("d"), self.document.doc_id, "Zen", amount, "mg", self._spans(quote), FINE, **more))

    def criterion(self, text: str, kind: str = "inclusion") -> Criterion:
        return self._add("criteria", Criterion(self._id("c"), self.document.doc_id, kind, text, self._spans(text), FINE))

    def pico(self, quote: str, outcomes: tuple[str, ...]) -> Pico:
        return self._add(
            "picos", Pico(self._id("p"), self.document.doc_id, ("adults",), ("Zen",), ("placebo",), outcomes, self._spans(quote), FINE)
        )


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def full_shelf(shelf: Shelf) -> Shelf:
    """Three poolable trials, a conflict, a label, and a registry record that plans an outcome nobody reports."""
    for name, value, low, high in (("a", 0.80, 0.70, 0.92), ("b", 0.75, 0.62, 0.91), ("c", 0.85, 0.70, 1.03)):
        line = f"Zen reduced asthma attack against placebo (hazard ratio {value}; 95% CI {low} to {high})."
        shelf.put(name, [line]).effect(value, low, high, line)
    for name, value, low, high in (("d", 0.5, 0.4, 0.6), ("e", 2.0, 1.5, 2.5)):
        line = f"Cough: odds ratio {value} (95% CI {low} to {high})."
        shelf.put(name, [line]).effect(value, low, high, line, type=EffectType.ODDS_RATIO, outcome="cough")
    label = shelf.put("zen", ["Take 10 mg once daily.", "Zen treats asthma."], title="ZEN tablets", source=Source.SPL, conditions=())
    label.dose(10, "Take 10 mg once daily.", frequency_per_day=1.0)
    trial = shelf.put("NCT00000001", ["Adults. Zen. Placebo. Quality of life.", "Age 18 or older", "Nausea | 3 | 10"], source=Source.CTGOV)
    trial.pico("Adults. Zen. Placebo. Quality of life.", ("Quality of life",))
    trial.criterion("Age 18 or older")
    trial.event("Nausea", "Nausea | 3 | 10", count=3, denominator=10)
    return shelf
