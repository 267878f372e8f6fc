"""Graph writes behind the gate: 200, 202, 400, 422, 503, dead letters, and the export."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from suites.shacl.batches import valid_batch
from suites.unit.gateway.conftest import Site, a_write
from suites.unit.gateway.test_auth_problems import problem
from suites.unit.worker.conftest import Told
from system.evidence.graph.gate import Gate
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef
from system.stores.graph_schema import EDGE_TYPES, LABELS
from system.worker.relay import Applier

WRITE = "/v1/kg/write"


def stored(site: Site) -> tuple[set[str], dict[str, str]]:
    """What the graph holds by supporter, and the state of every durable batch."""
    return set(site.world.graph.contributions), {key: one.status for key, one in site.world.records.batches.items()}


def test_200_means_in_the_graph(client: TestClient, site: Site) -> None:
    """Durable first, then written, then marked; the status says applied."""
    answer = client.post(WRITE, json=a_write())
    assert (answer.status_code, answer.json()["in_graph"]) == (200, True)
    assert stored(site) == ({"write:write-0001"}, {"write:write-0001": "applied"})
    order = [one for one in site.world.moments if one.startswith("before")]
    assert order == ["before records.stage_graph_batch", "before graph.replace_contribution", "before records.graph_batch_applied"]
    assert client.get("/v1/kg/writes/write-0001").json()["status"] == "applied"


def test_202_means_durable_while_the_graph_is_away(client: TestClient, site: Site) -> None:
    """The job is open until the applier has brought it in; nothing has to be sent again."""
    site.world.away = {"graph"}
    answer = client.post(WRITE, json=a_write())
    assert (answer.status_code, answer.json()["in_graph"]) == (202, False)
    job = f"/v1/jobs/{answer.json()['job_id']}"
    assert client.get(job).json()["state"] == "accepted"
    assert client.get("/v1/kg/writes/write-0001").json()["status"] == "staged"
    site.world.away = set()
    Applier(site.world.ports(), Told(turns=2)).run()
    assert stored(site) == ({"write:write-0001"}, {"write:write-0001": "applied"})
    assert client.get(job).json()["state"] == "completed"


@pytest.mark.parametrize("away", [{"records"}, {"gate"}, {"records", "graph"}])
def test_503_without_records_or_gate_and_nothing_written(client: TestClient, site: Site, away: set[str]) -> None:
    """No batch passes ungated, none is acknowledged that is not durable."""
    site.world.away = away
    assert problem(client.post(WRITE, json=a_write()), 503)["retriable"]
    assert stored(site) == (set(), {})


def test_422_leaves_a_persisted_dead_letter(client: TestClient, site: Site) -> None:
    """Every issue with node, path, value, shape; nothing is written; the letter holds the whole batch, one however often."""
    site.world.gate.refuses = {"write:write-0001"}
    for attempt in (1, 2):
        body = problem(client.post(WRITE, json=a_write()), 422)
        assert set(body["issues"][0]) == {"focus_node", "path", "value", "shape", "message"}
        (letter,) = client.get("/v1/kg/dead-letters", params={"status": "open"}).json()["dead_letters"]
        assert (letter["letter_id"], letter["kind"], letter["subject"]) == (body["dead_letter_id"], "kg_write", "write-0001")
        assert (letter["attempts"], letter["issues"]) == (attempt, body["issues"])
    assert stored(site) == (set(), {})
    page = client.get("/metrics").text
    assert 'kg_shacl_violations_total{shape="UnitShape"} 2.0' in page


def test_a_refusal_that_cannot_be_kept_is_503(client: TestClient, site: Site) -> None:
    """Without records there is no dead letter, so there is no 422 either: the caller shall ask again."""
    site.world.gate.refuses = {"write:write-0001"}
    site.world.away = {"records"}
    problem(client.post(WRITE, json=a_write()), 503)


def test_a_dead_letter_is_replayed_once_its_cause_is_gone(client: TestClient, site: Site) -> None:
    """Refused again it stays open; passed, it is written under its own write id and closed. Twice is once."""
    site.world.gate.refuses = {"write:write-0001"}
    letter = problem(client.post(WRITE, json=a_write()), 422)["dead_letter_id"]
    replay = f"/v1/kg/dead-letters/{letter}/replay"
    assert problem(client.post(replay), 422)["dead_letter_id"] == letter
    site.world.gate.refuses = set()
    for _ in range(2):
        answer = client.post(replay)
        assert (answer.status_code, answer.json()["write_id"]) == (200, "write-0001")
    assert stored(site) == ({"write:write-0001"}, {"write:write-0001": "applied"})
    assert client.get("/v1/kg/dead-letters", params={"status": "open"}).json()["dead_letters"] == []
    assert len(client.get("/v1/kg/dead-letters", params={"status": "replayed"}).json()["dead_letters"]) == 1


def test_a_replay_while_the_graph_is_away_is_202(client: TestClient, site: Site) -> None:
    """Durable is enough to close the letter."""
    site.world.gate.refuses = {"write:write-0001"}
    letter = problem(client.post(WRITE, json=a_write()), 422)["dead_letter_id"]
    site.world.gate.refuses, site.world.away = set(), {"graph"}
    assert client.post(f"/v1/kg/dead-letters/{letter}/replay").status_code == 202
    assert site.world.records.letters[letter].status == "replayed"


def _refused_document(client: TestClient, site: Site, payload: bytes) -> tuple[str, str]:
    site.world.gate.refuses = {"pubmed:99000001#2020-06-01:c21c09e8440c"}
    client.post("/v1/ingest/pubmed", content=payload)
    site.work()
    (doc_id,) = site.world.records.rows
    assert site.world.records.rows[doc_id].state == "failed"
    return doc_id, next(iter(site.world.records.letters))


def test_a_documents_dead_letter_runs_the_document_again(client: TestClient, site: Site, payload: bytes) -> None:
    """Not the batch behind the ledger's back: the document ends completed with chunks, index and graph; twice is once."""
    doc_id, letter = _refused_document(client, site, payload)
    site.world.gate.refuses = set()
    answer = client.post(f"/v1/kg/dead-letters/{letter}/replay")
    assert (answer.status_code, answer.json()["in_graph"]) == (202, False)
    site.work()
    assert client.get(f"/v1/jobs/{answer.json()['job_id']}").json()["state"] == "completed"
    assert site.world.records.walks[doc_id].count("retrying") == 1
    assert stored(site) == ({doc_id}, {doc_id: "applied"})
    assert site.world.search.documents[doc_id]
    assert site.world.records.letters[letter].status == "replayed"
    assert client.post(f"/v1/kg/dead-letters/{letter}/replay").json()["in_graph"] is True
    assert site.world.records.walks[doc_id].count("retrying") == 1


