"""What a locustfile of ours builds on, inside Locust's own process: users with a schedule, shapes with a plan, a row for each request.

Locust measures from the send and forgets what a busy user did not send. A :class:`PlannedUser` keeps a schedule instead: its n-th
request is due at a fixed time, a late user catches up, and what was due and never sent becomes a row too. So response times
count from the intended start here as well, though a user still has one request at a time. A greenlet
asks the canary's server beside them (:mod:`harness.load.locust_process`). Without a plan (plain ``locust``)
the classes' own numbers hold and no row is written.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, LoadTestShape, events
from locust.exception import StopUser

from harness.core.errors import UsageError
from harness.load.locust_plan import KEY_VARIABLE, LocustPlan, refuse_unreachable
from harness.load.locust_process import PLAN, PROCESS, Samples, Sending, now_ns

__all__ = ["PLAN", "PlannedShape", "PlannedUser", "Pool"]

GOLDEN = 0.6180339887498949  # spreads the users' schedules evenly over a period, however many there are
END_S = 1.0


class Pool:
    """Bodies of a JSON Lines file, each in its turn, in an order drawn from the seed."""

    def __init__(self, path: Path) -> None:
        self._bodies = [line for line in path.read_bytes().splitlines() if line.strip()]
        if not self._bodies:
            raise UsageError("the pool is empty", file=str(path), remedy="one JSON body a line")

    def __iter__(self) -> Iterator[bytes]:
        order = list(self._bodies)
        random.shuffle(order)  # when the first is asked for: the process has its seed by then
        yield from itertools.cycle(order)


class PlannedUser(FastHttpUser):
    """A user whose n-th request is due at a fixed time. Subclasses have ``@task`` methods that call :meth:`ask` once."""

    abstract = True
    rate_per_user: ClassVar[float] = PLAN.rate_per_user if PLAN else 1.0
    network_timeout = connection_timeout = PLAN.timeout_s if PLAN else 10.0
    max_retries = 0  # a hidden second try would be measured as one slow answer
    concurrency = 1

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._due_ns = 0
        self._number, self._name = 0, ""
        self._sending: Sending | None = None
        self._headers = {
            (PLAN.key_header if PLAN else "X-API-Key"): os.environ.get(KEY_VARIABLE, ""),
            "Content-Type": "application/json",
        }

    def on_start(self) -> None:
        """Wait for the first due time: users that came together do not send together."""
        number = PROCESS.join(self)
        self._name = f"locust-{os.getpid()}-{number}"
        self._due_ns = now_ns() + round((number * GOLDEN) % 1.0 * 1e9 / self.rate_per_user)
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        """Seconds until the next request is due; 0 for a late user, which catches up."""
        if PLAN is not None and self._due_ns >= PROCESS.start_ns + PLAN.duration_s * 1e9:
            raise StopUser  # what is due after the end was never intended
        return max(0.0, (self._due_ns - now_ns()) / 1e9)

    def ask(
        self, op: str, path: str, body: bytes, *, intent: str = "", method: str = "POST", status: int = 200, nonempty: str = ""
    ) -> None:
        """Send what is due now and look at the answer; ``nonempty`` is the member of its JSON that must be a non-empty list."""
        due, self._due_ns = self._due_ns, self._due_ns + round(1e9 / self.rate_per_user)
        self._number += 1
        name = f"{self._name}-{self._number}"
        sending = self._sending = Sending(op, intent, due, name, status, self.network_timeout)
        headers = {**self._headers, "X-Request-ID": name}
        context = {"sending": sending}
        text = body.decode()  # Locust encodes it again
        with self.client.request(method, path, name=op, data=text, headers=headers, catch_response=True, context=context) as response:
            if wrong := _wrong(response, status, nonempty):
                response.failure(wrong)
        self._sending = None

    def leave(self, samples: Samples) -> None:
        """The user is gone: what it had sent is censored, what was due before the end and not sent is unsent."""
        if self._sending is not None and not self._sending.ended:
            samples.row(*self._sending.cells(None, 0, "censored", 0))
        end_ns = min(now_ns(), PROCESS.start_ns + round((PLAN.duration_s if PLAN else 0) * 1e9))
        while 0 < self._due_ns < end_ns:
            op = PLAN.asked.op if PLAN and PLAN.asked else "retrieve"
            samples.row("request", op, "", self._due_ns, None, None, 0, "unsent", 0, "", None)
            self._due_ns += round(1e9 / self.rate_per_user)


def _wrong(response: Any, status: int, nonempty: str) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if response.status_code != status:
        return f"status {response.status_code}, {status} wanted"
    if not nonempty:
        return ""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        if len(json.loads(response.content)[nonempty]) > 0:
            return ""
    return f"{nonempty} is not a non-empty list"


class PlannedShape(LoadTestShape):
    """Users as the plan has them, or as the class says when Locust was started by hand."""

    abstract = True
    use_common_options = True  # by hand, --run-time shortens the class's duration
    users: ClassVar[int] = 10
    spawn_rate: ClassVar[float] = 10.0
    duration_s: ClassVar[float] = 60.0
    rate_per_s: ClassVar[float] = 0.0  # what the users must reach together; 0 leaves it open

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.plan = PLAN or LocustPlan(self.users, PlannedUser.rate_per_user, self.spawn_rate, self.duration_s, self.rate_per_s)

    def tick(self) -> tuple[int, float] | None:
        """Users wanted now and how fast they come; None at the end."""
        seconds: float = self.get_run_time()  # type: ignore[no-untyped-call]
        given = getattr(self.runner.environment.parsed_options, "run_time", None) if PLAN is None and self.runner else None
        if given and seconds >= float(given):
            return None
        if (
            seconds >= self.plan.duration_s + END_S
        ):  # users stop by themselves when their schedule ends, workers a little later than the master
            return None
        wanted = self.plan.users_at(min(seconds, self.plan.duration_s * (1 - 1e-9)))
        return wanted, max(1.0, self.plan.spawn_rate)


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _refuse(environment: Any, **_more: Any) -> None:
    """A plan that its users cannot reach ends Locust here, before the first request."""
    shape = environment.shape_class
    rates = [user.rate_per_user for user in environment.user_classes if issubclass(user, PlannedUser)]
    if not isinstance(shape, PlannedShape) or not rates:
        return
    try:
        refuse_unreachable(shape.plan.users, min(rates), shape.plan.rate_per_s)
    except UsageError as error:
        sys.exit(f"locust: {error}")
