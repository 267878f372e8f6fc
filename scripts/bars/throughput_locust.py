"""Locust's fastest user at a constant throughput; says at the end how many requests were done in the window. Read by Locust only."""

from __future__ import annotations

import os
import time
from typing import Any

import gevent
from locust import FastHttpUser, constant_throughput, events, task

USER_RATE = float(os.environ.get("USER_RATE", "1"))
SETTLE_S = float(os.environ.get("SETTLE_S", "2"))
WINDOW_S = float(os.environ.get("WINDOW_S", "3"))


class HoldUser(FastHttpUser):
    """One request after the other, so many a second."""

    wait_time = constant_throughput(USER_RATE)

    @task
    def ask(self) -> None:
        """One GET."""
        self.client.get("/")


def measure(environment: Any) -> None:
    """The count of the window, when all users run and the first rush is over; then the end."""
    gevent.sleep(SETTLE_S)
    total = environment.stats.total
    before, began = total.num_requests, time.monotonic()
    gevent.sleep(WINDOW_S)
    lasted, done = time.monotonic() - began, total.num_requests - before
    print(f"HELD {done} {lasted:.6f} {total.num_failures}", flush=True)
    environment.runner.quit()


@events.spawning_complete.add_listener
def begin(user_count: int, **_more: Any) -> None:
    """Starts the measurement once."""
    assert user_count
    gevent.spawn(measure, _environment[0])


_environment: list[Any] = []
events.init.add_listener(lambda environment, **_more: _environment.append(environment))
