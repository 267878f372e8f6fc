"""Follows a run's events and annotates Grafana while it goes on. A slow, wrong or absent Grafana costs the run nothing but a remark.

The observer only puts into a bounded queue; a thread sends. After some failures in a row it gives up, and says so once.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time

from harness.core.clock import NS_PER_S
from harness.core.errors import HarnessError
from harness.journal.events import Event, Note, Published
from harness.load.publish.grafana import AnnotationApi
from harness.load.publish.regions import Regions, Step
from harness.load.publish.sending import NotSent
from harness.run.protocols import Emitter

TARGET = "grafana"
QUEUE_MAX = 1_000
GIVE_UP_AFTER = 3  # failures in a row
END_MAX_S = 10.0  # for everything that is still to be sent when the run ends


class GrafanaListener:
    """Implements ``Listener``. ``close`` returns within ``END_MAX_S``, whatever Grafana does."""

    def __init__(self, api: AnnotationApi, regions: Regions, journal: Emitter, end_max_s: float = END_MAX_S) -> None:
        self._api, self._regions, self._journal, self._end_max_s = api, regions, journal, end_max_s
        self._queue: queue.Queue[Step | None] = queue.Queue(QUEUE_MAX)
        self._handles: dict[str, str] = {}
        self._failures = self._dropped = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="grafana", daemon=True)
        self._thread.start()
        self._put(*regions.begin(time.monotonic_ns()))

    def see(self, event: Event) -> None:
        """Called in the thread that emitted the event: never waits."""
        if not isinstance(event, Published):
            with self._lock:
                self._put(*self._regions.see(event, time.monotonic_ns()))

    def close(self) -> None:
        """End what is open, wait a bounded time, say what was lost."""
        with self._lock:
            self._put(*self._regions.end(time.monotonic_ns()))
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(self._end_max_s)
        self._ended.set()
        left = self._queue.qsize() + self._dropped
        if self._thread.is_alive() or left:
            self._warn(f"Grafana was too slow: {left} annotations were not sent")
        else:
            self._api.close()  # a thread that still waits for an answer keeps its connection

    def _put(self, *steps: Step) -> None:
        for step in steps:
            try:
                self._queue.put_nowait(step)
            except queue.Full:
                self._dropped += 1

    def _work(self) -> None:
        while (step := self._queue.get()) is not None and not self._ended.is_set():
            self._send(step)

    def _send(self, step: Step) -> None:
        if self._failures >= GIVE_UP_AFTER or (not step.opens and step.key not in self._handles):
            self._say(step, "dropped", 0, 0.0, "given up after failures" if step.opens else "its beginning was not shown")
            return
        began = time.monotonic_ns()
        try:
            if step.opens:
                self._handles[step.key] = self._api.open(step.annotation)
            else:
                self._api.finish(self._handles.pop(step.key), step.annotation)
        except NotSent as error:
            self._failed(step, error.status, began, error.reason)
        except Exception as error:  # noqa: BLE001 - whatever a foreign server provokes, the run goes on
            self._failed(step, 0, began, f"{type(error).__name__}: {error}")
        else:
            self._failures = 0
            self._say(step, "done", 200, (time.monotonic_ns() - began) / NS_PER_S, "")

    def _failed(self, step: Step, status: int, began_ns: int, reason: str) -> None:
        self._failures += 1
        self._say(step, "failed", status, (time.monotonic_ns() - began_ns) / NS_PER_S, reason)
        if self._failures == GIVE_UP_AFTER:
            self._warn(f"Grafana is not annotated any more: {GIVE_UP_AFTER} attempts failed in a row, the last one so: {reason}")
        elif self._failures == 1:
            self._warn(f"an annotation in Grafana failed: {reason}")

    def _say(self, step: Step, outcome: str, status: int, took_s: float, detail: str) -> None:
        self._emit(
            Published(
                target=TARGET,
                action="open" if step.opens else "finish",
                subject=step.key,
                outcome=outcome,
                status=status,
                at_ns=time.monotonic_ns(),
                took_s=round(took_s, 6),
                detail=detail,
            )
        )

    def _warn(self, text: str) -> None:
        self._emit(Note(trial="", text=text, level="warning"))

    def _emit(self, event: Event) -> None:
        with contextlib.suppress(HarnessError):  # a journal that was closed meanwhile
            self._journal.emit(event)
