"""Request kinds, pools and planned requests: what is made into bytes before the first arrival."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.load.engine.verify import BAD_BODY, HTTP_ERROR, OK, RATE_LIMITED, identifier, prepare
from harness.load.requests import Expected, PlannedRequest, RequestKind, bodies, head, planned_requests, request_id, request_kind

POOLS = {
    "bad line": (b'{"a": 1}\n\n{"a": }\n', r"pool\.jsonl:3: this line is not JSON"),
    "cut line": (b'{"a": 1}\n{"a": "x', r"pool\.jsonl:2: this line is not JSON"),
    "not UTF-8": (b'{"a": "\xff"}\n', r"pool\.jsonl:1: this line is not JSON"),
    "empty": (b"\n\n", r"pool\.jsonl: the pool has 0 bodies; give 1 to 100000 lines"),
    "missing": (None, r"pool\.jsonl: the request pool cannot be read: No such file"),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_broken_pool_names_file_line_and_remedy(name: str, tmp_path: Path) -> None:
    """A pool that cannot be used is an error with file, line and what to do, before anything is sent."""
    content, message = POOLS[name]
    if content is not None:
        (tmp_path / "pool.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        bodies(RequestKind(op="ask", path="/", pool="pool.jsonl"), tmp_path)


def test_a_pool_gives_its_lines_as_they_are(tmp_path: Path) -> None:
    """Bodies are the bytes of the lines; blank lines are none; a kind without a pool has one empty body."""
    (tmp_path / "pool.jsonl").write_bytes(b'{"a": 1}\n\n  {"b": "\xc3\xa9"}\n')
    assert bodies(RequestKind(op="ask", path="/", pool="pool.jsonl"), tmp_path) == [b'{"a": 1}', '  {"b": "é"}'.encode()]
    assert bodies(RequestKind(op="ask", path="/"), tmp_path) == [b""]


def test_an_unknown_request_kind_names_the_nearest_and_a_wrong_key_its_table() -> None:
    """Mistakes in [requests] are errors with the table and the nearest right word."""
    tables = {"requests": {"retrieve": {"op": "retrieve", "path": "/"}, "odd": {"op": "x", "pth": "/"}}}
    assert request_kind(tables, "retrieve").method == "POST"
    with pytest.raises(UsageError, match=r"did you mean 'retrieve'\?.*\[requests\.retreive\]"):
        request_kind(tables, "retreive")
    with pytest.raises(UsageError, match=r"harness\.toml: \[requests\.odd\]: .*unknown field `pth`"):
        request_kind(tables, "odd")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"method": "HEAD"}, r"\[requests\.ask\]: the load engine does not send HEAD; use GET"),
        ({"key": "reader", "principals": ["a"]}, "exclude each other"),
    ],
)
def test_a_kind_that_cannot_be_sent_is_refused(table: dict[str, object], message: str) -> None:
    """HEAD has a length and no body; a kind has one key or several principals."""
    with pytest.raises(UsageError, match=message):
        request_kind({"requests": {"ask": {"op": "ask", "path": "/", **table}}}, "ask")


def test_a_request_is_http_with_the_key_and_a_place_for_its_id() -> None:
    """The bytes are one whole HTTP/1.1 request: length of the body, the key in its header, the id in between, none where none is sent."""
    kind = RequestKind(op="ask", path="/ask")
    before, after = head(kind, b'{"q": 1}', "127.0.0.1:80", "k", "X-API-Key")
    top, _, body = (before + request_id("load", 7).encode() + after).partition(b"\r\n\r\n")
    assert top.startswith(b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1:80\r\nX-Request-ID: load-00000007xxxxxxxxxxx\r\n")
    assert b"X-API-Key: k" in top
    assert b"Content-Length: 8" in top
    assert body == b'{"q": 1}'
    bare = b"".join(head(RequestKind(op="ask", path="/", method="GET", request_id=False), b"", "h", "", "X-API-Key"))
    assert b"Content-Length" not in bare
    assert b"X-Request-ID" not in bare
    assert bare.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(("step", "first", "stride"), [("load", 0, 1), ("a long name of a step", 2, 5), ("x", 7, 8)])
def test_ids_of_all_processes_are_those_of_the_whole_plan(step: str, first: int, stride: int) -> None:
    """Process k of n names its i-th arrival k + i·n, in 24 characters."""
    identify = identifier(step, first, stride)
    for index in (0, 1, 9, 12_345):
        assert identify(index).decode() == request_id(step, first + index * stride)
        assert len(identify(index)) == 24


def test_principals_are_dealt_in_turn_and_each_gets_a_request() -> None:
    """Roles go round over the pool; more roles than bodies repeat the bodies."""
    kind = RequestKind(op="ask", path="/", principals=("a", "b", "c"))
    assert [(one.body, one.role) for one in planned_requests(kind, [b"1", b"2"])] == [("1", "a"), ("2", "b"), ("1", "c")]
    assert [one.role for one in planned_requests(RequestKind(op="ask", path="/", key="r"), [b"1", b"2"])] == ["r", "r"]


def judged(kind: RequestKind, status: int, body: bytes, project: Path = Path()) -> int:
    made = prepare([kind], [PlannedRequest(kind=0)], host="h", keys={}, key_header="X", identify=identifier("s", 0, 1), project=project)[0]
    return made.outcome(status, len(body), body if made.reads_body else None)


def test_answers_are_judged_by_status_length_and_body(tmp_path: Path) -> None:
    """Each way in which an answer is not what was asked for has its outcome."""
    (tmp_path / "answer.json").write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    plain = RequestKind(op="ask", path="/", expect_bytes=3)
    assert [judged(plain, 200, b"abc"), judged(plain, 200, b"ab"), judged(plain, 500, b"abc")] == [OK, BAD_BODY, HTTP_ERROR]
    assert judged(plain, 429, b"abc") == RATE_LIMITED
    assert judged(RequestKind(op="ask", path="/", expect_status=429), 429, b"") == OK
    schema = RequestKind(op="ask", path="/", expect=Expected(schema="answer.json"))
    assert [judged(schema, 200, body, tmp_path) for body in (b'{"n": 1}', b'{"n": "1"}', b"<html>")] == [OK, BAD_BODY, BAD_BODY]
    falling = RequestKind(op="ask", path="/", expect=Expected(descending="r.s"))
    answers = (b'{"r": [{"s": 2}, {"s": 2}, {"s": 1}]}', b'{"r": [{"s": 1}, {"s": 2}]}', b'{"r": [{}]}', b"[]")
    assert [judged(falling, 200, body) for body in answers] == [OK, BAD_BODY, BAD_BODY, BAD_BODY]
    filled = RequestKind(op="ask", path="/", expect_nonempty="r")
    assert [judged(filled, 200, body) for body in (b'{"r": [1]}', b'{"r": []}', b'{"r": 1}', b"{}")] == [OK, *[BAD_BODY] * 3]


def test_a_schema_that_cannot_be_used_names_its_file(tmp_path: Path) -> None:
    """A missing or broken schema is an error before anything is sent."""
    (tmp_path / "bad.json").write_text('{"type": 5}')
    for name, message in (("none.json", "cannot be read"), ("bad.json", "no JSON Schema")):
        with pytest.raises(UsageError, match=rf"{name}: .*{message}"):
            judged(RequestKind(op="ask", path="/", expect=Expected(schema=name)), 200, b"{}", tmp_path)


def test_a_grpc_message_is_base64_in_a_json_string() -> None:
    """Anything else in the pool is an error with the remedy."""
    kind = RequestKind(op="ask", path="/s/m", protocol="grpc", pool="p.jsonl")
    made = prepare(
        [kind], [PlannedRequest(kind=0, body='"AAE="')], host="h", keys={}, key_header="X", identify=identifier("s", 0, 1), project=Path()
    )
    assert (made[0].payload, made[0].expect_status) == (b"\x00\x01", 0)
    with pytest.raises(UsageError, match=r"p\.jsonl: .*no gRPC message.*base64"):
        prepare(
            [kind],
            [PlannedRequest(kind=0, body='{"a": 1}')],
            host="h",
            keys={},
            key_header="X",
            identify=identifier("s", 0, 1),
            project=Path(),
        )
