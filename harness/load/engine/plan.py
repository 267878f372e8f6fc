"""What an engine process is told, and what it says of itself at its end."""

from __future__ import annotations

import msgspec

from harness.load.requests import PlannedRequest, RequestKind

CONNECTIONS_MAX = 8_000
MAX_ARRIVALS = 99_999_999  # eight digits in a request id


class CanaryPlan(msgspec.Struct, frozen=True):
    """Where the server of known delay listens, and how often it is asked."""

    host: str
    port: int
    rate_per_s: float


class EnginePlan(msgspec.Struct, frozen=True):
    """All that one engine process needs; written by the driver into the trial's folder. Keys come in the environment.

    A plan is *offsets and a choice for each*: ``offsets_file`` holds ns from the start (int64, sorted, .npy), ``choices_file`` as many
    places in ``requests`` (int32, .npy). Process ``worker`` of ``workers`` takes every ``workers``-th arrival.
    ``closed_connections`` above zero is the closed mode: that many connections ask without a pause for ``duration_s``; intended = sent.
    """

    trial: str
    step: str
    host: str
    port: int
    kinds: tuple[RequestKind, ...]
    requests: tuple[PlannedRequest, ...]
    key_header: str
    offsets_file: str
    choices_file: str
    timeout_s: float
    duration_s: float
    run_folder: str
    project: str = "."
    warmup_s: float = 0.0
    canary: CanaryPlan | None = None
    worker: int = 0
    workers: int = 1
    connections_max: int = CONNECTIONS_MAX
    connections_ahead: int = 8
    closed_connections: int = 0
    drain_s: float | None = None  # how long answers are waited for after the last arrival; None: to their time-out


class Said(msgspec.Struct, frozen=True):
    """What an engine process says when it is done: counts, and how near to its own limits it came."""

    worker: int
    intended: int
    sent: int
    completed: int
    rate_limited: int
    cpu_share: float  # CPU time over wall time, from the start to the last arrival
    connections_most: int
    connections_max: int
    connections_refused_by_cap: int  # arrivals that had to wait because every connection was in use
    gc_pauses: int
    gc_total_s: float
    gc_max_s: float
    lag_p99_s: float
    peak_rss_bytes: int
    realtime: bool  # no other process could keep it from the core
    failures: tuple[tuple[str, str, int, int], ...] = ()  # operation, outcome, status, how many
