"""The driver ``k6``: a script of the project by k6 in a subprocess, its stream made into samples while it runs.

Arrival-rate scripts only: anything else is refused before the run, as are too few VUs. Thresholds are judged from the samples as for
any engine; what k6 itself decided is kept as evidence and must agree (checker ``k6_agreement``).
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, ClassVar

import msgspec
import pyarrow as pa

from harness.core.errors import HarnessError, UsageError
from harness.core.units import Duration, Rate
from harness.journal.events import LoadFinished, LoadPlanned, Measured
from harness.journal.segments import SegmentWriter
from harness.load.k6_plan import K6Plan, inspect
from harness.load.k6_stream import K6Stream, StageRow
from harness.load.k6_tool import k6
from harness.load.locust_plan import KEY_VARIABLE
from harness.load.requests import local_address
from harness.load.scale import scale_of
from harness.load.tool_busy import Busy
from harness.load.tool_process import CANARY_RATE_PER_S, await_end, canary_server, tool
from harness.load.tool_rows import METRICS, CanaryRow, RowWriter
from harness.run.context import store_evidence
from harness.run.processes import Spawned
from harness.run.protocols import MetricSpec, StepContext

GRACE_S = 40.0  # start, gracefulStop, summary
THRESHOLDS_FAILED = 99
STAGES = pa.schema([("at_ns", pa.int64()), ("stage", pa.dictionary(pa.int32(), pa.string())), ("stage_time", pa.float64())])
RESERVED = (KEY_VARIABLE, "EH_INGEST_KEY", "EH_KEY_HEADER", "EH_SCALE", "EH_SUMMARY", "EH_CANARY_URL", "EH_SEED", "BASE_URL")


class K6(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``script``: relative to the project. ``environment``: the script's knobs (no secrets: keys are given by role).

    ``reach_at``: answers may take this long and the VUs must still reach the rate. ``scaled``, ``knee``: as for Locust.
    """

    script: str
    role: str = "reader"
    ingest_role: str = "writer"
    environment: Mapping[str, str] = {}
    reach_at: Duration = Duration.parse("1 s")
    scaled: bool = False
    knee: Rate | None = None
    seed_stream: str = "load"

    def __post_init__(self) -> None:
        taken = sorted(set(self.environment) & set(RESERVED))
        if taken:
            raise ValueError(f"{', '.join(taken)} is set by the driver")


class K6Driver:
    """Runs one script against the target."""

    name: ClassVar[str] = "k6"
    parameters: ClassVar[type[msgspec.Struct]] = K6
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        *METRICS,
        MetricSpec("stage_time", "s", "samples:stages", ("stage",), vouched_by="certificate"),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: K6) -> None:
        """Blocked without k6, naming the command that installs it; ``UsageError`` for a script that is refused."""
        program = k6()
        local_address(context.target.base_url)
        script = context.project / parameters.script
        if not script.is_file():
            raise UsageError("this script is not there", file=parameters.script, place="script", remedy="correct `script` in the scenario")
        with canary_server(context) as canary:
            environment = _environment(context, parameters, canary)
            plan = inspect(program, script, environment, context.project)
            plan.refuse_unreachable(parameters.reach_at.seconds, parameters.script)
            scale = scale_of(context, plan.peak_per_s, parameters.knee, wanted=parameters.scaled)
            environment["EH_SCALE"] = repr(scale.factor)
            _K6Run(context, inspect(program, script, environment, context.project)).execute(program, script, environment)


def _environment(context: StepContext, parameters: K6, canary: str) -> dict[str, str]:
    """The keys go to k6 by its environment: an argument (``-e``) would stand in the list of processes."""
    keys = context.target.keys
    return {
        **os.environ,
        **parameters.environment,
        "BASE_URL": context.target.base_url.rstrip("/"),
        KEY_VARIABLE: keys.get(parameters.role, ""),
        "EH_INGEST_KEY": keys.get(parameters.ingest_role, ""),
        "EH_KEY_HEADER": context.target.key_header,
        "EH_CANARY_URL": canary,
        "EH_SCALE": "1",
        "EH_SEED": str(context.seed % 1_000_000_007),
        "EH_SUMMARY": str(context.folder / f"{context.step}.k6.json"),
        "K6_CSV_TIME_FORMAT": "unix_nano",
        "K6_NO_USAGE_REPORT": "true",
    }


