"""Puts adapters behind the ports, for the gateway and the worker. Nothing connects before it is used."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import logging
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from system.evidence.graph.engine_reference import PyShacl, reference_name
from system.evidence.graph.engines import Issue, ShaclEngine, engines
from system.evidence.graph.gate import Gate, GateWatch, check_batch, judge_sample, pack, unpack_issues
from system.evidence.graph.incidents import file_difference
from system.evidence.graph.sampling import Sample, Tally
from system.evidence.ir import Chunk, Document
from system.evidence.ledger import check_edge
from system.evidence.records import Extraction
from system.evidence.rerank import LexicalReranker
from system.evidence.retrieval import Query, RetrievalSettings, Retriever
from system.evidence.steps import Ports, load_ir
from system.models.catalog import MINILM, SPLADE
from system.models.client import HttpDenseModel, HttpSparseModel
from system.platform.errors import EnginesDiffer, NotFound, Unavailable
from system.platform.ports import EventLog, GraphBatch, NodeRef, SearchFilter
from system.platform.settings import Settings
from system.stores import analysis
from system.stores.cache import ValkeyCache
from system.stores.eventlog import ValkeyEventLog
from system.stores.graph import BoltGraph
from system.stores.objects import FolderObjects
from system.stores.records import PostgresRecords
from system.stores.search import PostgresSearch

LOG = logging.getLogger("system.assembly")
MODEL_TIMEOUT_S = 60.0  # a document's chunks in one request; queries answer in milliseconds
QUERY_TIMEOUT_S = 3.0
STUDIES_ASKED = 200
GATE_TIMEOUT_S = 30.0
PREPARE_TURN_S = 5.0  # a graph that hangs would otherwise be waited for by one request after the other

Probe = Callable[[], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Platform:
    """Everything a process of the platform works with."""

    ports: Ports
    events: EventLog
    retriever: Retriever
    probes: dict[str, Probe]
    gate: GateWatch = dataclasses.field(default_factory=GateWatch)

    def evidence_source(self) -> PlatformEvidence:
        """What a dossier reads from."""
        return PlatformEvidence(self)


def assemble(settings: Settings, *, gate_processes: int = 0, failpoints: bool = False) -> Platform:
    """The platform over the servers of ``settings``.

    ``gate_processes`` > 0 runs the gate's reference engine beside this process, so that requests go on; ``failpoints`` lets
    this process be crashed at its writing calls where the stack arms them.
    """
    seed = _seeded(settings, "worker" if failpoints else "gateway" if gate_processes else "tool")
    points = _failpoints(settings) if failpoints else _unwrapped

    def wrap(name: str, port: Any) -> Any:
        return seed(name, points(name, port))

    records: PostgresRecords[Chunk, Extraction] = PostgresRecords.connect(settings, check_edge, Chunk, Extraction)
    search = PostgresSearch.connect(settings)
    graph = PreparedGraph(BoltGraph(settings.graph_url, settings.secret("graph_password")))
    objects = FolderObjects(settings.objects_dir)
    cache = ValkeyCache.connect(settings)
    events = ValkeyEventLog.connect(settings)
    reference = PooledReference(gate_processes) if gate_processes else PyShacl()
    gate, watch = differential_gate(reference, settings.gate_sample, functools.partial(file_difference, records))
    ports = Ports(
        records=wrap("records", records),
        objects=wrap("objects", objects),
        search=wrap("search", search),
        graph=wrap("graph", graph),
        dense=seed("dense", HttpDenseModel(settings.embed_url, MINILM.name, MODEL_TIMEOUT_S)),
        sparse=seed("sparse", HttpSparseModel(settings.splade_url, SPLADE.name, MODEL_TIMEOUT_S)),
        gate=seed("gate", gate),
    )
    dense_query = HttpDenseModel(settings.embed_url, MINILM.name, QUERY_TIMEOUT_S)
    sparse_query = HttpSparseModel(settings.splade_url, SPLADE.name, QUERY_TIMEOUT_S)
    retrieval = RetrievalSettings(dense_model=MINILM.digest[:12], sparse_model=SPLADE.digest[:12])
    probes: dict[str, Probe] = {
        "records": records.ping,
        "search": search.ping,
        "graph": graph.ping,
        "cache": cache.ping,
        "events": events.ping,
        "embed": dense_query.ping,
        "splade": sparse_query.ping,
    }
    dense_asked, sparse_asked = seed("dense", dense_query), seed("sparse", sparse_query)
    reranker = seed("reranker", LexicalReranker(analysis.terms))
    retriever = seed("retriever", Retriever(ports.search, dense_asked, sparse_asked, seed("cache", cache), retrieval, reranker))
    return Platform(ports, wrap("events", events), retriever, probes, watch)


class PlatformEvidence:
    """Implements ``EvidenceSource``: candidates by retrieval and by the ledger, documents from their IR, records as stored."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def studies_for(self, topic: Any, filters: SearchFilter) -> Sequence[str]:
        """Documents of retrieved chunks, best first. The dossier decides which are about the topic."""
        words = " ".join(part for part in (topic.condition, topic.intervention, topic.outcome) if part)
        asked = (words, f"{topic.condition} {topic.intervention}".strip())
        found: dict[str, None] = {}
        for text in dict.fromkeys(asked):
            answer = self._platform.retriever.retrieve(Query(text, top_k=STUDIES_ASKED, filters=filters))
            found |= dict.fromkeys(result.chunk.doc_id for result in answer.results)
        return [doc_id for doc_id in found if self._completed(doc_id)]

    def document(self, doc_id: str) -> Document:
        row = self._platform.ports.records.ledger_row(doc_id)
        if row is None:
            raise NotFound(f"there is no document {doc_id}")
        return load_ir(row, self._platform.ports.objects)

    def extraction(self, doc_id: str) -> Extraction:
        found = self._platform.ports.records.extractions(doc_id, limit=1)
        return found[0] if found else Extraction(doc_id, "none")

    def _completed(self, doc_id: str) -> bool:
        row = self._platform.ports.records.ledger_row(doc_id)
        return row is not None and row.state == "completed" and row.superseded_by is None