def test_a_documents_dead_letter_opens_again_when_it_is_refused_again(client: TestClient, site: Site, payload: bytes) -> None:
    """The cause is still there: the document is failed as before, the letter open with one more attempt."""
    doc_id, letter = _refused_document(client, site, payload)
    assert client.post(f"/v1/kg/dead-letters/{letter}/replay").status_code == 202
    site.work()
    assert site.world.records.rows[doc_id].state == "failed"
    assert (site.world.records.letters[letter].status, site.world.records.letters[letter].attempts) == ("open", 2)
    assert stored(site) == (set(), {})


def test_a_dead_letter_of_a_removed_document_brings_nothing_back(client: TestClient, site: Site, payload: bytes) -> None:
    """Nobody could remove it again."""
    doc_id, letter = _refused_document(client, site, payload)
    site.world.gate.refuses = set()
    site.world.records.delete_document(doc_id)
    problem(client.post(f"/v1/kg/dead-letters/{letter}/replay"), 404)
    assert stored(site) == (set(), {})


def test_the_same_write_twice_is_one(client: TestClient, site: Site) -> None:
    """Same id, same batch: same answer, also in another order of properties; another batch is 409."""
    first = client.post(WRITE, json=a_write()).json()
    second = client.post(WRITE, json=a_write()).json()
    assert second == first
    other = a_write(nodes=[{"label": "Condition", "key": "gout", "properties": {}}])
    assert "another payload" in problem(client.post(WRITE, json=other), 409)["detail"]
    assert len(site.world.graph.contributions) == 1


def test_an_idempotency_key_binds_the_batch(client: TestClient, site: Site) -> None:
    """The same key with another batch is 409, even under another write id, and for this caller and route only."""
    headers = {"Idempotency-Key": "key-00000001"}
    client.post(WRITE, json=a_write(), headers=headers)
    problem(client.post(WRITE, json=a_write("write-0002"), headers=headers), 409)
    assert site.client("writer").post(WRITE, json=a_write("write-0002"), headers=headers).status_code == 200


def test_a_batch_the_graph_itself_refuses_is_never_written_later(client: TestClient, site: Site) -> None:
    """400 with place and remedy, a dead letter, and the applier leaves it alone even when the graph would take it by then."""
    site.world.graph.refuses = {"write:write-0001"}
    body = problem(client.post(WRITE, json=a_write()), 400)
    assert body["details"][0]["field"] == "urn:eh:Study:X"
    assert client.get("/v1/kg/writes/write-0001").json()["status"] == "refused"
    assert [one.kind for one in site.world.records.letters.values()] == ["kg_write"]
    site.world.graph.refuses = set()
    Applier(site.world.ports(), Told(turns=3)).run()
    assert stored(site) == (set(), {"write:write-0001": "refused"})


def test_a_corrected_write_may_use_its_id_and_key_again(client: TestClient, site: Site) -> None:
    """Refused by the gate (422) or by the graph (400), nothing is kept under either; what was accepted is 409 with the remedy."""
    headers = {"Idempotency-Key": "key-00000001"}
    wrong = a_write(nodes=[{"label": "Condition", "key": "gout", "properties": {}}])
    site.world.gate.refuses = {"write:write-0001"}
    problem(client.post(WRITE, json=wrong, headers=headers), 422)
    site.world.gate.refuses, site.world.graph.refuses = set(), {"write:write-0001"}
    problem(client.post(WRITE, json=wrong, headers=headers), 400)
    site.world.graph.refuses = set()
    corrected = client.post(WRITE, json=a_write(), headers=headers)
    assert (corrected.status_code, corrected.json()["in_graph"]) == (200, True)
    assert stored(site) == ({"write:write-0001"}, {"write:write-0001": "applied"})
    assert client.get(f"/v1/jobs/{corrected.json()['job_id']}").json()["state"] == "completed"
    assert "send a new" in problem(client.post(WRITE, json=wrong, headers=headers), 409)["detail"]
    operation = client.get("/openapi.json").json()["paths"]["/v1/kg/write"]["post"]
    assert "After a refusal nothing is kept" in operation["description"]


