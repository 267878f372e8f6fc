"""Retrieve under back-pressure: what a request gives up in overload mode, and how the answer says so."""

from __future__ import annotations

import msgspec

from system.evidence.fusion import Fusion
from system.evidence.retrieval import Answer, Query, Retriever
from system.gateway.back_pressure import BackPressure, Mode

TOP_K = 10
CANDIDATES = 100  # of each retriever


def retrieve(retriever: Retriever, pressure: BackPressure, query: Query, came_s: float) -> tuple[Answer, Mode]:
    """The answer, and how it was served; raises what the retriever raises. ``came_s``: when the request came in, CLOCK_MONOTONIC."""
    ticket = pressure.begin(came_s)
    answered = False
    try:
        less = lessened(query) if ticket.mode is Mode.OVERLOAD else query
        answer = retriever.retrieve(less)
        answered = True
    finally:
        pressure.end(ticket, answered=answered)
    return (answer if less is query else _degraded(answer, query, less)), ticket.mode


def lessened(query: Query) -> Query:
    """What is asked in overload mode."""
    top_k = min(query.top_k, TOP_K)
    return msgspec.structs.replace(query, rerank=False, top_k=top_k, candidates=CANDIDATES, fusion=Fusion.RRF)


def _degraded(answer: Answer, asked: Query, less: Query) -> Answer:
    """The answer with what it lacks said in its warnings."""
    lacks = [f"{CANDIDATES} candidates of each retriever, fused by rank"]
    lacks += ["not reranked"] if asked.rerank else []
    lacks += [f"{less.top_k} results at most instead of {asked.top_k}"] if less.top_k < asked.top_k else []
    warning = f"overload mode: {'; '.join(lacks)}"
    return msgspec.structs.replace(answer, warnings=(*answer.warnings, warning), degraded=True)
