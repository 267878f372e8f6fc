"""Steady: 10 requests/s for an hour, by 10 users that come at 2/s.

By hand as ``burst.py``; judged by ``harness run load_locust_steady``.
"""

from __future__ import annotations

from intent_mix import Asking

from harness.load.locust_user import PlannedShape


class SteadyUser(Asking):
    """One request a second."""


class Steady(PlannedShape):
    users = 10
    spawn_rate = 2.0
    duration_s = 3600.0
    rate_per_s = 10.0
