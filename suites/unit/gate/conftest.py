from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec
import pytest

from system.evidence.graph.gate import Gate
from system.platform.errors import GateRefused
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, PropertyValue

DOC = "ctgov:NCT00000102#1:0123456789ab"
QUOTE = "Hyperkalaemia in 3 of 40"


def _nodes() -> dict[str, GraphNode]:
    chunk_key = f"{DOC}:c0#01234567"
    made: dict[str, tuple[NodeRef, dict[str, PropertyValue]]] = {
        "document": (
            NodeRef("Document", DOC),
            {
                "nct": "NCT00000102",
                "pmid": "12345",
                "pmcid": "PMC12345",
                "doi": "10.1000/x",
                "setid": "0a1b2c3d-0000-1111-2222-333344445555",
            },
        ),
        "chunk": (NodeRef("Chunk", chunk_key), {"start": 0, "end": 400, "loinc": "34068-7"}),
        "study": (NodeRef("Study", "NCT00000102"), {"nct": "NCT00000102"}),
        "arm": (NodeRef("Arm", "NCT00000102/eg000"), {"name": "Nifedipine"}),
        "intervention": (NodeRef("Intervention", "nifedipine"), {"name": "Nifedipine"}),
        "condition": (NodeRef("Condition", "congenital adrenal hyperplasia"), {"name": "Congenital adrenal hyperplasia"}),
        "outcome": (NodeRef("Outcome", "blood pressure"), {"name": "Blood pressure"}),
        "evidence": (
            NodeRef("Evidence", "e1"),
            {
                "effect_type": "HR",
                "value": 0.8,
                "ci_low": 0.7,
                "ci_high": 0.9,
                "ci_percent": 95.0,
                "p_value": 0.01,
                "n_total": 40,
                "outcome": "Blood pressure",
                "unit_ucum": "mm[Hg]",
            },
        ),
        "ae": (NodeRef("AdverseEvent", "hyperkalaemia"), {"name": "Hyperkalaemia"}),
        "dose": (NodeRef("Dose", "d1"), {"amount": 10.0, "unit_ucum": "mg", "drug": "Nifedipine"}),
        "criterion": (
            NodeRef("EligibilityConstraint", "c1"),
            {"kind": "inclusion", "text": "Adults", "age_min_years": 18.0, "age_max_years": 65.0},
        ),
        "variable": (NodeRef("EvidenceVariable", "p1"), {"population": ("Adults",), "outcomes": ("Blood pressure",)}),
        "activity": (
            NodeRef("ExtractionActivity", "a1"),
            {"model": "registry", "version": "1", "schema_hash": "a" * 64, "prompt_hash": "b" * 64, "ts": "2026-01-01T00:00:00Z"},
        ),
    }
    return {name: GraphNode(ref, properties) for name, (ref, properties) in made.items()}


def _edges(nodes: dict[str, GraphNode]) -> dict[str, GraphEdge]:
    refs = {name: node.ref for name, node in nodes.items()}
    place: dict[str, PropertyValue] = {"start": 10, "end": 10 + len(QUOTE), "quote": QUOTE}
    ae = {"count": 3, "denom": 40, "events": 4, "grade": 2, "serious": False, "arm": "Nifedipine", "chunk": refs["chunk"].key, **place}
    plain = (
        ("HAS_CHUNK", "document", "chunk"),
        ("HAS_ARM", "study", "arm"),
        ("USES_INTERVENTION", "arm", "intervention"),
        ("ABOUT", "study", "condition"),
        ("HAS_OUTCOME", "study", "outcome"),
        ("REPORTS", "study", "evidence"),
        ("MEASURES", "evidence", "outcome"),
        ("HAS_DOSE", "intervention", "dose"),
        ("HAS_ELIGIBILITY", "study", "criterion"),
    )
    made = {kind: GraphEdge(kind, refs[source], refs[target], "", {}) for kind, source, target in plain}
    made["HAS_AE"] = GraphEdge("HAS_AE", refs["study"], refs["ae"], "Nifedipine|2|other", ae)
    for name in ("evidence", "ae", "dose", "criterion", "variable"):
        made[f"DERIVES_FROM {name}"] = GraphEdge("DERIVES_FROM", refs[name], refs["chunk"], "", place)
        made[f"WAS_GENERATED_BY {name}"] = GraphEdge("WAS_GENERATED_BY", refs[name], refs["activity"], "", {})
    return made


@dataclasses.dataclass(frozen=True)
class Draft:
    """A valid batch by name, and copies with one thing changed."""

    nodes: dict[str, GraphNode]
    edges: dict[str, GraphEdge]

    def batch(self) -> GraphBatch:
        return GraphBatch("w1", tuple(self.nodes.values()), tuple(self.edges.values()))

    def node(self, name: str, /, **changes: PropertyValue) -> Draft:
        node = self.nodes[name]
        changed = msgspec.structs.replace(node, properties={**node.properties, **changes})
        return Draft({**self.nodes, name: changed}, self.edges)

    def edge(self, name: str, /, **changes: PropertyValue) -> Draft:
        edge = self.edges[name]
        changed = msgspec.structs.replace(edge, properties={**edge.properties, **changes})
        return Draft(self.nodes, {**self.edges, name: changed})

    def ends(self, name: str, **ends: NodeRef) -> Draft:
        return Draft(self.nodes, {**self.edges, name: msgspec.structs.replace(self.edges[name], **ends)})

    def without(self, name: str) -> Draft:
        return Draft({k: v for k, v in self.nodes.items() if k != name}, {k: v for k, v in self.edges.items() if k != name})

    def rename(self, name: str, key: str, label: str | None = None) -> Draft:
        """Another key (and label) for a node, everywhere."""
        old = self.nodes[name].ref
        new = NodeRef(label or old.label, key)
        swap = lambda ref: new if ref == old else ref  # noqa: E731
        edges = {k: msgspec.structs.replace(e, source=swap(e.source), target=swap(e.target)) for k, e in self.edges.items()}
        return Draft({**self.nodes, name: msgspec.structs.replace(self.nodes[name], ref=new)}, edges)


@pytest.fixture
def draft() -> Draft:
    nodes = _nodes()
    return Draft(nodes, _edges(nodes))


@pytest.fixture(scope="session")
def gate() -> Gate:
    return Gate()


@pytest.fixture
def broken(gate: Gate) -> Callable[[Draft], set[str]]:
    """The local names of the shapes that a draft breaks."""

    def shapes(changed: Draft) -> set[str]:
        try:
            gate.check(changed.batch(), lambda _ref: False)
        except GateRefused as refused:
            for issue in refused.issues:
                assert issue.focus_node.startswith("urn:eh:"), issue.focus_node
                assert len(issue.message) > 20
            return {issue.shape.rpartition("#")[2] for issue in refused.issues}
        return set()

    return shapes
