"""A Locust process of ours during a test: its samples file, its users, its canary; the events of Locust that lead there.

Rows go to ``<samples>.<pid>.csv``, which the driver reads while the run goes on, how busy the process was to ``<samples>.<pid>.json``.
"""

from __future__ import annotations

import csv
import functools
import gc
import http.client
import io
import itertools
import os
import random
import time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import gevent
import msgspec
from locust import argument_parser, events
from locust.runners import MasterRunner

from harness.load.engine.saturation import Watch, peak_rss_bytes
from harness.load.locust_plan import COLUMNS, LocustPlan, read_plan
from harness.load.tool_busy import Busy

FLUSH_S = 0.2
CANARY_TIMEOUT_S = 10.0
PLAN: LocustPlan | None = read_plan()
# Whenever the master tells a worker of users, that makes Locust's argument parser anew, once an option: 50 ms in which nobody sends.
argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
now_ns = time.monotonic_ns


class Samples:
    """The file of this process; ``row`` costs microseconds, the disk is touched every 0.2 s."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="ascii", newline="")
        self._buffer = io.StringIO()
        self._writer = csv.writer(self._buffer, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def row(self, *cells: object) -> None:
        """One row; None is an empty cell."""
        self._writer.writerow(["" if cell is None else cell for cell in cells])

    def flush(self) -> None:
        """Hand everything to the kernel."""
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        self._file.write(text)
        self._file.flush()


class Leaves(Protocol):
    """A user, as far as the process knows it."""

    def leave(self, samples: Samples) -> None: ...


class Process:
    """What this Locust process does during a test: its samples, its users, when it began."""

    def __init__(self) -> None:
        self.samples: Samples | None = None
        self.start_ns = 0
        self.users: list[Leaves] = []
        self._count = itertools.count()
        self._watch = Watch()
        self._greenlets: list[gevent.Greenlet] = []

    def begin(self) -> None:
        """The test starts here."""
        gc.collect()
        gc.freeze()  # Locust's own modules are not looked through again and again, 50 ms each time, while users wait
        self.start_ns = now_ns()
        self.users.clear()
        if PLAN is None or not PLAN.samples:
            return
        self.samples = Samples(Path(f"{PLAN.samples}.{os.getpid()}.csv"))
        self._watch.begin()
        self.samples.row("start", "", "", self.start_ns, None, None, 0, "ok", 0, "", None)
        self._greenlets = [gevent.spawn(self._flush)]
        if PLAN.canary:
            self._greenlets.append(gevent.spawn(self._ask_canary, PLAN.canary, PLAN.canary_rate_per_s))

    def join(self, user: Leaves) -> int:
        """A user comes: its number."""
        self.users.append(user)
        return next(self._count)

    def finish(self) -> None:
        """Once: what was under way or due becomes rows, and the file is complete."""
        if self.samples is None:
            return
        samples, self.samples = self.samples, None
        gevent.killall(self._greenlets)
        for user in self.users:
            user.leave(samples)
        samples.flush()
        self._watch.end()
        self._say()

    def _say(self) -> None:
        """How busy this process was, beside its samples."""
        users = max(1, len(self.users))
        said = Busy(
            cpu_share=self._watch.cpu_share,
            connections_most=users,
            connections_max=users,  # a user has one connection and waits for nobody else's
            gc_pauses=self._watch.gc_pauses,
            gc_total_s=self._watch.gc_total_s,
            gc_max_s=self._watch.gc_max_s,
            peak_rss_bytes=peak_rss_bytes(),
        )
        if PLAN is not None:
            Path(f"{PLAN.samples}.{os.getpid()}.json").write_bytes(msgspec.json.encode(said))

    def _flush(self) -> None:
        while True:
            gevent.sleep(FLUSH_S)
            if self.samples is not None:
                self.samples.flush()

    def _ask_canary(self, address: str, rate_per_s: float) -> None:
        """Ask at a fixed rate from this very loop: what delays Locust's users delays it too."""
        url = urlsplit(address)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=CANARY_TIMEOUT_S)
        for number in itertools.count():
            intended = self.start_ns + round((number + 0.5) * 1e9 / rate_per_s)
            gevent.sleep(max(0.0, (intended - now_ns()) / 1e9))
            if self.samples is None or (PLAN is not None and intended >= self.start_ns + PLAN.duration_s * 1e9):
                return
            sent, held, outcome = now_ns(), 0, "ok"
            try:
                connection.request("GET", "/")
                held = int(connection.getresponse().read())
            except (OSError, ValueError, http.client.HTTPException):
                connection.close()
                outcome = "connection_error"
            done = now_ns() if outcome == "ok" else None
            if self.samples is not None:
                self.samples.row("canary", "", "", intended, sent, done, 0, outcome, 0, "", held)


class Sending:
    """A request between its send and its answer."""

    __slots__ = ("ended", "expect_status", "intended_ns", "intent", "op", "request_id", "sent_ns", "timeout_s")

    def __init__(self, op: str, intent: str, intended_ns: int, request_id: str, expect_status: int, timeout_s: float) -> None:
        self.op, self.intent, self.request_id = op, intent, request_id
        self.intended_ns, self.sent_ns = intended_ns, now_ns()
        self.expect_status, self.timeout_s = expect_status, timeout_s
        self.ended = False

    def cells(self, done_ns: int | None, status: int, outcome: str, size: int) -> tuple[object, ...]:
        """The row of the samples file."""
        kept = (self.intended_ns, self.sent_ns, done_ns)
        return ("request", self.op, self.intent, *kept, status, outcome, size, self.request_id, None)


PROCESS = Process()


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _begin(environment: Any, **_more: Any) -> None:
    if not isinstance(environment.runner, MasterRunner):  # the master has no users
        random.seed((PLAN.seed if PLAN else 0) * 1000 + getattr(environment.runner, "worker_index", 0))
        PROCESS.begin()


@events.test_stop.add_listener  # type: ignore[untyped-decorator]  # Locust's
@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _finish(**_more: Any) -> None:
    PROCESS.finish()


@events.request.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _write(response_time: float, response_length: int, context: Any, exception: Any, response: Any = None, **_more: Any) -> None:
    """The row of a request of a planned user; others write none, because nobody knows when they were meant to start."""
    sending = context.get("sending")
    if PROCESS.samples is None or not isinstance(sending, Sending):
        return
    sending.ended = True
    status = int(getattr(response, "status_code", 0) or 0)
    outcome = _outcome(status, exception, sending)
    done = None if status == 0 else sending.sent_ns + round(response_time * 1e6)
    PROCESS.samples.row(*sending.cells(done, status, outcome, response_length or 0))


def _outcome(status: int, exception: Any, sending: Sending) -> str:
    if status == 0:
        late = now_ns() - sending.sent_ns >= sending.timeout_s * 0.95e9
        return "timeout" if late or "timed out" in str(exception).lower() else "connection_error"
    if status == 429:
        return "rate_limited"
    if status != sending.expect_status:
        return "http_error"
    return "bad_body" if exception is not None else "ok"
