"""What was read out of each document: its records counted by kind, and the candidates that became none, with the reason."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from system.evidence.extraction.assemble import FIELDS
from system.evidence.records import CheckStatus, Extraction
from system.gateway import auth, schemas
from system.gateway.problems import documented
from system.gateway.routes_ingest import After

ROUTER = APIRouter(prefix="/v1")


@ROUTER.get("/readings", response_model=schemas.ReadingPage, responses=documented(400, 401, 403, 503))
def readings(
    request: Request,
    _principal: auth.Reader,
    doc_id: Annotated[str | None, Query(min_length=1, max_length=300, pattern=schemas.NO_CONTROL)] = None,
    after: After = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> schemas.ReadingPage:
    """What was read and what was refused, a document after the other; of an older version only where ``doc_id`` asks for it."""
    found = request.app.state.platform.ports.records.extractions(doc_id, None, after, limit)
    return schemas.ReadingPage(readings=[_reading(item) for item in found], next_after=found[-1].doc_id if len(found) == limit else None)


def _reading(extraction: Extraction) -> schemas.ReadingBody:
    records = {kind.value: getattr(extraction, field) for kind, field in FIELDS.items()}
    flagged = sum(record.check.status is CheckStatus.FLAGGED for found in records.values() for record in found)
    return schemas.ReadingBody(
        doc_id=extraction.doc_id,
        extractor=extraction.extractor,
        records={kind: len(found) for kind, found in records.items()},
        flagged=flagged,
        refused=[schemas.RefusedBody(place=place, reason=reason) for place, reason in extraction.refused],
    )
