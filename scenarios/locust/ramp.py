"""Ramp: up to 100 users in 10 minutes, one more every second, each asking once a second. By hand as ``burst.py``."""

from __future__ import annotations

from intent_mix import Asking

from harness.load.locust_user import PlannedShape


class RampUser(Asking):
    """One request a second."""


class Ramp(PlannedShape):
    users = 100
    spawn_rate = 1.0
    duration_s = 600.0
    rate_per_s = 100.0
