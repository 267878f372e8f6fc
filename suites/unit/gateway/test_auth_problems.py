"""Keys, scopes and the one form of every error."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import KEYS, Site, settings_of
from system.evidence.graph.gate import Gate
from system.gateway.auth import ROLES, KeyRing, Principal, Scope
from system.gateway.middleware import MAX_BODY_BYTES
from system.platform import errors

OPEN = {"/health", "/ready", "/version", "/metrics"}
MEMBERS = {"type", "title", "status", "detail", "instance", "retriable", "remedy", "details", "issues"}
WRITES = {"post /v1/ingest/{source}", "delete /v1/documents/{doc_id}", "post /v1/chunk", "post /v1/extract/{kind}", "post /v1/kg/write"}
WRITES |= {"post /v1/kg/dead-letters/{letter_id}/replay"}
OPERATORS = {"get /v1/timings"}  # for the admin alone: whose requests took how long


def operations(app: FastAPI) -> list[tuple[str, str]]:
    return [(method, path) for path, item in app.openapi()["paths"].items() for method in item]


def address(path: str) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: {"source": "pubmed", "kind": "effects"}.get(found[1], "x"), path)


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem of an answer, its form checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert MEMBERS <= set(body) <= MEMBERS | {"dead_letter_id"}
    assert body["status"] == status
    assert body["instance"] == response.headers["x-request-id"]
    assert ("retry-after" in response.headers) is body["retriable"]
    return body


def test_every_operation_but_the_operators_four_needs_a_key(site: Site) -> None:
    """No key, an empty one, a wrong one, another's prefix or case: 401 with the scheme; the body does not say which it was."""
    known = KEYS["admin"]
    for method, path in operations(site.app):
        bodies = set()
        for key in (None, "", "wrong", known[:-1], known + "x", known.upper(), f" {known}x", "Bearer abcdef0", "é" * 20):
            client = site.client(None)
            response = client.request(method, address(path), headers={"X-API-Key": key.encode("latin-1")} if key is not None else {})
            if path in OPEN:
                assert response.status_code == 200
                continue
            bodies.add(problem(response, 401)["detail"])
            assert response.headers["www-authenticate"].startswith("ApiKey")
        assert len(bodies) <= 1


def test_a_reader_may_read_and_nothing_else(site: Site) -> None:
    """Every writing operation, and every one for operators, answers 403 with the scope that is missing; every reading one does not."""
    for method, path in operations(site.app):
        response = site.client("reader").request(method, address(path))
        if f"{method} {path}" in WRITES | OPERATORS:
            assert "scope" in problem(response, 403)["detail"]
        else:
            assert response.status_code not in {401, 403}, path


@pytest.mark.parametrize("role", ["writer", "admin"])
def test_writer_and_admin_may_do_everything_there_is(site: Site, role: str) -> None:
    """What looks into the process is for the admin alone, whose wildcard holds every scope; everything else a writer may do too."""
    for method, path in operations(site.app):
        status = site.client(role).request(method, address(path)).status_code
        assert (status == 403) is (role == "writer" and f"{method} {path}" in OPERATORS)
        assert status != 401


def test_the_wildcard_is_a_scope_of_the_key_not_of_its_text(site: Site) -> None:
    """Rights come from the key ring: whatever a stranger's key looks like, it has none."""
    ring = site.app.state.keys
    assert all(ring.principal(f"{digit:x}" * 32) is None for digit in range(16))
    assert ring.principal(KEYS["admin"]).scopes == frozenset(Scope)
    assert ring.principal(KEYS["reader"]).scopes == ROLES["reader"]


def test_a_wildcard_holder_needs_no_single_scope(site: Site) -> None:
    """``admin:*`` alone opens everything."""

    class Ring:
        def principal(self, _key: str) -> Principal:
            return Principal("root", frozenset({Scope.ADMIN}))

    site.app.state.keys = Ring()
    assert site.client().get("/v1/counts").status_code == 200


