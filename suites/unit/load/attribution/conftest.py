"""Synthetic runs: a thousand requests whose every part is known, with delays planted where a test wants them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.journal.events import Event
from harness.journal.segments import CANARY, REQUESTS, SegmentWriter
from harness.load.attribution.causes import Finding, attribute
from harness.load.attribution.sampler import HOST, SERVICES
from harness.load.attribution.spans import SPANS

MS = 1_000_000
COUNT, GAP_NS = 1_000, 10 * MS
PATHS = ((("bm25", 12),), (("sparse_encode", 10), ("sparse", 3)), (("dense_encode", 8), ("dense", 4)))
SCHEMAS = {"requests": REQUESTS, "canary": CANARY, "spans": SPANS, "host": HOST, "services": SERVICES}


@dataclasses.dataclass
class Synthetic:
    """What the run will hold; ``delay(i, part, ms)`` plants one. Parts: lag, accept, a stage, handler (outside every stage), reply."""

    place: Any
    origin_ns: int = 1_000_000_000_000
    delays: dict[tuple[int, str], int] = dataclasses.field(default_factory=dict)
    without_spans: bool = False
    unanswered: dict[int, str] = dataclasses.field(default_factory=dict)
    extra_spans: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    host: Callable[[int], dict[str, float]] = lambda _ms: {"cpu_pressure": 0.1}
    services: Callable[[int], list[dict[str, Any]]] = lambda _ms: [{"service": "gateway", "cpu_wait": 0.05, "stopped": False}]
    late_canaries: dict[int, int] = dataclasses.field(default_factory=dict)  # at ms: late by ms

    def delay(self, index: int, part: str, ms: int) -> None:
        self.delays[index, part] = ms

    def slow_down(self, requests: Iterable[int], factor: int) -> None:
        """Every stage of these requests takes so many times as long, as on a machine that is short of something."""
        usual = {name: ms for path in PATHS for name, ms in path} | {"fusion": 2}
        for index in requests:
            for name, ms in usual.items():
                self.delay(index, name, (factor - 1) * ms)

    def at_ns(self, ms: float) -> int:
        return self.origin_ns + round(ms * MS)

    def emit(self, *events: Event) -> None:
        self.place.emit(*events)

    def write(self) -> None:
        """Everything into the run folder."""
        jitter = random.Random(5)
        requests, spans = [], list(self.extra_spans)
        for index in range(COUNT):
            row, own = self._request(index, jitter.randrange(MS))
            requests.append(row)
            spans += [] if self.without_spans else own
        self._stream("requests", requests)
        self._stream("spans", spans)
        ticks = range(0, COUNT * GAP_NS // MS, 100)
        held = [{"since_ns": self.at_ns(ms), "at_ns": self.at_ns(ms + 100)} for ms in ticks]
        self._stream("host", [{**row, **self.host(ms)} for row, ms in zip(held, ticks, strict=True)])
        self._stream("services", [{**row, **one} for row, ms in zip(held, ticks, strict=True) for one in self.services(ms)])
        self._stream("canary", [self._canary(ms) for ms in range(0, COUNT * GAP_NS // MS, 50)])

    def found(self, step: str = "") -> Finding:
        self.write()
        return attribute(self.place.view(), "t", step, 10_000 * MS)

    def _request(self, index: int, jitter_ns: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        name = f"load-{index:08d}xxxxxxxxxxx"
        intended = self.origin_ns + index * GAP_NS
        sent = intended + MS // 10 + self._planted(index, "lag")
        arrived = sent + MS // 5 + self._planted(index, "accept")
        began = arrived + MS // 2 + self._planted(index, "queue")
        spans = [("queue", "gateway", arrived, began)]
        ends = []
        for path in PATHS:  # the retrievers work side by side
            now = began
            for stage, usual_ms in path:
                end = now + usual_ms * MS + (jitter_ns if stage == "bm25" else 0) + self._planted(index, stage)
                spans.append((stage, "total", now, end))
                now = end
            ends.append(now)
        fused = max(ends) + 2 * MS + self._planted(index, "fusion")
        now = fused + self._planted(index, "handler")
        spans += [("fusion", "total", max(ends), fused), ("total", "handler", began, fused), ("handler", "gateway", began, now)]
        spans += [("serialise", "gateway", now, now + MS // 2), ("gateway", "", arrived, now + MS)]
        done = now + MS + MS // 5 + self._planted(index, "reply")
        outcome = self.unanswered.get(index, "ok")
        row = {"op": "retrieve", "step": "load", "intended_ns": intended, "sent_ns": sent, "first_byte_ns": done, "done_ns": done}
        row |= {"status": 200, "outcome": outcome, "bytes": 10, "request_id": name}
        if outcome != "ok":
            row |= {"done_ns": None, "first_byte_ns": None, "status": 0}
        own = [
            {"request_id": name, "stage": stage, "parent": parent, "start_ns": start, "duration_ns": end - start, "process": "gateway 7"}
            for stage, parent, start, end in spans
        ]
        return row, own if outcome == "ok" else []

    def _planted(self, index: int, part: str) -> int:
        return self.delays.get((index, part), 0) * MS

    def _canary(self, ms: int) -> dict[str, Any]:
        late = self.late_canaries.get(ms, 0) * MS
        at = self.at_ns(ms)
        return {"intended_ns": at, "sent_ns": at + late, "done_ns": at + 6 * MS + late, "known_delay_ns": 5 * MS, "outcome": "ok"}

    def _stream(self, stream: str, rows: list[dict[str, Any]]) -> None:
        folder: Path = self.place.run_folder
        with SegmentWriter(stream, SCHEMAS[stream], folder, self.place.hub, trial="t") as writer:
            for row in rows:
                writer.append(**row)


@pytest.fixture
def synthetic(place: Any) -> Synthetic:
    """A run in the making."""
    return Synthetic(place)
