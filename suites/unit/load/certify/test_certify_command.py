"""``harness certify``: what it runs, what it says, and how other tools' figures are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli import certify
from harness.cli.main import main
from harness.core.errors import HarnessError, UsageError
from harness.load.certify.driver import NAMES, Certify
from harness.load.certify.foreign import k6_figures, locust_figures
from harness.load.certify.liars import KINDS, LIARS, title
from harness.run.recheck import recheck
from harness.run.registry import Registry
from harness.scenario.loader import parse_scenario


def test_all_means_every_engine_and_never_a_liar() -> None:
    """The gallery has to be asked for by its own name."""
    assert certify.chosen("all", gallery=False) == list(NAMES) == ["ours", "locust", "k6"]
    assert certify.chosen("ours", gallery=True) == [f"liar:{kind}" for kind in LIARS]
    assert len(LIARS) == 6
    assert set(KINDS) - set(LIARS) == {"honest"}
    assert all(title(kind) for kind in KINDS)


def test_the_scenario_of_every_engine_is_one() -> None:
    """Each loads with the strict loader; alone an engine is required, among others it is not."""
    registry = Registry.discover()
    for name in (*NAMES, *certify.chosen("", gallery=True)):
        for alone in (True, False):
            scenario = parse_scenario(certify.scenario_text(name, Certify(engine=name), alone=alone), "x", registry)
            assert scenario.requires == ((certify.capability(name),) if alone else ())


def command(folder: Path, *arguments: str, **environment: str) -> tuple[int, Any]:
    """``harness certify --json`` as a person runs it, in a folder that is no project; exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "certify", "--json", "--reports", str(folder / "runs"), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def test_an_engine_that_is_not_here_blocks_the_run(tmp_path: Path) -> None:
    """Exit 3, the run folder says why, and judges the same again."""
    code, said = command(tmp_path, "--engine", "k6", PATH="/nowhere", XDG_CACHE_HOME=str(tmp_path))
    assert code == 3
    assert (said["verdict"], said["certificates"], list(said["blocked"])) == ("BLOCKED", [], ["certify_k6"])
    assert recheck(Path(said["run"])).identical


def test_a_certificate_is_a_run_that_can_be_rechecked(tmp_path: Path) -> None:
    """A second of the honest control: JSON with figures and rates, a table in the report, byte-identical when judged again."""
    code, said = command(tmp_path, "--engine", "liar:honest", "--rate", "200", "--duration", "0.5s", "--stall", "0s")
    (certificate,) = said["certificates"]
    assert code == (1 if certificate["standing"] == "lying" else 0)  # on a machine that delays it, the control too is wrong
    assert (certificate["intended"], certificate["offered_per_s"]) == (100, 200.0)
    assert set(certificate["figures"]) == {"p50", "p90", "p99", "p99.9", "max"}
    assert recheck(Path(said["run"])).identical
    assert "Certificates: reported / true" in (Path(said["run"]) / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "lokust"], "did you mean 'locust'"),
        (["--rate", "fast"], "fast"),
        (["--duration", "1s"], "does not fit"),
        (["--repeat", "0"], "1 to"),
    ],
)
def test_wrong_arguments_leave_no_run_folder(tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with the remedy."""
    assert main(["certify", *arguments, "--reports", str(tmp_path / "none")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def k6_summary(path: Path, **more: object) -> Path:
    times = {"p(50)": 20.0, "p(90)": 21.0, "p(99)": 22.0, "p(99.9)": 23.0, "max": 24.0}
    metrics = {"http_req_duration": {"values": times}, "http_reqs": {"values": {"count": 90}}, **more}
    path.write_text(json.dumps(metrics), encoding="utf-8")
    return path


def test_dropped_iterations_are_k6s_own_declaration(tmp_path: Path) -> None:
    """Its failed threshold makes its figures self-declared invalid; the dropped ones count as unsent."""
    clean = k6_figures(k6_summary(tmp_path / "a.json"), 10, 0.5, failed=False)
    assert (clean.figures["p99.9"], clean.answers, clean.unsent, clean.invalid) == (23.0, 90, 0, "")
    dropped = k6_figures(k6_summary(tmp_path / "b.json", dropped_iterations={"values": {"count": 10}}), 10, 0.5, failed=True)
    assert (dropped.unsent, dropped.invalid) == (10, "dropped_iterations: 10 arrivals found no free virtual user")


def test_what_another_version_of_a_tool_writes_is_an_error_with_the_files_name(tmp_path: Path) -> None:
    """Never a figure of zero."""
    for content in ("", "{}", "[]", '{"figures": []}', '{"http_req_duration": 7}'):
        (tmp_path / "said.json").write_text(content, encoding="utf-8")
        with pytest.raises(HarnessError, match=r"said\.json"):
            k6_figures(tmp_path / "said.json", 1, 0.0, failed=False)
        with pytest.raises(HarnessError, match=r"said\.json"):
            locust_figures(tmp_path / "said.json", 1, 0.0)


def test_an_unknown_engine_lists_the_known_ones() -> None:
    """The liars are not among those offered."""
    with pytest.raises(UsageError, match="known: k6, locust, ours") as caught:
        certify.chosen("wrk", gallery=False)
    assert "liar" not in str(caught.value)