class PreparedGraph:
    """The graph adapter, its constraints made before the first write; asked again after a server came up empty."""

    def __init__(self, graph: BoltGraph) -> None:
        self._graph = graph
        self._lock = threading.Lock()
        self._prepared = False

    def ping(self) -> None:
        self._graph.ping()

    def replace_contribution(self, batch: GraphBatch) -> None:
        self._prepared_for(lambda: self._graph.replace_contribution(batch))

    def remove_contribution(self, supporter: str) -> None:
        self._prepared_for(lambda: self._graph.remove_contribution(supporter))

    def _prepared_for(self, work: Callable[[], None]) -> None:
        """Do the work; a server that went away may come back empty, so its constraints are made again then."""
        self._prepare()
        try:
            work()
        except Unavailable:
            self._prepared = False
            raise

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            self._prepare()
        return getattr(self._graph, name)

    def _prepare(self) -> None:
        if self._prepared:
            return
        if not self._lock.acquire(timeout=PREPARE_TURN_S):
            raise Unavailable("graph", f"timed out: somebody has been waiting for it for {PREPARE_TURN_S:g} s")
        try:
            if not self._prepared:
                self._graph.prepare()
                self._prepared = True
        finally:
            self._lock.release()


class PooledReference:
    """The gate's reference engine in processes of its own: it is Python work and would hold up every request beside it."""

    def __init__(self, processes: int) -> None:
        self.name = reference_name()
        self._processes = processes
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def validate(self, batch: GraphBatch, known: Sequence[NodeRef]) -> tuple[Issue, ...]:
        """As the port says; ``Unavailable`` when its process died or took too long."""
        pool = self._running()
        try:
            answer = pool.submit(check_batch, *pack(batch, known)).result(GATE_TIMEOUT_S)
        except (BrokenProcessPool, TimeoutError) as error:
            self._restart(pool)
            raise Unavailable("gate", f"{type(error).__name__}") from error
        return unpack_issues(answer)

    def _running(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self._processes, mp_context=multiprocessing.get_context("spawn"))
            return self._pool

    def _restart(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                self._pool = None
        broken.shutdown(wait=False, cancel_futures=True)


def differential_gate(reference: ShaclEngine, share: float, file: Callable[[GraphBatch, EnginesDiffer], object]) -> tuple[Gate, GateWatch]:
    """The gate as the platform runs it, its sample filed with ``file``, and what operators see of it."""
    pair, tally = engines(reference), Tally()
    LOG.info("SHACL gate: %s; %.3g of the accepted batches are sampled", pair.told(), share if pair.second else 0.0)
    sample = Sample(share, judge_sample(reference, tally, file, pair.first.name), tally) if pair.second and share else None
    return Gate(pair, sample, tally), GateWatch(pair.told(), tally)


def _unwrapped(_name: str, port: Any) -> Any:
    return port


def _failpoints(settings: Settings) -> Callable[[str, Any], Any]:
    """Wraps ports with failpoints where they are armed; the module is absent from the production image."""
    if not settings.failpoints_socket:
        return _unwrapped
    points = importlib.import_module("system.failpoints").armed_at(Path(settings.failpoints_socket))
    wrap: Callable[[str, Any], Any] = points.wrap
    return wrap


def _seeded(settings: Settings, process: str) -> Callable[[str, Any], Any]:
    """Wraps ports with the seeded defect where one may be armed; the module is absent from the production image."""
    if not settings.seeded_file:
        return _unwrapped
    wrap: Callable[[str, Any], Any] = importlib.import_module("system.seeded").seeded_at(Path(settings.seeded_file), process).wrap
    return wrap