@pytest.mark.parametrize(
    ("keys", "says"),
    [({"writer": "short-key-19-letters"[:19]}, "shorter"), ({"writer": KEYS["reader"]}, "another role"), ({"reader": ""}, "shorter")],
)
def test_weak_or_shared_keys_end_the_start(tmp_path: Path, keys: dict[str, str], says: str) -> None:
    """The error names the secret; no default key exists."""
    with pytest.raises(errors.BadInput, match=says) as caught:
        KeyRing.of(settings_of(tmp_path / "s", **keys))
    assert caught.value.place.startswith("secret api_key_")
    assert not any(key and key in str(caught.value) for key in keys.values())


def test_a_missing_key_file_ends_the_start(tmp_path: Path) -> None:
    """Absent secrets are named with their file."""
    settings = settings_of(tmp_path / "s")
    (settings.secrets_dir / "api_key_reader").unlink()
    with pytest.raises(errors.BadInput, match="api_key_reader"):
        KeyRing.of(settings)


ISSUE = errors.GateIssue("urn:eh:x", "p", "v", "S", "use another")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BadInput("it is wrong", "/a/b", "make it right"), 400),
        (errors.NotFound("there is no such thing"), 404),
        (errors.Conflict("moved on"), 409),
        (errors.IllegalTransition("no such edge"), 409),
        (errors.GateRefused((ISSUE,)), 422),
        (errors.Unavailable("records", "connection refused"), 503),
        (errors.PlatformError("secret-internal-detail"), 500),
        (ZeroDivisionError("secret-internal-detail"), 500),
        (RecursionError("secret-internal-detail"), 500),
    ],
)
def test_every_kind_of_exception_has_its_status_and_form(site: Site, error: Exception, status: int) -> None:
    """One form; the request id is in header and body, also of a 500; a 500 says nothing of its cause."""

    def breaks(_job_id: str) -> None:
        raise error

    site.world.records.job = breaks  # type: ignore[method-assign, assignment]
    response = site.client().get("/v1/jobs/j", headers={"X-Request-ID": "mine-1"})
    body = problem(response, status)
    assert body["instance"] == "mine-1"
    assert response.headers["x-api-version"] == "1"
    assert ("secret" in response.text) is False
    assert "Traceback" not in response.text
    assert body["retriable"] is (status == 503)
    if isinstance(error, errors.BadInput):
        assert body["details"] == [{"field": "/a/b", "issue": "it is wrong"}]
        assert body["remedy"] == "make it right"


def test_the_log_has_what_the_answer_keeps_to_itself(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A 500 is logged with its request id and cause."""
    site.world.records.job = lambda _: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with caplog.at_level(logging.ERROR):
        site.client().get("/v1/jobs/j", headers={"X-Request-ID": "mine-2"})
    assert "mine-2" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_no_key_is_ever_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Neither right nor wrong keys reach log or metrics."""
    with caplog.at_level(logging.DEBUG):
        site.client().get("/v1/counts")
        site.client(None).get("/v1/counts", headers={"X-API-Key": "a-wrong-key-of-somebody"})
        page = site.client().get("/metrics").text
    assert "a-wrong-key" not in caplog.text + page
    assert KEYS["admin"] not in caplog.text + page


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "/nowhere", 404), ("get", "/v1", 404), ("put", "/v1/documents", 405), ("post", "/health", 405), ("get", "/v1/retrieve", 405)],
)
def test_wrong_paths_and_methods_have_the_form_too(client: TestClient, method: str, path: str, status: int) -> None:
    """404 and 405 of the framework are problems; 405 names what is allowed."""
    response = client.request(method, path)
    problem(response, status)
    assert ("allow" in response.headers) is (status == 405)


