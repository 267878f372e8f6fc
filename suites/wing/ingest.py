"""The drivers ``ingest`` and ``wait_settled``."""

from __future__ import annotations

from typing import ClassVar, Literal

import httpx
import msgspec

from harness.core.errors import HarnessError
from harness.core.units import Duration
from harness.journal.events import Measured
from harness.journal.segments import WRITES, SegmentWriter
from harness.run.project import load_project
from harness.run.protocols import MetricSpec, StepContext
from suites.wing.api import FINAL, Api
from suites.wing.corpus import Payload, crash_payloads, load_corpus, sample_corpus, variants

RETRY_S = 0.25


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``corpus``: verify (real or sample), sample, crash (three small documents), variants (``count`` unseen ones)."""

    corpus: Literal["verify", "sample", "crash", "variants"]
    deadline: Duration
    count: int = 6


class IngestDriver:
    """Submits payloads, each until it is acknowledged, and waits until every job is final."""

    name: ClassVar[str] = "ingest"
    parameters: ClassVar[type[msgspec.Struct]] = Ingest
    metrics: ClassVar[tuple[MetricSpec, ...]] = (MetricSpec("ingest_time", "s", "measured"),)
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: Ingest) -> None:
        """Raises when a payload is not acknowledged, or a job not final, by the deadline."""
        began_ns = context.now_ns()
        deadline_ns = began_ns + parameters.deadline.ns

        def expired() -> bool:
            return context.now_ns() > deadline_ns or context.stop()

        with (
            Api(context.target, "writer") as api,
            SegmentWriter("writes", WRITES, context.run_folder, context.journal, trial=context.trial) as rows,
        ):
            jobs = [(payload, _submit(context, api, payload, rows, expired)) for payload in _payloads(context, parameters)]
            for _payload, job_id in jobs:
                _await(context, api, job_id, expired)
        seconds = round((context.now_ns() - began_ns) / 1e9, 6)
        context.journal.emit(Measured(trial=context.trial, metric="ingest_time", unit="s", value=seconds, tags={"step": context.step}))


def _payloads(context: StepContext, parameters: Ingest) -> tuple[Payload, ...]:
    sample = load_project(context.project).sample_dir()
    if parameters.corpus == "crash":
        return crash_payloads(sample)
    if parameters.corpus == "variants":
        return variants(sample, context.seed, parameters.count)
    corpus = sample_corpus(sample) if parameters.corpus == "sample" else load_corpus(context.data, sample)
    return corpus.payloads


def _submit(context: StepContext, api: Api, payload: Payload, rows: SegmentWriter, expired: object) -> str:
    """Send until acknowledged; the idempotency key makes repetition safe."""
    key = f"{context.trial}-{context.step}-{payload.name}"[:120].replace(" ", "_")
    while True:
        sent_ns = context.now_ns()
        try:
            job_id = api.ingest(payload.source, payload.content, key)
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
                raise
            if callable(expired) and expired():
                raise HarnessError(f"{payload.name} was not acknowledged in time: {error}") from None
            context.wait(RETRY_S)
            continue
        rows.append(write_id=f"ingest:{job_id}", kind="ingest", sent_ns=sent_ns, acked_ns=context.now_ns(), status=202)
        return job_id


def _await(context: StepContext, api: Api, job_id: str, expired: object) -> None:
    while True:
        try:
            api.wait_job(job_id, context.wait, expired)  # type: ignore[arg-type]  # the closure of run()
        except (httpx.TransportError, httpx.HTTPStatusError):
            if callable(expired) and expired():
                raise
            context.wait(RETRY_S)
        else:
            return


class WaitSettled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``deadline`` for everything to come to rest."""

    deadline: Duration


class WaitSettledDriver:
    """Waits until every document is final, every graph batch applied, and the outbox empty."""

    name: ClassVar[str] = "wait_settled"
    parameters: ClassVar[type[msgspec.Struct]] = WaitSettled
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: WaitSettled) -> None:
        """Raises ``HarnessError`` naming what is still at work at the deadline."""
        deadline_ns = context.now_ns() + parameters.deadline.ns
        unsettled = "nothing was read"
        with Api(context.target, "reader") as api:
            while context.now_ns() < deadline_ns and not context.stop():
                try:
                    unsettled = at_work(api)
                except (httpx.TransportError, httpx.HTTPStatusError) as error:
                    unsettled = str(error)
                if not unsettled:
                    return
                context.wait(0.1)
        raise HarnessError(f"not settled after {parameters.deadline}: {unsettled}")


def at_work(api: Api) -> str:
    counts = api.get("/v1/counts")["records"]
    left = {name: count for name, count in counts.items() if name.startswith("documents.") and name.split(".")[1] not in FINAL and count}
    left |= {name: counts.get(name, 0) for name in ("outbox_pending", "graph_staged") if counts.get(name, 0)}
    return ", ".join(f"{name} {count}" for name, count in sorted(left.items()))
