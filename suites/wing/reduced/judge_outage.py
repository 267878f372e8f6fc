"""Judges what the platform said while a server was away, and what became of what it acknowledged then (chaos)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suites.e2e.agreement import Judged

Evidence = Mapping[str, Any]
AWAY = {"model": "embed", "graph": "graph", "records": "records", "events": "events"}


def ready_honest(found: Evidence) -> Judged:
    """Readiness names the server that is away."""
    problems = []
    for name, service in AWAY.items():
        body = found["outage"][name]["ready"]["body"] or {}
        if body.get("services", {}).get(service, {}).get("ok") is not False or body.get("status") == "ready":
            problems.append(f"while {service} was away, readiness said {body.get('status')}")
    return Judged(len(AWAY), tuple(problems))


def degraded_said(found: Evidence) -> Judged:
    """Without one retriever a question is still answered, and the answer says which is missing."""
    answer = found["outage"]["model"]["answer"]
    body = answer["body"] or {}
    said = (
        answer["status"] == 200 and body.get("results") and body["meta"]["degraded"] and any("dense" in text for text in body["warnings"])
    )
    return Judged(
        1, () if said else (f"answered {answer['status']}, degraded {body.get('meta', {}).get('degraded')}, {body.get('warnings')}",)
    )


def written_late(found: Evidence) -> Judged:
    """A graph write while the graph is away is 202, not in the graph yet, and in it afterwards."""
    drill = found["outage"]["graph"]
    answer, problems = drill["answer"], []
    if answer["status"] != 202 or answer["body"]["in_graph"] is not False:
        problems.append(f"a write while the graph was away was answered {answer['status']} {answer['body']}")
    if (drill["state"]["body"] or {}).get("status") != "applied" or drill["batch"]["write_id"] not in drill["keys"]:
        problems.append(f"the write is {drill['state']['body']} after the graph came back")
    return Judged(1, tuple(problems))


def nothing_promised(found: Evidence) -> Judged:
    """While the records are away nothing is acknowledged; a payload is answered 503."""
    answer = found["outage"]["records"]["answer"]
    return Judged(1, () if answer["status"] == 503 else (f"a payload was answered {answer['status']} while the records were away",))


def acknowledged_finished(found: Evidence) -> Judged:
    """What was acknowledged while the event log was away, or before the worker was killed, is completed."""
    outage = found["outage"]
    pairs = [(outage["events"]["answer"], outage["events"]["job"]), (outage["records"]["answer"], outage["records"]["job"])]
    pairs += list(zip(outage["worker"]["answers"], outage["worker"]["jobs"], strict=True))
    acknowledged = [job for answer, job in pairs if answer["status"] == 202]
    states = [[item["state"] for item in (job or {}).get("documents", [])] for job in acknowledged]
    problems = [f"an acknowledged payload ended as {state or 'nothing'}" for state in states if not state or set(state) != {"completed"}]
    return Judged(len(acknowledged), tuple(problems))
