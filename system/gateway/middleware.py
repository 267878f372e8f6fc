"""ASGI middleware: request ids, body size bound, metrics. Pure ASGI, so that streaming and errors pass unharmed."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from system.evidence.graph.sampling import Tally
from system.gateway.timings import Timings, is_kept, request_spans
from system.platform import stages

MAX_BODY_BYTES = 20 << 20
API_VERSION = "1"
_LENGTH_DIGITS_MAX = 18  # a longer Content-Length is too large whatever it says
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


class Metrics:
    """The gateway's own metrics; one registry a process."""

    def __init__(self, gate: Tally) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_GateCollector(gate))
        self.requests = Counter("api_requests_total", "Requests", ["route", "method", "status"], registry=self.registry)
        self.seconds = Histogram(
            "api_request_duration_seconds",
            "Request duration",
            ["route", "method"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 0.9, 1.5, 3.0, 10.0),
        )
        self.degraded = Counter("retrieve_degraded_total", "Answers without one or more retrievers", ["retriever"], registry=self.registry)
        self.overload = Gauge("retrieve_overload", "1 while retrieve is in overload mode", registry=self.registry)
        self.mode_changes = Counter("retrieve_mode_changes_total", "Changes of the mode of retrieve", ["mode"], registry=self.registry)
        self.served = Counter("retrieve_served_total", "Requests to retrieve by how they were served", ["mode"], registry=self.registry)
        self.kg_refused = Counter("kg_shacl_violations_total", "Graph writes refused by the gate", ["shape"], registry=self.registry)


class _GateCollector(Collector):
    """The gate's differential, read when it is asked for: the gate knows no metrics library."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[CounterMetricFamily]:
        compared = CounterMetricFamily("kg_gate_compared", "Batches that both SHACL engines judged", labels=["kind"])
        differ = CounterMetricFamily("kg_gate_differences", "Batches on which the SHACL engines differ: an incident each", labels=["kind"])
        tally = self._tally
        for kind, seen, found in (
            ("refusal", tally.confirmed, tally.refusals_differ),
            ("sample", tally.sampled, tally.samples_differ),
        ):
            compared.add_metric([kind], seen.value)
            differ.add_metric([kind], found.value)
        yield compared
        yield differ
        dropped = CounterMetricFamily("kg_gate_sample_dropped", "Accepted batches due for the sample that were not judged")
        dropped.add_metric([], tally.dropped.value)
        yield dropped


def headers_of(request_id: str) -> dict[str, str]:
    """What every answer carries; an answer made outside the envelope has to bring them itself."""
    return {"x-request-id": request_id, "x-api-version": API_VERSION}


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """The id given by the client, or the one made for this request."""
    return str(scope.get("state", {}).get("request_id", ""))


class Envelope:
    """Gives each request an id (echoed), refuses bodies over the bound with 413, counts, times, and keeps where the time went."""

    def __init__(self, app: ASGIApp, metrics: Metrics, timings: Timings) -> None:
        self.app = app
        self.metrics = metrics
        self.timings = timings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _incoming_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        noted = stages.begin()
        arrived_ns, answered_ns = time.monotonic_ns(), 0
        scope["state"]["arrived_ns"] = arrived_ns
        status = 500

        async def reply(message: Message) -> None:
            nonlocal status, answered_ns
            if message["type"] == "http.response.start":
                status, answered_ns = message["status"], time.monotonic_ns()
                added = [(name.encode(), value.encode()) for name, value in headers_of(request_id).items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            if _declared_length(scope) > MAX_BODY_BYTES:
                await _refuse(reply, request_id)
            else:
                await self.app(scope, _bounded(receive), reply)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self.metrics.requests.labels(route, scope["method"], str(status)).inc()
            ended_ns = time.monotonic_ns()
            self.metrics.seconds.labels(route, scope["method"]).observe((ended_ns - arrived_ns) / 1e9)
            if is_kept(scope["path"]):
                self.timings.keep(request_id, request_spans(noted.spans(), arrived_ns, answered_ns, ended_ns))


class BodyTooLargeError(HTTPException):
    """A chunked body grew over the bound while it was read. The framework takes any other exception there for a broken body: 400."""

    def __init__(self) -> None:
        super().__init__(413, f"the body is larger than {MAX_BODY_BYTES} bytes")


def _bounded(receive: Receive) -> Receive:
    total = 0

    async def limited() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY_BYTES:
            raise BodyTooLargeError
        return message

    return limited


def _incoming_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.match(text) else str(uuid.uuid4())
    return str(uuid.uuid4())


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            if len(value) > _LENGTH_DIGITS_MAX:
                return MAX_BODY_BYTES + 1
            return int(value) if value.isdigit() else 0
    return 0


async def _refuse(send: Send, request_id: str) -> None:
    body = {
        "type": "urn:eh:problem:content-too-large",
        "title": "Content Too Large",
        "status": 413,
        "detail": f"the body is larger than {MAX_BODY_BYTES} bytes",
        "instance": request_id,
        "retriable": False,
        "remedy": "send the documents one by one",
        "details": [],
        "issues": [],
    }
    payload = json.dumps(body).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(payload)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
