"""What was read of a document and what was refused, over the API."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from suites.e2e.invented import Trial, label
from suites.unit.gateway.conftest import Site

TRIAL = Trial("NCT94000017", "Skarnosis", "hoxine", "Hoxine", "Change in skarn score", -2.0, unstated=3)
NEWER = Trial("NCT94000017", "Skarnosis", "hoxine", "Hoxine", "Change in skarn score", -1.0, posted="2023-01-09")
LABEL = label("94000017-0000-4000-8000-000000000001", "hoxine", "skarnosis", ["The recommended dose of hoxine is 20 mg orally once daily."])


@pytest.fixture
def read(client: TestClient, site: Site) -> TestClient:
    for source, payload in (("ctgov", TRIAL.payload()), ("spl", LABEL)):
        client.post(f"/v1/ingest/{source}", content=payload)
        site.work()
    return client


def test_records_are_counted_by_kind(read: TestClient) -> None:
    """As many as the extractions answer."""
    found = {row["doc_id"]: row["records"] for row in read.get("/v1/readings").json()["readings"]}
    assert len(found) == 2
    for kind in ("pico", "effects", "ae", "dose", "eligibility"):
        stored = {row["doc_id"]: len(row["records"]) for row in read.get("/v1/extractions", params={"kind": kind}).json()["extractions"]}
        assert {doc_id: records[kind] for doc_id, records in found.items()} == {doc_id: stored.get(doc_id, 0) for doc_id in found}


def test_what_was_refused_has_its_place_and_reason(read: TestClient) -> None:
    """Every analysis of the registry record without an estimate, in its order."""
    (trial,) = [row for row in read.get("/v1/readings").json()["readings"] if row["doc_id"].startswith("ctgov:")]
    places = [f"/resultsSection/outcomeMeasuresModule/outcomeMeasures/0/analyses/{number}" for number in (1, 2, 3)]
    assert trial["refused"] == [{"place": place, "reason": "no estimate is stated"} for place in places]


def test_readings_come_page_by_page(read: TestClient) -> None:
    """``next_after`` leads through all, each once."""
    seen, after = [], ""
    while after is not None:
        page = read.get("/v1/readings", params={"after": after, "limit": 1}).json()
        seen += [row["doc_id"] for row in page["readings"]]
        after = page["next_after"]
    assert seen == sorted(set(seen))
    assert len(seen) == 2


def test_an_older_version_is_read_only_where_it_is_asked_for(read: TestClient, site: Site) -> None:
    """By its id it still says what was read of it."""
    older = next(doc_id for doc_id in site.world.records.rows if doc_id.startswith("ctgov:"))
    read.post("/v1/ingest/ctgov", content=NEWER.payload())
    site.work()
    assert older not in read.get("/v1/readings").text
    (row,) = read.get("/v1/readings", params={"doc_id": older}).json()["readings"]
    assert (row["records"]["effects"], len(row["refused"])) == (1, 3)


def test_the_api_document_states_the_form_of_a_reading(client: TestClient) -> None:
    """Place and reason of what was refused, counts by kind."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(schemas["ReadingBody"]["required"]) == {"doc_id", "extractor", "records", "flagged", "refused"}
    assert set(schemas["RefusedBody"]["required"]) == {"place", "reason"}
