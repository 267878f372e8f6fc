from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import msgspec
import neo4j
import pytest

from suites.unit.graph.conftest import Contribution
from system.platform.errors import BadInput, Unavailable
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef
from system.stores import graph as graph_store
from system.stores.graph import BoltGraph
from system.stores.graph_schema import EDGE_TYPES, LABELS


def snapshot(graph: BoltGraph) -> dict[str, Any]:
    """Everything the port shows, in pages of two."""
    content: dict[str, Any] = {}
    for name in LABELS:
        after = ""
        while page := graph.nodes(name, after, 2):
            content |= {f"{name} {item.node.ref.key}": (dict(item.node.properties), item.supporters) for item in page}
            after = page[-1].node.ref.key
    for name in EDGE_TYPES:
        for item in graph.edges(name, "", 1000):
            edge = item.edge
            content[f"{edge.source} {name} {edge.target} {edge.qualifier}"] = (dict(edge.properties), item.supporters)
    return content


def test_written_batch_is_read_back(graph: BoltGraph) -> None:
    """Values of every kind, keys of any text, qualifiers and supporters come back as they were given."""
    study, event = NodeRef("Study", "NCT00000001"), NodeRef("AdverseEvent", 'd\'été 🧪 "quoted" `tick`')
    properties = {"text": "é\n{}", "whole": 3, "real": 2.0, "yes": True, "many": ("a", "b"), "absent": None}
    edges = tuple(GraphEdge("HAS_AE", study, event, arm, {"count": count}) for arm, count in (("a|1", 1), ("b|1", 2)))
    graph.replace_contribution(GraphBatch("w0", (GraphNode(study, properties), GraphNode(event, {})), edges))
    (stored,) = graph.nodes("Study", "", 10)
    assert stored.node.properties == {name: value for name, value in properties.items() if value is not None}
    assert stored.supporters == ("w0",)
    assert type(stored.node.properties["real"]) is float
    assert {(item.edge.qualifier, item.edge.properties["count"]) for item in graph.edges("HAS_AE", "", 10)} == {("a|1", 1), ("b|1", 2)}
    assert graph.edges("HAS_AE", "", 10)[0].edge.target == event
    assert graph.existing([study, NodeRef("Study", "NCT9"), NodeRef("Nonsense", "x")]) == {study}
    assert graph.contribution_exists("w0")
    assert not graph.contribution_exists("w1")


def test_writing_twice_changes_nothing(graph: BoltGraph, contribution: Any) -> None:
    """The same contribution again leaves counts and content as they are."""
    graph.replace_contribution(contribution("w0", "asthma"))
    once = snapshot(graph)
    graph.replace_contribution(contribution("w0", "asthma"))
    assert snapshot(graph) == once


def test_replacing_drops_what_is_no_longer_said(graph: BoltGraph, contribution: Any) -> None:
    """The graph holds exactly the newest contribution: fewer chunks, another condition, a property less."""
    graph.replace_contribution(contribution("w0", "asthma", "copd", size=40, year=2020))
    graph.replace_contribution(contribution("w0", "copd", size=2))
    replaced = snapshot(graph)
    graph.remove_contribution("w0")
    graph.replace_contribution(contribution("w0", "copd", size=2))
    assert snapshot(graph) == replaced
    assert graph.counts()["Chunk"] == 2
    assert "year" not in graph.nodes("Document", "", 1)[0].node.properties


def test_removal_takes_exactly_what_only_it_supported(graph: BoltGraph, contribution: Any) -> None:
    """Two documents share a condition: removing one leaves the other's graph as if it had always been alone."""
    graph.replace_contribution(contribution("w1", "asthma", "copd"))
    alone = snapshot(graph)
    graph.replace_contribution(contribution("w0", "asthma", "eczema"))
    assert graph.nodes("Condition", "", 9)[0].supporters == ("w0", "w1")
    assert graph.nodes("Condition", "", 9)[0].node.properties == {"name": "asthma as w0 writes it"}
    graph.remove_contribution("w0")
    assert snapshot(graph) == alone
    graph.remove_contribution("w0")
    graph.remove_contribution("never-seen")
    assert snapshot(graph) == alone


def test_order_of_writes_never_shows(graph: BoltGraph, contribution: Any) -> None:
    """Three supporters that contradict each other give one graph in every order, with a replacement on the way."""
    batches = [contribution(f"w{index}", "asthma", "copd", size=1, year=2000 + index) for index in range(3)]
    batches = [
        msgspec.structs.replace(
            b, nodes=(*b.nodes, GraphNode(NodeRef("Study", "NCT00000001"), {"phase": b.supporter, f"of_{b.supporter}": 1}))
        )
        for b in batches
    ]
    seen = []
    for order in itertools.permutations(batches):
        graph.replace_contribution(contribution(order[0].supporter, "eczema"))
        for batch in order:
            graph.replace_contribution(batch)
        seen.append(snapshot(graph))
        for batch in order[1:]:
            graph.remove_contribution(batch.supporter)
    assert all(content == seen[0] for content in seen)
    assert seen[0]["Study NCT00000001"] == ({"phase": "w0", "of_w0": 1, "of_w1": 1, "of_w2": 1}, ("w0", "w1", "w2"))