class _K6Run:
    """One run of k6 for one step."""

    def __init__(self, context: StepContext, plan: K6Plan) -> None:
        self._context, self._plan = context, plan

    def execute(self, program: Path, script: Path, environment: Mapping[str, str]) -> None:
        context, plan = self._context, self._plan
        longest_s = max(scenario.duration_s for scenario in plan.scenarios)
        self._emit_planned(longest_s)
        command = [str(program), "run", "--quiet", "--out", "csv=-", str(script)]
        stream = K6Stream(time.time_ns() - time.monotonic_ns())
        with (
            RowWriter(context) as writer,
            SegmentWriter("stages", STAGES, context.run_folder, context.journal, trial=context.trial) as stages,
        ):
            began = context.now_ns()
            with tool(command, context, environment, stdout=subprocess.PIPE) as spawned:
                assert spawned.process.stdout is not None
                reader = _Reader(spawned.process.stdout, stream, writer, stages)
                cpu_s = await_end(context, spawned, "k6", longest_s + GRACE_S, reader.check)
                reader.finish()
        wall_s = (context.now_ns() - began) / 1e9
        self._keep_summary(spawned, Path(environment["EH_SUMMARY"]), stream)
        # k6 spreads over all cores, so a busy one says little: its share is the mean over them. Go's collector does not say its pauses.
        vus = sum(scenario.vus for scenario in plan.scenarios)
        busy = Busy(cpu_s / wall_s / (os.cpu_count() or 1), min(vus, max(1, writer.sent)), vus, refused=stream.dropped)
        context.journal.emit(busy.event(context, 0, writer.lag_p99_s()))
        self._emit_finished(writer, stream, cpu_s / wall_s)

    def _emit_planned(self, duration_s: float) -> None:
        context = self._context
        context.journal.emit(
            LoadPlanned(
                trial=context.trial,
                step=context.step,
                engine="k6",
                rate_per_s=self._plan.peak_per_s,
                warmup_s=0.0,
                duration_s=duration_s,
                requests=self._plan.requests,
                canary_rate_per_s=CANARY_RATE_PER_S,
            )
        )

    def _keep_summary(self, spawned: Spawned, path: Path, stream: K6Stream) -> None:
        """k6's own verdict as evidence; ``HarnessError`` for an exit that is neither good nor a failed threshold."""
        code = spawned.process.returncode
        if code not in {0, THRESHOLDS_FAILED}:
            raise HarnessError(f"k6 failed with exit {code}; its message is above")
        try:
            metrics = json.loads(path.read_bytes())["metrics"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HarnessError(f"k6 left no summary: {type(error).__name__}: {error}") from None
        path.unlink()
        kept = {"exit_code": code, "dropped": stream.dropped, "iterations": stream.iterations, "metrics": metrics}
        content = json.dumps(kept, sort_keys=True, indent=1).encode()
        store_evidence(self._context, "k6", f"{self._context.step}.k6.json", content)

    def _emit_finished(self, writer: RowWriter, stream: K6Stream, cpu_share: float) -> None:
        context, tags = self._context, {"step": self._context.step}
        achieved = 100 * writer.outcomes["ok"] / max(1, self._plan.requests)
        context.journal.emit(Measured(trial=context.trial, metric="achieved", unit="%", value=achieved, tags=tags))
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(writer.outcomes.items()))
        context.journal.emit(
            LoadFinished(
                trial=context.trial,
                step=context.step,
                engine="k6",
                intended=writer.rows,
                sent=writer.sent,
                completed=writer.completed,
                cpu_share=cpu_share,
                detail=f"{stream.dropped} dropped iterations; {counts}",
            )
        )


class _Reader:
    """A thread that turns lines of k6's output into rows; what goes wrong there is raised in the step."""

    def __init__(self, output: IO[bytes], stream: K6Stream, writer: RowWriter, stages: SegmentWriter) -> None:
        self._output, self._stream, self._writer, self._stages = output, stream, writer, stages
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="k6-stream", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what the thread met."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait for the last line (k6 has ended); ``HarnessError`` when it does not come."""
        self._thread.join(GRACE_S)
        self.check()
        if self._thread.is_alive():
            raise HarnessError("k6's stream did not end with k6")

    def _work(self) -> None:
        try:
            for line in self._output:
                self._take(self._stream.feed(line.decode("utf-8", "replace")))
            self._take(self._stream.finish())
        except Exception as error:  # noqa: BLE001 - raised in the thread of the step
            self._error = error

    def _take(self, rows: Iterable[object]) -> None:
        for row in rows:
            if isinstance(row, CanaryRow):
                self._writer.canary(row)
            elif isinstance(row, StageRow):
                self._stages.append(at_ns=row.at_ns, stage=row.stage, stage_time=row.seconds)
            else:
                self._writer.request(row)  # type: ignore[arg-type]  # the third of three
