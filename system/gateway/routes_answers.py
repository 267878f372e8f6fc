"""Questions: retrieve and briefing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from system.evidence.briefing.dossier import build_dossier
from system.evidence.briefing.model import Topic, render_json
from system.evidence.briefing.render_html import render_html
from system.evidence.briefing.render_markdown import render_markdown
from system.evidence.fusion import Fusion
from system.evidence.retrieval import Query, Retrieved
from system.gateway import auth, schemas
from system.gateway.problems import documented
from system.gateway.retrieving import retrieve as retrieve_under_pressure
from system.platform.ports import SearchFilter
from system.platform.stages import stage

ROUTER = APIRouter(prefix="/v1")


@ROUTER.post("/retrieve", response_model=schemas.RetrieveResponse, responses=documented(400, 401, 403, 413, 503))
def retrieve(request: Request, body: schemas.RetrieveRequest, _principal: auth.Reader) -> schemas.RetrieveResponse:
    """Ranked chunks. One retriever failing degrades the answer with a warning; all failing is 503."""
    with stage("handler"):
        return _retrieve(request, body)


def _retrieve(request: Request, body: schemas.RetrieveRequest) -> schemas.RetrieveResponse:
    query = Query(
        text=" ".join(body.query.split()),
        top_k=body.top_k,
        retrievers=tuple(dict.fromkeys(body.retrievers)),
        fusion=Fusion(body.fusion),
        filters=search_filter(body.filters),
        rerank=body.rerank,
    )
    state = request.app.state
    answer, mode = retrieve_under_pressure(state.platform.retriever, state.pressure, query, request.state.arrived_ns / 1e9)
    state.metrics.served.labels(mode.value).inc()
    for name in set(query.retrievers) - set(answer.retrievers_used):
        request.app.state.metrics.degraded.labels(name).inc()
    return schemas.RetrieveResponse(
        results=[_result(item) for item in answer.results],
        warnings=list(answer.warnings),
        meta=schemas.RetrieveMeta(
            retrievers_used=list(answer.retrievers_used),
            fusion=answer.fusion.value,
            degraded=answer.degraded,
            reranked=answer.reranked,
            mode=mode.value,
            timings_ms=dict(answer.timings_ms),
        ),
    )


def _result(found: Retrieved) -> schemas.RetrievedChunk:
    chunk = found.chunk
    raw = {name: getattr(found.scores, name) for name in found.scores.__struct_fields__}
    return schemas.RetrievedChunk(
        chunk_id=chunk.chunk_id,
        doc_id=chunk.doc_id,
        source=chunk.source,
        native_id=chunk.native_id,
        title=chunk.title,
        text=chunk.text,
        section=chunk.section,
        start=chunk.start,
        end=chunk.end,
        score=found.scores.fused if found.scores.reranked is None else found.scores.reranked,
        scores={name: value for name, value in raw.items() if value is not None},
    )


@ROUTER.post(
    "/briefing/dossier",
    responses={
        200: {
            "description": "the dossier in the format asked for; every item is cited, every quote verbatim at its offsets",
            "content": {
                "application/json": {"schema": {"$ref": schemas.DOSSIER_REF}},
                "text/markdown": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            },
        },
        **documented(400, 401, 403, 413, 503),
    },
    response_class=Response,
)
def dossier(request: Request, body: schemas.DossierRequest, _principal: auth.Briefer) -> Response:
    """PICO, effects, safety, dosing, eligibility, coverage and questions for a topic. A section without evidence says so."""
    with stage("handler"):
        return _dossier(request, body)


def _dossier(request: Request, body: schemas.DossierRequest) -> Response:
    topic = Topic(condition=body.topic.condition, intervention=body.topic.intervention or "", outcome=body.topic.outcome or "")
    built = build_dossier(request.app.state.platform.evidence_source(), topic, search_filter(body.filters))
    if body.format == "markdown":
        return Response(render_markdown(built), media_type="text/markdown; charset=utf-8")
    if body.format == "html":
        return Response(render_html(built), media_type="text/html; charset=utf-8", headers=_INERT)
    return Response(render_json(built), media_type="application/json")


_INERT = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
}


def search_filter(body: schemas.Filters) -> SearchFilter:
    """The filters of a request as the domain has them."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in body}
    return SearchFilter(**values)
