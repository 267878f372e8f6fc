"""The bar ``requirements``: the matrix of a run shows the wanted ids as verified, and every registered id as something.

Without an option the newest run is looked at (after `harness verify --full`); ``--load`` runs the layers of the load tools and budgets
first, as a user would, and looks at theirs.
"""

from __future__ import annotations

import argparse
import json

from scripts.bars.support import call, listed, result, say

SPINE = ("OPS-2.1", "OPS-2.3", "DEV-2.1", "M18-R.1", "M18-R.2", "RES-PPS.2")
LOAD = ("OPS-3.1", "OPS-3.2", "OPS-3.3", "DEV-3.1", "DEV-3.2", "DEV-3.3", "DEV-3.4")
LOAD_LAYERS = ("load_tools", "load_budget")
LOAD_LIMIT_S = 2400.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.requirements")
    parser.add_argument("--load", action="store_true", help=f"run {' and '.join(LOAD_LAYERS)} first; wanted are {', '.join(LOAD)}")
    load = parser.parse_args().load
    if load:
        done = call("verify", *(part for layer in LOAD_LAYERS for part in ("--only", layer)), limit_s=LOAD_LIMIT_S)
        say(done.stdout[-1500:])
    wanted = LOAD if load else SPINE
    done = call("requirements", "--json")
    try:
        rows = json.loads(done.stdout)
    except ValueError:
        return result(f"harness requirements ended with {done.returncode}", passed=False, detail=(done.stdout + done.stderr)[-1500:])
    found = {str(row["id"]): row for row in rows["rows"]}
    problems = [f"{name}: {found[name]['status']} {found[name]['note']}" for name in wanted if found[name]["status"] != "verified"]
    figure = f"{len(wanted) - len(problems)} of {len(wanted)} verified; {len(found)} registered"
    return result(figure, passed=not problems, detail=listed(problems))


if __name__ == "__main__":
    raise SystemExit(main())
