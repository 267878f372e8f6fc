"""What a load tool's process says of itself at its end. Light: it is imported inside Locust."""

from __future__ import annotations

import msgspec

from harness.journal.events import LoadGenerator
from harness.run.protocols import StepContext


class Busy(msgspec.Struct, frozen=True):
    """How near a process of the tool came to its own limits. ``cpu_share``: of one core; a tool that uses all cores gives the mean."""

    cpu_share: float
    connections_most: int
    connections_max: int
    refused: int = 0  # requests that were due and had no connection or user of their own left
    gc_pauses: int = 0
    gc_total_s: float = 0.0
    gc_max_s: float = 0.0
    peak_rss_bytes: int = 0

    def event(self, context: StepContext, worker: int, lag_p99_s: float) -> LoadGenerator:
        """As the journal has it; the checker ``certificate`` judges it."""
        return LoadGenerator(
            trial=context.trial,
            step=context.step,
            worker=worker,
            cpu_share=self.cpu_share,
            connections_most=self.connections_most,
            connections_max=self.connections_max,
            connections_refused_by_cap=self.refused,
            gc_pauses=self.gc_pauses,
            gc_total_s=self.gc_total_s,
            gc_max_s=self.gc_max_s,
            lag_p99_s=lag_p99_s,
            peak_rss_bytes=self.peak_rss_bytes,
        )
