"""``harness`` over a tiny foreign project, in processes of its own: exit codes by verdict, odd surroundings, Ctrl-C, two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from suites.unit.waiting import wait_for

VERDICTS = {"good": ("PASS", 0), "bad": ("FAIL", 1), "vacuous": ("VACUOUS", 4), "broken": ("ERROR", 5)}


@pytest.mark.parametrize("layer", VERDICTS)
def test_the_exit_code_is_the_verdict(foreign: Any, layer: str) -> None:
    """PASS 0, FAIL 1, VACUOUS 4, ERROR 5; ``--json`` prints the summary that is on disk, and nothing else."""
    code, out, err = foreign.harness("verify", "--only", layer, "--json")
    verdict, expected = VERDICTS[layer]
    assert (code, json.loads(out)["verdict"]) == (expected, verdict), err
    assert out.encode() == (foreign.folder / "reports" / "latest" / "summary.json").read_bytes()


def test_a_required_layer_that_is_blocked_blocks_the_run(foreign: Any) -> None:
    """Nothing but blocked checks is VACUOUS (4) when optional and BLOCKED (3) when the layer is required."""
    assert foreign.harness("verify", "--only", "blocked")[0] in {3, 4}
    text = (foreign.folder / "harness.toml").read_text()
    foreign.write(text.replace('"the suites/blocked"\n', '"the suites/blocked"\nrequired = true\n'))
    (foreign.folder / "the suites/blocked/test_blocked.py").write_text(
        "import pytest\n@pytest.fixture\ndef x(stack): ...\ndef test_b(x): ...\n"
    )
    assert foreign.harness("verify", "--only", "blocked", "--only", "good")[0] in {0, 3}


def test_the_end_of_a_run_says_verdict_report_and_manifest_and_recheck_agrees(foreign: Any) -> None:
    """What is printed leads to a report, a hash that ``recheck`` takes, and a copy that ``report`` writes once."""
    code, out, err = foreign.harness("verify", "--only", "good")
    assert code == 0, err
    lines = dict(line.split(None, 1) for line in out.splitlines() if line.startswith(("PASS", "report", "manifest")))
    assert Path(lines["report"].strip()).is_file()
    manifest = lines["manifest"].strip()
    assert foreign.harness("recheck", "reports/latest", "--manifest", manifest)[:2] == (0, "recheck: identical: PASS 1 of 1\n")
    code, out, _ = foreign.harness("recheck", "reports/latest", "--manifest", "0" * 64, "--json")
    assert (code, json.loads(out)["identical"]) == (1, False)
    copy = foreign.folder / "copy"
    assert foreign.harness("report", "reports/latest", "--to", str(copy))[0] == 0
    code, _, err = foreign.harness("report", "reports/latest", "--to", str(copy))
    assert (code, "exists already; give another folder with --to" in err) == (2, True)
    (copy / "summary.json").write_text("{torn")
    code, _, err = foreign.harness("report", str(copy), "--to", str(foreign.folder / "again"))
    assert (code, len(err.strip().splitlines()), "summary.json" in err) == (2, 1, True), err
    assert not (foreign.folder / "again").exists()


ODD = {
    "no locale": {"LC_ALL": "POSIX", "LANG": ""},
    "ASCII only": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
    "read-only home": {"HOME": "/proc/1", "XDG_CACHE_HOME": ""},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_surroundings_change_nothing(foreign: Any, name: str) -> None:
    """A path with blanks, no locale, a terminal that only knows ASCII, a home that cannot be written: the run passes."""
    (foreign.folder / "the suites/good/test_more.py").write_text(
        'def test_more(target):\n    """Größe → 5 µm holds."""\n', encoding="utf-8"
    )
    code, _, err = foreign.harness("verify", "--only", "good", environment=ODD[name])
    assert code == 0, err
    assert "Traceback" not in err
    code, out, err = foreign.harness("doctor", environment=ODD[name])
    assert (code, "Python" in out) == (0, True), err


@pytest.mark.parametrize(("layer", "expected"), [("good", 0), ("bad", 1)])
def test_a_reader_that_goes_away_does_not_change_the_verdict(foreign: Any, layer: str, expected: int) -> None:
    """With stdout closed by its reader the exit code is still the verdict's, and there is no traceback."""
    read, write = os.pipe()
    os.close(read)
    try:
        with foreign.start("verify", "--only", layer, stdout=write) as process:
            err = process.communicate(timeout=90)[1].decode()
    finally:
        os.close(write)
    assert process.returncode == expected, err
    assert "BrokenPipe" not in err


