"""The bar ``requirements``: the matrix of the newest run shows the wanted ids as verified, and every registered id as something."""

from __future__ import annotations

import json

from scripts.bars.support import call, listed, result

WANTED = ("OPS-2.1", "OPS-2.3", "DEV-2.1", "M18-R.1", "M18-R.2", "RES-PPS.2")


def main() -> int:
    done = call("requirements", "--json")
    try:
        rows = json.loads(done.stdout)
    except ValueError:
        return result(f"harness requirements ended with {done.returncode}", passed=False, detail=(done.stdout + done.stderr)[-1500:])
    found = {str(row["id"]): str(row["status"]) for row in (rows["rows"])}
    problems = [f"{name} is {found.get(name, 'not registered')}" for name in WANTED if found.get(name) != "verified"]
    figure = f"{len(WANTED) - len(problems)} of {len(WANTED)} verified; {len(found)} registered"
    return result(figure, passed=not problems, detail=listed(problems))


if __name__ == "__main__":
    raise SystemExit(main())
