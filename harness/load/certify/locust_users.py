"""The locustfile of the certificate: Locust as its users run it for a rate. Read by Locust only, imports nothing of ``harness``."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_throughput, events, task

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_numbers = itertools.count()


class CertifyUser(FastHttpUser):
    """One request at a time, so many a second."""

    wait_time = constant_throughput(float(os.environ.get("EH_CERTIFY_USER_RATE", "1")))

    def on_start(self) -> None:
        self.who = f"u{next(_numbers)}"
        self.sent = 0

    @task
    def ask(self) -> None:
        """One GET with the id that the truth is looked up by."""
        self.client.get("/", headers={"X-Request-ID": f"{self.who}-{self.sent}"})
        self.sent += 1


def say(environment: Any, **_more: Any) -> None:
    """Locust's own aggregate at its very end: its CSV lacks the last second."""
    total = environment.stats.total
    figures = {name: total.get_response_time_percentile(share) for name, share in QUANTILES.items()}
    said = {"figures": {**figures, "max": total.max_response_time}, "requests": total.num_requests, "failures": total.num_failures}
    Path(os.environ["EH_CERTIFY_SUMMARY"]).write_text(json.dumps(said), encoding="utf-8")


events.quitting.add_listener(say)  # type: ignore[no-untyped-call]  # Locust is half typed