def test_a_short_command_into_a_closed_pipe_is_quiet(foreign: Any) -> None:
    """``harness doctor | true`` ends well and says nothing."""
    read, write = os.pipe()
    os.close(read)
    with foreign.start("doctor", stdout=write) as process:
        _, err = process.communicate(timeout=60)
    os.close(write)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_within_five_seconds_with_a_readable_report(foreign: Any, number: int) -> None:
    """Exit 130, an ABORTED run with its page, nothing left running."""
    with foreign.start("verify", "--only", "good", "--only", "slow") as process:
        wait_for(lambda: (foreign.folder / "started").exists() or process.poll() is not None)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert time.monotonic() - began < 5
    summary = json.loads((foreign.folder / "reports" / "latest" / "summary.json").read_bytes())
    assert (summary["verdict"], summary["finished"]) == ("ABORTED", "interrupted")
    assert {row["verdict"] for row in summary["rows"] if row["layer"] == "good"} == {"PASS"}
    assert (foreign.folder / "reports" / "latest" / "report.html").is_file()
    assert foreign.harness("recheck", "reports/latest")[0] == 0


SLOW_CHECKER = """
import pathlib, threading
import msgspec
from harness.core.verdict import Verdict
from harness.run.protocols import trial_row

class Nothing(msgspec.Struct, frozen=True):
    pass

class Idle:
    name, parameters, metrics, requires = "idle", Nothing, (), frozenset()
    def run(self, context, parameters):
        pass

class Slow:
    name, parameters = "slow", Nothing
    def check(self, view, trial, layer, parameters):
        if pathlib.Path("judged").exists():
            pathlib.Path("started").touch()
            threading.Event().wait(60)
        pathlib.Path("judged").touch()
        return [trial_row(trial, layer, "slow", Verdict.PASS)]
"""
SLOW_SCENARIO = """
name: slow
title: Judged slowly
layer: load
timeline:
  - {step: nothing, driver: idle}
checks:
  - checker: slow
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_run_is_judged_ends_it_within_five_seconds(foreign: Any, number: int) -> None:
    """After the trials a checker works for a minute: exit 130, an ABORTED run that says interrupted, with its page; recheck agrees."""
    (foreign.folder / "slow_wing.py").write_text(SLOW_CHECKER)
    (foreign.folder / "slow.yaml").write_text(SLOW_SCENARIO)
    foreign.write(
        (foreign.folder / "harness.toml").read_text()
        + '[wings.checkers]\nslow = "slow_wing:Slow"\n[wings.drivers]\nidle = "slow_wing:Idle"\n'
    )
    with foreign.start("run", "slow.yaml") as process:
        wait_for(lambda: (foreign.folder / "started").exists() or process.poll() is not None)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert time.monotonic() - began < 5
    summary = json.loads((foreign.folder / "reports" / "latest" / "summary.json").read_bytes())
    assert (summary["verdict"], summary["finished"]) == ("ABORTED", "interrupted")
    assert (foreign.folder / "reports" / "latest" / "report.html").is_file()
    assert foreign.harness("recheck", "reports/latest")[0] == 0


def test_two_runs_at_once_do_not_meet(foreign: Any) -> None:
    """Both pass in folders of their own, and ``latest`` is one of them."""
    with foreign.start("verify", "--only", "good") as one, foreign.start("verify", "--only", "good") as two:
        ends = [process.communicate(timeout=90) for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), ends
    folders = sorted(path for path in (foreign.folder / "reports").iterdir() if path.is_dir() and not path.is_symlink())
    assert len(folders) == 2
    assert all(json.loads((path / "summary.json").read_bytes())["verdict"] == "PASS" for path in folders)
    assert (foreign.folder / "reports" / "latest").resolve() in [path.resolve() for path in folders]


def test_reports_that_cannot_be_written_are_named(foreign: Any) -> None:
    """A reports folder that is a file: one line, exit 2."""
    (foreign.folder / "taken").write_text("")
    code, _, err = foreign.harness("verify", "--only", "good", "--reports", "taken")
    assert (code, "taken: cannot make the run folder" in err) == (2, True)


def test_the_program_starts_from_any_folder(tmp_path: Path) -> None:
    """The installed command needs no project for what needs none."""
    done = subprocess.run([sys.executable, "-m", "harness.cli.main", "storm"], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 3
