"""Every error of the API has one form: RFC 9457 ``application/problem+json``, with the request id and, for input, the fields."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from system.gateway.middleware import headers_of, request_id_of
from system.platform import errors

LOG = logging.getLogger("system.gateway")
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2


class FieldProblem(BaseModel):
    """One field of the input and what is wrong with it."""

    field: str
    issue: str


class GraphIssue(BaseModel):
    """One broken shape: where, which value, and what would be right."""

    focus_node: str
    path: str
    value: str
    shape: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details with two extensions: ``details`` for input fields, ``issues`` for shapes."""

    type: Annotated[str, Field(description="URI reference that names the kind of problem")] = "about:blank"
    title: str
    status: int
    detail: str
    instance: Annotated[str, Field(description="the request id, for support")]
    retriable: bool = False
    remedy: str = ""
    details: list[FieldProblem] = []
    issues: list[GraphIssue] = []
    dead_letter_id: str | None = None


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as a response; 503 and 429 carry Retry-After."""
    extra = dict(headers or {})
    if problem.retriable:
        extra.setdefault("Retry-After", str(RETRY_AFTER_S))
    return Response(problem.model_dump_json(exclude_none=True), problem.status, extra, media_type=MEDIA_TYPE)


def make(request: Request, status: int, detail: str, **more: object) -> Problem:
    """A problem for this request; ``more`` fills the optional members."""
    title = phrase(status)
    fields: dict[str, object] = {
        "type": f"urn:eh:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request_id_of(request.scope),
        "retriable": status in {429, 503, 504},
        **more,
    }
    return Problem.model_validate(fields)


def phrase(status: int) -> str:
    """RFC 9110's words for a status; Python's own differ between its versions."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The ``responses=`` of an operation: the problems it can answer with, for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {status: {"description": phrase(status), "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}


def install(app: FastAPI) -> None:
    """Register the handlers that turn every exception into a problem."""
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(errors.PlatformError, _platform_error)
    app.add_exception_handler(Exception, _outermost)


def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details = [FieldProblem(field=".".join(str(part) for part in item["loc"]), issue=str(item["msg"])) for item in error.errors()]
    first = f"{details[0].field}: {details[0].issue}" if details else "the request is not valid"
    return problem_response(make(request, 400, first, details=details, remedy="correct the named fields; see /openapi.json"))


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return problem_response(make(request, error.status_code, str(error.detail)), headers)


def _allowed(request: Request) -> str:
    """Every method of the path that the request is for; the framework names those of its first route only."""
    routes = request.app.state.routes
    path = next((route.path for route in routes if route.path_regex.match(request.url.path)), None)
    return ", ".join(sorted({method for route in routes if route.path == path for method in route.methods or ()}))


_STATUS_OF: tuple[tuple[type[errors.PlatformError], int], ...] = (
    (errors.BadInput, 400),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.IllegalTransition, 409),
    (errors.GateRefused, 422),
    (errors.Unavailable, 503),
)


def _platform_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.PlatformError)
    status = next((status for kind, status in _STATUS_OF if isinstance(error, kind)), 500)
    if isinstance(error, errors.BadInput):
        detail = FieldProblem(field=error.place, issue=error.error)
        return problem_response(make(request, status, error.error, details=[detail], remedy=error.remedy))
    if status == 500:
        return _unexpected(request, error)
    return problem_response(make(request, status, str(error)))


def _outermost(request: Request, error: Exception) -> Response:
    """The framework answers these outside every middleware, so the request id has to be put on here."""
    response = _unexpected(request, error)
    response.headers.update(headers_of(request_id_of(request.scope)))
    return response


def _unexpected(request: Request, error: Exception) -> Response:
    LOG.error("unexpected error in request %s", request_id_of(request.scope), exc_info=error)
    return problem_response(make(request, 500, "an unexpected error; the log has it under this request id"))
