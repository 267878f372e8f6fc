"""Retrieve's degradation, readiness, the operators' routes and the OpenAPI document."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import jsonschema
import neo4j
import psycopg
import pytest
import redis
import schemathesis
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import PROBES, Site
from suites.unit.gateway.test_auth_problems import MEMBERS, OPEN, problem
from system.gateway import routes_service
from system.platform.errors import Unavailable

SEARCHES = {"bm25": "search.bm25", "sparse": "search.sparse", "dense": "search.dense"}


@pytest.fixture
def indexed(site: Site, client: TestClient) -> Site:
    """Two passages in the index."""
    client.post(
        "/v1/ingest/passages", content=b'{"_id": "p1", "title": "T", "text": "Aspirin."}\n{"_id": "p2", "title": "T", "text": "Zen."}'
    )
    site.work()
    return site


def ask(client: TestClient, **more: Any) -> Any:
    return client.post("/v1/retrieve", json={"query": "aspirin", **more})


def test_a_whole_answer_is_not_degraded(indexed: Site, client: TestClient) -> None:
    """All three retrievers, no warning, each result with its chunk and scores."""
    body = ask(client).json()
    assert (body["meta"]["retrievers_used"], body["meta"]["degraded"], body["warnings"]) == (["bm25", "sparse", "dense"], False, [])
    assert len(body["results"]) == 2
    assert set(body["results"][0]["scores"]) == {"bm25", "sparse", "dense", "fused"}


@pytest.mark.parametrize("gone", ["bm25", "sparse", "dense"])
def test_one_retriever_away_degrades_the_answer(indexed: Site, client: TestClient, gone: str) -> None:
    """200 with a warning that names it, and it is counted."""
    indexed.world.away = {SEARCHES[gone]}
    body = ask(client).json()
    assert body["meta"]["degraded"]
    assert gone not in body["meta"]["retrievers_used"]
    assert len(body["results"]) == 2
    assert gone in body["warnings"][0]
    assert f'retrieve_degraded_total{{retriever="{gone}"}} 1.0' in client.get("/metrics").text


def test_both_models_away_leave_bm25(indexed: Site, client: TestClient) -> None:
    """Words are found without any model."""
    indexed.world.away = {"dense", "sparse"}
    body = ask(client).json()
    assert body["meta"]["retrievers_used"] == ["bm25"]
    assert len(body["warnings"]) == 2


def test_every_retriever_away_is_503(indexed: Site, client: TestClient) -> None:
    """Also when the only one asked for is away; never an empty answer."""
    indexed.world.away = {"search"}
    assert problem(ask(client), 503)["retriable"]
    indexed.world.away = {"dense"}
    problem(ask(client, retrievers=["dense"]), 503)
    assert ask(client, retrievers=["bm25"]).json()["meta"]["degraded"] is False


def test_a_repeated_retriever_counts_once(indexed: Site, client: TestClient) -> None:
    """``["bm25", "bm25"]`` is ``["bm25"]``, not a degraded answer."""
    body = ask(client, retrievers=["bm25", "bm25"]).json()
    assert (body["meta"]["degraded"], body["warnings"]) == (False, [])


def test_filters_reach_the_index(indexed: Site, client: TestClient) -> None:
    """A source nobody has gives no results and no warning."""
    body = ask(client, filters={"sources": ["spl"]}).json()
    assert (body["results"], body["warnings"]) == ([], [])


def test_a_dossier_has_three_forms_and_an_inert_page(indexed: Site, client: TestClient) -> None:
    """JSON, Markdown, HTML with a policy that lets nothing run; retrieval away is 503."""
    topic = {"topic": {"condition": "asthma"}}
    assert client.post("/v1/briefing/dossier", json=topic).headers["content-type"] == "application/json"
    assert client.post("/v1/briefing/dossier", json={**topic, "format": "markdown"}).headers["content-type"].startswith("text/markdown")
    page = client.post("/v1/briefing/dossier", json={**topic, "format": "html"})
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-content-type-options"] == "nosniff"
    indexed.world.away = {"search"}
    problem(client.post("/v1/briefing/dossier", json=topic), 503)


@pytest.mark.parametrize("gone", PROBES)
def test_readiness_says_down_only_for_what_nothing_works_without(site: Site, client: TestClient, gone: str) -> None:
    """Records or search away: down, 503 with Retry-After; any other service: degraded, 200. The service is named with its cause."""
    site.probes.faults[gone] = Unavailable(gone, "connection to 10.0.0.7:5432 refused at 0x7f")
    answer = client.get("/ready")
    down = gone in {"records", "search"}
    assert answer.status_code == (503 if down else 200)
    assert ("retry-after" in answer.headers) is down
    body = answer.json()
    assert body["status"] == ("down" if down else "degraded")
    assert {name for name, one in body["services"].items() if not one["ok"]} == {gone}
    assert body["services"][gone]["detail"] == "refused"
    assert "10.0.0.7" not in answer.text


def _wrapped(error: Exception) -> Unavailable:
    outer = Unavailable("graph", "it does not work")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionRefusedError(111, "no"), "refused"),
        (redis.exceptions.ConnectionError("Error 111 connecting to 10.0.0.7:6379. Connection refused."), "refused"),
        (psycopg.OperationalError('connection to server at "10.0.0.7", port 1 failed: Connection refused'), "refused"),
        (TimeoutError(), "timed out"),
        (httpx.ReadTimeout("x"), "timed out"),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), "timed out"),
        (psycopg.OperationalError('password authentication failed for user "eh"'), "authentication"),
        (neo4j.exceptions.AuthError("/secret/path"), "authentication"),
        (redis.exceptions.AuthenticationError("WRONGPASS"), "authentication"),
        (RuntimeError("Traceback: /opt/secret.py line 7"), "other"),
    ],
    ids=repr,
)
def test_readiness_tells_strangers_one_of_four_causes(
    site: Site, client: TestClient, caplog: pytest.LogCaptureFixture, error: Exception, cause: str
) -> None:
    """Whatever a driver says, also behind our own exception: the answer has a word of the document, the log has the text."""
    for told in (error, _wrapped(error)):
        site.probes.faults["graph"] = told
        body = routes_service.Readings(
            {"records": site.probes.of("records"), "search": site.probes.of("search"), "graph": site.probes.of("graph")}, failpoints=False
        ).now()
        assert body.services["graph"].detail == cause
    assert str(error) in caplog.text
    known = client.get("/openapi.json").json()["components"]["schemas"]["ServiceState"]["properties"]["detail"]["enum"]
    assert cause in known


@pytest.mark.parametrize("query", ["asthma\nin adults", "asthma\r\n\tin  adults", "\nasthma in adults\n"])
def test_a_query_pasted_over_lines_is_a_query(indexed: Site, client: TestClient, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """Line breaks and tabs are blanks to every retriever; what is only white space, or has other control characters, is 400."""
    asked: list[str] = []
    bm25 = indexed.world.search.bm25
    monkeypatch.setattr(indexed.world.search, "bm25", lambda text, *rest: (asked.append(text), bm25(text, *rest))[1])
    assert client.post("/v1/retrieve", json={"query": query}).status_code == 200
    assert asked == ["asthma in adults"]
    for bad in (" \n\t", "asthma\x00", "asthma\x0bx", "\x1basthma", "asthma\x7f"):
        problem(client.post("/v1/retrieve", json={"query": bad}), 400)


def test_readiness_with_everything_there(site: Site, client: TestClient) -> None:
    """Ready, every service probed, failpoints absent; health asks nobody."""
    assert client.get("/health").json() == {"status": "ok"}
    assert site.probes.asked == []
    body = client.get("/ready").json()
    assert (body["status"], set(body["services"]), body["failpoints"]) == ("ready", set(PROBES), "absent")
    assert sorted(site.probes.asked) == sorted(PROBES)


def test_probes_are_asked_at_most_every_half_second(site: Site, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many askers cost one reading; a later asker gets a new one."""
    monkeypatch.setattr(routes_service, "FRESH_S", 3600.0)
    for _ in range(10):
        client.get("/ready")
    assert len(site.probes.asked) == len(PROBES)
    site.probes.faults["graph"] = Unavailable("graph", "gone")
    assert client.get("/ready").json()["status"] == "ready"
    monkeypatch.setattr(routes_service, "FRESH_S", -1.0)
    assert client.get("/ready").json()["status"] == "degraded"


