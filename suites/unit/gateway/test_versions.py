"""A newer version over the API: the older value is nowhere but under its own id, in either order of arrival."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import Site
from suites.unit.versions.payloads import study

NCT = "NCT93000031"
OLD = study(NCT, "2023-04-04", effect=-3.25, status="ACTIVE_NOT_RECRUITING")
NEW = study(NCT, "2024-04-04", effect=1.75, status="WITHDRAWN")
GONE, HERE = ("-3.25", "ACTIVE_NOT_RECRUITING"), ("1.75", "WITHDRAWN")


@pytest.fixture(params=[(OLD, NEW), (NEW, OLD)], ids=["older first", "newer first"])
def met(request: pytest.FixtureRequest, client: TestClient, site: Site) -> tuple[str, str]:
    """Both versions taken in, one after the other; the ids of the older and the newer."""
    for payload in request.param:
        client.post("/v1/ingest/ctgov", content=payload)
        site.work()
    older, newer = sorted(site.world.records.rows, key=lambda key: key.split("#")[1])
    return older, newer


def text_of(client: TestClient, method: str, path: str, **more: Any) -> str:
    answer = client.request(method, path, **more)
    assert answer.status_code == 200, answer.text
    return answer.text


ANSWERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dossier": ("POST", "/v1/briefing/dossier", {"json": {"topic": {"condition": "Quornitis"}}}),
    "dossier in markdown": ("POST", "/v1/briefing/dossier", {"json": {"topic": {"condition": "Quornitis"}, "format": "markdown"}}),
    "retrieve": ("POST", "/v1/retrieve", {"json": {"query": "itch score melbrinone", "top_k": 50}}),
    "graph": ("GET", "/v1/kg/export?limit=1000", {}),
    "effects": ("GET", "/v1/extractions?kind=effects", {}),
    "documents": ("GET", "/v1/documents", {}),
}


@pytest.mark.parametrize("answer", sorted(ANSWERS))
def test_no_answer_holds_the_older_version(client: TestClient, met: tuple[str, str], answer: str) -> None:
    """Neither its id nor its value; the newer one is there."""
    method, path, more = ANSWERS[answer]
    seen = text_of(client, method, path, **more)
    assert met[0] not in seen
    assert met[1] in seen
    assert not [value for value in GONE if f'"{value}"' in seen or f" {value} " in seen]


def test_the_study_has_the_status_of_the_newer_version(client: TestClient, met: tuple[str, str]) -> None:
    """One study, supported by one document."""
    nodes, cursor = [], ""
    while True:
        page = client.get("/v1/kg/export", params={"cursor": cursor}).json()
        nodes += page["nodes"]
        if not page["next_cursor"]:
            break
        cursor = page["next_cursor"]
    (found,) = [node for node in nodes if node["label"] == "Study"]
    assert (found["properties"]["status"], found["supporters"]) == (HERE[1], [met[1]])
    (effect,) = [node for node in nodes if node["label"] == "Evidence"]
    assert effect["properties"]["value"] == float(HERE[0])


def test_the_older_version_is_readable_by_its_id_and_names_the_newer(client: TestClient, met: tuple[str, str]) -> None:
    """Ledger row with history, IR, chunks and records; the newer one names none."""
    path = f"/v1/documents/{quote(met[0], safe='')}"
    body = client.get(path).json()
    assert (body["state"], body["superseded_by"], body["superseded_on"]) == ("completed", met[1], "version")
    assert GONE[0] in client.get(f"{path}/ir").text
    assert client.get(f"{path}/chunks").json()["chunks"]
    records = client.get("/v1/extractions", params={"kind": "effects", "doc_id": met[0]}).json()["extractions"][0]["records"]
    assert [record["value"] for record in records] == [float(GONE[0])]
    newer = client.get(f"/v1/documents/{quote(met[1], safe='')}").json()
    assert (newer["superseded_by"], newer["superseded_on"]) == (None, None)


def test_lists_and_counts_are_of_what_stands(client: TestClient, met: tuple[str, str]) -> None:
    """Older versions are listed where they are asked for and counted apart."""
    assert [row["doc_id"] for row in client.get("/v1/documents").json()["documents"]] == [met[1]]
    assert [row["doc_id"] for row in client.get("/v1/documents", params={"superseded": "true"}).json()["documents"]] == [met[0]]
    counts = client.get("/v1/counts").json()["records"]
    assert (counts["documents"], counts["superseded"]) == (1, 1)
    assert counts["chunks"] == counts["index_rows"]


def test_jobs_end_and_tell_which_document_is_superseded(client: TestClient, met: tuple[str, str], site: Site) -> None:
    """Both are completed; the older one's names the newer."""
    views = [client.get(f"/v1/jobs/{job}").json() for job in site.world.records.jobs]
    assert [view["state"] for view in views] == ["completed", "completed"]
    assert {item["doc_id"]: item["superseded_by"] for view in views for item in view["documents"]} == {met[0]: met[1], met[1]: None}


def test_removing_the_newer_brings_the_older_back(client: TestClient, met: tuple[str, str], site: Site) -> None:
    """At once in the ledger, in answers and graph as soon as the worker has followed."""
    assert client.delete(f"/v1/documents/{quote(met[1], safe='')}").status_code == 204
    assert client.get(f"/v1/documents/{quote(met[0], safe='')}").json()["superseded_by"] is None
    site.work()
    for method, path, more in ANSWERS.values():
        seen = text_of(client, method, path, **more)
        assert met[0] in seen
        assert met[1] not in seen