def test_dangling_edge_writes_nothing(graph: BoltGraph, contribution: Any) -> None:
    """One edge to a node that is nowhere: an error with its name, and the counts stay."""
    graph.replace_contribution(contribution("w0", "asthma"))
    before = snapshot(graph)
    batch = contribution("w1", "copd")
    dangling = GraphEdge("ABOUT", NodeRef("Document", "w1"), NodeRef("Study", "NCT99999999"), "", {})
    with pytest.raises(BadInput, match="NCT99999999"):
        graph.replace_contribution(msgspec.structs.replace(batch, edges=(*batch.edges, dangling)))
    assert snapshot(graph) == before
    assert not graph.contribution_exists("w1")


def test_edge_to_a_node_of_another_supporter_keeps_that_node(graph: BoltGraph, contribution: Any) -> None:
    """Who leans on a node supports its existence, not its properties: nothing dangles after a removal."""
    graph.replace_contribution(contribution("w0", "asthma", size=1))
    edge = GraphEdge("ABOUT", NodeRef("Document", "w1"), NodeRef("Condition", "asthma"), "", {})
    graph.replace_contribution(GraphBatch("w1", (GraphNode(NodeRef("Document", "w1"), {}),), (edge,)))
    graph.remove_contribution("w0")
    (condition,) = graph.nodes("Condition", "", 9)
    assert (condition.node.properties, condition.supporters) == ({}, ("w1",))
    assert graph.counts()["ABOUT"] == 1


def test_large_document_is_quick(graph: BoltGraph, contribution: Any) -> None:
    """A document of 500 nodes and 500 edges is written and removed in seconds; more than one statement's rows work."""
    began = time.monotonic()
    graph.replace_contribution(contribution("w0", "asthma", size=501))
    written = time.monotonic() - began
    assert graph.counts()["HAS_CHUNK"] == 501
    graph.remove_contribution("w0")
    assert graph.counts()["HAS_CHUNK"] == 0
    assert written < 5, "about half a second on an idle machine"


def test_concurrent_writers_lose_nothing(server: Any, graph: BoltGraph, contribution: Any) -> None:
    """Two processes' worth of writers share a condition: every supporter is on it afterwards."""
    other = BoltGraph(server.url, "a-password-of-this-test-only")
    failed: list[BaseException] = []

    def write(through: BoltGraph, names: list[str]) -> None:
        for name in names:
            try:
                through.replace_contribution(contribution(name, "asthma", size=5))
            except BaseException as error:  # noqa: BLE001  # shown below
                failed.append(error)

    threads = [
        threading.Thread(target=write, args=(graph, ["w0", "w1", "w2"])),
        threading.Thread(target=write, args=(other, ["w3", "w4", "w5"])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    assert failed == []
    assert graph.nodes("Condition", "", 1)[0].supporters == tuple(f"w{index}" for index in range(6))
    assert graph.counts()["Chunk"] == 30


def test_preparing_again_is_harmless_and_keys_are_unique(server: Any, graph: BoltGraph, contribution: Any) -> None:
    """Constraints are declared once; a second node with the same key is refused by the server itself."""
    graph.prepare()
    graph.replace_contribution(contribution("w0"))
    with (
        neo4j.GraphDatabase.driver(server.url, auth=("root", "a-password-of-this-test-only")) as driver,
        driver.session() as session,
        pytest.raises(neo4j.exceptions.ConstraintError),
    ):
        session.execute_write(lambda tx: tx.run("CREATE (n:Document {key: 'w0'})").consume())


@pytest.mark.parametrize("name", ["Opinion", "Document) DETACH DELETE n //", ""])
def test_unknown_label_is_refused(name: str, graph: BoltGraph) -> None:
    """Names reach the query text only from the model's own list."""
    with pytest.raises(BadInput):
        graph.nodes(name, "", 1)
    with pytest.raises(BadInput):
        graph.edges(name, "", 1)


def test_absent_server_is_unavailable_soon() -> None:
    """Nobody listens: Unavailable within seconds, and ready says no."""
    graph = BoltGraph("bolt://127.0.0.1:9", "secret")
    began = time.monotonic()
    assert not graph.ready()
    with pytest.raises(Unavailable, match="graph is unavailable"):
        graph.counts()
    assert time.monotonic() - began < 10
    graph.close()


def test_a_transaction_that_does_not_see_its_own_nodes_is_begun_anew(
    graph: BoltGraph, contribution: Contribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller brought both ends, so a store that misses one is asked again; the caller is not told that it is to blame."""
    truly, missed = graph_store._query, []

    def once_short(tx: Any, statement: str, parameters: dict[str, object]) -> Any:
        rows = truly(tx, statement, parameters)
        if "MERGE (a)-[r:" in statement and not missed:
            missed.append(statement)
            return [{"written": rows[0]["written"] - 1}]
        return rows

    monkeypatch.setattr(graph_store, "_query", once_short)
    graph.replace_contribution(contribution("w1", "asthma"))
    assert missed
    assert graph.counts()["HAS_CHUNK"] == 3
