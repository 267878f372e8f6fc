"""The generators of the bar ``throughput``, each on one core against the same server: does it hold this rate, and how fast is it closed?

Ours takes real-time priority by itself where that is allowed; then k6 and Locust are given the same.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec
import numpy as np
import pyarrow.compute as pc

from harness.journal.hub import JournalHub
from harness.load.engine.plan import CanaryPlan, EnginePlan, Said
from harness.load.engine.priority import LOWEST
from harness.load.k6_tool import found_k6
from harness.load.requests import PlannedRequest, RequestKind
from harness.run.view import FolderView
from scripts.bars.static_server import BODY, pinned

HERE = Path(__file__).resolve().parent
LAG_P99_MAX_MS = 1.0
ACHIEVED_MIN = 0.999
GRACE_S = 0.1  # an answer this long after the window still belongs to it
CLOSED_CONNECTIONS = 64
VUS = 400
LOCUST_USERS = 50
CANARY_SHARE, CANARY_MIN_PER_S = 0.01, 20.0


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """What a generator did at one rate; ``why`` is empty when it held it."""

    rate_per_s: float
    achieved_per_s: float
    why: str
    lag_p99_ms: float | None = None
    cpu_share: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """Where and how long; the server has the other core."""

    port: int
    core: int
    server_core: int
    seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


class Generator(Protocol):
    """An open-loop (or paced) generator."""

    name: ClassVar[str]
    first_rate: ClassVar[float]

    def hold(self, bench: Bench, rate_per_s: float) -> Held: ...


class Ours:
    """Our engine as shipped: four timestamps, samples on disk, status and length checked, the canary beside it."""

    name: ClassVar[str] = "ours"
    first_rate: ClassVar[float] = 36_000.0

    def hold(self, bench: Bench, rate_per_s: float) -> Held:
        said, samples = run_ours(bench, rate_per_s=rate_per_s)
        intended, sent, done = (samples[name].to_numpy(zero_copy_only=False) for name in ("intended_ns", "sent_ns", "done_ns"))
        planned = round(rate_per_s * bench.seconds)
        good = int(pc.sum(pc.equal(samples["outcome"], "ok")).as_py() or 0)
        in_time = int(np.count_nonzero(done <= intended.min() + (bench.seconds + GRACE_S) * 1e9)) if len(done) else 0
        lag_ms = float(np.quantile(sent - intended, 0.99, method="higher")) / 1e6
        why = []
        if good < planned:
            why.append(f"{planned - good} of {planned} not ok")
        if in_time < ACHIEVED_MIN * planned:
            why.append(f"{planned - in_time} of {planned} after the window")
        if lag_ms > LAG_P99_MAX_MS:
            why.append(f"lag p99 {lag_ms:.2f} ms")
        return Held(rate_per_s, in_time / bench.seconds, ", ".join(why), lag_ms, said.cpu_share)


def run_ours(bench: Bench, *, rate_per_s: float = 0.0, closed: int = 0) -> tuple[Said, Any]:
    """One engine process on the generator's core; what it said, and its samples as read back from disk."""
    with tempfile.TemporaryDirectory(prefix="throughput ") as name:
        folder = Path(name)
        (folder / "segments").mkdir()
        count = max(1, round(rate_per_s * bench.seconds))
        np.save(folder / "offsets.npy", (np.arange(count) * (1e9 / max(rate_per_s, 1.0))).astype(np.int64))
        np.save(folder / "choices.npy", np.zeros(count, dtype=np.int32))
        hub = JournalHub(folder / "journal.jsonl")
        canary = subprocess.Popen(pinned(bench.server_core, sys.executable, "-m", "harness.load.canary"), stdout=subprocess.PIPE)
        try:
            assert canary.stdout is not None
            plan = _plan(bench, folder, int(canary.stdout.readline()), rate_per_s, closed)
            (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
            said = _engine(bench, folder, hub.address)
        finally:
            canary.terminate()
            canary.communicate()
            hub.close()
        return said, FolderView(folder).samples("requests", "t")


def _plan(bench: Bench, folder: Path, canary_port: int, rate_per_s: float, closed: int) -> EnginePlan:
    kind = RequestKind(op="static", path="/", method="GET", request_id=False, expect_bytes=len(BODY))
    return EnginePlan(
        trial="t",
        step="hold",
        host="127.0.0.1",
        port=bench.port,
        kinds=(kind,),
        requests=(PlannedRequest(kind=0),),
        key_header="X-API-Key",
        offsets_file=str(folder / "offsets.npy"),
        choices_file=str(folder / "choices.npy"),
        timeout_s=10.0,
        duration_s=bench.seconds,
        run_folder=str(folder),
        canary=CanaryPlan("127.0.0.1", canary_port, max(CANARY_MIN_PER_S, CANARY_SHARE * rate_per_s)),
        connections_ahead=VUS,
        closed_connections=closed,
    )


def _engine(bench: Bench, folder: Path, address: str) -> Said:
    command = pinned(bench.core, sys.executable, "-m", "harness.load.engine", str(folder / "plan.json"))
    environment = {**os.environ, "EH_JOURNAL_ADDRESS": address}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        start_ns = time.monotonic_ns() + 200_000_000
        out, _ = process.communicate(b"%d\n" % start_ns, timeout=bench.seconds + 60)
    if process.returncode != 0:
        raise RuntimeError(f"the engine ended with {process.returncode}")
    return msgspec.json.decode(out.splitlines()[-1], type=Said)


class K6:
    """k6, constant-arrival-rate: no dropped iteration, achieved = offered. (Its own lag is not asked for: that would cost it rate.)"""

    name: ClassVar[str] = "k6"
    first_rate: ClassVar[float] = 14_000.0

    def hold(self, bench: Bench, rate_per_s: float) -> Held:
        values = {"URL": bench.url, "RATE": f"{rate_per_s:.0f}", "SECONDS": f"{bench.seconds:g}", "VUS": str(VUS)}
        flags = [part for name, value in values.items() for part in ("--env", f"{name}={value}")]
        command = pinned(bench.core, *realtime(), str(found_k6()), "run", "--quiet", "--no-usage-report", "--log-output=none", *flags)
        done = _run([*command, str(HERE / "throughput_k6.js")], bench.seconds)
        said = json.loads(done.strip().splitlines()[-1])
        planned = round(rate_per_s) * bench.seconds
        why = []
        if said["dropped"]:
            why.append(f"{said['dropped']} dropped")
        if said["failed"]:
            why.append(f"{said['failed']} failed")
        if said["done"] < ACHIEVED_MIN * planned:
            why.append(f"{said['done']} of {planned:.0f} done")
        return Held(rate_per_s, said["done"] / bench.seconds, ", ".join(why))


class Locust:
    """Locust's FastHttpUser at constant_throughput: achieved = offered within 0.1 %."""

    name: ClassVar[str] = "locust"
    first_rate: ClassVar[float] = 5_000.0
    settle_s: ClassVar[float] = 1.5

    def hold(self, bench: Bench, rate_per_s: float) -> Held:
        environment = {
            "USER_RATE": repr(rate_per_s / LOCUST_USERS),
            "SETTLE_S": str(self.settle_s),
            "WINDOW_S": str(bench.seconds),
        }
        flags = ["--headless", "--only-summary", "--users", str(LOCUST_USERS), "--spawn-rate", str(LOCUST_USERS)]
        command = pinned(bench.core, *realtime(), sys.executable, "-m", "locust", "-f", str(HERE / "throughput_locust.py"), *flags)
        text = _run([*command, "--host", bench.url.rstrip("/"), "--loglevel", "ERROR"], bench.seconds, **environment)
        found = re.search(r"HELD (\d+) ([\d.]+) (\d+)", text)
        if found is None:
            raise RuntimeError(f"Locust said nothing: {text[-300:]}")
        achieved, failed = int(found[1]) / float(found[2]), int(found[3])
        why = [] if achieved >= ACHIEVED_MIN * rate_per_s else [f"{achieved:.0f}/s achieved"]
        return Held(rate_per_s, achieved, ", ".join([*why, *([f"{failed} failed"] if failed else [])]))


@functools.cache
def realtime() -> tuple[str, ...]:
    """What starts a command at the priority that our engine takes; nothing where that is not allowed."""
    command = ("chrt", "--rr", str(LOWEST))
    return command if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0 else ()


def ours_closed(bench: Bench) -> float:
    """Requests a second of the closed mode; every answer right, or 0."""
    said, samples = run_ours(bench, closed=CLOSED_CONNECTIONS)
    good = int(pc.sum(pc.equal(samples["outcome"], "ok")).as_py() or 0)
    return good / bench.seconds if good == said.intended else 0.0


def wrk_closed(bench: Bench) -> float:
    """Requests a second of wrk, one thread, as many connections."""
    command = pinned(bench.core, "wrk", "-t1", f"-c{CLOSED_CONNECTIONS}", f"-d{bench.seconds:.0f}s", bench.url)
    found = re.search(r"Requests/sec:\s*([\d.]+)", _run(command, bench.seconds))
    return float(found[1]) if found else 0.0


def _run(command: list[str], seconds: float, **environment: str) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        timeout=seconds + 60,
        check=False,
    )
    return done.stdout


def missing() -> str:
    """What has to be installed, with the command; empty when everything is here."""
    wanted = {
        "apt-get install nginx-core wrk": shutil.which("wrk") and (shutil.which("nginx") or Path("/usr/sbin/nginx").is_file()),
        "harness servers install k6": found_k6(),
        "pip install 'evidence-harness[load]'": importlib.util.find_spec("locust"),
        "apt-get install util-linux (taskset, chrt)": shutil.which("taskset") and shutil.which("chrt"),
    }
    return "; ".join(command for command, here in wanted.items() if not here)