def test_a_probe_that_hangs_is_named_and_takes_no_other_with_it(site: Site, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often readiness is asked for while one server hangs, the others stay well; when it answers again, so does its row."""
    monkeypatch.setattr(routes_service, "PROBE_TIMEOUT_S", 0.03)
    monkeypatch.setattr(routes_service, "FRESH_S", -1.0)
    let_go = threading.Event()
    site.probes.faults["graph"] = lambda: let_go.wait(20.0)
    for _ in range(2 * len(PROBES) + 2):
        body = client.get("/ready").json()
        assert {name for name, one in body["services"].items() if not one["ok"]} == {"graph"}
    assert site.probes.asked.count("graph") == 1
    let_go.set()
    end = time.monotonic() + 5.0
    while client.get("/ready").json()["status"] != "ready":
        assert time.monotonic() < end


def test_version_and_counts(client: TestClient) -> None:
    """Versions of API, package, extractor and components; counts of records, index and graph."""
    body = client.get("/version").json()
    assert body["api_version"] == "1"
    assert body["extractor"]
    assert body["components"]["fastapi"] != "unknown"
    counts = client.get("/v1/counts").json()
    assert counts["records"]["index_rows"] == 0
    assert counts["graph"] == {"contributions": 0}


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_the_document_is_openapi_3_1(site: Site, document: dict[str, Any]) -> None:
    """An independent reader accepts it: version, every reference, every schema."""
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    texts = str(document)
    for name in {part.split("'")[0] for part in texts.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"], name
    assert "HTTPValidationError" not in texts


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    """Security, and with it 401 and 403; 400 where there is input; 413 where there is a body; 404 where an id is in the path; 503."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path in OPEN:
                assert "security" not in operation
                continue
            wanted = {"401", "403", "503"}
            wanted |= {"400"} if operation.get("parameters") or "requestBody" in operation else set()
            wanted |= {"413"} if "requestBody" in operation else set()
            wanted |= {"404"} if any(one.endswith("_id") for one in _in_path(operation)) else set()
            assert wanted <= set(operation["responses"]), f"{method} {path}"
            assert operation["security"]
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert set(response["content"]) == {"application/problem+json"}, f"{method} {path} {status}"


def _in_path(operation: dict[str, Any]) -> list[str]:
    return [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]


def test_the_problem_of_the_document_is_the_problem_that_is_sent(document: dict[str, Any], client: TestClient) -> None:
    """The schema validates real answers of several kinds and names exactly their members."""
    schema = {**document["components"]["schemas"]["Problem"], "components": document["components"]}
    assert set(schema["properties"]) == MEMBERS | {"dead_letter_id"}
    validator = jsonschema.Draft202012Validator(schema)
    for response in (client.get("/nowhere"), client.post("/v1/retrieve", json={}), client.get("/v1/jobs/none"), client.put("/v1/counts")):
        validator.validate(response.json())
