"""Run folders made with the real journal and segment writers, on a fake clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.core import jsonio
from harness.core.verdict import Verdict, judge
from harness.journal import events as e
from harness.journal.segments import CANARY, REQUESTS, SegmentWriter
from harness.journal.summary import LayerSummary, MetricRow, Row, Summary, coverage_text
from harness.journal.writer import JournalWriter

S = 1_000_000_000
ORIGIN = 5_000 * S


class Ticking:
    """A clock that stands still unless told."""

    def __init__(self) -> None:
        self.ns = ORIGIN

    def monotonic_ns(self) -> int:
        return self.ns

    def wall(self) -> str:
        at = (self.ns - ORIGIN) // 1_000_000
        return f"2026-11-21T12:{at // 60_000 % 60:02d}:{at // 1000 % 60:02d}.{at % 1000:03d}Z"

    def wait(self, seconds: float, cancel: object = None) -> bool:
        self.ns += round(seconds * S)
        return False


class Emits:
    """An emitter straight into a journal file."""

    def __init__(self, writer: JournalWriter) -> None:
        self.writer = writer

    def emit(self, event: e.Event, *, sync: bool = False) -> None:
        self.writer.append(event)


class FolderMaker:
    """Writes a run folder; ``summary(rows)`` gives a matching summary."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.clock = Ticking()
        self.journal = JournalWriter(path / "journal.jsonl", self.clock)
        self.emits = Emits(self.journal)

    def emit(self, *events: e.Event) -> None:
        for event in events:
            self.clock.ns += 1_000_000
            self.journal.append(event)

    def start(self, seed: int = 4711) -> None:
        self.emit(
            e.RunStarted(
                run=self.path.name, command=("harness", "verify"), seed=seed, profile="embedded", mode="verify", environment={}, required=()
            )
        )

    def load(
        self, trial: str, seconds: int, rate: int, *, outage: tuple[int, int] | None = None, canary: bool = True, op: str = "retrieve"
    ) -> None:
        """Requests at ``rate``/s with a lognormal latency; none answered between the two seconds of ``outage``."""
        draw = random.Random(7)
        with SegmentWriter("requests", REQUESTS, self.path, self.emits, trial=trial, clock=self.clock) as requests:
            for number in range(seconds * rate):
                at = ORIGIN + number * S // rate
                self.clock.ns = at
                down = outage is not None and outage[0] * S <= at - ORIGIN < outage[1] * S
                after = outage is not None and outage[1] * S <= at - ORIGIN < (outage[1] + 3) * S
                took = round(draw.lognormvariate(0.0, 0.35) * 62e6 * (4 if after else 1))
                requests.append(
                    op=op,
                    step=op,
                    intended_ns=at,
                    sent_ns=at + 80_000,
                    first_byte_ns=at + took - 100_000,
                    done_ns=None if down and number % 3 else at + took,
                    status=None if down else 200,
                    outcome="connection_error" if down and number % 3 else "ok",
                    bytes=900,
                    request_id=f"r{number}",
                    key="",
                )
        if canary:
            with SegmentWriter("canary", CANARY, self.path, self.emits, trial=trial, clock=self.clock) as writer:
                for number in range(seconds * 20):
                    at = ORIGIN + number * S // 20
                    self.clock.ns = at
                    error = round(abs(draw.gauss(0.4e6, 0.25e6)) * (6 if outage and outage[0] * 20 <= number < outage[0] * 20 + 30 else 1))
                    writer.append(intended_ns=at, sent_ns=at, done_ns=at + 10_000_000 + error, known_delay_ns=10_000_000, outcome="ok")

    def summary(
        self, rows: Sequence[Row] = (), *, metrics: Sequence[MetricRow] = (), finished: str = "completed", **more: object
    ) -> Summary:
        self.journal.close()
        verdict = judge([row.verdict for row in rows if not row.optional], [row.verdict for row in rows if row.optional])
        passed, blocked = (sum(row.verdict is wanted for row in rows) for wanted in (Verdict.PASS, Verdict.BLOCKED))
        fields: dict[str, object] = {
            "v": 1,
            "run": self.path.name,
            "seed": 4711,
            "profile": "embedded",
            "mode": "verify",
            "started": "2026-11-21T12:00:00.000Z",
            "finished": finished,
            "duration_s": 231.4,
            "verdict": verdict,
            "exit_code": verdict.exit_code,
            "coverage": coverage_text(verdict, passed, len(rows), blocked),
            "passed": passed,
            "total": len(rows),
            "blocked": blocked,
            "sample_data": False,
            "layers": tuple(_layers(rows)),
            "rows": tuple(rows),
            "metrics": tuple(metrics),
            "environment": {"platform": "Linux x86-64", "python": "3.11.7", "cpus": "2"},
            "data": (e.DataSet(name="SciFact (test)", version="ab" * 32, items=1000, sample=False),),
            "journal_last_hash": self.journal.last_hash,
        }
        summary = Summary(**(fields | more))  # type: ignore[arg-type]
        jsonio.write_atomic(self.path / "summary.json", summary.encoded())
        return summary


def make_row(check: str, verdict: Verdict = Verdict.PASS, layer: str = "e2e", **more: object) -> Row:
    fields: dict[str, object] = {"trial": "", "value": "", "limit": "", "reason": "", "requirements": (), "optional": True}
    return Row(check=check, layer=layer, verdict=verdict, **(fields | more))  # type: ignore[arg-type]


def _layers(rows: Sequence[Row]) -> list[LayerSummary]:
    found = []
    for number, name in enumerate(dict.fromkeys(row.layer for row in rows if row.layer)):
        own = [row for row in rows if row.layer == name]
        verdict = judge([], [row.verdict for row in own])
        passed, blocked = (sum(row.verdict is wanted for row in own) for wanted in (Verdict.PASS, Verdict.BLOCKED))
        verdict = Verdict.BLOCKED if blocked == len(own) else verdict
        found.append(
            LayerSummary(
                layer=name,
                verdict=verdict,
                coverage=coverage_text(verdict, passed, len(own), blocked),
                passed=passed,
                total=len(own),
                blocked=blocked,
                required=number % 2 == 0,
                duration_s=12.5 + 9 * number,
                reason="",
            )
        )
    return found


@pytest.fixture
def maker(tmp_path: Path) -> Callable[[str], FolderMaker]:
    """Makes run folders below the test's own folder."""
    return lambda name: FolderMaker(tmp_path / name)


@pytest.fixture
def row() -> Callable[..., Row]:
    """Makes a row: ``row(check, verdict, layer, **fields)``."""
    return make_row


@pytest.fixture
def origin() -> int:
    """The monotonic time at which every made run begins, ns."""
    return ORIGIN
