"""The SHACL gate: every batch passes it before it is written; one violation refuses the whole batch.

A caller hands over nodes and edges, never RDF. Two engines judge (:mod:`system.evidence.graph.engines`). Every refusal of the first is
confirmed by the second before it is told; where their reports differ nobody is believed (:class:`EnginesDiffer`). Of the batches that
pass, the second judges a sample behind the answer (:mod:`system.evidence.graph.sampling`).
:func:`check_batch` is the reference engine for worker processes: bytes in, bytes out.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from rdflib import SH, Graph

from system.evidence.graph.engine_reference import PyShacl, python_pattern
from system.evidence.graph.engines import ENGINE_FAILED, SHAPES_DIR, Engines, Issue, ShaclEngine, engines
from system.evidence.graph.sampling import Judge, Sample, Tally
from system.platform.errors import BadInput, EnginesDiffer, GateRefused, PlatformError, Unavailable
from system.platform.ports import GraphBatch, NodeRef
from system.stores.graph_schema import check_names, external_refs

LOG = logging.getLogger("system.gate")
ISSUE_LIMIT: Final = 1_000  # a report stays readable; the batch is refused by the first one already


@dataclasses.dataclass(frozen=True, slots=True)
class GateWatch:
    """What operators see of a gate: which engines it has, and what the differential did."""

    engines: str = "none"
    tally: Tally = dataclasses.field(default_factory=Tally)


class Gate:
    """Refuses batches that break a shape. ``known`` says whether a node outside the batch is in the graph already."""

    def __init__(self, pair: Engines | None = None, sample: Sample | None = None, tally: Tally | None = None) -> None:
        self._engines = pair or engines(PyShacl())
        self._sample = sample
        self._tally = tally or Tally()

    def check(self, batch: GraphBatch, known: Callable[[NodeRef], bool]) -> None:
        """Returns for a batch that may be written.

        Raises ``BadInput`` for an empty batch or names outside the grammar, ``GateRefused`` with every violation, ``EnginesDiffer``
        where the engines do not give the same report, ``Unavailable`` when the second one cannot be asked.
        """
        check_names(batch)
        _check_unique(batch)
        outside = [ref for ref in external_refs(batch) if known(ref)]
        issues = report(self._engines.first, batch, outside)
        if issues:
            self._confirm(batch, outside, issues)
            raise GateRefused(tuple(issue.told() for issue in issues[:ISSUE_LIMIT]))
        if self._sample is not None:
            self._sample.offer(batch, outside)

    def _confirm(self, batch: GraphBatch, outside: Sequence[NodeRef], issues: tuple[Issue, ...]) -> None:
        """Returns when the second engine gives the same report, or there is none."""
        first, second = self._engines.first, self._engines.second
        if second is None:
            if issues[0].shape == ENGINE_FAILED:
                raise PlatformError(f"the gate's only engine gave no report: {issues[0].message}")
            return
        other = report(second, batch, outside)
        self._tally.confirmed.add()
        if other != issues:
            self._tally.refusals_differ.add()
            raise difference(batch, (first.name, issues), (second.name, other))


def judge_sample(second: ShaclEngine, tally: Tally, file: Callable[[GraphBatch, EnginesDiffer], object], first: str) -> Judge:
    """What a :class:`Sample` does with a batch that ``first`` let pass: ``second`` must find nothing, ``file`` keeps what it finds."""

    def judge(batch: GraphBatch, known: Sequence[NodeRef]) -> None:
        issues = report(second, batch, known)
        if issues:
            file(batch, difference(batch, (first, ()), (second.name, issues), written=True))
            tally.samples_differ.add()
        tally.sampled.add()

    return judge


def report(engine: ShaclEngine, batch: GraphBatch, known: Sequence[NodeRef]) -> tuple[Issue, ...]:
    """The engine's report; one that breaks down gives a report that no other can agree with. ``Unavailable`` passes through."""
    try:
        return engine.validate(batch, known)
    except (Unavailable, BadInput):
        raise
    except Exception as error:
        LOG.exception("SHACL gate: %s gave no report on %s", engine.name, batch.supporter)
        return (Issue(batch.supporter, "", engine.name, ENGINE_FAILED, f"{type(error).__name__}: {error}"[:500]),)


def difference(batch: GraphBatch, *reports: tuple[str, tuple[Issue, ...]], written: bool = False) -> EnginesDiffer:
    """The incident, with each engine's report; logged in any case, because filing it may fail."""
    told = {name: tuple(issue.told() for issue in issues[:ISSUE_LIMIT]) for name, issues in reports}
    found = EnginesDiffer(batch.supporter, told, written=written)
    LOG.error("SHACL gate: %s", found)
    return found


def check_batch(batch: bytes, known: bytes = b"[]") -> bytes:
    """The reference engine for a worker process: MessagePack of a batch and of the known outside refs in, of issues out.

    Make the arguments with :func:`pack`, read the answer with :func:`unpack_issues`. ``BadInput`` comes back as one
    issue with the shape ``BadInput``, because its place and remedy would not survive pickling.
    """
    decoded = msgspec.msgpack.decode(batch, type=GraphBatch)
    refs = msgspec.msgpack.decode(known, type=list[NodeRef])
    try:
        check_names(decoded)
        _check_unique(decoded)
    except BadInput as bad:
        return msgspec.msgpack.encode([Issue("", bad.place, "", "BadInput", f"{bad.error}: {bad.remedy}")])
    return msgspec.msgpack.encode(_process_reference().validate(decoded, refs))


def pack(batch: GraphBatch, known: Iterable[NodeRef] = ()) -> tuple[bytes, bytes]:
    """The two arguments of :func:`check_batch`."""
    return msgspec.msgpack.encode(batch), msgspec.msgpack.encode(list(known))


def unpack_issues(answer: bytes) -> tuple[Issue, ...]:
    """The issues of :func:`check_batch`; empty means the batch may be written. Raises ``BadInput`` if that was the answer."""
    issues = msgspec.msgpack.decode(answer, type=tuple[Issue, ...])
    if issues and issues[0].shape == "BadInput":
        error, _, remedy = issues[0].message.partition(": ")
        raise BadInput(error, issues[0].path, remedy)
    return issues


@functools.lru_cache(maxsize=4096)
def is_ucum(unit: str) -> bool:
    """Whether the gate takes ``unit`` as a UCUM code: the pattern is read from the shapes, so there is one list."""
    return len(unit) <= 80 and _ucum().search(unit) is not None


def _check_unique(batch: GraphBatch) -> None:
    """Two statements about one node in one batch would be merged silently: the caller must decide."""
    seen: dict[NodeRef, int] = {}
    for index, node in enumerate(batch.nodes):
        if node.ref in seen and batch.nodes[seen[node.ref]].properties != node.properties:
            raise BadInput(f"the node {node.ref.label} {node.ref.key} is given twice", f"/nodes/{index}", "give each node once")
        seen[node.ref] = index


@functools.cache
def _process_reference() -> PyShacl:
    return PyShacl()


@functools.cache
def _ucum() -> re.Pattern[str]:
    shapes = Graph().parse(SHAPES_DIR / "units_ucum.ttl", format="turtle")
    pattern = next(iter(shapes.objects(None, SH.pattern)))
    return re.compile(python_pattern(str(pattern)))
