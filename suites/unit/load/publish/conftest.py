"""Recorders in place of Grafana and Prometheus, a journal in memory, and senders that do not wait long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.load.publish import sending
from harness.load.publish.sending import Sender
from harness.load.publish.settings import Peer

from .recorders import Grafana, Journal, Receiver


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(sending, "RETRY_AFTER_S", (0.01, 0.02))


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    recorder = Grafana()
    yield recorder
    recorder.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    recorder = Receiver()
    yield recorder
    recorder.close()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def sender() -> Iterator[Callable[[Peer], Sender]]:
    """Makes senders that are closed afterwards."""
    made: list[Sender] = []

    def make(peer: Peer) -> Sender:
        made.append(Sender(peer))
        return made[-1]

    yield make
    for one in made:
        one.close()
