"""Ingest, jobs, documents, chunks and extraction over the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import Site
from suites.unit.gateway.test_auth_problems import problem
from system.platform.record_types import IdempotencyKey

KEY = {"Idempotency-Key": "key-00000001"}


def test_202_means_payload_job_and_event_are_there(client: TestClient, site: Site, payload: bytes) -> None:
    """The raw bytes as they came, one submission, one pending event; the job is open until it is split."""
    answer = client.post("/v1/ingest/pubmed", content=payload)
    assert answer.status_code == 202
    assert answer.json()["replayed"] is False
    (submission,) = site.world.records.submissions.values()
    assert site.world.objects.blobs[submission.raw_object] == payload
    assert [one.body for one in site.world.records.outbox] == [{"submission_id": submission.submission_id}]
    assert client.get(f"/v1/jobs/{answer.json()['job_id']}").json()["state"] == "accepted"


def test_nothing_is_acknowledged_while_a_store_is_away(client: TestClient, site: Site, payload: bytes) -> None:
    """Without objects or records: 503, retriable; no event without its payload."""
    for port in ("objects", "records"):
        site.world.away = {port}
        assert problem(client.post("/v1/ingest/pubmed", content=payload), 503)["retriable"]
        assert (site.world.records.outbox, site.world.records.jobs) == ([], {})


def test_the_payload_is_stored_before_the_event(client: TestClient, site: Site, payload: bytes) -> None:
    """In this order a crash leaves an unused object, never an event without its payload."""
    client.post("/v1/ingest/pubmed", content=payload)
    order = [one for one in site.world.moments if one.startswith("after")]
    assert order == ["after objects.put", "after records.receive_submission"]


def test_the_same_key_and_body_are_one_job(client: TestClient, site: Site, payload: bytes) -> None:
    """A repeat gets the first job and says so; nothing is entered again."""
    first = client.post("/v1/ingest/pubmed", content=payload, headers=KEY).json()
    second = client.post("/v1/ingest/pubmed", content=payload, headers=KEY).json()
    assert second == {"job_id": first["job_id"], "replayed": True}
    assert (len(site.world.records.submissions), len(site.world.records.outbox), len(site.world.records.jobs)) == (1, 1, 1)


def test_another_body_under_the_same_key_is_409(client: TestClient, site: Site, payload: bytes) -> None:
    """One byte makes another body; the first job stays."""
    client.post("/v1/ingest/pubmed", content=payload, headers=KEY)
    assert "another body" in problem(client.post("/v1/ingest/pubmed", content=payload + b"\n", headers=KEY), 409)["detail"]
    assert len(site.world.records.jobs) == 1


def test_a_key_is_bound_to_principal_and_route(site: Site, payload: bytes) -> None:
    """Another caller, or another source, with the same key and body has a job of its own."""
    jobs = {
        site.client(role).post(f"/v1/ingest/{source}", content=payload, headers=KEY).json()["job_id"]
        for role in ("writer", "admin")
        for source in ("pubmed", "jats")
    }
    assert len(jobs) == 4
    bound = {(principal, route) for _, principal, route in site.world.records.keys}
    assert bound == {(role, f"POST /v1/ingest/{source}") for role in ("writer", "admin") for source in ("pubmed", "jats")}


def test_a_refused_request_claims_no_key(client: TestClient, site: Site, payload: bytes) -> None:
    """An empty body or an absent store leaves the key free for the real request."""
    client.post("/v1/ingest/pubmed", content=b"", headers=KEY)
    site.world.away = {"records"}
    client.post("/v1/ingest/pubmed", content=payload, headers=KEY)
    site.world.away = set()
    assert client.post("/v1/ingest/pubmed", content=payload, headers=KEY).json()["replayed"] is False


def test_concurrent_claims_are_left_to_the_store(client: TestClient, site: Site, payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway does not look first and write later: key, job, submission and event go in one call."""
    given: list[Any] = []
    real = site.world.records.receive_submission
    monkeypatch.setattr(site.world.records, "receive_submission", lambda *all_: given.append(all_) or real(*all_))
    client.post("/v1/ingest/pubmed", content=payload, headers=KEY)
    ((job, submission, event, key),) = given
    assert isinstance(key, IdempotencyKey)
    assert (submission.job_id, event.key, key.body_sha256) == (job.job_id, submission.submission_id, submission.sha256)


@pytest.mark.parametrize("key", ["short", "x" * 129, "with blank", "semi;colon", "ünï-code"])
def test_an_odd_key_is_400(client: TestClient, payload: bytes, key: str) -> None:
    """The grammar of keys is checked before anything is stored."""
    problem(client.post("/v1/ingest/pubmed", content=payload, headers={"Idempotency-Key": key.encode()}), 400)


def test_unknown_sources_and_empty_bodies_are_400(client: TestClient, site: Site) -> None:
    """Both name the field; nothing is stored."""
    assert problem(client.post("/v1/ingest/nature", content=b"x"), 400)["details"][0]["field"] == "path.source"
    assert problem(client.post("/v1/ingest/pubmed", content=b""), 400)["details"][0]["field"] == "body"
    assert site.world.objects.blobs == {}


def test_what_is_wrong_with_a_document_stands_in_its_ledger_row(client: TestClient, site: Site) -> None:
    """Rubbish is accepted for work (202); the job then says failed, with error, place and remedy."""
    job = client.post("/v1/ingest/ctgov", content=b"{ no JSON").json()["job_id"]
    site.work()
    view = client.get(f"/v1/jobs/{job}").json()
    assert view["state"] == "failed"
    assert set(view["documents"][0]["reason"]) == {"error", "place", "remedy"}
    listed = client.get("/v1/documents", params={"state": "failed"}).json()["documents"]
    assert [one["doc_id"] for one in listed] == [view["documents"][0]["doc_id"]]