def test_allow_names_every_method_of_a_path(client: TestClient) -> None:
    """Two routes share the path of a document: both methods are named."""
    assert client.put("/v1/documents/a").headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/retrieve", {"query": ""}, "body.query"),
        ("/v1/retrieve", {"query": "x", "top_k": "5"}, "body.top_k"),
        ("/v1/retrieve", {"query": "x", "topk": 5}, "body.topk"),
        ("/v1/retrieve", {"query": "x", "retrievers": []}, "body.retrievers"),
        ("/v1/retrieve", {"query": "x", "filters": {"year_from": 1}}, "body.filters.year_from"),
        ("/v1/kg/write", {"write_id": "short", "nodes": []}, "body.write_id"),
        ("/v1/kg/write", {"write_id": "long-enough", "nodes": [{"label": "Condition"}]}, "body.nodes.0.key"),
        ("/v1/briefing/dossier", {"topic": {}}, "body.topic.condition"),
        ("/v1/chunk", {"doc_id": ""}, "body.doc_id"),
    ],
)
def test_wrong_input_is_400_and_names_its_field(client: TestClient, path: str, body: dict[str, Any], field: str) -> None:
    """Never 422, which is for graphs that break a shape; silent conversions and unknown members are refused."""
    details = problem(client.post(path, json=body), 400)["details"]
    assert field in [one["field"] for one in details]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"query": "\\ud800"}',
        b'{"query": "x", "\\ud800": 1}',
        b'{"query": NaN}',
        b'{"query": 1' + b"0" * 5000 + b"}",
    ],
)
def test_bodies_that_are_no_json_are_400(client: TestClient, content: bytes) -> None:
    """Truncated, wrongly encoded, endlessly nested, with lone surrogates or absurd numbers: an answer, and always the same kind."""
    problem(client.post("/v1/retrieve", content=content, headers={"Content-Type": "application/json"}), 400)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1" + "0" * 30])
def test_numbers_no_store_can_hold_are_refused(client: TestClient, site: Site, number: str) -> None:
    """Before anything is written."""
    site.world.gate = Gate()
    body = '{"write_id": "write-0001", "nodes": [{"label": "Condition", "key": "k", "properties": {"value": NUMBER}}]}'
    body = body.replace("NUMBER", number)
    problem(client.post("/v1/kg/write", content=body, headers={"Content-Type": "application/json"}), 400)
    assert site.world.moments == []


@pytest.mark.parametrize("path", ["/v1/ingest/pubmed", "/v1/retrieve", "/v1/kg/write"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_bound_is_413(client: TestClient, site: Site, path: str, *, chunked: bool) -> None:
    """Declared or found out while reading, on every route with a body; nothing is written; one form."""
    piece = b'"' + b"x" * (1 << 20)
    pieces = (MAX_BODY_BYTES >> 20) + 1
    content: Any = (piece for _ in range(pieces)) if chunked else piece * pieces
    body = problem(client.post(path, content=content, headers={"Content-Type": "application/json"}), 413)
    assert body["type"] == "urn:eh:problem:content-too-large"
    assert body["remedy"]
    assert site.world.moments == []


def test_an_absurd_content_length_is_413(client: TestClient) -> None:
    """Thousands of digits are not converted."""
    problem(client.get("/health", headers={"Content-Length": "9" * 5000}), 413)


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "<script>", "é", "${jndi:ldap}", "a/b"])
def test_an_odd_request_id_is_replaced(client: TestClient, given: str) -> None:
    """Only plain ids are echoed: what comes from outside does not reach logs and pages as it is."""
    answer = client.get("/health", headers={"X-Request-ID": given.encode("utf-8")})
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
    assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]


def test_request_ids_are_echoed_or_made(client: TestClient) -> None:
    """A good id comes back; without one each request has its own."""
    assert client.get("/health", headers={"X-Request-ID": "run-7:a.b_c"}).headers["x-request-id"] == "run-7:a.b_c"
    assert client.get("/health").headers["x-request-id"] != client.get("/health").headers["x-request-id"]


def test_metrics_name_routes_not_addresses(client: TestClient, site: Site) -> None:
    """Labels have few values whatever is asked for, and a failure is counted as one."""
    site.world.records.job = lambda _: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    for number in range(5):
        client.get(f"/v1/jobs/{number}")
        client.get(f"/nowhere/{number}")
    page = client.get("/metrics").text
    assert 'api_requests_total{method="GET",route="/v1/jobs/{job_id}",status="500"} 5.0' in page
    assert 'api_requests_total{method="GET",route="unmatched",status="404"} 5.0' in page


def test_every_route_is_documented(site: Site) -> None:
    """No operation hides from the document."""
    paths = {path for _, path in operations(site.app)}
    routes = {route.path for route in site.app.routes if isinstance(route, APIRoute)}
    assert {path.replace(":path", "") for path in routes} <= paths
