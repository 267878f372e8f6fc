"""Exit 0 when a run is INCONCLUSIVE because of the canary alone: ``python -m scripts.ci_inconclusive SUMMARY``; else 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HARMLESS = {"PASS", "BLOCKED"}
CAUSES = (".certificate.", "latency is not certified")


def canary_alone(summary: Path) -> bool:
    """Every row that is neither PASS nor BLOCKED is INCONCLUSIVE and names the certificate."""
    rows = [row for row in json.loads(summary.read_bytes())["rows"] if row["verdict"] not in HARMLESS]
    named = [any(cause in f"{row['check']} {row.get('reason', '')}" for cause in CAUSES) for row in rows]
    return bool(rows) and all(row["verdict"] == "INCONCLUSIVE" for row in rows) and all(named)


if __name__ == "__main__":
    sys.exit(0 if canary_alone(Path(sys.argv[1])) else 1)
