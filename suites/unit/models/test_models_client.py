"""The client against servers that answer as vLLM and other OpenAI-compatible servers do, and against broken ones."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from system.models.client import REFUSE, HttpDenseModel, HttpSparseModel, vllm_truncate
from system.platform.errors import BadInput, Unavailable

Answer = Callable[[dict[str, object]], tuple[int, bytes]]
UNIT = [0.6, 0.8]


class FakeServer:
    """A real HTTP server whose answers a test decides; ``drops`` connections are closed without an answer first."""

    def __init__(self, answer: Answer, drops: int = 0) -> None:
        self.requests: list[dict[str, object]] = []
        self.drops = drops
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if owner.drops:
                    owner.drops -= 1
                    self.close_connection = True
                    return
                owner.requests.append(body)
                status, content = answer(body)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    started: list[FakeServer] = []

    def start(answer: Answer, drops: int = 0) -> FakeServer:
        started.append(FakeServer(answer, drops))
        return started[-1]

    yield start
    for server in started:
        server.close()


def vectors(body: dict[str, object], *, packed: bool = False) -> tuple[int, bytes]:
    """What a well-behaved server says: the n-th text gets the unit vector scaled by nothing, in reverse order."""
    value = base64.b64encode(np.array(UNIT, dtype="<f4").tobytes()).decode() if packed else UNIT
    data = [{"object": "embedding", "index": i, "embedding": value} for i in range(len(body["input"]))]  # type: ignore[arg-type]
    return 200, json.dumps({"id": "embd-1", "object": "list", "created": 1, "model": "m", "data": data[::-1], "usage": {}}).encode()


def dense(server: FakeServer, **options: object) -> HttpDenseModel:
    return HttpDenseModel(server.url, "m", 5, dimensions=2, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("packed", [False, True])
def test_lists_and_base64_are_both_understood(packed: bool, serve: Callable[..., FakeServer]) -> None:
    """Servers that ignore encoding_format, and servers that answer out of order, are understood."""
    with dense(serve(lambda body: vectors(body, packed=packed))) as model:
        assert np.allclose(model.embed(["a", "b", "c"]), [UNIT] * 3)


def test_long_lists_are_split_and_only_known_fields_are_sent(serve: Callable[..., FakeServer]) -> None:
    """130 texts make requests of 64, 64 and 2; vLLM gets its own truncation field or none, never ours."""
    server = serve(vectors)
    with dense(server, overlong=vllm_truncate(256)) as model:
        assert len(model.embed(["t"] * 130)) == 130
    with dense(server, overlong=REFUSE) as model:
        model.embed(["t"])
    with dense(server) as model:
        model.embed(["t"])
    assert [len(request["input"]) for request in server.requests] == [64, 64, 2, 1, 1]  # type: ignore[arg-type]
    assert [set(request) - {"model", "input", "encoding_format"} for request in server.requests[2:]] == [
        {"truncate_prompt_tokens"},
        set(),
        {"truncate"},
    ]


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (
            400,
            b'{"error": {"message": "maximum context length is 256", "type": "BadRequestError", "param": null, "code": 400}}',
            BadInput,
            "256",
        ),
        (400, b'{"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}', BadInput, "too long"),
        (
            404,
            b'{"error": {"message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404}}',
            BadInput,
            "name and address",
        ),
        (404, b'{"detail": "Not Found"}', BadInput, "Not Found"),
        (422, b"[1]", BadInput, "422"),
        (429, b"slow down", Unavailable, "slow down"),
        (500, b'{"error": {"message": "EngineCore encountered an issue", "type": "InternalServerError"}}', Unavailable, "EngineCore"),
        (503, b"", Unavailable, "no body"),
        (503, b'{"error": "engine dead"}', Unavailable, "engine dead"),
    ],
)
def test_refusals_become_the_platforms_errors(
    status: int, body: bytes, error: type[Exception], said: str, serve: Callable[..., FakeServer]
) -> None:
    """What the caller did wrong is BadInput, what may pass is Unavailable; the server's own words are kept."""
    with dense(serve(lambda _: (status, body))) as model, pytest.raises(error, match=said):
        model.embed(["a"])


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b'{"data": 5}',
        b'{"data": []}',
        b'{"data": [{"index": 1, "embedding": [0.6, 0.8]}]}',
        b'{"data": [{"index": 0, "embedding": [1.0]}]}',
        b'{"data": [{"index": 0, "embedding": [0.0, 0.0]}]}',
        b'{"data": [{"index": 0, "embedding": "AAA"}]}',
        b'{"data": [{"index": 0, "embedding": "AADAfwAAwH8="}]}',
    ],
)
def test_answers_that_cannot_be_vectors_are_never_used(data: bytes, serve: Callable[..., FakeServer]) -> None:
    """Missing, misnumbered, short, zero, NaN or undecodable vectors are Unavailable, not silently wrong."""
    with dense(serve(lambda _: (200, data))) as model, pytest.raises(Unavailable, match="cannot be used"):
        model.embed(["a"])


@pytest.mark.parametrize(
    "data",
    [b'{"data": [{"index": 0, "indices": [2, 1], "values": [0.5, 0.5]}]}', b'{"data": [{"index": 0, "indices": [1], "values": []}]}'],
)
def test_sparse_answers_are_checked_too(data: bytes, serve: Callable[..., FakeServer]) -> None:
    """Unsorted indices or missing weights are refused."""
    with HttpSparseModel(serve(lambda _: (200, data)).url, "m", 5) as model, pytest.raises(Unavailable, match="ascend"):
        model.encode(["a"])


def test_vectors_that_are_not_unit_are_made_so(serve: Callable[..., FakeServer]) -> None:
    """A server that does not normalise still yields unit vectors, as the port promises."""
    with dense(serve(lambda _: (200, b'{"data": [{"index": 0, "embedding": [3.0, 4.0]}]}'))) as model:
        assert model.embed(["a"]) == [pytest.approx(UNIT)]


def test_a_connection_dropped_once_is_tried_again(serve: Callable[..., FakeServer]) -> None:
    """One closed connection goes unnoticed, two in a row are Unavailable."""
    with dense(serve(vectors, drops=1)) as model:
        assert len(model.embed(["a"])) == 1
    with dense(serve(vectors, drops=2)) as model, pytest.raises(Unavailable):
        model.embed(["a"])


def test_an_absent_and_a_silent_server_are_unavailable_in_bounded_time() -> None:
    """Nobody listening, and somebody who never answers, both end as Unavailable."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with HttpDenseModel(url, "m", 0.2) as model, pytest.raises(Unavailable, match="ConnectError"):
            model.embed(["a"])
        silent.listen()
        with HttpDenseModel(url, "m", 0.2) as model, pytest.raises(Unavailable, match="ReadTimeout"):
            model.embed(["a"])


def test_text_that_is_not_unicode_is_the_callers_fault(serve: Callable[..., FakeServer]) -> None:
    """A lone surrogate is refused before anything is sent."""
    server = serve(vectors)
    with dense(server) as model, pytest.raises(BadInput, match="Unicode"):
        model.embed(["\ud800"])
    assert server.requests == []
