"""The ASGI face of one model: routes, bounded bodies, OpenAI's error envelope, clients that go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec

from system.models.messages import RequestError
from system.models.service import EmbeddingService

BODY_LIMIT_BYTES = 8 * 1024 * 1024

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ROUTES = {"dense": "/v1/embeddings", "sparse": "/v1/sparse_embeddings"}
_JSON = b"application/json"
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"

_log = logging.getLogger("system.models.server")


class _Reply(NamedTuple):
    status: int
    body: bytes
    content_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class ModelApp:
    """An ASGI application that serves one ``EmbeddingService``."""

    def __init__(self, service: EmbeddingService) -> None:
        self._service = service
        self._route = _ROUTES[service.spec.kind]
        self._readers = {"/v1/models": self._models, "/health": self._health, "/metrics": self._metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        async with self._service.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        try:
            reply = await self._dispatch(scope["method"], path, receive)
        except RequestError as error:
            retry = ((b"retry-after", str(error.retry_after_s).encode()),) if error.retry_after_s else ()
            reply = _Reply(error.status, error.body(), headers=retry)
        except Exception:  # noqa: BLE001  # the edge of the process: whatever the model raised becomes a 500, not a closed connection
            _log.exception("request to %s failed", path)
            reply = _Reply(500, RequestError(500, "the model failed on this request", code="internal_error").body())
        if reply is None:
            return
        known = path if path == self._route or path in self._readers else "other"
        self._service.metrics.requests.labels(known, str(reply.status)).inc()
        await _send_reply(send, reply)

    async def _dispatch(self, method: str, path: str, receive: Receive) -> _Reply | None:
        """The reply, or None when the client went away."""
        if path == self._route:
            if method != "POST":
                return _not_allowed(b"POST")
            return await _unless_disconnected(self._answer(await _read_body(receive)), receive)
        if reader := self._readers.get(path):
            return await reader() if method == "GET" else _not_allowed(b"GET")
        known = ", ".join([self._route, *self._readers])
        raise RequestError(404, f"there is no {path} here; there are {known}", code="not_found")

    async def _answer(self, body: bytes) -> _Reply:
        return _Reply(200, await self._service.answer(body))

    async def _models(self) -> _Reply:
        spec = self._service.spec
        card = {"id": spec.name, "object": "model", "created": 0, "owned_by": "evidence-harness", "max_model_len": spec.max_tokens}
        return _Reply(200, msgspec.json.encode({"object": "list", "data": [card]}))

    async def _health(self) -> _Reply:
        try:
            seconds = await self._service.health()
        except Exception as error:  # noqa: BLE001  # any failure of the model is the answer
            reason = "the model did not answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            return _Reply(503, msgspec.json.encode({"status": "failing", "model": self._service.spec.name, "reason": reason}))
        body = {"status": "ok", "model": self._service.spec.name, "inference_ms": round(seconds * 1000, 3)}
        return _Reply(200, msgspec.json.encode(body))

    async def _metrics(self) -> _Reply:
        return _Reply(200, self._service.metrics.text(), _TEXT)


def _not_allowed(method: bytes) -> _Reply:
    body = RequestError(405, f"use {method.decode()}", code="method_not_allowed").body()
    return _Reply(405, body, headers=((b"allow", method),))


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "the client went away before the body was complete")
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT_BYTES:
            raise RequestError(413, f"the body is larger than {BODY_LIMIT_BYTES} bytes", code="too_large")
        if not message.get("more_body"):
            return bytes(body)


async def _unless_disconnected(answer: Awaitable[_Reply], receive: Receive) -> _Reply | None:
    """The answer, or None when the client goes away first: its texts then leave the queue."""
    working = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()


async def _send_reply(send: Send, reply: _Reply) -> None:
    fixed = [(b"content-type", reply.content_type), (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": [*fixed, *reply.headers]})
    await send({"type": "http.response.body", "body": reply.body})
