"""Pushes the run's metrics to a Prometheus remote-write receiver, once, when the run is over: nothing is computed beside the load."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

from harness.core.clock import NS_PER_S
from harness.core.errors import HarnessError
from harness.journal.events import Event, Note, Published
from harness.load.publish.sending import NotSent, Sender
from harness.load.publish.wire import HEADERS, TimeSeries, batches, body
from harness.run.protocols import Emitter

TARGET = "remote_write"
SAMPLES_MAX = 2_000  # a request
END_MAX_S = 30.0


class RemoteWriteListener:
    """Implements ``Listener``. ``close`` pushes within about ``END_MAX_S``; a receiver that refuses costs a remark."""

    def __init__(self, sender: Sender, series: Callable[[], Iterable[TimeSeries]], journal: Emitter, end_max_s: float = END_MAX_S) -> None:
        self._sender, self._series, self._journal, self._end_max_s = sender, series, journal, end_max_s

    def see(self, event: Event) -> None:
        """Nothing is sent while the run goes on."""

    def close(self) -> None:
        until = time.monotonic() + self._end_max_s
        try:
            for number, batch in enumerate(batches(self._series(), SAMPLES_MAX)):
                if time.monotonic() >= until:
                    self._say(number, batch, "dropped", 0, 0.0, f"no time left after {self._end_max_s:g} s")
                    return
                if not self._push(number, batch, until):
                    return
        except Exception as error:  # noqa: BLE001 - metrics that cannot be made must not cost the verdict
            self._say(0, [], "failed", 0, 0.0, f"{type(error).__name__}: {error}")
        finally:
            self._sender.close()

    def _push(self, number: int, batch: list[TimeSeries], until: float) -> bool:
        """Whether to go on with the next batch."""
        began = time.monotonic_ns()
        status, detail, outcome = 204, "", "done"
        try:
            self._sender.send_patiently("POST", "", body(batch), HEADERS, until)
        except NotSent as error:
            status, detail, outcome = error.status, error.reason, "failed"
        self._say(number, batch, outcome, status, (time.monotonic_ns() - began) / NS_PER_S, detail)
        return outcome == "done" or status == 400  # a 400 may be about the age of some samples: the rest may still be taken

    def _say(self, number: int, batch: list[TimeSeries], outcome: str, status: int, took_s: float, detail: str) -> None:
        samples = sum(len(series.samples) for series in batch)
        self._emit(
            Published(
                target=TARGET,
                action="push",
                subject=f"batch {number}: {len(batch)} series, {samples} samples",
                outcome=outcome,
                status=status,
                at_ns=time.monotonic_ns(),
                took_s=round(took_s, 6),
                detail=detail,
            )
        )
        if outcome != "done":
            self._emit(Note(trial="", text=f"metrics were not taken by the remote-write receiver: {detail}", level="warning"))

    def _emit(self, event: Event) -> None:
        with contextlib.suppress(HarnessError):
            self._journal.emit(event)
