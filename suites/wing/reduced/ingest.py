"""The driver ``reduced_ingest``: the sample corpus and the traps, some twice under one key; waits as long as there is progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from harness.core.units import Duration
from harness.run.project import load_project
from harness.run.protocols import MetricSpec, StepContext
from suites.e2e import independent
from suites.wing.api import FINAL
from suites.wing.corpus import Payload, sample_corpus
from suites.wing.reduced import traps
from suites.wing.reduced.look import Look, keep

POLL_S = 0.1
SENT_TWICE = 2  # payloads that are sent again under their key


class ReducedIngest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``stall``: without any change for so long, what is not done will not be. ``deadline`` bounds everything."""

    stall: Duration = Duration.parse("6 s")
    deadline: Duration = Duration.parse("90 s")


class ReducedIngestDriver:
    """Evidence ``expected`` (an independent reading of the payloads) and ``ingest`` (answers, jobs, counts when all came to rest)."""

    name: ClassVar[str] = "reduced_ingest"
    parameters: ClassVar[type[msgspec.Struct]] = ReducedIngest
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: ReducedIngest) -> None:
        payloads = (*sample_corpus(load_project(context.project).sample_dir()).payloads, *traps.corpus().payloads)
        keep(context, self.name, "expected", [expectation(payload) for payload in payloads])
        keep(context, self.name, "traps", traps.expected())
        with Look(context, "writer") as look, Look(context, "admin") as other:
            sent = [_send(context, look, number, payload) for number, payload in enumerate(payloads)]
            again = [_send(context, look, number, payload) for number, payload in enumerate(payloads[:SENT_TWICE])]
            foreign = _send(context, other, 0, payloads[1])  # another caller's use of the first key, for another payload
            jobs = [item["body"]["job_id"] for item in sent if item["status"] == 202]
            resting = _rest(context, look, jobs, parameters)
            keep(context, self.name, "ingest", {"sent": sent, "again": again, "foreign": foreign, **resting})


def expectation(payload: Payload) -> dict[str, Any]:
    """What the source itself says, read by other means than the platform's."""
    found: dict[str, Any] = {"source": payload.source, "name": payload.name, "documents": payload.documents}
    if payload.source == "ctgov":
        found["native_ids"] = [independent.trial_id(payload.content)]
        found["adverse_events"] = independent.adverse_event_rows(payload.content)
        found["effects"] = [value for _, value in independent.stated_effects(payload.content)]
        found["ages"] = independent.eligibility_ages(payload.content)
    elif payload.source == "pubmed":
        found["native_ids"] = [name for name in independent.pubmed_ids(payload.content) if name != "None"]
        found["broken"] = payload.name == traps.BROKEN
        found["documents"] = len(found["native_ids"])  # those that have a number
    elif payload.source == "jats":
        found["cells"] = independent.table_cells(payload.content)
    elif payload.source == "spl":
        found["codes"] = sorted(independent.section_codes(payload.content))
    return found


def _send(context: StepContext, look: Look, number: int, payload: Payload) -> dict[str, Any]:
    headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": f"{context.trial}-{number:03d}"}
    return look.ask("POST", f"/v1/ingest/{payload.source}", content=payload.content, headers=headers)


def _rest(context: StepContext, look: Look, jobs: Sequence[str], parameters: ReducedIngest) -> dict[str, Any]:
    """The jobs and counts once everything is final, or nothing changed any more."""
    began = changed = context.now_ns()
    last: Any = None
    while True:
        views = [look.ask("GET", f"/v1/jobs/{job}") for job in jobs]
        counts = look.ask("GET", "/v1/counts")
        now = [view["body"] if view["status"] == 200 else view["status"] for view in views], counts["status"] == 200 and counts["body"]
        if now != last:
            last, changed = now, context.now_ns()
        resting = _resting(views, counts)
        over = context.now_ns() - changed > parameters.stall.ns or context.now_ns() - began > parameters.deadline.ns
        if resting or over or context.stop():
            seconds = round((context.now_ns() - began) / 1e9, 3)
            return {"jobs": [view["body"] for view in views], "counts": counts["body"], "rested": resting, "seconds": seconds}
        context.wait(POLL_S)


def _resting(views: Sequence[dict[str, Any]], counts: dict[str, Any]) -> bool:
    if any(view["status"] != 200 for view in views) or counts["status"] != 200:
        return False
    states = {item["state"] for view in views for item in view["body"]["documents"]}
    done = all(view["body"]["state"] in {"completed", "failed"} for view in views) and states <= FINAL
    records = counts["body"]["records"]
    return done and not records.get("outbox_pending") and not records.get("graph_staged")