def test_a_document_is_read_back_by_an_id_with_odd_characters(client: TestClient, site: Site, payload: bytes) -> None:
    """Ids hold colons and hashes (and slashes in DOIs): percent-encoded they work in every address."""
    client.post("/v1/ingest/pubmed", content=payload)
    site.work()
    (doc_id,) = site.world.records.rows
    path = f"/v1/documents/{quote(doc_id, safe='')}"
    detail = client.get(path).json()
    assert (detail["doc_id"], detail["state"]) == (doc_id, "completed")
    assert [one["detail"]["new"] for one in detail["history"]] == site.world.records.walks[doc_id]
    text = client.get(f"{path}/ir").json()["text"]
    chunks = client.get(f"{path}/chunks").json()["chunks"]
    assert chunks
    assert all(text[one["start"] : one["end"]] == one["text"] for one in chunks)
    one = client.get(f"/v1/chunks/{quote(chunks[0]['chunk_id'], safe='')}").json()
    assert one == chunks[0]


def test_chunking_and_extracting_again_give_what_is_stored(client: TestClient, site: Site, payload: bytes) -> None:
    """Same ids, same records; persisting changes nothing."""
    client.post("/v1/ingest/pubmed", content=payload)
    site.work()
    (doc_id,) = site.world.records.rows
    stored = site.world.records.chunks[doc_id]
    for persist in (False, True):
        again = client.post("/v1/chunk", json={"doc_id": doc_id, "persist": persist}).json()["chunks"]
        assert [one["chunk_id"] for one in again] == [one.chunk_id for one in stored]
    assert site.world.records.chunks[doc_id] == stored
    for kind in ("pico", "effects", "ae", "dose", "eligibility"):
        again = client.post(f"/v1/extract/{kind}", json={"doc_id": doc_id}).json()
        page = client.get("/v1/extractions", params={"kind": kind, "doc_id": doc_id}).json()["extractions"]
        assert again["records"] == (page[0]["records"] if page else [])
    assert client.post("/v1/extract/effects", json={"doc_id": doc_id}).json()["records"]


def test_every_quote_answered_equals_its_slice(client: TestClient, site: Site, payload: bytes) -> None:
    """Spans of extracted records point into the IR's text, in code points."""
    client.post("/v1/ingest/pubmed", content=payload)
    site.work()
    (doc_id,) = site.world.records.rows
    text = client.get(f"/v1/documents/{quote(doc_id, safe='')}/ir").json()["text"]
    records = client.post("/v1/extract/effects", json={"doc_id": doc_id}).json()["records"]
    spans = [span for record in records for span in record["spans"]]
    assert spans
    assert all(text[span["start"] : span["end"]] == span["quote"] for span in spans)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/v1/jobs/none", None),
        ("get", "/v1/documents/none", None),
        ("get", "/v1/documents/none/ir", None),
        ("get", "/v1/documents/none/chunks", None),
        ("delete", "/v1/documents/none", None),
        ("get", "/v1/chunks/none", None),
        ("post", "/v1/chunk", {"doc_id": "none"}),
        ("post", "/v1/extract/effects", {"doc_id": "none"}),
        ("get", "/v1/kg/writes/none", None),
        ("post", "/v1/kg/dead-letters/none/replay", None),
    ],
)
def test_what_is_not_there_is_404(client: TestClient, method: str, path: str, body: Any) -> None:
    """The detail names what was asked for."""
    assert "none" in problem(client.request(method, path, json=body), 404)["detail"]


def test_a_document_without_ir_says_its_state(client: TestClient, site: Site, payload: bytes) -> None:
    """Asked too early: 404 for the IR, 409 for what needs it, both with the state."""
    client.post("/v1/ingest/ctgov", content=b"{ no JSON")
    site.work()
    (doc_id,) = site.world.records.rows
    assert "failed" in problem(client.get(f"/v1/documents/{quote(doc_id)}/ir"), 404)["detail"]
    assert "failed" in problem(client.post("/v1/chunk", json={"doc_id": doc_id}), 409)["detail"]


def test_removing_takes_the_document_out_of_every_store(client: TestClient, site: Site, payload: bytes) -> None:
    """204 when nothing of it is left; while a store is away 503, and asking again finishes."""
    client.post("/v1/ingest/pubmed", content=payload)
    site.work()
    (doc_id,) = site.world.records.rows
    path = f"/v1/documents/{quote(doc_id, safe='')}"
    site.world.away = {"search"}
    problem(client.delete(path), 503)
    site.world.away = set()
    assert client.delete(path).status_code == 204
    assert (site.world.records.rows, site.world.search.documents, site.world.graph.contributions) == ({}, {}, {})
    problem(client.delete(path), 404)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_together_are_everything_once(client: TestClient, site: Site, limit: int) -> None:
    """Following ``next_after`` gives every document once, in order, whatever the page."""
    lines = "\n".join(f'{{"_id": "p{number}", "title": "T", "text": "Aspirin {number}."}}' for number in range(7))
    client.post("/v1/ingest/passages", content=lines.encode())
    site.work()
    found, after = [], ""
    for _ in range(10):
        page = client.get("/v1/documents", params={"limit": limit, "after": after}).json()
        found += [one["doc_id"] for one in page["documents"]]
        after = page["next_after"]
        if after is None:
            break
    assert found == sorted(site.world.records.rows)
