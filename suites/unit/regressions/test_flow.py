"""Defects of whole flows: routes that were missing, answers from nothing, shortcuts in the ledger, retrievers one after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec
import pytest
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import CORPUS, Site
from suites.unit.gateway.test_auth_problems import problem
from system.evidence.chunking import chunk
from system.evidence.ir import Source, document_id
from system.evidence.ledger import EDGES, GATES, State
from system.evidence.sources import parse
from system.evidence.sources.split import SplitItem, split
from system.platform.ports import Hit, SearchFilter


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/health",
        "/ready",
        "/version",
        "/v1/chunk",
        "/v1/ingest/{source}",
        "/v1/jobs/{job_id}",
        "/v1/extract/{kind}",
        "/v1/kg/write",
    ],
)
def test_promised_routes_are_there(client: TestClient, path: str) -> None:
    """They stand in the document, and asking them is never a 404 of the framework."""
    assert path in client.get("/openapi.json").json()["paths"]


def test_a_dossier_is_made_of_what_was_ingested(site: Site, client: TestClient) -> None:
    """Not of an empty default repository: a document that came in by the API is cited by the API."""
    client.post("/v1/ingest/jats", content=(CORPUS / "jats" / "velotril-review.xml").read_bytes())
    client.post("/v1/ingest/ctgov", content=(CORPUS / "ctgov" / "NCT90000001.json").read_bytes())
    site.work()
    condition = msgspec.json.decode((CORPUS / "ctgov" / "NCT90000001.json").read_bytes())["protocolSection"]["conditionsModule"][
        "conditions"
    ][0]
    dossier = client.post("/v1/briefing/dossier", json={"topic": {"condition": condition}}).text
    cited = [row.native_id for row in site.world.records.rows.values() if row.native_id in dossier]
    assert cited


def test_the_three_retrievers_run_at_the_same_time(site: Site, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other two: one after the other they would never meet."""
    client.post("/v1/ingest/passages", content=b'{"_id": "p1", "title": "T", "text": "Aspirin."}')
    site.work()
    meeting = threading.Barrier(3, timeout=5.0)

    def meets(_asked: object, _top_k: int, _filters: SearchFilter) -> Sequence[Hit]:
        meeting.wait()
        return [Hit(row.chunk_id, 1.0) for rows in site.world.search.documents.values() for row in rows]

    for name in ("bm25", "sparse", "dense"):
        monkeypatch.setattr(site.world.search, name, meets)
    assert client.post("/v1/retrieve", json={"query": "aspirin"}).json()["meta"]["degraded"] is False


def test_the_intent_is_of_the_chunk_not_of_its_document() -> None:
    """One label has chunks of several intents, so that a filter by intent does not match them all."""
    raw = (CORPUS / "spl" / "velotril.xml").read_bytes()
    (item,) = split(Source.SPL, raw)
    assert isinstance(item, SplitItem)
    document = parse(Source.SPL, document_id(Source.SPL, item.native_id, item.version, item.raw), item.raw)
    assert len({one.intent for one in chunk(document)}) >= 3


def test_only_two_states_may_be_retried() -> None:
    """Retrying is entered from fetching and failed only, and whatever calls itself retryable has that edge."""
    assert {state for state, following in EDGES.items() if State.RETRYING in following} == {State.FETCHING, State.FAILED}


def test_a_download_may_wait_at_both_gates() -> None:
    """Fetched → pdf_downloaded → (operator) ir_building → pdf_ir_ready → (operator) embedding are edges; nothing leads around them."""
    assert State.PDF_DOWNLOADED in EDGES[State.FETCHED]
    assert State.IR_BUILDING not in EDGES[State.FETCHED]
    assert {gate: EDGES[gate] - {State.FAILED} for gate in GATES} == {
        State.PDF_DOWNLOADED: {State.IR_BUILDING},
        State.PDF_IR_READY: {State.EMBEDDING},
    }


def test_nothing_is_completed_before_it_is_indexed(site: Site, client: TestClient) -> None:
    """Every source walks through embedding and indexed on its way to completed, and is in the index then."""
    for source, name in (("ctgov", "ctgov/NCT90000001.json"), ("spl", "spl/velotril.xml"), ("pubmed", "pubmed/velotril-sleep.xml")):
        client.post(f"/v1/ingest/{source}", content=(CORPUS / name).read_bytes())
    site.work()
    for doc_id, walk in site.world.records.walks.items():
        assert walk[-3:] == ["embedding", "indexed", "completed"]
        assert site.world.search.documents[doc_id]


def test_a_missing_chunk_is_404_not_made_up(client: TestClient) -> None:
    """Reading and extracting what does not exist says so; nothing is answered in its place."""
    problem(client.get("/v1/chunks/none"), 404)
    problem(client.post("/v1/extract/effects", json={"doc_id": "none"}), 404)
