"""What a Locust run is to do, as numbers: how many users when, at what rate each; written by the driver, read in Locust's process.

Standard library and msgspec only: it is imported inside Locust.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import msgspec

from harness.core.errors import UsageError

PLAN_VARIABLE = "EH_LOCUST_PLAN"
KEY_VARIABLE = "EH_LOAD_KEY"
COLUMNS = ("kind", "op", "intent", "intended_ns", "sent_ns", "done_ns", "status", "outcome", "bytes", "request_id", "held_ns")


class Asked(msgspec.Struct, frozen=True):
    """The one kind of request of a plan made by ``--engine locust``; ``pool`` is an absolute path or empty."""

    op: str
    path: str
    method: str = "POST"
    pool: str = ""
    expect_status: int = 200
    expect_nonempty: str = ""


class LocustPlan(msgspec.Struct, frozen=True):
    """Users and their rates. ``rate_per_s`` is what all of them together must reach; ``samples`` a path prefix, empty for none."""

    users: int
    rate_per_user: float
    spawn_rate: float  # users a second
    duration_s: float
    rate_per_s: float = 0.0
    timeout_s: float = 10.0
    seed: int = 0
    samples: str = ""
    canary: str = ""
    canary_rate_per_s: float = 20.0
    key_header: str = "X-API-Key"
    asked: Asked | None = None

    def users_at(self, seconds: float) -> int:
        """How many users there are meant to be at a time since the start; 0 before it and from the end on."""
        if not 0 <= seconds < self.duration_s:
            return 0
        return min(self.users, math.floor(self.spawn_rate * math.floor(seconds + 1e-9)) + max(1, math.floor(self.spawn_rate)))

    def requests(self) -> int:
        """About how many requests the users will be due to send: each from its start to the end at its own rate."""
        life_s = sum(self.users_at(second) * min(1.0, self.duration_s - second) for second in range(math.ceil(self.duration_s)))
        return round(life_s * self.rate_per_user)


def refuse_unreachable(users: int, rate_per_user: float, rate_per_s: float, latency_s: float = 0.0, *, file: str = "") -> None:
    """Raise ``UsageError`` when the users cannot send ``rate_per_s`` together while each answer takes ``latency_s``.

    A user waits for its answer before it asks again: it sends at most ``min(rate_per_user, 1 / latency_s)``.
    """
    each = min(rate_per_user, 1 / latency_s if latency_s > 0 else math.inf)
    if users * each * (1 + 1e-9) >= rate_per_s:
        return
    needed = math.ceil(rate_per_s / each - 1e-9)
    why = f" while an answer takes {latency_s:g} s" if each < rate_per_user else ""
    raise UsageError(
        f"{users} users at {each:g} requests/s each{why} send at most {users * each:g}/s, the plan wants {rate_per_s:g}/s",
        file=file,
        place="users",
        remedy=f"give at least {needed} users, or raise rate_per_user",
    )


def read_plan(environment: os._Environ[str] | dict[str, str] | None = None) -> LocustPlan | None:
    """The plan that EH_LOCUST_PLAN names; None when Locust was started by hand."""
    path = (os.environ if environment is None else environment).get(PLAN_VARIABLE, "")
    if not path:
        return None
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=LocustPlan)
    except (OSError, msgspec.DecodeError) as error:  # ValidationError is one of them
        raise UsageError(f"this is no plan: {error}", file=path, place=PLAN_VARIABLE, remedy="let `harness run` write it") from None
