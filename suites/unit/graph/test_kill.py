from __future__ import annotations

import threading
from typing import Any

import pytest

from system.platform.errors import Unavailable
from system.stores.graph import BoltGraph


def test_kill_9_in_the_middle_of_writing_is_all_or_nothing(server: Any, graph: BoltGraph, contribution: Any) -> None:
    """The server dies while batches are written: the caller hears Unavailable; after the restart each batch is whole or absent,
    every acknowledged one is there, and the same adapter serves on."""
    size, acknowledged, tried = 60, [], []
    heard: list[Unavailable] = []
    third = threading.Event()

    def write() -> None:
        for index in range(10):
            if index == 3:
                third.set()
            tried.append(index)
            try:
                graph.replace_contribution(contribution(f"w{index}", "asthma", size=size))
            except Unavailable as error:
                heard.append(error)
                return
            acknowledged.append(index)

    writer = threading.Thread(target=write)
    writer.start()
    assert third.wait(60)
    server.kill()
    writer.join(60)
    assert not writer.is_alive()
    if len(acknowledged) == 10:
        pytest.skip("all batches were written before the kill: nothing was at risk")
    assert heard, "the write in flight must be told"
    with pytest.raises(Unavailable):
        graph.counts()
    server.start()
    server.wait_ready(graph)
    whole = [index for index in range(10) if graph.contribution_exists(f"w{index}")]
    assert set(acknowledged) <= set(whole) <= set(tried)
    counts = graph.counts()
    assert (counts["Document"], counts["Chunk"], counts["HAS_CHUNK"]) == (len(whole), size * len(whole), size * len(whole))
    assert graph.nodes("Condition", "", 9)[0].supporters == tuple(f"w{index}" for index in whole)
    graph.replace_contribution(contribution(f"w{len(whole)}", "asthma", size=size))
    assert graph.counts()["Document"] == len(whole) + 1
