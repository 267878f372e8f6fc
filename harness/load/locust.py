"""The driver ``locust``: the same load by Locust in a subprocess, its figures set beside ours in a table.

Locust measures closed-loop from the send: its figures are journaled as a table for comparison and judged by nobody.
"""

from __future__ import annotations

import csv
import importlib.util
import math
import os
import sys
from pathlib import Path
from typing import ClassVar

import msgspec

from harness.core.errors import Blocked, HarnessError
from harness.core.units import Duration, Rate
from harness.journal.events import LoadFinished, LoadPlanned, Table, Window
from harness.load.requests import local_address, request_kind
from harness.run.processes import spawn
from harness.run.protocols import MetricSpec, StepContext

RATE_PER_USER = 1.0
START_S = 12.0


class Locust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``file``: a locustfile of the project."""

    rate: Rate
    duration: Duration
    file: str
    requests: str


class LocustDriver:
    """Runs plain Locust headless against the target."""

    name: ClassVar[str] = "locust"
    parameters: ClassVar[type[msgspec.Struct]] = Locust
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: Locust) -> None:
        """Blocked without the package locust."""
        if importlib.util.find_spec("locust") is None:
            raise Blocked("the package locust is not installed: pip install 'evidence-harness[load]'")
        local_address(context.target.base_url)
        kind = request_kind(context.configuration, parameters.requests)
        users = math.ceil(parameters.rate.per_second / RATE_PER_USER)
        prefix = context.folder / f"{context.step}.locust"
        context.journal.emit(
            LoadPlanned(
                trial=context.trial,
                step=context.step,
                engine="locust",
                rate_per_s=parameters.rate.per_second,
                warmup_s=0.0,
                duration_s=parameters.duration.seconds,
                requests=round(parameters.rate.per_second * parameters.duration.seconds),
                canary_rate_per_s=0.0,
            )
        )
        began = context.now_ns()
        _run_locust(context, parameters, users, prefix, kind.key, kind.pool)
        tags = {"engine": "locust", "step": context.step}
        context.journal.emit(Window(trial=context.trial, kind="phase", name="locust", start_ns=began, end_ns=context.now_ns(), tags=tags))
        _journal_figures(context, parameters, Path(f"{prefix}_stats.csv"))


def _run_locust(context: StepContext, parameters: Locust, users: int, prefix: Path, key: str, pool: str) -> None:
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(context.project / parameters.file), "--headless", "--only-summary"),
        *("--host", context.target.base_url, "--users", str(users), "--spawn-rate", str(users)),
        *("--run-time", f"{parameters.duration.seconds:g}s", "--stop-timeout", "5", "--csv", str(prefix), "--loglevel", "WARNING"),
    ]
    environment = {
        "EH_LOAD_KEY": context.target.keys.get(key, ""),
        "EH_LOCUST_POOL": str(context.project / pool),
        "EH_LOCUST_RATE_PER_USER": str(RATE_PER_USER),
    }
    spawned = spawn(command, folder=context.project, environment={**os.environ, **environment}, stderr=None)
    deadline_ns = context.now_ns() + round((parameters.duration.seconds + START_S + 10) * 1e9)
    try:
        while spawned.process.poll() is None:
            if context.stop() or context.now_ns() > deadline_ns:
                raise HarnessError("Locust was ended before its run was done")
            context.wait(0.2)
    finally:
        spawned.end()
    if spawned.process.returncode not in {0, 1}:  # 1: some requests failed; the figures say which
        raise HarnessError(f"Locust failed with exit {spawned.process.returncode}; its message is above")


_COLUMNS = ("Request Count", "Failure Count", "Requests/s", "50%", "95%", "99%", "Max Response Time")


def _journal_figures(context: StepContext, parameters: Locust, path: Path) -> None:
    """Locust's own aggregate, as it reports it."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["Name"] == "Aggregated"]
        figures = [tuple(row[name] for name in _COLUMNS) for row in rows]
        counts = [(int(row["Request Count"]), int(row["Failure Count"])) for row in rows]
    except OSError as error:
        raise HarnessError(f"Locust left no statistics: {error}") from None
    except (KeyError, ValueError, TypeError) as error:  # another version's headings, a torn last line
        raise HarnessError(f"{path.name} is not what Locust writes: {type(error).__name__}: {error}") from None
    if not rows:
        raise HarnessError("Locust left no aggregate row")
    count, failures = counts[0]
    context.journal.emit(
        Table(
            trial=context.trial,
            title="Locust, same requests and rate (as Locust reports it: closed loop, from the send)",
            columns=("requests", "failures", "requests/s", "p50 ms", "p95 ms", "p99 ms", "max ms"),
            rows=(figures[0],),
            note="for comparison; judged by nobody",
        )
    )
    context.journal.emit(
        LoadFinished(
            trial=context.trial,
            step=context.step,
            engine="locust",
            intended=round(parameters.rate.per_second * parameters.duration.seconds),
            sent=count,
            completed=count - failures,
            cpu_share=0.0,
            detail=f"{failures} failures",
        )
    )
