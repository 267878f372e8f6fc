"""The bar ``outcomes``: generated tests of every outcome × phase × hook of another plugin, counted by pytest and by the run."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from scripts.bars.support import listed, result, say
from suites.unit.plugin import generated

TESTS_PER_PROJECT = 60


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=1)
    given = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS", "COV"))}
    compared, differences = 0, []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for mode in generated.MODES:
            with tempfile.TemporaryDirectory(prefix="eh-outcomes-") as folder:
                generated.write(Path(folder), seed, TESTS_PER_PROJECT)
                found = generated.compare(Path(folder), mode, environment)
            compared += found.tests
            differences += [f"seed {seed}, {mode}: {difference}" for difference in found.differences]
        say(f"seed {seed}: {compared} outcomes compared so far, {len(differences)} differences")
    modes = ", ".join(generated.MODES)
    figure = f"{compared} outcomes of {given.seeds} generated projects in the modes {modes}: {len(differences)} differences"
    return result(figure, passed=compared >= 2_000 and not differences, detail=listed(differences))


if __name__ == "__main__":
    raise SystemExit(main())