def test_a_repeated_write_enters_no_second_job(client: TestClient, site: Site) -> None:
    """However often the same batch is sent, with a key or without."""
    for headers in ({}, {}, {"Idempotency-Key": "key-00000001"}, {"Idempotency-Key": "key-00000001"}):
        client.post(WRITE, json=a_write(), headers=headers)
    assert len(site.world.records.jobs) == 1


def test_the_gate_asks_for_nodes_of_durable_batches_only(client: TestClient, site: Site) -> None:
    """A node outside the batch counts as known when a durable batch brings it, also while the graph is away; else it is refused."""
    site.world.gate = Gate()
    ref = {"label": "Condition", "key": "asthma"}
    study = {"label": "Study", "key": "NCT00000001"}
    edge = {"type": "ABOUT", "source": study, "target": ref}
    batch = {"write_id": "write-0002", "nodes": [{**study, "properties": {"nct": "NCT00000001"}}], "edges": [edge]}
    assert problem(client.post(WRITE, json=batch), 422)["issues"]
    site.world.away = {"graph"}
    assert client.post(WRITE, json=a_write()).status_code == 202
    assert client.post(WRITE, json=batch).status_code == 202


def test_the_real_gate_takes_the_whole_batch_and_refuses_one_wrong_value(client: TestClient, site: Site) -> None:
    """Every label and edge type at once is 200; the same with one grade of 9 is 422 and leaves nothing."""
    site.world.gate = Gate()
    assert client.post(WRITE, json=valid_batch("write-0001", "000001")).status_code == 200
    wrong = valid_batch("write-0002", "000002")
    next(edge for edge in wrong["edges"] if edge["type"] == "HAS_AE")["properties"]["grade"] = 9
    issue = problem(client.post(WRITE, json=wrong), 422)["issues"][0]
    assert issue["value"] == "9"
    assert stored(site) == ({"write:write-0001"}, {"write:write-0001": "applied"})


def pages(client: TestClient, limit: int) -> tuple[list[Any], list[Any]]:
    nodes, edges, cursor = [], [], ""
    for _ in range(500):
        page = client.get("/v1/kg/export", params={"cursor": cursor, "limit": limit}).json()
        nodes += [(one["label"], one["key"]) for one in page["nodes"]]
        edges += [(one["type"], one["source"]["key"], one["target"]["key"], one["qualifier"]) for one in page["edges"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return nodes, edges
    raise AssertionError("the export does not end")


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
def test_the_pages_of_the_export_are_everything_once(client: TestClient, site: Site, limit: int) -> None:
    """Whatever the page, also with keys that look like cursors: all nodes, then all edges, each once."""
    names = [*(f"k{number}" for number in range(5)), "Study:", "a:b", "ä b&c=d#e", ":", "%3A"]
    refs = [NodeRef(label, name) for label in (LABELS[0], LABELS[3], LABELS[-1]) for name in names]
    edges = [GraphEdge(kind, refs[0], ref, f"q{at}", {}) for kind in (EDGE_TYPES[0], EDGE_TYPES[-1]) for at, ref in enumerate(refs[:7])]
    site.world.graph.contributions = {
        "a": GraphBatch("a", tuple(GraphNode(ref, {}) for ref in refs), tuple(edges)),
        "b": GraphBatch("b", tuple(GraphNode(ref, {}) for ref in refs[:6]), ()),
    }
    found_nodes, found_edges = pages(client, limit)
    assert sorted(found_nodes) == sorted((ref.label, ref.key) for ref in refs)
    assert len(found_edges) == len(set(found_edges)) == len(edges)


def test_an_element_says_all_who_support_it(client: TestClient, site: Site) -> None:
    """Supporters of a shared node are all named."""
    node = GraphNode(NodeRef(LABELS[0], "k"), {"names": ("x", "y")})
    site.world.graph.contributions = {"a": GraphBatch("a", (node,), ()), "b": GraphBatch("b", (node,), ())}
    (found,) = client.get("/v1/kg/export").json()["nodes"]
    assert (found["supporters"], found["properties"]) == (["a", "b"], {"names": ["x", "y"]})


@pytest.mark.parametrize("cursor", ["Nothing:", "Contribution:x", "'; DROP", "document:"])
def test_a_foreign_cursor_is_400(client: TestClient, cursor: str) -> None:
    """It is not taken for a beginning."""
    assert problem(client.get("/v1/kg/export", params={"cursor": cursor}), 400)["details"][0]["field"] == "query.cursor"
