"""The gate as it was before it had two engines, kept for comparison: pySHACL alone, in this process or in one of its own."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import msgspec
import pyshacl
from rdflib import XSD, Graph, Literal, URIRef
from rdflib.term import Node

from system.evidence.graph import rdf
from system.evidence.graph.engine_reference import load_shapes
from system.evidence.graph.engines import SHAPES_DIR
from system.evidence.graph.gate import _check_unique
from system.platform.errors import GateIssue, GateRefused
from system.platform.ports import GraphBatch, NodeRef
from system.stores.graph_schema import _refuse, external_refs

_DATATYPES = {name: XSD[name] for name in ("integer", "double", "boolean")}


class Before:
    """Names, triples, an rdflib graph, pySHACL; refusals are told by their number alone, which is less than it did."""

    def __init__(self) -> None:
        self._shapes = load_shapes(SHAPES_DIR)

    def check(self, batch: GraphBatch, known: Callable[[NodeRef], bool]) -> None:
        _refuse(batch)  # name by name: what check_names was
        _check_unique(batch)
        data = _graph(batch, [ref for ref in external_refs(batch) if known(ref)])
        conforms, _, text = pyshacl.validate(data, shacl_graph=self._shapes, inplace=True, advanced=False, meta_shacl=False, js=False)
        if not conforms:
            raise GateRefused((GateIssue("", "", "", "", text),))


class BeforeBeside:
    """The same behind one process, as the gateway had it."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def check(self, batch: GraphBatch, known: Callable[[NodeRef], bool]) -> None:
        refs = [ref for ref in external_refs(batch) if known(ref)]
        refused = self._pool.submit(_check, msgspec.msgpack.encode(batch), msgspec.msgpack.encode(refs)).result(60)
        if refused:
            raise GateRefused((GateIssue("", "", "", "", refused),))

    def close(self) -> None:
        self._pool.shutdown()


def _check(batch: bytes, known: bytes) -> str:
    refs = frozenset(msgspec.msgpack.decode(known, type=list[NodeRef]))
    try:
        _process_gate().check(msgspec.msgpack.decode(batch, type=GraphBatch), refs.__contains__)
    except GateRefused as refused:
        return str(refused)
    return ""


@functools.cache
def _process_gate() -> Before:
    return Before()


def _graph(batch: GraphBatch, known: list[NodeRef]) -> Graph:
    graph, iri = Graph(), functools.cache(URIRef)
    for subject, predicate, value in rdf.triples(batch, known):
        term: Node = iri(value) if isinstance(value, str) else _literal(value)
        graph.add((iri(subject), iri(predicate), term))
    return graph


def _literal(value: Any) -> Literal:
    return Literal(value.lexical, datatype=None if value.datatype == "string" else _DATATYPES[value.datatype], normalize=False)
