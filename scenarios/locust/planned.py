"""One kind of request at a constant rate: what ``harness run SCENARIO --engine locust`` runs in place of our own engine.

The kind of request, the users and the duration come from the plan that the driver writes (EH_LOCUST_PLAN).
"""

from __future__ import annotations

from pathlib import Path

from locust import task

from harness.core.errors import UsageError
from harness.load.locust_user import PLAN, PlannedShape, PlannedUser, Pool

if PLAN is None or PLAN.asked is None:
    raise UsageError("planned.py has no plan", file=__file__, remedy="run it by `harness run SCENARIO --engine locust`")
_ASKED = PLAN.asked
_BODIES = iter(Pool(Path(_ASKED.pool))) if _ASKED.pool else None


class Planned(PlannedUser):
    """Asks what the plan names."""

    @task
    def ask_planned(self) -> None:
        body = next(_BODIES) if _BODIES is not None else b""
        self.ask(_ASKED.op, _ASKED.path, body, method=_ASKED.method, status=_ASKED.expect_status, nonempty=_ASKED.expect_nonempty)


class Constant(PlannedShape):
    """All users from the start."""
