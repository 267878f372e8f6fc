"""The driver ``reduced_outage``: takes one server after the other away, asks, gives it back, and looks at what became of it all."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import msgspec

from harness.core.errors import Blocked
from harness.core.units import Duration
from harness.run.project import load_project
from harness.run.protocols import MetricSpec, StackControl, StepContext
from suites.wing.api import FINAL
from suites.wing.corpus import Payload, sample_corpus
from suites.wing.reduced import batches
from suites.wing.reduced.look import Look, keep

HEALTHY_S = 45.0
SEEN_S = 6.0  # until the gateway has noticed that a server is away
AWAY_S = 1.2  # how long the event log stays away after an acknowledgement: the relay looks every 0.2 s
POLL_S = 0.1
KILLS = 2
QUESTION = "does velotril shorten a migraine attack once it has begun"  # asked nowhere else: no vector of it is cached
FIRST_NCT = 91_000_000


class ReducedOutage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``stall``: without any change for so long, what is not done will not be."""

    stall: Duration = Duration.parse("10 s")
    deadline: Duration = Duration.parse("60 s")


class ReducedOutageDriver:
    """Evidence ``outage``. Every server is up again when it ends, however it ends."""

    name: ClassVar[str] = "reduced_outage"
    parameters: ClassVar[type[msgspec.Struct]] = ReducedOutage
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})

    def run(self, context: StepContext, parameters: ReducedOutage) -> None:
        if context.stack is None:
            raise Blocked("only servers of a stack of this run may be taken away")
        unseen = list(_unseen(context))
        with Look(context, "admin") as look:
            drill = _Drill(context, context.stack, look, parameters)
            found = {"model": drill.model(), "graph": drill.graph(), "records": drill.records(unseen[0])}
            found["events"] = drill.events(unseen[1])
            found["worker"] = drill.worker(unseen[2:])
            keep(context, self.name, "outage", found)


def _unseen(context: StepContext) -> Iterator[Payload]:
    """The sample's studies under numbers that nobody has seen."""
    payloads = [payload for payload in sample_corpus(load_project(context.project).sample_dir()).payloads if payload.source == "ctgov"]
    for number, payload in enumerate(payloads):
        name = f"NCT{FIRST_NCT + number:08d}"
        yield Payload("ctgov", f"{name}.json", re.sub(rb"NCT9000000\d", name.encode(), payload.content), 1)


class _Drill:
    """One server at a time."""

    def __init__(self, context: StepContext, stack: StackControl, look: Look, parameters: ReducedOutage) -> None:
        self._context, self._stack, self._look, self._parameters = context, stack, look, parameters

    def model(self) -> dict[str, Any]:
        """A question while the dense model is away."""
        with self._away("embed") as ready:
            return {"ready": ready, "answer": self._look.ask("POST", "/v1/retrieve", json={"query": QUESTION, "top_k": 5})}

    def graph(self) -> dict[str, Any]:
        """A write while the graph is away, and what became of it."""
        batch = batches.valid(f"{self._context.trial}-away")
        with self._away("graph") as ready:
            answer = self._look.ask("POST", "/v1/kg/write", json=batch)
        path = f"/v1/kg/writes/{batch['write_id']}"
        state = self._until(lambda: self._look.ask("GET", path), lambda found: (found["body"] or {}).get("status") == "applied")
        return {
            "ready": ready,
            "answer": answer,
            "state": state,
            "keys": [node["key"] for node in self._look.graph()["nodes"]],
            "batch": batch,
        }

    def records(self, payload: Payload) -> dict[str, Any]:
        """A payload while the records are away."""
        with self._away("records") as ready:
            answer = self._send(payload)
        return {"ready": ready, "answer": answer, "job": self._job(answer)}

    def events(self, payload: Payload) -> dict[str, Any]:
        """A payload while the event log is away: durable, and under way once it is back."""
        with self._away("events") as ready:
            answer = self._send(payload)
            self._context.wait(AWAY_S)
        return {"ready": ready, "answer": answer, "job": self._job(answer)}

    def worker(self, payloads: list[Payload]) -> dict[str, Any]:
        """The worker is killed as soon as it has begun with a document, and again."""
        answers = [self._send(payload) for payload in payloads]
        for _ in range(KILLS):
            before = self._versions()
            self._until(self._versions, lambda now, before=before: now != before)
            self._stack.kill("worker", signal.SIGKILL)
            self._stack.wait_healthy("worker", HEALTHY_S)
        return {"answers": answers, "jobs": [self._job(answer) for answer in answers]}

    @contextlib.contextmanager
    def _away(self, service: str) -> Iterator[dict[str, Any]]:
        """``service`` killed and kept down; yields what readiness says once it should know."""
        self._stack.hold(service)
        try:
            self._stack.kill(service, signal.SIGKILL)
            yield self._until(lambda: self._look.ask("GET", "/ready"), lambda found: not _ok(found, service), SEEN_S)
        finally:
            self._stack.release(service)
            self._stack.wait_healthy(service, HEALTHY_S)
        self._until(lambda: self._look.ask("GET", "/ready"), lambda found: _ok(found, service), HEALTHY_S)

    def _send(self, payload: Payload) -> dict[str, Any]:
        return self._look.ask(
            "POST", f"/v1/ingest/{payload.source}", content=payload.content, headers={"Content-Type": "application/octet-stream"}
        )

    def _job(self, answer: dict[str, Any]) -> Any:
        """The job of an acknowledged payload, final or stalled; None for one that was not acknowledged."""
        if answer["status"] != 202:
            return None
        return self._until(lambda: self._look.ask("GET", f"/v1/jobs/{answer['body']['job_id']}")["body"], _final)

    def _versions(self) -> Any:
        return [(row["doc_id"], row["version"]) for row in self._look.pages("/v1/documents", "documents", 500)]

    def _until(self, ask: Callable[[], Any], done: Callable[[Any], bool], limit_s: float = 0.0) -> Any:
        """Ask until ``done``, nothing changes for ``stall``, or the limit has passed; the last answer."""
        began = changed = self._context.now_ns()
        stall_ns, limit_ns = self._parameters.stall.ns, round(limit_s * 1e9) or self._parameters.deadline.ns
        last = ask()
        while not done(last) and not self._context.stop():
            now_ns = self._context.now_ns()
            if now_ns - began > limit_ns or (not limit_s and now_ns - changed > stall_ns):
                break
            self._context.wait(POLL_S)
            found = ask()
            if _comparable(found) != _comparable(last):
                changed = self._context.now_ns()
            last = found
        return last


def _ok(ready: dict[str, Any], service: str) -> bool:
    return bool((ready["body"] or {}).get("services", {}).get(service, {}).get("ok"))


def _final(job: Any) -> bool:
    documents = (job or {}).get("documents", [])
    return bool(documents) and all(item["state"] in FINAL for item in documents)


def _comparable(found: Any) -> Any:
    return {name: value for name, value in found.items() if name != "seconds"} if isinstance(found, dict) else found
