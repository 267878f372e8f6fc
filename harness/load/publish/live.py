"""Listeners of a run as ``[publish]`` of harness.toml asks for them. Without that table there is none, and nothing is imported."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.journal.events import Event, Note
from harness.load.publish.settings import GrafanaTable, Peer, RemoteWriteTable, decode, grafana_peer, remote_write_peer
from harness.run.protocols import Emitter, Listener


class PublishingRun(Protocol):
    """The part of a run that is needed here."""

    @property
    def id(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def journal(self) -> Emitter: ...
    def listen(self, listener: Listener) -> None: ...


def check(tables: Mapping[str, Any]) -> None:
    """``UsageError`` for a ``[publish]`` that is wrong; before a run folder is made."""
    if "publish" in tables:
        decode(tables)


def listen(run: PublishingRun, tables: Mapping[str, Any]) -> None:
    """Let the listeners that harness.toml asks for follow the run; it ends them before its journal."""
    if "publish" in tables:
        for listener in _listeners(run, tables):
            run.listen(listener)


def _listeners(run: PublishingRun, tables: Mapping[str, Any]) -> Iterator[Listener]:
    table = decode(tables)
    epoch_ns = time.time_ns() - time.monotonic_ns()
    if table.grafana is not None and _ready(run.journal, "Grafana is not annotated", peer := grafana_peer(table.grafana)):
        yield _grafana(run, table.grafana, peer, epoch_ns)
    if table.remote_write is not None and _ready(run.journal, "no metrics are pushed", peer := remote_write_peer(table.remote_write)):
        yield _remote_write(run, table.remote_write, peer, epoch_ns)


def _ready(journal: Emitter, what: str, peer: Peer) -> bool:
    if peer.missing:
        event: Event = Note(trial="", text=f"{what}: the environment variable {peer.missing} holds no token", level="warning")
        journal.emit(event)
    return not peer.missing


def _grafana(run: PublishingRun, table: GrafanaTable, peer: Peer, epoch_ns: int) -> Listener:
    from harness.load.publish.annotator import GrafanaListener
    from harness.load.publish.grafana import annotation_api
    from harness.load.publish.regions import Regions
    from harness.load.publish.sending import Sender

    return GrafanaListener(annotation_api(Sender(peer), table), Regions(run.id, epoch_ns), run.journal)


def _remote_write(run: PublishingRun, table: RemoteWriteTable, peer: Peer, epoch_ns: int) -> Listener:
    from harness.load.publish.metrics import run_series
    from harness.load.publish.remote_write import RemoteWriteListener
    from harness.load.publish.sending import Sender

    return RemoteWriteListener(Sender(peer), lambda: run_series(run.folder, epoch_ns, table.labels), run.journal)
