"""gRPC calls by the library's generic methods: messages are bytes, no generated code. The four timestamps are those of HTTP.

First byte = first message; done = the call's end with its status. Statuses are gRPC's own codes. A call that ran into its deadline is
``timeout``, UNAVAILABLE is ``connection_error``, RESOURCE_EXHAUSTED is ``rate_limited``, any other but OK ``http_error``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc  # an extra: the driver says so before a process starts
from grpc import aio

from harness.load.engine.connection import now_ns
from harness.load.engine.lane import Record
from harness.load.engine.plan import EnginePlan
from harness.load.engine.recorder import SideStreams
from harness.load.engine.verify import BAD_BODY, CENSORED, CONNECTION_ERROR, HTTP_ERROR, OK, RATE_LIMITED, TIMEOUT, Prepared
from harness.load.requests import request_id

CHANNELS_MAX = 8  # HTTP/2 connections the calls are spread over
MESSAGE_MAX_BYTES = 64 << 20
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES), ("grpc.enable_http_proxy", 0))


class _Call:
    """One call at work: what is known of it so far."""

    __slots__ = ("events", "first_ns", "length", "sent_ns")

    def __init__(self) -> None:
        self.sent_ns = now_ns()
        self.first_ns = self.length = 0
        self.events: list[int] = []

    def message(self, message: bytes) -> None:
        now = now_ns()
        self.first_ns = self.first_ns or now
        self.length += len(message)
        self.events.append(now)


class GrpcLane:
    """Each arrival is a task with a call of its own; calls share a few channels."""

    def __init__(
        self,
        plan: EnginePlan,
        requests: Sequence[Prepared],
        choices: Sequence[int],
        intended_ns: Callable[[int], int],
        record: Record,
        side: SideStreams,
        keys: Sequence[tuple[tuple[str, str], ...]],
    ) -> None:
        self._plan, self._requests, self._choices = plan, requests, choices
        self._intended_ns, self._record, self._side, self._keys = intended_ns, record, side, keys
        self._channels: list[Any] = []
        self._methods: list[list[Any]] = []  # by channel and kind
        self._tasks: dict[asyncio.Task[None], int] = {}
        self.connections_most = self.capped = 0

    @property
    def busy(self) -> int:
        return len(self._tasks)

    async def open_ahead(self, count: int) -> None:
        """Connect the channels; a server that refuses will be seen by the arrivals."""
        for _ in range(max(1, min(count, CHANNELS_MAX))):
            channel = aio.insecure_channel(f"{self._plan.host}:{self._plan.port}", options=OPTIONS)
            self._channels.append(channel)
            self._methods.append([_method(channel, kind.protocol, kind.path) for kind in self._plan.kinds])
        self.connections_most = len(self._channels)
        ready = [asyncio.ensure_future(channel.channel_ready()) for channel in self._channels]
        _, late = await asyncio.wait(ready, timeout=min(self._plan.timeout_s, 2.0))
        for task in late:
            task.cancel()

    def arrive(self, index: int) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(index))
        self._tasks[task] = index
        task.add_done_callback(self._tasks.pop)

    async def _ask(self, index: int) -> None:
        place = self._choices[index]
        request, planned = self._requests[place], self._plan.requests[place]
        remaining_s = self._plan.timeout_s - (now_ns() - self._intended_ns(index)) / 1e9
        identity = request_id(self._plan.step, self._plan.worker + index * self._plan.workers)
        metadata = (("x-request-id", identity), *self._keys[place]) if request.kind.request_id else self._keys[place]
        method = self._methods[index % len(self._methods)][planned.kind]
        call = _Call()
        try:
            await _exchange(method, request, call, max(remaining_s, 0.0), metadata)
            status, outcome = 0, self._judge(request, call)
        except aio.AioRpcError as error:
            status = error.code().value[0]
            outcome = OK if status == request.expect_status else _outcome(error.code())
        except asyncio.CancelledError:
            self._record(index, call.sent_ns, call.first_ns, 0, call.length, 0, CENSORED)
            raise
        done_ns = 0 if outcome in {TIMEOUT, CONNECTION_ERROR} else now_ns()
        self._record(index, call.sent_ns, call.first_ns, done_ns, call.length, status, outcome)
        if request.kind.protocol == "grpc_stream":
            self._side.events(request.kind.op, identity, call.events)

    def _judge(self, request: Prepared, call: _Call) -> int:
        if request.kind.protocol == "grpc_stream" and not call.events:
            return BAD_BODY
        return request.outcome(0, call.length)

    def sweep(self) -> None:
        """Calls have deadlines of their own."""

    async def end(self) -> None:
        """Cancel what is left; each cancelled call is a censored row."""
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for channel in self._channels:
            await channel.close(None)


async def _exchange(method: Any, request: Prepared, call: _Call, timeout_s: float, metadata: Sequence[tuple[str, str]]) -> None:
    if request.kind.protocol == "grpc":
        call.message(await method(request.payload, timeout=timeout_s, metadata=metadata))
    else:
        async for message in method(request.payload, timeout=timeout_s, metadata=metadata):
            call.message(message)


def _method(channel: Any, protocol: str, path: str) -> Any:
    """A generic method: without serializers messages stay bytes."""
    return channel.unary_unary(path) if protocol == "grpc" else channel.unary_stream(path)


def _outcome(code: Any) -> int:
    codes = grpc.StatusCode
    return {
        codes.DEADLINE_EXCEEDED: TIMEOUT,
        codes.UNAVAILABLE: CONNECTION_ERROR,
        codes.RESOURCE_EXHAUSTED: RATE_LIMITED,
    }.get(code, HTTP_ERROR)
