"""One validation: by which engines, whether they agree, and what becomes of their results.

A refusal is confirmed by the other engine before it is told. Where the two differ, nothing is decided: the report holds both answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from rdflib import SH, URIRef
from rdflib.term import Node

from harness.core.errors import HarnessError
from harness.shacl.engines import Engine, EngineBroke, Findings, Result, engines
from harness.shacl.owners import Owners
from harness.shacl.reading import RdfFile
from harness.shacl.report import MAX_VIOLATIONS, SEVERITIES, IdleShape, ShaclReport, ShapeResult, Violation
from harness.shacl.shapes import ShapesGraph
from harness.shacl.terms import of_node, shown
from harness.shacl.wellformed import check

Use = Literal["confirmed", "both", "shacl", "pyshacl"]
USES: Final[tuple[Use, ...]] = ("confirmed", "both", "shacl", "pyshacl")
ALONE: Final = "the Rust engine `shacl` is not installed on this platform: pySHACL judged alone"


def judge(shapes: ShapesGraph, data: RdfFile, use: Use = "confirmed") -> ShaclReport:
    """``confirmed``: the first engine, and the other where it refuses; ``both``: always both; or one engine alone."""
    check(shapes)
    at_hand = engines()
    if use == "confirmed" and shapes.closes_values:
        use = "both"  # the first engine closes other nodes than the recommendation says: its "conforms" is not enough
    first, *others = _chosen(at_hand, use)
    found = first.judge(shapes, data)
    asked = others if use == "both" or (use == "confirmed" and found.results) else []
    differences, second = _held_against(found, asked, shapes, data)
    notes = [ALONE] if len(at_hand) == 1 and use != "pyshacl" else []
    if data.kind in {"nquads", "trig", "json-ld"} and data.named_graphs:
        notes.append(f"statements of {data.named_graphs} named graphs are judged together with all others")
    if not shapes.shapes:
        notes.append("no shape stands in the shapes files")
    return _report(shapes, data, [first, *asked], found, second, tuple(differences), tuple(notes))


def _chosen(at_hand: Sequence[Engine], use: Use) -> Sequence[Engine]:
    if use not in {"shacl", "pyshacl"}:
        return at_hand
    for engine in at_hand:
        if engine.name.lower().startswith(f"{use} "):
            return [engine]
    raise HarnessError(f"the engine {use} is not installed on this platform")


def _held_against(first: Findings, others: Sequence[Engine], shapes: ShapesGraph, data: RdfFile) -> tuple[list[str], Findings | None]:
    for other in others:
        try:
            second = other.judge(shapes, data)
        except EngineBroke as error:
            return [str(error)], None
        return list(compared(first, second, shapes)), second
    return [], None


def compared(first: Findings, second: Findings, shapes: ShapesGraph) -> Iterator[str]:
    """Every result that only one of them has, and every shape of which they counted other focus nodes."""
    keys = Counter(result.key for result in first.results), Counter(result.key for result in second.results)
    for one, other, left in ((first, second, keys[0] - keys[1]), (second, first, keys[1] - keys[0])):
        for key, count in sorted(left.items()):
            shape, focus, value, component, severity = key
            told = f"{shapes.name(URIRef(shape[1:-1]))}: {shown(focus)} {shown(value)}".rstrip()
            times = f" ({count} times)" if count > 1 else ""
            yield f"only {one.engine}, not {other.engine}: {told}: {_local(component)} {_local(severity)}{times}"
    for shape_text in sorted(first.focus):
        counts = len(first.focus[shape_text]), len(second.focus.get(shape_text, ()))
        if counts[0] != counts[1]:
            yield f"{shown(shape_text)}: {counts[0]} focus nodes for {first.engine}, {counts[1]} for {second.engine}"


def _report(
    shapes: ShapesGraph,
    data: RdfFile,
    used: Sequence[Engine],
    found: Findings,
    second: Findings | None,
    differences: tuple[str, ...],
    notes: tuple[str, ...],
) -> ShaclReport:
    owners = Owners(shapes, data, found)
    owned = list(_owned(owners, found.results))
    severities: dict[Node, Counter[str]] = {}
    for owner, result in owned:
        severities.setdefault(owner, Counter())[_severity(result)] += 1
    judged = [*shapes.active, *sorted(severities.keys() - set(shapes.active), key=str)]
    return ShaclReport(
        validator=" and ".join(engine.name for engine in used),
        triples=_counted(data),
        conforms=not found.results,
        shapes=tuple(_shape(shapes, found, shape, severities.get(shape, Counter())) for shape in judged),
        violation_count=len(owned),
        violations=tuple(_told(shapes, owned)[:MAX_VIOLATIONS]),
        idle=tuple(IdleShape(shapes.name(item.shape), item.reason) for item in shapes.idle),
        differences=differences[:MAX_VIOLATIONS],
        reference=tuple(_told(shapes, [(URIRef(one.shape[1:-1]), one) for one in second.results])) if second and differences else (),
        notes=notes,
    )


def _owned(owners: Owners, results: Sequence[Result]) -> Iterator[tuple[Node, Result]]:
    """Each result with its owner. A property shape that two owners share gives a node of both its result twice: one for each."""
    for result, count in Counter(results).items():
        of = owners.of(result)
        yield from ((of[number % len(of)], result) for number in range(max(count, len(of))))


def _shape(shapes: ShapesGraph, found: Findings, shape: Node, severities: Counter[str]) -> ShapeResult:
    focus = found.focus.get(of_node(shape), frozenset())
    return ShapeResult(shapes.name(shape), len(focus), severities.total(), tuple(sorted(severities.items())))


def _told(shapes: ShapesGraph, owned: Sequence[tuple[Node, Result]]) -> list[Violation]:
    told = [
        Violation(
            focus_node=shown(result.focus),
            path=result.path,
            value=shown(result.value),
            shape=shapes.name(owner),
            message=result.message or _local(result.component).removesuffix("ConstraintComponent"),
            severity=_severity(result),
            source=shapes.name(URIRef(result.shape[1:-1])),
            component=_local(result.component),
        )
        for owner, result in owned
    ]
    return sorted(told, key=lambda item: (item.shape, item.focus_node, item.path, item.value, item.message))


def _severity(result: Result) -> str:
    """One of SHACL's three by its word; one of the project's own by its IRI."""
    word = _local(result.severity)
    return word if result.severity.startswith(str(SH)) and word in SEVERITIES else result.severity


def _local(iri: str) -> str:
    return iri.rpartition("#")[2] or iri


def _counted(data: RdfFile) -> int | None:
    """Statements, where counting costs nothing: lines of N-Triples, or a graph that was read anyway."""
    if data.kind == "nt":
        lines = {line.strip() for line in data.text.splitlines()}
        return sum(1 for line in lines if line and not line.startswith("#"))
    return len(data.graph) if "graph" in vars(data) else None
