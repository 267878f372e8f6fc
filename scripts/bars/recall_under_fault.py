"""The bar ``recall_under_fault``: recall@20 per second against an exact oracle while one retriever is killed, stays away and returns.

A run of ``scenarios/load_recall.yaml`` on the embedded stack: the oracle scores every indexed chunk for every question beforehand, the
load keeps its answers, the sparse model is away for 12 s. Recall has to be whole before and after, and fallen in between. The report of
the kept run shows recall, latency and the fault on one axis.

    python -m scripts.bars.recall_under_fault

Exit 0: it fell and came back, 1: not.
"""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np

from harness.journal.events import FaultApplied, FaultUndone, TrialStarted
from harness.load.recall_check import RecallUnderFault, RecallUnderFaultChecker
from harness.run.view import FolderView
from scripts.bars.support import OUTPUT, call, listed, result, say

SCENARIO = "scenarios/load_recall.yaml"
FAULT, STEP = "sparse_away", "retrieve"
LIMIT_S = 900.0
KEPT = OUTPUT / "recall"
VERDICTS = {"PASS": True, "BLOCKED": None}


def main() -> int:
    shutil.rmtree(KEPT, ignore_errors=True)
    done = call("run", SCENARIO, "--reports", str(KEPT), limit_s=LIMIT_S)
    say(done.stdout[-2500:])
    latest = KEPT / "latest"
    if not latest.exists():
        return result("no run", passed=False, detail=done.stderr[-500:])
    view = FolderView(latest.resolve())
    trials = [item.event.trial for item in view.events(TrialStarted.NAME) if isinstance(item.event, TrialStarted)]
    show(view, trials[0])
    (row,) = RecallUnderFaultChecker().check(view, trials[0], "load", RecallUnderFault(fault=FAULT))
    figure = f"recall@20 {row.value}" if row.value else row.reason
    return result(figure, passed=VERDICTS.get(row.verdict.name, False), detail=listed([row.limit, *([row.reason] if row.reason else [])]))


def show(view: FolderView, trial: str) -> None:
    """A line a second: recall@20, median response time, whether the fault held."""
    recall, requests = view.samples("recall", trial), view.samples("requests", trial)
    if not recall.num_rows or not requests.num_rows:
        return
    origin = int(requests["intended_ns"].to_numpy().min())
    fault = [int(event.at_ns) - origin for kind in (FaultApplied, FaultUndone) for event in events(view, kind, trial)]
    found = seconds(recall, origin, recall["recall@20"].to_numpy())
    done = np.array([np.inf if value is None else value for value in requests["done_ns"].to_pylist()])
    took = seconds(requests, origin, (done - requests["intended_ns"].to_numpy()) / 1e6)
    say(" second  recall@20  median response time")
    for second in sorted(took):
        held = len(fault) == 2 and fault[0] <= (second + 0.5) * 1e9 < fault[1]
        mean = f"{100 * float(np.mean(found[second])):6.1f} %" if second in found else "     –  "
        say(f"{second:7d}  {mean}  {float(np.median(took[second])):12.0f} ms{'  sparse model away' if held else ''}")


def events(view: FolderView, kind: type[Any], trial: str) -> list[Any]:
    return [item.event for item in view.events(kind.NAME, trial=trial)]


def seconds(table: Any, origin: int, values: Any) -> dict[int, list[float]]:
    """Values by second of intended start."""
    found: dict[int, list[float]] = {}
    for at, value in zip(((table["intended_ns"].to_numpy() - origin) // 10**9).tolist(), values.tolist(), strict=True):
        found.setdefault(at, []).append(value)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
