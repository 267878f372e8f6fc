"""``docs/detections-*.json``: which checks a bar has seen red under which seeded defect; the requirement matrix reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from harness.core import jsonio
from scripts.bars.support import PROJECT

Found = Mapping[str, Sequence[str]]  # defect -> the checks that were red


class _Published(msgspec.Struct, frozen=True):
    checks: dict[str, tuple[str, ...]] = {}


def file_of(bar: str) -> Path:
    return PROJECT / "docs" / f"detections-{bar}.json"


def publish(bar: str, found: Found, *, keep: bool = False) -> None:
    """Write what the bar found; ``keep``: what it found earlier of defects that were not tried now stays."""
    path = file_of(bar)
    before = msgspec.json.decode(path.read_bytes(), type=_Published).checks if keep and path.is_file() else {}
    jsonio.write_atomic(path, jsonio.pretty({"checks": merged(before, found)}))


def merged(before: Mapping[str, Sequence[str]], found: Found) -> dict[str, list[str]]:
    """Check → defects: those of ``before`` that were not tried now, and what was ``found``."""
    checks = {check: [defect for defect in defects if defect not in found] for check, defects in before.items()}
    for defect, red in found.items():
        for check in red:
            checks.setdefault(check, []).append(defect)
    return {check: sorted(defects) for check, defects in checks.items() if defects}
