"""The adapter of the lying engines: started by ``harness certify --gallery`` only."""

from __future__ import annotations

import sys

import msgspec

from harness.core.errors import HarnessError
from harness.load.certify.engines import GROUP, Bench, Ran, Reported
from harness.load.certify.liars import KINDS, LiarPlan
from harness.load.certify.processes import last_lines, run_engine
from harness.load.certify.truth import Group

LEAD_S = 0.2
SLACK_S = 40.0
PREFIX = "liar:"


class LiarEngine:
    """One of the gallery, or its honest control."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.name = f"{PREFIX}{kind}"

    def missing(self) -> str:
        return "" if self.kind in KINDS else f"there is no liar {self.kind!r}"

    def run(self, bench: Bench) -> Ran:
        """Raises ``HarnessError`` when the process failed."""
        context = bench.context
        plan = LiarPlan(bench.host, bench.port, GROUP, bench.count, 1e9 / bench.rate_per_s, bench.duration_s, LEAD_S)
        path = context.folder / f"{context.step}.liar.json"
        output = context.folder / f"{context.step}.liar.out"
        path.write_bytes(msgspec.json.encode(plan))
        command = [sys.executable, "-m", "harness.load.certify.liars", self.kind, str(path)]
        limit_s = bench.duration_s + bench.stall_s + bench.timeout_s + SLACK_S
        code, cpu_s = run_engine(context, command, {"EH_REFERENCE_TOKEN": bench.token}, limit_s, output, self.name)
        if code:
            raise HarnessError(f"{self.name} failed with exit {code}: {last_lines(output)}")
        start, said = output.read_text(encoding="utf-8").splitlines()[-2:]
        reported = msgspec.structs.replace(msgspec.json.decode(said, type=Reported), engine=self.name, cpu_share=cpu_s / bench.duration_s)
        return Ran((Group(GROUP, plan.count, plan.period_ns, int(start)),), reported)
