"""The detection score: seeded defects found by a right layer, and what N clean runs without an alarm are worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from harness.core.verdict import Verdict
from harness.defects.checks import NAME as REACHED
from harness.run.protocols import CheckRow

CONFIDENCE = 0.95


class Finding(msgspec.Struct, frozen=True):
    """A check that went red: its id without the trial, and its layer."""

    check: str
    layer: str
    reason: str = ""


class Tried(msgspec.Struct, frozen=True):
    """One defect, judged: which checks went red. ``reached``: it took effect; ``completed``: the trial ran to its end."""

    defect: str
    breaks: str
    layers: tuple[str, ...]  # where it should be found
    findings: tuple[Finding, ...]
    reached: bool
    completed: bool
    seconds: float
    run: str  # the run folder's name
    trial: str

    @property
    def found(self) -> bool:
        """By a right layer."""
        return any(finding.layer in self.layers for finding in self.findings)

    @property
    def found_elsewhere(self) -> bool:
        return bool(self.findings) and not self.found


class Layer(msgspec.Struct, frozen=True):
    """What one layer should find and did."""

    expected: int
    found: int


class Score(msgspec.Struct, frozen=True):
    """``missed`` holds those found by no right layer; ``unreached`` those that never took effect (they count as not found)."""

    total: int
    found: int
    by_layer: Mapping[str, Layer]
    missed: tuple[str, ...]
    unreached: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.found / self.total if self.total else 0.0


def findings(rows: Iterable[CheckRow], trial: str) -> tuple[Finding, ...]:
    """Rows that judge the system and are FAIL: what could not be judged finds nothing."""
    red = [row for row in rows if row.verdict is Verdict.FAIL and not row.check.endswith(REACHED)]
    return tuple(Finding(row.check.removeprefix(f"{trial}."), row.layer, row.reason[:300]) for row in red)


def score(tried: Sequence[Tried]) -> Score:
    """The score over all defects that were tried."""
    layers = sorted({layer for item in tried for layer in item.layers})
    by_layer = {}
    for layer in layers:
        expected = [item for item in tried if layer in item.layers]
        hit = [item for item in expected if any(finding.layer == layer for finding in item.findings)]
        by_layer[layer] = Layer(len(expected), len(hit))
    return Score(
        total=len(tried),
        found=sum(item.found and item.reached for item in tried),
        by_layer=by_layer,
        missed=tuple(item.defect for item in tried if not item.found),
        unreached=tuple(item.defect for item in tried if not item.reached),
    )


def checks(tried: Sequence[Tried], stands_for: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Check id → the defects that turned it red, also under the ids of the suites that judge by the same function."""
    found: dict[str, set[str]] = {}
    for item in tried:
        for finding in item.findings:
            for name in (finding.check, *stands_for.get(finding.check, ())):
                found.setdefault(name, set()).add(item.defect)
    return {name: sorted(defects) for name, defects in sorted(found.items())}


def false_alarm_bound(clean: int) -> float:
    """The largest rate of false alarms that ``clean`` runs without one leave possible, at 95 % confidence (exact; about 3/N)."""
    return 1.0 if clean < 1 else float(1.0 - (1.0 - CONFIDENCE) ** (1.0 / clean))
