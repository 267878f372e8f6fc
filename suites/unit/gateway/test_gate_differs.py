"""A difference between the gate's engines over the API: a 500 that is our fault, durable, visible, and replayable once mended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from suites.unit.gate.scripted import UNIT, Scripted
from suites.unit.gateway.conftest import Site, a_write
from suites.unit.gateway.test_auth_problems import problem
from suites.unit.gateway.test_graph import WRITE, stored
from system.evidence.graph.engines import Engines
from system.evidence.graph.gate import Gate


@pytest.fixture
def second(site: Site) -> Scripted:
    """The second engine of the site's gate; the first finds one violation in everything."""
    second = Scripted("two")
    site.world.gate = Gate(Engines(Scripted("one", UNIT), second), tally=site.app.state.platform.gate.tally)
    return second


def test_a_difference_is_500_and_nothing_is_written(client: TestClient, site: Site, second: Scripted) -> None:
    """A problem with remedy and dead letter; the letter has both reports and the batch, one however often."""
    for attempt in (1, 2):
        body = problem(client.post(WRITE, json=a_write()), 500)
        assert "the SHACL engines differ" in body["detail"]
        assert "a defect of the platform" in body["remedy"]
        (letter,) = client.get("/v1/kg/dead-letters", params={"status": "open"}).json()["dead_letters"]
        assert (letter["letter_id"], letter["kind"], letter["subject"]) == (body["dead_letter_id"], "gate_difference", "write-0001")
        assert letter["issues"] == [{"engine": "one", "issues": [msgspec.to_builtins(UNIT)]}, {"engine": "two", "issues": []}]
        assert letter["attempts"] == attempt
    assert stored(site) == (set(), {})
    assert msgspec.json.decode(site.world.records.letters[body["dead_letter_id"]].payload)["supporter"] == "write:write-0001"


def test_metrics_count_what_was_compared_and_what_differs(client: TestClient, second: Scripted) -> None:
    """And a difference is no violation of a shape."""
    client.post(WRITE, json=a_write())
    second.answer = (UNIT,)
    client.post(WRITE, json=a_write())
    page = client.get("/metrics").text
    assert 'kg_gate_compared_total{kind="refusal"} 2.0' in page
    assert 'kg_gate_differences_total{kind="refusal"} 1.0' in page
    assert 'kg_gate_differences_total{kind="sample"} 0.0' in page
    assert 'kg_shacl_violations_total{shape="UnitShape"} 1.0' in page


def test_a_difference_that_cannot_be_kept_is_503(client: TestClient, site: Site, second: Scripted) -> None:
    """Without records there is no durable report, so there is no 500 either: the caller shall ask again."""
    site.world.away = {"records.put_dead_letter"}
    assert problem(client.post(WRITE, json=a_write()), 503)["retriable"]


def test_the_letter_is_replayed_once_the_engines_agree(client: TestClient, site: Site, second: Scripted) -> None:
    """Still differing it stays open; agreed to be sound, it is written under its own write id and closed."""
    letter = problem(client.post(WRITE, json=a_write()), 500)["dead_letter_id"]
    replay = f"/v1/kg/dead-letters/{letter}/replay"
    assert problem(client.post(replay), 500)["dead_letter_id"] == letter
    assert site.world.records.letters[letter].status == "open"
    site.world.gate = Gate(Engines(Scripted("one"), second))
    assert client.post(replay).json()["write_id"] == "write-0001"
    assert stored(site) == ({"write:write-0001"}, {"write:write-0001": "applied"})
    assert site.world.records.letters[letter].status == "replayed"


def test_a_document_fails_for_our_fault_and_runs_again(client: TestClient, site: Site, second: Scripted, payload: bytes) -> None:
    """The worker keeps both reports; the reason says whose fault it is; the letter's replay walks the document's steps again."""
    client.post("/v1/ingest/pubmed", content=payload)
    site.work()
    ((doc_id, row),) = site.world.records.rows.items()
    ((letter_id, letter),) = site.world.records.letters.items()
    assert (row.state, letter.kind, letter.subject) == ("failed", "gate_difference", doc_id)
    assert row.reason is not None
    assert (row.reason["place"], row.reason["remedy"].startswith("a defect of the platform")) == (f"dead letter {letter_id}", True)
    assert [report["engine"] for report in letter.issues] == ["one", "two"]  # type: ignore[union-attr, index, call-overload]
    assert stored(site) == (set(), {})
    site.world.gate = Gate(Engines(Scripted("one"), second))
    assert client.post(f"/v1/kg/dead-letters/{letter_id}/replay").status_code == 202
    site.work()
    assert site.world.records.rows[doc_id].state == "completed"
    assert stored(site) == ({doc_id}, {doc_id: "applied"})


def test_a_worker_that_cannot_keep_the_reports_leaves_the_document_waiting(site: Site, second: Scripted, payload: bytes) -> None:
    """Records away: the step raises, and the event is tried again later."""
    client: Any = site.client()
    client.post("/v1/ingest/pubmed", content=payload)
    site.world.away = {"records.put_dead_letter"}
    with pytest.raises(Exception, match="records is unavailable"):
        site.work()
    (row,) = site.world.records.rows.values()
    assert row.state == "indexed"


def test_version_names_the_engines(client: TestClient) -> None:
    """Operators see who answers and who confirms."""
    body = client.get("/version").json()
    assert {"gate", "components"} <= set(body)
    assert {"shacl", "pyshacl"} <= set(body["components"])
