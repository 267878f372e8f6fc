"""The intent mix of retrieve traffic: endpoint 40, adverse events 25, dose 15, eligibility 10, other 10.

Not to be run by itself: ``burst.py``, ``steady.py`` and ``ramp.py`` give it a shape. Intents are tags: ``--tags dose`` asks only those.
"""

from __future__ import annotations

from pathlib import Path

from locust import tag, task

from harness.load.locust_user import PlannedUser, Pool

WEIGHTS = {"endpoint": 40, "ae": 25, "dose": 15, "eligibility": 10, "other": 10}
_REQUESTS = Path(__file__).resolve().parent.parent / "requests"
_BODIES = {intent: iter(Pool(_REQUESTS / f"intent_{intent}.jsonl")) for intent in WEIGHTS}


class Asking(PlannedUser):
    """Asks one question after the other, each by its weight, at a constant rate of its own."""

    abstract = True

    @tag("endpoint")
    @task(WEIGHTS["endpoint"])
    def endpoint(self) -> None:
        self._retrieve("endpoint")

    @tag("ae")
    @task(WEIGHTS["ae"])
    def adverse_events(self) -> None:
        self._retrieve("ae")

    @tag("dose")
    @task(WEIGHTS["dose"])
    def dose(self) -> None:
        self._retrieve("dose")

    @tag("eligibility")
    @task(WEIGHTS["eligibility"])
    def eligibility(self) -> None:
        self._retrieve("eligibility")

    @tag("other")
    @task(WEIGHTS["other"])
    def other(self) -> None:
        self._retrieve("other")

    def _retrieve(self, intent: str) -> None:
        self.ask("retrieve", "/v1/retrieve", next(_BODIES[intent]), intent=intent, nonempty="results")
