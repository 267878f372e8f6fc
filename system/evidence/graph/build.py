"""What one document contributes to the graph: a pure function of its IR, its chunks and its extraction.

The subject of a registry document is its Study; every other document speaks for itself. Each assertion hangs on the chunks
that hold its spans (DERIVES_FROM with start, end, quote) and on the activity that made it (WAS_GENERATED_BY).
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from system.evidence.extraction.units import ucum
from system.evidence.graph.gate import is_ucum
from system.evidence.graph.names import normal_name, sha20
from system.evidence.ir import Chunk, Document, Source, Span
from system.evidence.records import AdverseEvent, Check, Criterion, Dose, Effect, Extraction, Pico
from system.evidence.studies import identifiers_of
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, PropertyValue
from system.stores.graph_plan import edge_ref, least
from system.stores.graph_schema import plain

# An activity's time is that of the rules which ran, not of the run: the same document always makes the same graph.
RULES_RELEASED: Final = "2026-11-21T00:00:00Z"

_VERSIONED = re.compile(r"(?P<model>.*?)[\s/@:_-]+v?(?P<version>\d[\w.+-]*)\Z")
_NCT = re.compile(r"NCT\d{8}\Z")
_IDENTIFIERS: Final = ("nct", "pmid", "pmcid", "doi", "setid")
_Properties = Mapping[str, PropertyValue]


def document_batch(document: Document, chunks: Sequence[Chunk], extraction: Extraction) -> GraphBatch:
    """Nodes and edges of one document, sorted and each once. The order of chunks and records does not show."""
    draft = _Draft(document, chunks, extraction)
    draft.add_document()
    for effect in extraction.effects:
        draft.add_effect(effect)
    for event in extraction.adverse_events:
        draft.add_adverse_event(event)
    for dose in extraction.doses:
        draft.add_dose(dose)
    for criterion in extraction.criteria:
        draft.add_criterion(criterion)
    for pico in extraction.picos:
        draft.add_pico(pico)
    return draft.batch()


class _Draft:
    """Collects nodes and edges; what is said twice is merged so that order cannot show."""

    def __init__(self, document: Document, chunks: Sequence[Chunk], extraction: Extraction) -> None:
        self._document = document
        self._extraction = extraction
        self._chunks = sorted(chunks, key=lambda chunk: (chunk.start, chunk.end, chunk.chunk_id))
        self._reach = list(itertools.accumulate((chunk.end for chunk in self._chunks), max))  # chunks may overlap
        self._nodes: dict[NodeRef, dict[str, PropertyValue]] = {}
        self._edges: dict[tuple[str, NodeRef, NodeRef, str], GraphEdge] = {}
        self._own = NodeRef("Document", document.doc_id)
        self._subject = self._own  # replaced by the Study in add_document, where there is one
        self._activity = NodeRef("ExtractionActivity", sha20(document.doc_id, extraction.extractor))

    def batch(self) -> GraphBatch:
        nodes = tuple(GraphNode(ref, properties) for ref, properties in sorted(self._nodes.items()))
        edges = tuple(self._edges[ref] for ref in sorted(self._edges))
        return GraphBatch(self._document.doc_id, nodes, edges)

    def add_document(self) -> None:
        document = self._document
        self._node(self._own, _document_properties(document))
        for chunk in self._chunks:
            ref = self._node(NodeRef("Chunk", chunk.chunk_id), _chunk_properties(chunk))
            self._edge("HAS_CHUNK", self._own, ref, {"index": chunk.index})
        studies = _studies(document)
        for nct in studies:
            study = self._node(NodeRef("Study", nct), {"nct": nct})
            self._edge("ABOUT", self._own, study)
        if document.source is Source.CTGOV and studies:
            self._subject = self._node(NodeRef("Study", studies[0]), _study_properties(document))
        for subject in {self._own, self._subject}:
            for name in document.metadata.conditions:
                self._named_edge("ABOUT", subject, "Condition", name)
        for name in document.metadata.interventions:
            self._named_edge("USES_INTERVENTION", self._subject, "Intervention", name)

    def add_effect(self, effect: Effect) -> None:
        ref = self._assertion("REPORTS", "Evidence", effect.record_id, _effect_properties(effect), effect.spans)
        if effect.outcome:
            outcome = self._outcome(effect.outcome, effect.timeframe)
            self._edge("MEASURES", ref, outcome)
        for name in (effect.intervention, effect.comparator):
            if name:
                self._named_edge("USES_INTERVENTION", self._subject, "Intervention", name)

    def add_adverse_event(self, event: AdverseEvent) -> None:
        ref = self._node(NodeRef("AdverseEvent", normal_name(event.term)), {"name": event.term})
        self._edge("WAS_GENERATED_BY", ref, self._activity_node())
        place = self._first_place(event.spans)
        if place:  # one edge a chunk: each row's own span stands on its HAS_AE edge
            chunk = NodeRef("Chunk", str(place["chunk"]))
            self._edge("DERIVES_FROM", ref, chunk, {name: place[name] for name in ("start", "end", "quote")})
        if event.arm or event.arm_id:
            arm = NodeRef("Arm", f"{self._subject.key}/{normal_name(event.arm_id or event.arm)}")
            self._node(arm, {"name": event.arm, "arm_id": event.arm_id})
            self._edge("HAS_ARM", self._subject, arm)
        grade = "" if event.grade is None else str(event.grade)
        # Registries list one term under serious and other events, and under several organ systems: each is its own row.
        parts = (event.arm_id or event.arm, grade, "serious" if event.serious else "other", event.organ_system)
        qualifier = "|".join(part.replace("|", "/") for part in parts)
        self._edge("HAS_AE", self._subject, ref, _adverse_event_properties(event) | place, qualifier)

    def add_dose(self, dose: Dose) -> None:
        ref = self._assertion("HAS_DOSE", "Dose", dose.record_id, _dose_properties(dose), dose.spans)
        if dose.drug:
            drug = self._node(NodeRef("Intervention", normal_name(dose.drug)), {"name": dose.drug})
            self._edge("HAS_DOSE", drug, ref)

    def add_criterion(self, criterion: Criterion) -> None:
        properties = _facts(criterion)
        self._assertion("HAS_ELIGIBILITY", "EligibilityConstraint", criterion.record_id, properties, criterion.spans)

    def add_pico(self, pico: Pico) -> None:
        self._assertion("REPORTS", "EvidenceVariable", pico.record_id, _facts(pico), pico.spans)
        for name in (*pico.interventions, *pico.comparators):
            self._named_edge("USES_INTERVENTION", self._subject, "Intervention", name)
        for name in pico.outcomes:
            self._outcome(name, "")

    def _assertion(self, edge_type: str, label: str, record_id: str, properties: _Properties, spans: Sequence[Span]) -> NodeRef:
        ref = self._node(NodeRef(label, record_id), {"doc_id": self._document.doc_id, **properties})
        self._edge(edge_type, self._subject, ref)
        self._edge("WAS_GENERATED_BY", ref, self._activity_node())
        self._derive(ref, spans)
        return ref

    def _activity_node(self) -> NodeRef:
        return self._node(self._activity, _activity_properties(self._extraction.extractor))

    def _outcome(self, name: str, timeframe: str) -> NodeRef:
        ref = self._node(NodeRef("Outcome", normal_name(name)), {"name": name})
        self._edge("HAS_OUTCOME", self._subject, ref, {"timeframe": timeframe or None}, timeframe)
        return ref

    def _named_edge(self, edge_type: str, source: NodeRef, label: str, name: str) -> None:
        if key := normal_name(name):
            self._edge(edge_type, source, self._node(NodeRef(label, key), {"name": name}))

    def _derive(self, ref: NodeRef, spans: Sequence[Span]) -> None:
        for chunk, part in self._places(spans):
            place: _Properties = {"start": part.start, "end": part.end, "quote": part.quote}
            self._edge("DERIVES_FROM", ref, NodeRef("Chunk", chunk.chunk_id), place, f"{part.start}-{part.end}")

    def _first_place(self, spans: Sequence[Span]) -> dict[str, PropertyValue]:
        for chunk, part in self._places(sorted(spans)):
            return {"chunk": chunk.chunk_id, "start": part.start, "end": part.end, "quote": part.quote}
        return {}  # the gate refuses the edge: no span, no write

    def _places(self, spans: Iterable[Span]) -> Iterator[tuple[Chunk, Span]]:
        """The chunk that holds each span; a span over several chunks is cut at their borders, each part an exact slice."""
        for span in spans:
            first = bisect.bisect_right(self._reach, span.start)
            near = itertools.takewhile(lambda chunk: chunk.start < span.end, self._chunks[first:])  # noqa: B023  # consumed below
            overlapping = [chunk for chunk in near if chunk.end > span.start]
            whole = [chunk for chunk in overlapping if chunk.start <= span.start and span.end <= chunk.end]
            for chunk in whole[:1] or overlapping:
                yield chunk, self._document.span(max(span.start, chunk.start), min(span.end, chunk.end))

    def _node(self, ref: NodeRef, properties: _Properties) -> NodeRef:
        self._nodes[ref] = least(self._nodes.get(ref, {}), _stated(properties))
        return ref

    def _edge(self, type_: str, source: NodeRef, target: NodeRef, properties: _Properties | None = None, qualifier: str = "") -> None:
        edge = GraphEdge(type_, source, target, qualifier, _stated(properties or {}))
        ref = edge_ref(edge)
        if ref in self._edges:
            edge = msgspec.structs.replace(edge, properties=_least_of(self._edges[ref].properties, edge.properties))
        self._edges[ref] = edge


def _least_of(one: _Properties, other: _Properties) -> _Properties:
    """Of two statements about one edge the smaller as a whole: count, denom and quote must stay together."""
    return min(one, other, key=lambda properties: msgspec.json.encode(properties, order="sorted"))


def _stated(properties: _Properties) -> dict[str, PropertyValue]:
    return {name: value for name, value in plain(properties).items() if value != ""}


def _facts(record: Criterion | Pico) -> dict[str, PropertyValue]:
    facts = msgspec.structs.asdict(record)
    check = facts.pop("check")
    for name in ("record_id", "doc_id", "spans"):
        del facts[name]
    return facts | _check_properties(check)


def _check_properties(check: Check) -> dict[str, PropertyValue]:
    return {"check_status": check.status.value, "check_flags": check.flags}


def _effect_properties(effect: Effect) -> dict[str, PropertyValue]:
    unit = ucum(effect.unit) if effect.unit else None
    return {
        "effect_type": effect.type.value,
        "value": effect.value,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "ci_percent": effect.ci_percent,
        "p_value": effect.p_value,
        "p_operator": effect.p_operator,
        "n_total": effect.n_total,
        "outcome": effect.outcome,
        "intervention": effect.intervention,
        "comparator": effect.comparator,
        "timeframe": effect.timeframe,
        "unit_text": effect.unit,
        "unit_ucum": unit if unit is not None and is_ucum(unit) else None,
        "method": effect.method,
        "stated_type": effect.stated_type,
        "origin": effect.origin,
        "path": effect.path,
        **_check_properties(effect.check),
    }


def _adverse_event_properties(event: AdverseEvent) -> dict[str, PropertyValue]:
    return {
        "count": event.count,
        "denom": event.denominator,
        "events": event.events,
        "grade": event.grade,
        "serious": event.serious,
        "arm": event.arm,
        "arm_id": event.arm_id,
        "organ_system": event.organ_system,
        "vocabulary": event.vocabulary,
        "record_id": event.record_id,
        "path": event.path,
        **_check_properties(event.check),
    }


def _dose_properties(dose: Dose) -> dict[str, PropertyValue]:
    return {
        "drug": dose.drug,
        "amount": dose.amount,
        "amount_high": dose.amount_high,
        "unit_ucum": dose.unit,
        "route": dose.route,
        "frequency_per_day": dose.frequency_per_day,
        "duration_days": dose.duration_days,
        "population": dose.population,
        "loinc": dose.loinc,
        "path": dose.path,
        **_check_properties(dose.check),
    }


def _document_properties(document: Document) -> dict[str, PropertyValue]:
    metadata = document.metadata
    return {
        "source_system": document.source.value,
        "native_id": document.native_id,
        "version": document.version,
        "language": document.language,
        "raw_sha256": document.raw_sha256,
        "parser": document.parser,
        "title": metadata.title,
        "year": metadata.year,
        "journal": metadata.journal,
        "licence": metadata.licence,
        **_identifiers(metadata.identifiers),
        # Documents that share one of these, directly or over others, report one study: see system.evidence.studies.
        "study_identifiers": tuple(f"{scheme}:{value}" for scheme, value in identifiers_of(document)),
    }


def _identifiers(identifiers: Iterable[tuple[str, str]]) -> dict[str, PropertyValue]:
    """The first identifier of each scheme, in the form of its registry."""
    found: dict[str, PropertyValue] = {}
    for scheme, value in identifiers:
        if scheme in _IDENTIFIERS:
            found.setdefault(scheme, f"PMC{value}" if scheme == "pmcid" and value.isdigit() else value)
    return found


def _chunk_properties(chunk: Chunk) -> dict[str, PropertyValue]:
    return {
        "doc_id": chunk.doc_id,
        "index": chunk.index,
        "start": chunk.start,
        "end": chunk.end,
        "section": chunk.section,
        "kind": chunk.kind,
        "intent": chunk.intent,
        "loinc": chunk.loinc,
    }


def _study_properties(document: Document) -> dict[str, PropertyValue]:
    metadata = document.metadata
    return {"title": metadata.title, "phase": metadata.phase, "status": metadata.status, "study_type": metadata.study_type}


def _studies(document: Document) -> tuple[str, ...]:
    """Registry numbers of the document, its own first."""
    named = (value for scheme, value in (("nct", document.native_id), *document.metadata.identifiers) if scheme == "nct")
    return tuple(dict.fromkeys(value for value in named if _NCT.match(value)))


@functools.cache
def _activity_properties(extractor: str) -> dict[str, PropertyValue]:
    match = _VERSIONED.match(extractor)
    model, version = (match["model"], match["version"]) if match else (extractor, extractor)
    return {
        "model": model,
        "version": version,
        "schema_hash": _schema_hash(),
        "prompt_hash": hashlib.sha256(extractor.encode()).hexdigest(),  # rules have no prompt: their name and version stand for it
        "ts": RULES_RELEASED,
    }


@functools.cache
def _schema_hash() -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.json.schema(Extraction), order="sorted")).hexdigest()
