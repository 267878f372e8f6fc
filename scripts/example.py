"""``python -m scripts.example``: make ``reports/example`` anew: a small run folder of the sample corpus, for readers and for tests.

To be run after a change of what a verdict is made from: `harness recheck reports/example` must stay byte-identical.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.journal.manifest import write_manifest

PROJECT = Path(__file__).resolve().parent.parent
TARGET = PROJECT / "reports" / "example"
SCENARIO = "crash_ingest"
SEED = 1
LIMIT_S = 600


def main() -> int:
    """Exit code of the run; the old example stays where the new run did not pass."""
    with tempfile.TemporaryDirectory(prefix="eh-example-") as folder:
        none = Path(folder) / "no-data"  # an existing, empty folder: the sample corpus is taken
        none.mkdir()
        command = [str(Path(sys.executable).parent / "harness"), "run", SCENARIO, "--seed", str(SEED), "--reports", f"{folder}/reports"]
        environment = {**os.environ, "HARNESS_DATA_DIR": str(none)}
        code = subprocess.run(command, cwd=PROJECT, env=environment, timeout=LIMIT_S, check=False).returncode
        if code == 0:
            shutil.rmtree(TARGET, ignore_errors=True)
            left_out = shutil.ignore_patterns("logs")  # the servers' own logs name folders of the machine that made them
            shutil.copytree((Path(folder) / "reports" / "latest").resolve(), TARGET, ignore=left_out)
            write_manifest(TARGET)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
