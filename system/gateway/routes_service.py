"""Health, readiness, version, metrics, counts: what operators and probes ask. The first four need no key."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from system.evidence.extraction.assemble import EXTRACTOR
from system.gateway import auth, schemas
from system.gateway.back_pressure import Mode
from system.gateway.causes import cause_of
from system.gateway.problems import documented

LOG = logging.getLogger("system.gateway")
ROUTER = APIRouter()
PROBE_TIMEOUT_S = 1.5
FRESH_S = 0.5
ESSENTIAL = "records"
RETRIEVERS_NEED = ("search",)
COMPONENTS = ("fastapi", "psycopg", "neo4j", "redis", "onnxruntime", "shacl", "pyshacl", "lxml")


class Readings:
    """The probes' results, taken at most every half second however often they are asked for."""

    def __init__(self, probes: dict[str, Callable[[], None]], *, failpoints: bool) -> None:
        self._probes = probes
        self._failpoints = failpoints
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=len(probes), thread_name_prefix="probe")
        self._running: dict[str, Future[schemas.ServiceState]] = {}
        self._taken_at = 0.0
        self._last: schemas.Readiness | None = None

    def now(self) -> schemas.Readiness:
        with self._lock:
            if self._last is None or time.monotonic() - self._taken_at > FRESH_S:
                self._last = self._take()
                self._taken_at = time.monotonic()
            return self._last

    def _take(self) -> schemas.Readiness:
        for name, probe in self._probes.items():
            if name not in self._running or self._running[name].done():  # one that hangs is not asked again: threads are few
                self._running[name] = self._pool.submit(_timed, probe)
        running = dict(self._running)
        wait(running.values(), timeout=PROBE_TIMEOUT_S)
        services = {name: _result(future) for name, future in running.items()}
        down = not services[ESSENTIAL].ok or not all(services[name].ok for name in RETRIEVERS_NEED if name in services)
        degraded = not all(state.ok for state in services.values())
        status = "down" if down else "degraded" if degraded else "ready"
        return schemas.Readiness.model_validate(
            {"status": status, "services": services, "failpoints": "armed" if self._failpoints else "absent"}
        )


def _timed(probe: Callable[[], None]) -> schemas.ServiceState:
    started = time.perf_counter()
    try:
        probe()
    except Exception as error:  # noqa: BLE001 - a probe reports whatever is wrong
        LOG.warning("probe: %s", error)
        return schemas.ServiceState(ok=False, latency_ms=_ms(started), detail=cause_of(error))
    return schemas.ServiceState(ok=True, latency_ms=_ms(started))


def _result(future: Future[schemas.ServiceState]) -> schemas.ServiceState:
    if future.done():
        return future.result()
    return schemas.ServiceState(ok=False, latency_ms=PROBE_TIMEOUT_S * 1000, detail="timed out")


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


@ROUTER.get("/health", response_model=schemas.Health)
def health() -> schemas.Health:
    """The process answers. Whether it can work is /ready."""
    return schemas.Health(status="ok")


@ROUTER.get("/ready", response_model=schemas.Readiness, responses={503: {"model": schemas.Readiness, "description": "down"}})
def ready(request: Request, response: Response) -> schemas.Readiness:
    """Real probes of every server behind the platform."""
    readings: Readings = request.app.state.readings
    result = readings.now()
    if result.status == "down":
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return result.model_copy(update={"retrieve": request.app.state.pressure.mode.value})


@ROUTER.get("/version", response_model=schemas.Version)
def version(request: Request) -> schemas.Version:
    """Versions of the API, the package, the extractor and the components."""
    return schemas.Version(
        api_version="1",
        package_version=_version("evidence-harness"),
        extractor=EXTRACTOR,
        gate=request.app.state.platform.gate.engines,
        components={name: _version(name) for name in COMPONENTS},
    )


@ROUTER.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text format"}},
)
def metrics(request: Request) -> Response:
    """Prometheus metrics of this process."""
    request.app.state.metrics.overload.set(request.app.state.pressure.mode is Mode.OVERLOAD)
    return Response(generate_latest(request.app.state.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@ROUTER.get("/v1/counts", response_model=schemas.Counts, responses=documented(401, 403, 503))
def counts(request: Request, _principal: auth.IngestReader) -> schemas.Counts:
    """How many documents, chunks, index rows and graph elements there are."""
    ports = request.app.state.platform.ports
    records = {**ports.records.counts(), "index_rows": ports.search.count()}
    return schemas.Counts(records=records, graph=dict(ports.graph.counts()))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
