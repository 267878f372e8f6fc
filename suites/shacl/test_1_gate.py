"""The running system refuses what breaks a shape: 422 that names it, a dead letter, and nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from rdflib import RDF, SH, Graph, URIRef

from harness.plugin.session import Session
from suites.shacl.batches import NEGATIVES, changed, end, valid_batch
from suites.wing.api import Api

SHAPES = Path("system/evidence/shapes")
FILES = ("adverse_events", "edge_ends", "ids_codes", "provenance_mandatory", "spans_integrity", "units_ucum", "value_sanity")


@pytest.fixture(scope="module")
def tag(harness_session: Session) -> str:
    """Six digits of the run: keys and write ids of this run are its own."""
    return f"{harness_session.run.seeds.derive('shacl') % 10**6:06d}"


@pytest.fixture(scope="module")
def accepted(api: Api, tag: str) -> dict[str, Any]:
    """The valid batch, written."""
    batch = valid_batch(f"shacl-{tag}-valid", tag)
    answer = api.http.post("/v1/kg/write", json=batch)
    assert answer.status_code == 200, answer.text
    return batch


def shapes_of(project: Path, name: str) -> dict[str, str]:
    """Named shapes of a file with the last part of their path; empty for a path of several steps."""
    graph = Graph().parse(project / SHAPES / f"{name}.ttl")
    found = {shape for kind in (SH.NodeShape, SH.PropertyShape) for shape in graph.subjects(RDF.type, kind) if isinstance(shape, URIRef)}
    paths = {shape: graph.value(shape, SH.path) for shape in found}
    return {last(str(shape)): last(str(path)) if isinstance(path, URIRef) else "" for shape, path in paths.items()}


def last(name: str) -> str:
    return name.rpartition("#")[2].rpartition(":")[2]


@pytest.mark.requirement("OPS-2.3")
def test_a_valid_batch_passes_and_is_in_the_graph(api: Api, accepted: dict[str, Any], examined: Any) -> None:
    """A batch with every label and edge type is answered 200 and can be read back, node by node and edge by edge."""
    nodes, edges = api.graph()
    stored = {(node["label"], node["key"]) for node in nodes}
    connected = {(item["type"], item["source"]["key"], item["target"]["key"]) for item in edges}
    wanted = {(node["label"], node["key"]) for node in accepted["nodes"]}
    links = {(item["type"], item["source"]["key"], item["target"]["key"]) for item in accepted["edges"]}
    examined(len(wanted) + len(links))
    assert wanted <= stored
    assert links <= connected


def test_every_shape_has_a_negative(harness_session: Session, examined: Any) -> None:
    """The shapes of the system and the negatives of this suite name each other one by one."""
    folder = harness_session.project.folder
    named = {shape for name in FILES for shape in shapes_of(folder, name)}
    examined(len(named))
    assert {path.stem for path in (folder / SHAPES).glob("*.ttl")} == set(FILES)
    assert named == set(NEGATIVES)


@pytest.mark.requirement("OPS-2.3")
@pytest.mark.parametrize("name", FILES)
def test_one_negative_a_shape_is_refused(
    name: str, api: Api, harness_session: Session, accepted: dict[str, Any], tag: str, examined: Any
) -> None:
    """Each broken batch gets 422 with focus node, path, value and shape, leaves a dead letter, and writes nothing."""
    assert accepted
    before = counts(api)
    letters = {}
    for shape, path in shapes_of(harness_session.project.folder, name).items():
        change, value = NEGATIVES[shape]
        write_id = f"shacl-{tag}-{shape}"
        answer = api.http.post("/v1/kg/write", json=changed(valid_batch(write_id, tag), change))
        issue = refused(answer, shape)
        assert not path or last(issue["path"]) == path or shape == "AeKnownProperties", (shape, issue)
        assert value is None or value in issue["value"], (shape, issue)
        assert value != "" or issue["value"] == "", (shape, issue)
        letters[answer.json()["dead_letter_id"]] = write_id
        examined(1)
    assert counts(api) == before, "a refused batch changed the graph"
    kept = {item["letter_id"]: item for item in dead_letters(api)}
    for letter, write_id in letters.items():
        assert (kept[letter]["subject"], kept[letter]["status"]) == (write_id, "open")
        assert kept[letter]["issues"]
        assert api.http.get(f"/v1/kg/writes/{write_id}").status_code == 404


@pytest.mark.requirement("OPS-2.3")
def test_a_dead_letter_is_refused_until_its_cause_is_gone(api: Api, accepted: dict[str, Any], tag: str) -> None:
    """Replay of a broken batch stays refused; once the node it lacked is written, the same replay is accepted."""
    assert accepted
    missing = f"shacl suite {tag}: written later"
    batch = changed(valid_batch(f"shacl-{tag}-replay", tag), end("HAS_OUTCOME", "target", ("Outcome", missing)))
    letter = refused_letter(api.http.post("/v1/kg/write", json=batch))
    again = api.http.post(f"/v1/kg/dead-letters/{letter}/replay")
    assert again.status_code == 422, again.text
    later = {"write_id": f"shacl-{tag}-later", "nodes": [{"label": "Outcome", "key": missing, "properties": {"name": "x"}}], "edges": []}
    assert api.http.post("/v1/kg/write", json=later).status_code == 200
    replayed = api.http.post(f"/v1/kg/dead-letters/{letter}/replay")
    assert replayed.status_code == 200, replayed.text
    kept = {item["letter_id"]: item["status"] for item in dead_letters(api)}
    assert kept[letter] == "replayed"
    _, edges = api.graph()
    assert any(item["type"] == "HAS_OUTCOME" and item["target"]["key"] == missing for item in edges)


def refused(answer: httpx.Response, shape: str) -> Mapping[str, str]:
    """The issue of that shape in a 422 problem; fails with the answer otherwise."""
    assert answer.status_code == 422, f"{shape}: {answer.status_code} {answer.text[:300]}"
    assert answer.headers["content-type"].startswith("application/problem+json")
    found = [issue for issue in answer.json()["issues"] if last(issue["shape"]) == shape]
    assert found, f"{shape} is not among {[issue['shape'] for issue in answer.json()['issues']]}"
    assert found[0]["focus_node"].startswith("urn:eh:")
    assert found[0]["message"]
    issue: Mapping[str, str] = found[0]
    return issue


def refused_letter(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    return str(answer.json()["dead_letter_id"])


def dead_letters(api: Api) -> list[Mapping[str, Any]]:
    """All dead letters, page by page."""
    found: list[Mapping[str, Any]] = []
    after = ""
    while True:
        page = api.get("/v1/kg/dead-letters", after=after, limit=500)
        found += page["dead_letters"]
        if not page["next_after"]:
            return found
        after = page["next_after"]


def counts(api: Api) -> Mapping[str, int]:
    """Elements of the graph, by the platform's own count."""
    graph: Mapping[str, int] = api.get("/v1/counts")["graph"]
    return graph
