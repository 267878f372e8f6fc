"""Where the time of the newest requests went, for operators."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from system.gateway import auth
from system.gateway.problems import documented
from system.gateway.timings import Timings

ROUTER = APIRouter(prefix="/v1")
PAGE_MAX: Final = 2_000


class SpanBody(BaseModel):
    """A stretch of time, CLOCK_MONOTONIC of the server's machine; ``parent``: the stage it is a part of, empty for the outermost."""

    stage: str
    start_ns: int
    duration_ns: int
    parent: str


class EntryBody(BaseModel):
    """The spans of one request; of the whole process where ``request_id`` is empty."""

    sequence: int
    request_id: str
    spans: list[SpanBody]


class TimingsPage(BaseModel):
    """Entries of one process. A ``first`` above the entry wanted next means that older ones are gone."""

    process: str
    now_ns: int
    first: int
    last: int
    entries: list[EntryBody]


Operator = Annotated[auth.Principal, Depends(auth.require(auth.Scope.ADMIN))]
After = Annotated[int, Query(ge=0, le=2**53)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


@ROUTER.get("/timings", response_class=Response, responses={200: {"model": TimingsPage}, **documented(400, 401, 403, 503)})
async def timings(request: Request, _principal: Operator, after: After = 0, limit: Limit = 500) -> Response:
    """Where the time of the newest requests went, oldest first: page on with the sequence of the last entry as ``after``."""
    kept: Timings = request.app.state.timings
    return Response(kept.page(after, limit), media_type="application/json")
