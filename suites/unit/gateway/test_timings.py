"""Where the time of a request went: kept for every request of the API, bounded, given to operators only."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import Site
from system.gateway.timings import HANDLER, Timings, request_spans, watching
from system.platform import stages
from system.platform.stages import STAGES_MAX, Span, stage

RETRIEVE = {"query": "overall survival", "top_k": 3}


def page(client: TestClient, after: int = 0, limit: int = 100) -> dict[str, Any]:
    body: dict[str, Any] = client.get("/v1/timings", params={"after": after, "limit": limit}).raise_for_status().json()
    return body


def test_a_retrieval_leaves_its_stages_under_its_request_id(client: TestClient) -> None:
    """Queueing, each retriever's wait, encoding and store time, fusion and serialisation, all within the whole."""
    client.post("/v1/retrieve", json=RETRIEVE, headers={"X-Request-ID": "mine-1"}).raise_for_status()
    (entry,) = [one for one in page(client)["entries"] if one["request_id"] == "mine-1"]
    spans = {span["stage"]: span for span in entry["spans"]}
    wanted = {"gateway", "queue", "handler", "total", "fusion", "chunks", "serialise", "send", "bm25"}
    wanted |= {f"{name}{part}" for name in ("sparse", "dense") for part in ("", "_encode", "_wait")}
    assert wanted <= set(spans)
    whole = spans["gateway"]
    assert all(whole["start_ns"] <= span["start_ns"] for span in entry["spans"])
    assert all(span["start_ns"] + span["duration_ns"] <= whole["start_ns"] + whole["duration_ns"] for span in entry["spans"])
    assert spans["queue"]["start_ns"] + spans["queue"]["duration_ns"] == spans["handler"]["start_ns"]


def test_refused_requests_are_kept_and_reading_is_not(client: TestClient) -> None:
    """A request without a handler has its whole time; asking for timings, and what is no API, leaves nothing."""
    before = page(client)["last"]
    client.get("/health")
    client.post("/v1/retrieve", json={}, headers={"X-Request-ID": "refused"})
    found = page(client, before)
    assert [(one["request_id"], [span["stage"] for span in one["spans"]]) for one in found["entries"]] == [("refused", ["gateway"])]


def test_pages_follow_each_other_without_gaps(client: TestClient) -> None:
    """Paging with the last sequence gives each entry once; behind the last there is none."""
    for number in range(5):
        client.post("/v1/retrieve", json=RETRIEVE, headers={"X-Request-ID": f"p-{number}"})
    first = page(client, 0, 3)
    rest = page(client, first["entries"][-1]["sequence"])
    assert [one["sequence"] for one in (*first["entries"], *rest["entries"])] == list(range(1, rest["last"] + 1))
    assert page(client, 2**53)["entries"] == []


def test_only_operators_may_look(site: Site) -> None:
    """Reader and writer lack the scope."""
    assert [site.client(role).get("/v1/timings").status_code for role in ("reader", "writer", None)] == [403, 403, 401]


def test_the_ring_is_bounded_and_says_what_is_gone() -> None:
    """The oldest entries go; ``first`` says so, and a reader behind them gets what is left."""
    timings = Timings(entries_max=3)
    for number in range(10):
        timings.keep(str(number), ())
    found = msgspec.json.decode(timings.page(after=2, limit=2))
    assert (found["first"], found["last"]) == (8, 10)
    assert [entry["request_id"] for entry in found["entries"]] == ["7", "8"]


def test_the_spans_of_one_request_are_bounded() -> None:
    """A request with endless stages keeps the first ones."""
    noted = stages.begin()
    for _ in range(STAGES_MAX + 10):
        with stage("x"):
            pass
    assert len(noted.spans()) == STAGES_MAX


def test_requests_do_not_see_each_others_stages() -> None:
    """Notes belong to the context of their request, whatever runs beside it."""
    found = {}

    def work(name: str) -> None:
        noted = stages.begin()
        with stage(name):
            found[name] = noted

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: [span.stage for span in noted.spans()] for name, noted in found.items()} == {"a": ["a"], "b": ["b"]}


def test_an_unanswered_request_has_no_serialisation() -> None:
    """What never began to be answered has a whole, a wait and its handler."""
    spans = request_spans([Span(HANDLER, 30, 50)], arrived_ns=10, answered_ns=0, ended_ns=100)
    assert {span.stage: (span.start_ns, span.duration_ns) for span in spans} == {"gateway": (10, 90), HANDLER: (30, 50), "queue": (10, 20)}


async def kept(timings: Timings) -> None:
    """Until there is an entry."""
    while timings.page(0, 1).endswith(b"[]}"):  # noqa: ASYNC110 - the caller has the deadline
        await asyncio.sleep(0.01)


def test_collections_and_late_turns_of_the_loop_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stops the whole process stands under no request: a long collection of garbage, a late turn of the event loop."""
    monkeypatch.setattr("system.gateway.timings.PAUSE_NS", 0)
    timings = Timings()

    async def work() -> None:
        async with watching(timings):
            await asyncio.sleep(0)
            gc.collect()
            time.sleep(0.06)  # noqa: ASYNC251 - the event loop has to be held up
            await asyncio.wait_for(kept(timings), 5)

    asyncio.run(work())
    spans = [span for entry in msgspec.json.decode(timings.page(0, 100))["entries"] for span in entry["spans"]]
    assert {"gc", "event_loop"} <= {span["stage"] for span in spans}
    assert max(span["duration_ns"] for span in spans if span["stage"] == "event_loop") >= 30_000_000
