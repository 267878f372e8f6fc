"""The retrieve load as plain Locust sees it: ``locust -f scenarios/locust/retrieve.py --host http://127.0.0.1:PORT``.

EH_LOCUST_POOL names the JSON Lines file of bodies, EH_LOAD_KEY the API key, EH_LOCUST_RATE the requests a second of all users
together. Each user sends at a constant rate of its own, so that enough users reach the rate.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from locust import FastHttpUser, constant_throughput, task

USERS_PER_RATE = 1.0
_POOL = itertools.cycle(Path(os.environ["EH_LOCUST_POOL"]).read_bytes().splitlines())
_RATE_PER_USER = float(os.environ.get("EH_LOCUST_RATE_PER_USER", "1"))


class Retrieving(FastHttpUser):
    """Asks one question after the other at its own constant rate."""

    wait_time = constant_throughput(_RATE_PER_USER)

    @task
    def retrieve(self) -> None:
        headers = {"X-API-Key": os.environ.get("EH_LOAD_KEY", ""), "Content-Type": "application/json"}
        self.client.post("/v1/retrieve", data=next(_POOL), headers=headers, name="retrieve")
