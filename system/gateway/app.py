"""The application: ``uvicorn system.gateway.app:application --factory``."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

from system.assembly import Platform, assemble
from system.gateway import problems, routes_answers, routes_graph, routes_ingest, routes_readings, routes_service, routes_timings, schemas
from system.gateway.auth import KeyRing
from system.gateway.back_pressure import BackPressure, Mode, PressureSettings
from system.gateway.middleware import BodyTooLargeError, Envelope, Metrics
from system.gateway.threads import allow_threads
from system.gateway.timings import Timings, watching
from system.platform.logs import quieten
from system.platform.settings import Settings, load_settings


def application() -> FastAPI:
    """The app over the servers named by the environment."""
    quieten()
    settings = load_settings(os.environ)
    return create_app(settings, assemble(settings, gate_processes=1), PressureSettings.of(os.environ))


def create_app(settings: Settings, platform: Platform, pressure: PressureSettings | None = None) -> FastAPI:
    """The app over an assembled platform."""
    app = FastAPI(
        title="Evidence platform",
        version="1.0.0",
        description="Ingest biomedical documents, ground every fact in a span, write a SHACL-gated graph, retrieve, brief with citations. "
        "All text offsets are Unicode code points, half-open, into the document's IR text.",
        lifespan=_lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.platform = platform
    app.state.keys = KeyRing.of(settings)
    app.state.metrics = Metrics(platform.gate.tally)
    app.state.pressure = BackPressure(pressure, changed=functools.partial(_mode_changed, app.state.metrics))
    app.state.timings = Timings()
    app.state.readings = routes_service.Readings(platform.probes, failpoints=bool(settings.failpoints_socket or settings.seeded_file))
    routers = [module.ROUTER for module in (routes_service, routes_ingest, routes_readings, routes_graph, routes_answers, routes_timings)]
    for router in routers:
        app.include_router(router)
    app.state.routes = [route for router in routers for route in router.routes]
    problems.install(app)
    app.add_exception_handler(BodyTooLargeError, _too_large)
    app.add_middleware(Envelope, metrics=app.state.metrics, timings=app.state.timings)
    app.openapi = functools.partial(_openapi, app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    allow_threads()
    async with watching(app.state.timings):
        yield


def _mode_changed(metrics: Metrics, mode: Mode) -> None:
    metrics.overload.set(mode is Mode.OVERLOAD)
    metrics.mode_changes.labels(mode.value).inc()


def _too_large(request: Request, error: Exception) -> Any:
    assert isinstance(error, BodyTooLargeError)
    return problems.problem_response(problems.make(request, 413, str(error.detail), remedy="send the documents one by one"))


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The schema with the form that errors really have: FastAPI's own validation model is not used here."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        components = schema["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        components.update(problem.pop("$defs", {}))
        components["Problem"] = problem
        components.update(schemas.dossier_components())
        for path in schema["paths"].values():
            for operation in path.values():
                _no_default_validation(operation["responses"])
                _optional_headers(operation.get("parameters", []))
        _close_names(components)
        app.openapi_schema = schema
    return app.openapi_schema


def _optional_headers(parameters: list[dict[str, Any]]) -> None:
    """A header that may be left out cannot be null: the framework's "or null" would let clients send the word."""
    for parameter in parameters:
        branches = parameter["schema"].get("anyOf", [])
        if parameter["in"] != "path" and len(branches) == 2 and {"type": "null"} in branches:
            kept = next(branch for branch in branches if branch != {"type": "null"})
            parameter["schema"] = {**kept, "title": parameter["schema"].get("title", parameter["name"])}


def _close_names(components: dict[str, Any]) -> None:
    """Property names outside the grammar are refused: the schema says so too."""
    for name in ("NodeBody", "EdgeBody"):
        properties = components[name]["properties"]["properties"]
        if "patternProperties" in properties:
            properties["additionalProperties"] = False
        elif "propertyNames" in properties:
            (pattern,) = [properties["propertyNames"]["pattern"]]
            properties["patternProperties"] = {pattern: properties.pop("additionalProperties")}
            properties["additionalProperties"] = False


def _no_default_validation(responses: dict[str, Any]) -> None:
    """FastAPI documents a 422 of its own wherever there are parameters; ours is 400."""
    described = responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    if described.endswith("HTTPValidationError"):
        del responses["422"]
