"""A bar that is a command of the harness: its verdict is the result. ``python -m scripts.bars.verdict run SCENARIO …``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

from scripts.bars.support import HARNESS, PROJECT, listed, result, scratch


def main(arguments: list[str]) -> int:
    with scratch() as folder:
        command = [HARNESS, *arguments, "--reports", str(folder)]
        code = subprocess.run(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode
        stored = folder / "latest" / "summary.json"
        if not stored.is_file():
            return result(f"no summary (exit {code})", passed=False)
        summary = json.loads(stored.read_bytes())
    trials = Counter("PASS" if verdict == "PASS" else verdict for verdict in worst(summary["rows"]).values())
    wrong = [
        f"{row['trial']} {row['check']}: {row['verdict']} {row['value']} {row['reason']}"
        for row in summary["rows"]
        if row["verdict"] != "PASS"
    ]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(trials.items()))
    passed = True if code == 0 else None if code == 3 else False
    return result(f"{summary['coverage']}; trials: {counts}", passed=passed, detail=listed(wrong))


def worst(rows: list[dict[str, str]]) -> dict[str, str]:
    """PASS for a trial whose rows all passed, else the first other verdict."""
    found: dict[str, str] = {}
    for row in rows:
        if row["trial"] and found.get(row["trial"], "PASS") == "PASS":
            found[row["trial"]] = row["verdict"]
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
