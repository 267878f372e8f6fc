"""The adapters of Locust and k6: subprocesses, run as their documentation says for a rate; the figures that they print."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.core.errors import HarnessError
from harness.load.certify.engines import GROUP, Bench, Ran, Reported
from harness.load.certify.processes import last_lines, run_engine
from harness.load.certify.truth import Group
from harness.load.k6_tool import INSTALL, found_k6

HERE = Path(__file__).parent
USER_RATE_PER_S = 1.0
START_S = 60.0
VU_SPARE = 50
K6_THRESHOLD_FAILED = 99


class LocustEngine:
    """FastHttpUser with ``constant_throughput(1)``, as many users as the rate needs."""

    name: ClassVar[str] = "locust"

    def missing(self) -> str:
        found = importlib.util.find_spec("locust") is not None
        return "" if found else "the package locust is not installed: pip install 'evidence-harness[load]'"

    def run(self, bench: Bench) -> Ran:
        """Raises ``HarnessError`` when Locust failed or left no figures."""
        context = bench.context
        users = math.ceil(bench.rate_per_s / USER_RATE_PER_S)
        summary, output = context.folder / f"{context.step}.locust.json", context.folder / f"{context.step}.locust.out"
        command = [
            *(sys.executable, "-m", "locust", "--locustfile", str(HERE / "locust_users.py"), "--headless", "--only-summary"),
            *("--host", bench.url, "--users", str(users), "--spawn-rate", str(users)),
            *("--run-time", f"{math.ceil(bench.duration_s)}s", "--stop-timeout", f"{bench.timeout_s:g}"),
            *("--loglevel", "WARNING"),
        ]
        environment = {"EH_CERTIFY_USER_RATE": f"{USER_RATE_PER_S:g}", "EH_CERTIFY_SUMMARY": str(summary)}
        limit_s = bench.duration_s + bench.timeout_s + START_S
        code, cpu_s = run_engine(context, command, environment, limit_s, output, "Locust")
        if code not in {0, 1}:  # 1: some requests failed; the figures say which
            raise HarnessError(f"Locust failed with exit {code}: {last_lines(output)}")
        reported = locust_figures(summary, users, cpu_s / bench.duration_s)
        return Ran((Group("", bench.count, 1e9 / bench.rate_per_s, closed=True),), reported)


def locust_figures(path: Path, users: int, cpu_share: float) -> Reported:
    """What Locust said at its end, as ``locust_users`` wrote it; ``HarnessError`` where that is something else."""
    try:
        said: Mapping[str, Any] = json.loads(path.read_bytes())
        figures = {name: float(value) for name, value in said["figures"].items()}
        count, failed = int(said["requests"]), int(said["failures"])
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise HarnessError(f"{path.name} is not what Locust says at its end: {type(error).__name__}: {error}") from None
    how = f"FastHttpUser, constant_throughput({USER_RATE_PER_S:g}), {users} users; its own percentiles, from the send"
    return Reported(engine="locust", figures=figures, answers=count - failed, failed=failed, cpu_share=cpu_share, how=how)


class K6Engine:
    """``constant-arrival-rate`` with virtual users for the rate times the stall, and ``dropped_iterations`` as a threshold."""

    name: ClassVar[str] = "k6"

    def missing(self) -> str:
        return "" if found_k6() else f"k6 is neither on the PATH nor in the user's cache: run `{INSTALL}` (needs Go), or install k6"

    def run(self, bench: Bench) -> Ran:
        """Raises ``HarnessError`` when k6 failed for another reason than its threshold."""
        context, program = bench.context, found_k6()
        assert program is not None  # `missing` was asked
        summary, output = context.folder / f"{context.step}.k6.json", context.folder / f"{context.step}.k6.out"
        users = math.ceil(bench.rate_per_s * (bench.stall_s + 0.1)) + VU_SPARE
        environment = {
            "EH_CERTIFY_URL": f"{bench.url}/",
            "EH_CERTIFY_RATE": f"{round(bench.rate_per_s)}",
            "EH_CERTIFY_DURATION": f"{bench.duration_s:g}s",
            "EH_CERTIFY_VUS": str(users),
            "EH_CERTIFY_TIMEOUT": f"{bench.timeout_s:g}s",
            "EH_CERTIFY_SUMMARY": str(summary),
            "K6_NO_USAGE_REPORT": "true",
        }
        command = [str(program), "run", "--quiet", "--no-color", str(HERE / "k6_arrivals.js")]
        limit_s = bench.duration_s + bench.timeout_s + START_S
        code, cpu_s = run_engine(context, command, environment, limit_s, output, "k6")
        if code not in {0, K6_THRESHOLD_FAILED}:
            raise HarnessError(f"k6 failed with exit {code}: {last_lines(output)}")
        reported = k6_figures(summary, users, cpu_s / bench.duration_s, failed=code == K6_THRESHOLD_FAILED)
        return Ran((Group(GROUP, bench.count, 1e9 / bench.rate_per_s),), reported)


_K6 = {"p50": "p(50)", "p90": "p(90)", "p99": "p(99)", "p99.9": "p(99.9)", "max": "max"}


def k6_figures(path: Path, users: int, cpu_share: float, *, failed: bool) -> Reported:
    """k6's ``http_req_duration`` as it reports it; a failed threshold is its own declaration."""
    try:
        metrics: Mapping[str, Any] = json.loads(path.read_bytes())
        times = metrics["http_req_duration"]["values"]
        figures = {name: float(times[column]) for name, column in _K6.items()}
        requests = int(metrics["http_reqs"]["values"]["count"])
        bad = round(requests * float(metrics.get("http_req_failed", {"values": {"rate": 0}})["values"]["rate"]))
        dropped = int(metrics.get("dropped_iterations", {"values": {"count": 0}})["values"]["count"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise HarnessError(f"{path.name} is not what k6 writes: {type(error).__name__}: {error}") from None
    return Reported(
        engine="k6",
        figures=figures,
        answers=requests - bad,
        unsent=dropped,
        failed=bad,
        cpu_share=cpu_share,
        invalid=f"dropped_iterations: {dropped} arrivals found no free virtual user" if failed else "",
        how=f"constant-arrival-rate, {users} virtual users; http_req_duration",
    )
