"""Burst: 50 requests/s for 2 minutes, by 50 users that come at 10/s.

    EH_LOAD_KEY=… locust -f scenarios/locust/burst.py --headless --host http://127.0.0.1:PORT [--processes 2]

By hand it runs with these numbers; ``harness run load_locust_burst`` takes them from the scenario and judges the requests.
"""

from __future__ import annotations

from intent_mix import Asking

from harness.load.locust_user import PlannedShape


class BurstUser(Asking):
    """One request a second."""


class Burst(PlannedShape):
    users = 50
    spawn_rate = 10.0
    duration_s = 120.0
    rate_per_s = 50.0
