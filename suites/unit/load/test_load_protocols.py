"""One engine, in the test's own process, against small real servers: odd HTTP, event streams, gRPC. A row for every arrival."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import uvloop

from harness.load.engine.plan import EnginePlan, Said
from harness.load.engine.process import Engine
from harness.load.engine.recorder import Columns
from harness.load.engine.sse import EventScanner
from harness.load.requests import Expected, PlannedRequest, RequestKind

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GAP_S = 0.02
SLACK_NS = 500_000  # clocks are read before a packet leaves and after it came


@contextlib.asynccontextmanager
async def http_server(answer: Answer) -> AsyncIterator[int]:
    """Reads a request's head, then lets ``answer`` write."""
    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            await answers(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                await answer(reader, writer)
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def run(place: Any, kind: RequestKind, serving: Callable[[], Any], *, count: int = 10, timeout_s: float = 2.0, **more: Any) -> Said:
    """Send ``count`` arrivals 5 ms apart to what ``serving`` serves."""
    np.save(place.project / "offsets.npy", np.arange(count, dtype=np.int64) * 5_000_000)
    np.save(place.project / "choices.npy", np.zeros(count, dtype=np.int32))

    async def drive() -> Said:
        async with serving() as port:
            plan = EnginePlan(
                trial="t",
                step="load",
                host="127.0.0.1",
                port=port,
                kinds=(kind,),
                requests=(PlannedRequest(kind=0, body='"aGk="' if kind.is_grpc else "", role="reader", key="hot"),),
                key_header="X-API-Key",
                offsets_file=str(place.project / "offsets.npy"),
                choices_file=str(place.project / "choices.npy"),
                timeout_s=timeout_s,
                duration_s=count * 0.005,
                run_folder=str(place.run_folder),
                **more,
            )
            engine = Engine(plan, {"reader": "secret"}, place.hub)
            await engine.open()
            return await engine.run(asyncio_ns() + 20_000_000)

    return uvloop.run(drive())


def asyncio_ns() -> int:
    import time

    return time.monotonic_ns()


def rows(place: Any, stream: str = "requests") -> list[dict[str, Any]]:
    return place.view().samples(stream, "t").to_pylist()


def in_order(row: dict[str, Any]) -> bool:
    return row["intended_ns"] <= row["sent_ns"] <= row["first_byte_ns"] <= row["done_ns"]


GET = RequestKind(op="ask", path="/", method="GET")
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ODD = {
    "early hints first": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + WHOLE, False, "ok"),
    "no length, ends with the connection": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", True, "ok"),
    "cut short": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", True, "connection_error"),
    "no HTTP": (b"SSH-2.0-x\r\n", False, "connection_error"),
    "closes after each": (WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False, "ok"),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", False, "ok"),
    "two answers to one request": (WHOLE + WHOLE, False, "ok"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_answers_have_the_outcome_they_deserve(place: Any, name: str) -> None:
    """Every arrival is one row with its length and times in order, whatever HTTP allows or a server gets wrong."""
    text, closes, outcome = ODD[name]

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        if closes:
            writer.close()

    said = run(place, GET, lambda: http_server(answer))
    found = rows(place)
    assert Counter(row["outcome"] for row in found) == {outcome: 10}
    assert len({row["request_id"] for row in found}) == 10
    assert (said.intended, said.sent) == (10, 10)
    if outcome == "ok":
        assert {row["bytes"] for row in found} == {2}
        assert all(in_order(row) for row in found)


def test_kept_answers_and_keys_stand_in_the_samples(place: Any) -> None:
    """With keep_answers every body is a row of its own stream, joined by the request's id; the tag of the request stands in `key`."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE)

    run(place, RequestKind(op="ask", path="/", method="GET", keep_answers=True), lambda: http_server(answer), count=3)
    kept = rows(place, "answers")
    assert [(row["body"], row["request"], row["status"]) for row in kept] == [(b"ok", 0, 200)] * 3
    assert {row["request_id"]: row["intended_ns"] for row in kept} == {row["request_id"]: row["intended_ns"] for row in rows(place)}
    assert {row["key"] for row in rows(place)} == {"hot"}


def test_the_cap_of_connections_is_counted_and_never_hidden(place: Any) -> None:
    """Arrivals that find every connection in use wait, late in the samples and counted; those that time out there were never sent."""

    async def answer(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    said = run(place, GET, lambda: http_server(answer), timeout_s=0.2, connections_max=2, connections_ahead=2)
    found = sorted(rows(place), key=lambda row: row["intended_ns"])
    assert [row["outcome"] for row in found[:2]] == ["timeout", "timeout"]
    assert {row["outcome"] for row in found} <= {"timeout", "unsent"}
    assert all(row["sent_ns"] is None or row["sent_ns"] - row["intended_ns"] > 100_000_000 for row in found[2:])
    assert (said.connections_refused_by_cap, said.connections_most) == (8, 2)


def test_rows_that_cannot_be_written_end_the_engine(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error of the engine at once, not a quiet run without samples."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE)

    def full(*_given: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Columns, "batch", full)
    with pytest.raises(ExceptionGroup) as caught:
        run(place, GET, lambda: http_server(answer), count=100)
    assert caught.group_contains(OSError, match="No space left")


@contextlib.asynccontextmanager
async def at(port: int) -> AsyncIterator[int]:
    """A server that runs elsewhere, or nobody."""
    yield port


ASK = RequestKind(op="ask", path="/ask", method="GET")


def test_a_server_that_never_answers_leaves_time_outs_and_no_open_connections(place: Any, server: Any) -> None:
    """When nothing is ever answered every row is a time-out, and a connection that timed out is given up, not piled up."""
    scripted = server(dict.fromkeys(range(60), "never"))
    run(place, ASK, lambda: at(scripted.port), count=60, timeout_s=0.1)
    assert Counter(row["outcome"] for row in rows(place)) == {"timeout": 60}
    assert sorted(scripted.seen) == list(range(60))
    assert scripted.most_open <= 45  # 200/s × 0.1 s = 20 at a time, with room for a busy machine


def test_nobody_listening_is_an_error_of_every_request(place: Any) -> None:
    """A refused connection is a row with no send time: the plan goes on and shows the outage."""
    run(place, ASK, lambda: at(9), count=20)
    assert [(row["outcome"], row["sent_ns"]) for row in rows(place)] == [("connection_error", None)] * 20


@pytest.mark.parametrize(("replayable", "outcomes", "times"), [(True, {"ok": 60}, 2), (False, {"ok": 59, "connection_error": 1}, 1)])
def test_an_idle_connection_closed_under_a_read_is_asked_once_more(
    place: Any, server: Any, replayable: bool, outcomes: dict[str, int], times: int
) -> None:
    """Only where the request kind says that it may be replayed: a reset before the answer is sent again, on the same row."""
    scripted = server({50: "reset once"})
    kind = RequestKind(op="ask", path="/ask", method="GET", replayable=replayable)
    run(place, kind, lambda: at(scripted.port), count=60, connections_ahead=1)
    assert Counter(row["outcome"] for row in rows(place)) == outcomes
    assert Counter(scripted.seen)[50] == times


def test_what_is_unanswered_at_the_end_is_waited_for_and_then_censored(place: Any) -> None:
    """With a bound on the wait: answers within it count, the rest are rows without an end, and never good ones."""
    asked = 0

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked == 4:
            await asyncio.sleep(30)
        await asyncio.sleep(0.05)
        writer.write(WHOLE)

    run(place, GET, lambda: http_server(answer), timeout_s=20, drain_s=0.5)
    found = rows(place)
    assert Counter(row["outcome"] for row in found) == {"ok": 9, "censored": 1}
    assert next(row for row in found if row["outcome"] == "censored")["done_ns"] is None


def test_the_closed_mode_asks_again_as_soon_as_it_is_answered(place: Any) -> None:
    """Two connections, answered at once: far more requests than a plan of ten, intended when sent."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE)

    said = run(place, GET, lambda: http_server(answer), count=60, closed_connections=2)
    found = rows(place)
    assert said.intended == said.completed == len(found) > 60
    assert all(row["intended_ns"] == row["sent_ns"] for row in found)


SSE = RequestKind(op="stream", path="/", method="GET", protocol="sse")


async def stream_events(writer: asyncio.StreamWriter, events: int, written: list[int]) -> None:
    """``events`` events ``GAP_S`` apart, comments between them; the times at which they were written."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(events):
        await asyncio.sleep(GAP_S)
        event = b": still here\n\nid: %d\ndata: {}\n\n" % number
        written.append(asyncio_ns())
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))


def test_an_event_stream_has_the_time_of_each_event(place: Any) -> None:
    """First byte is the first event, done the end of the stream; gaps are those the server made; comments are no events."""
    written: list[list[int]] = []

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        written.append([])
        await stream_events(writer, 3, written[-1])
        writer.write(b"0\r\n\r\n")

    run(place, SSE, lambda: http_server(answer), count=2)
    found, events = rows(place), rows(place, "stream_events")
    assert [row["outcome"] for row in found] == ["ok", "ok"]
    assert Counter(row["request_id"] for row in events) == {row["request_id"]: 3 for row in found}
    for row in found:
        mine = [event for event in events if event["request_id"] == row["request_id"]]
        truth = max(times for times in written if times[0] <= mine[0]["at_ns"])
        assert row["first_byte_ns"] == mine[0]["at_ns"]
        assert [event["number"] for event in mine] == [0, 1, 2]
        assert all(event["at_ns"] >= at for event, at in zip(mine, truth, strict=True))
        assert [event["event_gap"] for event in mine] == [None, *(np.diff([event["at_ns"] for event in mine]) / 1e9)]
        assert row["done_ns"] - row["sent_ns"] >= 3 * GAP_S * 1e9 - SLACK_NS
        assert in_order(row)


def test_an_endless_stream_is_done_after_the_events_asked_for(place: Any) -> None:
    """expect.events ends the request and its connection."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stream_events(writer, 100, [])

    kind = RequestKind(op="stream", path="/", method="GET", protocol="sse", expect=Expected(events=2), keep_answers=True)
    run(place, kind, lambda: http_server(answer), count=2)
    assert all(row["body"].count(b"data:") == 2 for row in rows(place, "answers"))
    assert [row["outcome"] for row in rows(place)] == ["ok", "ok"]
    assert Counter(row["number"] for row in rows(place, "stream_events")) == {0: 2, 1: 2}


def test_a_stream_without_events_is_no_good_answer(place: Any) -> None:
    """200 and an end are not enough."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stream_events(writer, 0, [])
        writer.write(b"5\r\n: x\n\n\r\n0\r\n\r\n")

    run(place, SSE, lambda: http_server(answer), count=2)
    assert [(row["outcome"], row["first_byte_ns"]) for row in rows(place)] == [("bad_body", None)] * 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_are_found_however_they_are_cut(end: bytes) -> None:
    """Three line ends, every cut into two pieces: the same two events."""
    text = end.join([b": c", b"", b"data: 1", b"data: 2", b"", b"event: e", b"", b"data", b"", b"data: unfinished"])
    for cut in range(len(text) + 1):
        scanner = EventScanner()
        assert scanner.feed(text[:cut]) + scanner.feed(text[cut:]) == 2, cut


def grpc_server(behave: Callable[[bytes, Any], Any], *, stream: bool = False) -> Callable[[], Any]:
    """A real grpc.aio server with one generic method of bytes."""
    grpc = pytest.importorskip("grpc")

    @contextlib.asynccontextmanager
    async def serving() -> AsyncIterator[int]:
        make = grpc.unary_stream_rpc_method_handler if stream else grpc.unary_unary_rpc_method_handler
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s.S", {"Ask": make(behave)}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)

    return serving


UNARY = RequestKind(op="ask", path="/s.S/Ask", protocol="grpc", expect_bytes=4)


def test_a_grpc_call_has_four_timestamps_id_and_key(place: Any) -> None:
    """Messages are bytes; the id and the key travel as metadata; the length is checked."""
    seen: list[dict[str, str]] = []

    async def echo(message: bytes, context: Any) -> bytes:
        seen.append(dict(context.invocation_metadata()))
        await asyncio.sleep(GAP_S)
        return message * 2

    run(place, UNARY, grpc_server(echo), count=5)
    found = rows(place)
    assert [(row["outcome"], row["status"], row["bytes"]) for row in found] == [("ok", 0, 4)] * 5
    assert all(in_order(row) and row["done_ns"] - row["sent_ns"] >= GAP_S * 1e9 - SLACK_NS for row in found)
    assert {one["x-request-id"] for one in seen} == {row["request_id"] for row in found}
    assert {one["x-api-key"] for one in seen} == {"secret"}


def test_grpc_failures_have_their_outcomes(place: Any) -> None:
    """Quota, internal error, a deadline and a wrong length are told apart; 429's counterpart is counted."""
    grpc = pytest.importorskip("grpc")
    number = 0

    async def fail(_message: bytes, context: Any) -> bytes:
        nonlocal number
        number += 1
        if number == 1:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota")
        if number == 2:
            await context.abort(grpc.StatusCode.INTERNAL, "bug")
        if number == 3:
            await asyncio.sleep(30)
        return b"long answer"

    said = run(place, UNARY, grpc_server(fail), count=4, timeout_s=0.4)
    assert Counter(row["outcome"] for row in rows(place)) == {"rate_limited": 1, "http_error": 1, "timeout": 1, "bad_body": 1}
    assert said.rate_limited == 1


def test_nobody_at_the_grpc_port_is_a_connection_error(place: Any) -> None:
    """A refused channel is a row of its own kind."""
    pytest.importorskip("grpc")

    run(place, UNARY, lambda: at(9), count=2, timeout_s=0.3)
    assert {row["outcome"] for row in rows(place)} <= {"connection_error", "timeout"}
    assert {row["done_ns"] for row in rows(place)} == {None}


def test_a_grpc_stream_has_the_time_of_each_message(place: Any) -> None:
    """First byte is the first message; gaps are the server's."""

    async def stream(_message: bytes, _context: Any) -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(GAP_S)
            yield b"x"

    kind = RequestKind(op="ask", path="/s.S/Ask", protocol="grpc_stream", expect_bytes=3)
    run(place, kind, grpc_server(stream, stream=True), count=2)
    assert [(row["outcome"], row["bytes"]) for row in rows(place)] == [("ok", 3)] * 2
    assert all(row["done_ns"] - row["sent_ns"] >= 3 * GAP_S * 1e9 - SLACK_NS and in_order(row) for row in rows(place))
    gaps = [row["event_gap"] for row in rows(place, "stream_events")]
    assert [gap is None for gap in gaps] == [True, False, False] * 2
    assert all(gap >= 0 for gap in gaps if gap is not None)
