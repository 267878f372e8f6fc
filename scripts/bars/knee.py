"""The bar ``knee``: five searches find the capacity of a server whose capacity is known, within 10 % of each other and of the truth.

The server has one worker and a fixed service time (a queue M/D/1 or D/D/1): its capacity is 1/service, whatever this machine does.
Answers are due at fixed times of its own clock, so that a late wake-up of its loop delays one answer and not the queue. The search runs as
anybody would run it: `harness run` on a project of its own, five trials in one run.

    python -m scripts.bars.knee [--repeats N] [--service-ms S] [--arrivals even|poisson] [--keep]

Exit 0: both within 10 %, 1: not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from harness.journal.events import KneeStep, Measured, TrialFinished
from harness.run.view import FolderView
from scripts.bars.support import PROJECT, call, result, say, scratch

LIMIT = 0.10
P95_SERVICES = 30  # the p95 limit in service times
TRIAL_LIMIT_S = 600

TOML = """
reports = "reports"
[target]
base_url = "http://127.0.0.1:{port}"
[requests.ask]
op = "ask"
path = "/ask"
method = "GET"
replayable = true
"""
SCENARIO = """
name: knee
title: The capacity of a server with one worker is found
layer: load
deadline: {deadline} s
requires: [target]
timeline:
  - step: knee
    driver: knee
    with:
      from: {first:g} /s
      to: {most:g} /s
      p95: {p95:g} ms
      each: 8 s
      warmup: 500 ms
      retries: 6
      settle: 1 s
      arrivals: {arrivals}
      requests: ask
thresholds:
  - id: capacity
    expr: "capacity{{step=knee, bound=estimate}}: last > 0 /s"
checks:
  - checker: knee
    with: {{step: knee}}
  - checker: trial_completed
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.knee")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--service-ms", type=float, default=10.0)
    parser.add_argument("--arrivals", choices=("even", "poisson"), default="even")
    parser.add_argument("--keep", action="store_true", help="keep the run folder as reports/bars/knee")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.service_ms / 1000))
        return 0
    with scratch() as folder, server(options.service_ms) as port:
        write_project(folder, port, options)
        done = call("run", "knee.yaml", "--repeat", str(options.repeats), cwd=folder, limit_s=TRIAL_LIMIT_S * options.repeats)
        say(done.stdout[-3000:] + done.stderr[-3000:])
        run = folder / "reports" / "latest"
        if not run.exists():
            return result("no run", passed=False, detail=done.stderr[-500:])
        if options.keep:
            keep(run)
        return judged(FolderView(run.resolve()), 1000 / options.service_ms, options.repeats)


def write_project(folder: Path, port: int, options: argparse.Namespace) -> None:
    truth = 1000 / options.service_ms
    (folder / "harness.toml").write_text(TOML.format(port=port), encoding="utf-8")
    filled = SCENARIO.format(
        first=truth / 3,
        most=truth * 5,
        p95=P95_SERVICES * options.service_ms,
        arrivals=options.arrivals,
        deadline=TRIAL_LIMIT_S - 10,
    )
    (folder / "knee.yaml").write_text(filled, encoding="utf-8")


def judged(view: FolderView, truth: float, repeats: int) -> int:
    """Spread of the breaking points (largest less smallest, over the middle one) and their distance from the truth."""
    trials = [event.trial for event in kinds(view, TrialFinished)]
    points = []
    for trial in trials:
        mine = {(event.metric, event.tags["bound"]): event.value for event in kinds(view, Measured) if event.trial == trial}
        steps = [event for event in kinds(view, KneeStep) if event.trial == trial]
        inconclusive = sum(step.outcome == "inconclusive" for step in steps)
        shown = ", ".join(f"{metric} {bound} {value:.1f}" for (metric, bound), value in sorted(mine.items()))
        say(f"{trial}: {len(steps)} steps, {inconclusive} inconclusive: {shown or 'no knee'}")
        if ("breaking_point", "estimate") in mine:
            points.append(mine["breaking_point", "estimate"])
    if len(points) < repeats:
        return result(f"{len(points)} of {repeats} searches found a knee", passed=False, detail="the others stayed inconclusive")
    points.sort()
    spread = (points[-1] - points[0]) / points[len(points) // 2]
    off = max(abs(point / truth - 1) for point in points)
    figure = (
        f"breaking point {points[0]:.1f} to {points[-1]:.1f}/s, spread {100 * spread:.1f} %, at most {100 * off:.1f} % from {truth:g}/s"
    )
    return result(figure, passed=spread <= LIMIT and off <= LIMIT, detail=f"{repeats} searches")


def kinds(view: FolderView, kind: type[Any]) -> list[Any]:
    return [recorded.event for recorded in view.events(kind.NAME)]


def keep(run: Path) -> None:
    target = PROJECT / "reports" / "bars" / "knee"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run.resolve(), target)


@contextlib.contextmanager
def server(service_ms: float) -> Iterator[int]:
    """The server in a process of its own; its port."""
    command = [sys.executable, "-m", "scripts.bars.knee", "--serve", "--service-ms", str(service_ms)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(json.loads(process.stdout.readline())["port"])
        finally:
            process.terminate()
            process.wait(10)


class OneWorker:
    """When the only worker is free again, on the loop's clock."""

    def __init__(self, service_s: float) -> None:
        self._service_s, self._free = service_s, 0.0

    def due(self, now: float) -> float:
        """When a request that comes now will be answered: first come, first served, one at a time."""
        self._free = max(now, self._free) + self._service_s
        return self._free


class Queued(asyncio.Protocol):
    """Requests without bodies, keep-alive; answers come when the worker has served them."""

    def __init__(self, worker: OneWorker) -> None:
        self._worker, self._buffer = worker, b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        loop = asyncio.get_running_loop()
        while b"\r\n\r\n" in self._buffer:
            _, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            loop.call_at(self._worker.due(loop.time()), self._answer)

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


async def serve(service_s: float) -> None:
    """Listen on a free loopback port until killed."""
    worker = OneWorker(service_s)
    listening = await asyncio.get_running_loop().create_server(lambda: Queued(worker), "127.0.0.1", 0)
    print(json.dumps({"port": listening.sockets[0].getsockname()[1]}), flush=True)
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    raise SystemExit(main())
