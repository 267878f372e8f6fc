"""The driver ``locust``: load by Locust in subprocesses, on loopback, its users in this process or in workers of their own.

Two ways. ``judged: true``: a locustfile built on :mod:`harness.load.locust_user` keeps a schedule, so each request becomes a row with
its intended start, a canary runs beside it, and thresholds and the certificate judge it as they judge our own engine. Otherwise
any locustfile: Locust's own figures (closed loop, from the send) become a table for comparison that nobody judges.
"""

from __future__ import annotations

import importlib.util
from typing import ClassVar

import msgspec

from harness.core.errors import Blocked, UsageError
from harness.load.locust_run import Locust, LocustRun
from harness.load.requests import local_address, request_kind
from harness.load.scale import scale_of
from harness.load.tool_rows import METRICS
from harness.run.protocols import MetricSpec, StepContext

__all__ = ["Locust", "LocustDriver"]


class LocustDriver:
    """Runs plain Locust headless against the target."""

    name: ClassVar[str] = "locust"
    parameters: ClassVar[type[msgspec.Struct]] = Locust
    metrics: ClassVar[tuple[MetricSpec, ...]] = METRICS
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: Locust) -> None:
        """Blocked without the package locust; ``UsageError`` for a locustfile that is not there; ``HarnessError`` for a run not done."""
        if importlib.util.find_spec("locust") is None:
            raise Blocked("the package locust is not installed: pip install 'evidence-harness[load]'")
        local_address(context.target.base_url)
        kind = request_kind(context.configuration, parameters.requests)
        if parameters.judged and not (context.project / parameters.file).is_file():
            raise UsageError("this locustfile is not there", file=parameters.file, place="file", remedy="correct `file` in the scenario")
        run = LocustRun(context, parameters, kind, scale_of(context, parameters.rate.per_second, parameters.knee, wanted=parameters.scaled))
        if parameters.judged:
            run.judged()
        else:
            run.compared()
