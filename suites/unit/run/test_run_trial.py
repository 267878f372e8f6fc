"""A wing that the runner has never seen is run, judged and rechecked."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.core import jsonio
from harness.core.errors import Blocked, UsageError
from harness.core.verdict import Verdict
from harness.journal.events import DataSet, Note, TestOutcome
from harness.journal.summary import Summary, decode_summary, summary_schema
from harness.run import processes
from harness.run.judge import judge
from harness.run.recheck import recheck
from harness.run.registry import Registry, RegistryError
from harness.run.run import Run
from harness.run.trial import run_trial
from harness.run.view import FolderView
from harness.scenario.catalogue import Reference
from harness.scenario.model import Scenario
from suites.unit.waiting import wait_for

PROJECT = Path(harness.__file__).parents[1]
Make = Callable[..., Run]
Parse = Callable[..., Scenario]
TROUBLE = """
name: trouble
title: Trouble
layer: chaos
deadline: 20 s
timeline:
  - {step: trouble, driver: trouble, with: {kind: error}}
checks:
  - checker: picture
"""


def verdicts(summary: Summary) -> dict[str, str]:
    return {row.check: row.verdict.value for row in summary.rows}


def test_a_foreign_wing_runs_and_rechecks_byte_for_byte(make_run: Make, scenario: Parse, registry: Registry) -> None:
    """Scenario, plan, driver, probe, checkers and thresholds give PASS; recheck and the stand-alone verifier agree on it."""
    with make_run() as run:
        result = run_trial(run, scenario())
    assert (result.trial, result.outcome) == ("shop", "completed")
    finished = run.finished
    assert finished is not None
    assert finished.summary.coverage == "PASS 6 of 6"
    assert all(row.requirements == ("SHOP-1",) for row in finished.summary.rows)
    checked = recheck(finished.folder, finished.manifest_sha256, registry)
    assert checked.problems == ()
    assert decode_summary((finished.folder / "summary.json").read_bytes()) == checked.summary
    verifier = [sys.executable, "-I", str(finished.folder / "verify_run.py"), str(finished.folder), finished.manifest_sha256]
    assert subprocess.run(verifier, check=True, capture_output=True).stdout.startswith(b"verified PASS")
    assert (finished.folder.parent / "latest").resolve() == finished.folder.resolve()


def test_a_flipped_byte_in_any_file_is_found(make_run: Make, scenario: Parse, registry: Registry) -> None:
    """One changed byte anywhere, a missing and an additional file: recheck and the stand-alone verifier both name it."""
    with make_run() as run:
        run_trial(run, scenario())
    finished = run.finished
    assert finished is not None
    files = sorted(path for path in finished.folder.rglob("*") if path.is_file())
    assert {path.suffix for path in files} >= {".jsonl", ".json", ".arrows", ".py", ".yaml"}
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :])
        problems = recheck(finished.folder, finished.manifest_sha256, registry).problems
        assert any(problem.startswith(path.relative_to(finished.folder).as_posix()) for problem in problems), path
        path.write_bytes(whole)
    (finished.folder / "more.txt").write_text("x")
    assert recheck(finished.folder, finished.manifest_sha256, registry).problems == ("more.txt: not in the manifest",)
    (finished.folder / "more.txt").unlink()
    assert recheck(finished.folder, finished.manifest_sha256, registry).identical


def test_the_stand_alone_verifier_finds_every_change_too(make_run: Make, scenario: Parse) -> None:
    """The verifier of the run folder, with the standard library only, names the changed file and exits 1."""
    with make_run() as run:
        run_trial(run, scenario())
    finished = run.finished
    assert finished is not None
    from harness.journal import verify_run

    for path in sorted(path for path in finished.folder.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        name = path.relative_to(finished.folder).as_posix()
        with pytest.raises(ValueError, match=name):
            verify_run.verify(finished.folder, finished.manifest_sha256)
        path.write_bytes(whole)
    assert verify_run.main([str(finished.folder), finished.manifest_sha256]) == 0
    assert verify_run.main([str(finished.folder), "0" * 64]) == 1
    assert len(Path(verify_run.__file__).read_text().splitlines()) <= 100


def test_a_rewritten_summary_is_found_even_with_a_new_manifest(make_run: Make, scenario: Parse, shop_text: str, registry: Registry) -> None:
    """Who edits the summary and writes a fitting manifest is found by judging again, and by the printed hash."""
    from harness.journal.manifest import write_manifest

    with make_run() as run:
        run_trial(run, scenario(shop_text, ("p(95) < 800 ms", "p(95) < 1 ms")))
    finished = run.finished
    assert finished is not None
    assert finished.summary.verdict is Verdict.FAIL
    path = finished.folder / "summary.json"
    path.write_bytes(path.read_bytes().replace(b'"FAIL"', b'"PASS"'))
    forged = write_manifest(finished.folder)
    assert any("p95 differs" in problem for problem in recheck(finished.folder, forged, registry).problems)
    assert any("manifest.json" in problem for problem in recheck(finished.folder, finished.manifest_sha256, registry).problems)


def test_one_seed_gives_one_plan(make_run: Make, scenario: Parse) -> None:
    """Two runs of one seed store the same plan bytes; two trials of one run draw differently and have names of their own."""
    plans = []
    for _ in range(2):
        with make_run(seed=42) as run:
            results = [run_trial(run, scenario()) for _ in range(2)]
        plans.append([(run.folder / "trials" / result.trial / "plan.json").read_bytes() for result in results])
        assert [result.trial for result in results] == ["shop", "shop-2"]
    assert plans[0] == plans[1]
    assert plans[0][0] != plans[0][1]


def test_an_error_of_a_driver_is_an_error_with_its_place(make_run: Make, scenario: Parse) -> None:
    """A driver that raises ends the trial; its checks become ERROR and the text is clean."""
    with make_run() as run:
        result = run_trial(run, scenario(TROUBLE))
    summary = run.finished.summary  # type: ignore[union-attr]
    assert result.outcome == "error"
    assert verdicts(summary) == {"trouble.picture": "ERROR", "trouble.trial_completed": "ERROR"}
    completed = next(row for row in summary.rows if row.check.endswith("trial_completed"))
    assert "RuntimeError: the till burned down" in completed.reason


def test_a_driver_that_cannot_is_blocked_and_does_not_block_the_run(make_run: Make, scenario: Parse) -> None:
    """Blocked from a driver takes its trial out; with another trial that passed, the run passes and says how much was blocked."""
    with make_run() as run:
        run_trial(run, scenario(TROUBLE, ("kind: error", "kind: block")))
        run_trial(run, scenario())
    summary = run.finished.summary  # type: ignore[union-attr]
    assert summary.coverage == "PASS 6 of 8, 2 blocked"
    assert {row.reason for row in summary.rows if row.verdict is Verdict.BLOCKED} == {"step trouble: no cgroups here"}


def test_a_missing_required_capability_blocks_the_run(make_run: Make, scenario: Parse, shop_text: str) -> None:
    """What the scenario itself requires and is not there blocks the run; what only a driver requires does not."""
    with make_run() as run:
        run_trial(run, scenario(shop_text, ("layer: load", "layer: load\nrequires: [stack.owned]")))
    assert run.finished.summary.verdict is Verdict.BLOCKED  # type: ignore[union-attr]
    with make_run() as run:
        run.attach(None)
        result = run_trial(run, scenario())
    assert result.detail == "driver shop needs target, which is not available here"
    assert run.finished.summary.verdict is Verdict.VACUOUS  # type: ignore[union-attr]


def test_a_scenario_for_another_profile_is_blocked(make_run: Make, scenario: Parse, shop_text: str) -> None:
    """A scenario written for another profile does not run and says so."""
    with make_run() as run:
        result = run_trial(run, scenario(shop_text, ("layer: load", "layer: load\nprofile: k8s")))
    assert (result.outcome, result.detail) == ("blocked", "written for the profile k8s, this run has embedded")


def test_the_deadline_ends_a_trial(make_run: Make, scenario: Parse) -> None:
    """Steps that work past the deadline are told to stop, and the trial is ABORTED naming them."""
    with make_run() as run:
        result = run_trial(run, scenario(TROUBLE, ("kind: error", "kind: work"), ("deadline: 20 s", "deadline: 200 ms")))
    assert result.outcome == "stopped"
    assert "deadline of 0.2 s passed; still at work: trouble" in result.detail
    assert verdicts(run.finished.summary)["trouble.trial_completed"] == "ABORTED"  # type: ignore[union-attr]


def test_a_step_that_does_not_stop_is_named_and_left(make_run: Make, scenario: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that ignores the stop holds the trial up no longer than the grace, and the trial says which it was."""
    monkeypatch.setattr("harness.run.trial.GRACE_S", 0.1)
    with make_run() as run:
        result = run_trial(run, scenario(TROUBLE, ("kind: error", "kind: deaf"), ("deadline: 20 s", "deadline: 100 ms")))
    assert "did not stop within 0.1 s: trouble" in result.detail


def test_phases_are_when_the_driver_says_else_as_planned(make_run: Make, scenario: Parse) -> None:
    """A planned phase is journaled once, as a window from the start of its step; a driver's own window for it takes its place."""
    with make_run() as run:
        run_trial(run, scenario())
        text = scenario().text.replace("customers: 320", "customers: 320, phase: steady")
        run_trial(run, scenario(text))
    view = FolderView(run.folder)
    assert len(view.events("window", trial="shop")) == len(view.events("window", trial="shop-2")) == 1
    assert view.phase("steady", "shop-2") == (5, 6)
    started = view.events("step.started", trial="shop")[0].event
    assert view.phase("steady", "shop")[0] == started.at_ns  # type: ignore[index, attr-defined]


def test_a_path_with_blanks_and_letters_works(tmp_path: Path, registry: Registry, scenario: Parse) -> None:
    """A reports folder with blanks and other letters holds a run that rechecks."""
    with Run(tmp_path / "my reports ü", registry=registry, project=tmp_path) as run:
        run_trial(run, scenario(TROUBLE))
    assert recheck(run.folder, run.finished.manifest_sha256, registry).identical  # type: ignore[union-attr]


def test_a_monitor_ends_a_trial_and_is_journaled(make_run: Make, scenario: Parse, smoke: Any) -> None:
    """A guard that trips stops the trial at once; the raise is an event."""
    with make_run() as run:
        result = run_trial(run, scenario(TROUBLE, ("kind: error", "kind: talk")), monitors=[smoke])
    assert (result.outcome, result.detail) == ("stopped", "smoke: there is smoke")
    assert len(FolderView(run.folder).events("monitor.raised")) == 1


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE", "VACUOUS"])
def test_latency_without_a_certificate_is_inconclusive_and_the_rest_stands(
    make_run: Make, scenario: Parse, shop_text: str, verdict: str
) -> None:
    """Only times made from samples become INCONCLUSIVE with the certificate's cause; errors and measured times stay."""
    with make_run() as run:
        run_trial(run, scenario(shop_text, ("checker: certificate", f"checker: certificate\n    with: {{verdict: {verdict}}}")))
    rows = {row.check: row for row in run.finished.summary.rows}  # type: ignore[union-attr]
    assert rows["shop.p95"].verdict is Verdict.INCONCLUSIVE
    assert "canary late" in rows["shop.p95"].reason
    assert [rows[f"shop.{name}"].verdict for name in ("errs", "till", "picture")] == [Verdict.PASS] * 3


def test_a_checker_that_raises_is_an_error_row(make_run: Make, scenario: Parse, shop_text: str) -> None:
    """A broken checker costs its own row and nothing else."""
    with make_run() as run:
        run_trial(run, scenario(shop_text, ("checker: picture", "checker: broken")))
    found = verdicts(run.finished.summary)  # type: ignore[union-attr]
    assert found.pop("shop.broken") == "ERROR"
    assert set(found.values()) == {"PASS"}


def outcome(node: str, layer: str, verdict: Verdict, **more: Any) -> TestOutcome:
    return TestOutcome(node=node, layer=layer, verdict=verdict, duration_s=0.1, **more)


def test_layers_and_tests_are_judged_from_the_journal(make_run: Make, registry: Registry) -> None:
    """Blocked optional layers are counted out, a test that examined nothing is VACUOUS, a layer without checks too."""
    with make_run(required=["contract"]) as run:
        with run.layer("contract", required=True):
            run.journal.emit(outcome("a::x", "contract", Verdict.PASS, examined=3))
            run.journal.emit(outcome("a::x", "contract", Verdict.PASS))
        with run.layer("load"):
            raise Blocked("no generator here")
        with run.layer("shacl"):
            run.journal.emit(outcome("s::y", "shacl", Verdict.PASS, examined=0))
        with run.layer("empty"):
            pass
        run.use_data(DataSet(name="sample", version="1", items=3, sample=True))
    summary = run.finished.summary  # type: ignore[union-attr]
    layers = {layer.layer: (layer.verdict.value, layer.reason) for layer in summary.layers}
    assert layers == {
        "contract": ("PASS", ""),
        "load": ("BLOCKED", "no generator here"),
        "shacl": ("VACUOUS", ""),
        "empty": ("VACUOUS", ""),
    }
    assert [row.check for row in summary.rows][:2] == ["a::x", "a::x #2"]
    assert summary.verdict is Verdict.VACUOUS
    assert summary.sample_data
    assert recheck(run.folder, None, registry).identical


def test_a_required_layer_that_never_began_blocks(make_run: Make) -> None:
    """What the run required and did not get is BLOCKED, and not optional."""
    with make_run(required=["load"]) as run:
        run.journal.emit(outcome("a::x", "contract", Verdict.PASS))
    assert run.finished.summary.verdict is Verdict.BLOCKED  # type: ignore[union-attr]


def test_a_run_that_raises_is_an_error_and_keeps_its_folder(make_run: Make, registry: Registry) -> None:
    """An exception of the caller ends the run with ERROR, a summary and a manifest, and goes on up."""
    run = make_run()
    with pytest.raises(ZeroDivisionError), run, run.layer("contract"):
        run.journal.emit(outcome("a::x", "contract", Verdict.PASS))
        raise ZeroDivisionError("caller")
    summary = run.finished.summary  # type: ignore[union-attr]
    assert verdicts(summary) == {"a::x": "PASS", "run": "ERROR", "layer.contract": "ABORTED"}
    assert recheck(run.folder, run.finished.manifest_sha256, registry).identical  # type: ignore[union-attr]


def test_a_publisher_that_fails_costs_no_verdict(make_run: Make) -> None:
    """Reports are written before the manifest; one that raises is named and changes nothing."""

    def broken(folder: Path, summary: Summary) -> None:
        raise ValueError("no ink")

    with make_run() as run:
        run.publish(lambda folder, summary: (folder / "report.html").write_text(summary.coverage) and None)
        run.publish(broken)
        run.journal.emit(outcome("a::x", "contract", Verdict.PASS))
    assert run.finished is not None
    assert "no ink" in run.finished.problems[0]
    assert "report.html" in json.loads((run.folder / "manifest.json").read_bytes())["files"]


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
from harness.journal.events import TestOutcome
from harness.core.verdict import Verdict
from harness.run.registry import Registry
from harness.run.run import Run
run = Run(Path(sys.argv[1]), registry=Registry.built_in(), project=Path("."))
run.journal.emit(TestOutcome(node="a::x", layer="contract", verdict=Verdict.PASS, duration_s=0.1))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_can_still_be_judged(tmp_path: Path, registry: Registry) -> None:
    """After SIGKILL of the runner the folder judges as ABORTED, and recheck says that the run did not finish."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, str(tmp_path)], env=environment, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    summary = judge(folder, registry)
    assert (summary.verdict, summary.finished) == (Verdict.ABORTED, "killed")
    assert "manifest.json: missing; the run did not finish" in recheck(folder, None, registry).problems


def test_ctrl_c_ends_a_trial_in_order(tmp_path: Path) -> None:
    """SIGINT stops the steps, closes the journal, leaves a summary with ABORTED, and goes on up as KeyboardInterrupt."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest
from pathlib import Path
from harness.run.registry import Registry
from harness.run.run import Run
from harness.run.trial import run_trial
from harness.scenario.loader import parse_scenario
registry = Registry.built_in().added(conftest.WINGS)
text = {TROUBLE.replace("kind: error", "kind: work")!r}
with Run(Path(sys.argv[1]), registry=registry, project=Path(".")) as run:
    run.journal.observe(lambda event: print(type(event).NAME, flush=True))
    run_trial(run, parse_scenario(text.encode(), "t.yaml", registry))
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b"step.started" in line:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    summary = decode_summary((tmp_path / "latest" / "summary.json").read_bytes())
    assert (summary.finished, summary.verdict, process.returncode != 0) == ("interrupted", Verdict.ABORTED, True)
    assert verdicts(summary)["trouble.trial_completed"] == "ABORTED"


def test_a_run_folder_that_cannot_be_made_says_so(tmp_path: Path, registry: Registry) -> None:
    """A reports path that is a file is a usage error with its remedy."""
    (tmp_path / "reports").write_text("")
    with pytest.raises(UsageError, match="--reports"):
        Run(tmp_path / "reports", registry=registry, project=tmp_path)


def test_an_unknown_name_lists_the_nearest(registry: Registry) -> None:
    """Asking for a driver nobody gives names the nearest one."""
    with pytest.raises(UsageError, match="did you mean 'shop'"):
        registry.driver("shopp")


def test_a_broken_entry_point_names_its_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wing that cannot be imported, or lacks what a driver needs, is an error that says whose it is."""

    class Distribution:
        name = "their-wing"

    class Point:
        name, value, dist = "theirs", "no_such_module:Driver", Distribution()

    original = importlib.metadata.entry_points
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **k: [Point()] if k.get("group") == "harness.drivers" else original(**k))
    registry = Registry.discover()
    assert "theirs" in registry.names("driver")
    with pytest.raises(RegistryError, match="their-wing"):
        registry.driver("theirs")
    Point.value = "harness.run.builtin:Tests"
    with pytest.raises(RegistryError, match="lacks metrics, requires, run"):
        Registry.discover().driver("theirs")


def test_every_own_wing_loads_and_keeps_its_protocol() -> None:
    """Every name that the wings of the project give leads to a class with what its Protocol asks for, under its own name."""
    registry = Registry.discover()
    for kind, get in (("driver", registry.driver), ("probe", registry.probe), ("checker", registry.checker)):
        for name in registry.names(kind):
            assert get(name).name == name


@pytest.mark.parametrize("path", sorted((PROJECT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_scenarios_load(path: Path) -> None:
    """Every scenario of the project loads with the wings of the project."""
    from harness.run.project import load_project
    from harness.scenario.loader import load_scenario

    tables = load_project(PROJECT).wing_tables()
    assert load_scenario(path, Registry.discover().with_tables(tables, PROJECT)).name == path.stem


def test_the_published_summary_schema_is_current(make_run: Make, scenario: Parse) -> None:
    """docs/summary.schema.json is what the type says, and a real summary is valid by it."""
    import jsonschema

    assert (PROJECT / "docs" / "summary.schema.json").read_bytes() == jsonio.pretty(summary_schema())
    with make_run() as run:
        run_trial(run, scenario())
    jsonschema.validate(json.loads((run.folder / "summary.json").read_bytes()), summary_schema())


def test_a_spawned_process_dies_with_its_parent_and_is_ended_by_identity(tmp_path: Path) -> None:
    """SIGKILL of the parent takes the child along; ending by pid and start time leaves another process of that pid alone."""
    script = """
import sys, time
from harness.run.processes import spawn
child = spawn([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, child.start_time, flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid, start_time = parent.stdout.readline().split()
    assert processes.alive(int(pid), float(start_time))
    assert processes.end(int(pid), float(start_time) + 100)  # somebody else's: nothing happens
    assert processes.alive(int(pid), float(start_time))
    parent.kill()
    parent.communicate(timeout=10)
    wait_for(lambda: not processes.alive(int(pid), float(start_time)), 10)


def test_a_spawned_process_is_ended_in_time() -> None:
    """A process that ignores SIGTERM is killed after the grace."""
    stubborn = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    with processes.spawn([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) as spawned:
        assert spawned.process.stdout is not None
        spawned.process.stdout.readline()
        assert spawned.end(grace_s=0.1) == -signal.SIGKILL
        spawned.process.stdout.close()


def test_events_too_late_are_refused(make_run: Make) -> None:
    """After the run is finished its journal takes nothing more."""
    with make_run() as run:
        pass
    with pytest.raises(Exception, match="too late"):
        run.journal.emit(Note(trial="", text="late"))


def interrupted_by(checker_or_publisher: str) -> Any:
    """Presses Ctrl-C when it is called for the first time, and does what it stands for from then on."""
    pressed: list[str] = []

    def press() -> None:
        if not pressed:
            pressed.append(checker_or_publisher)
            signal.raise_signal(signal.SIGINT)

    return press


def test_ctrl_c_while_trials_are_judged_leaves_a_run_that_says_so(make_run: Make, scenario: Parse, registry: Registry) -> None:
    """The run is interrupted, its trials are ABORTED, reports are written, and recheck gives the same without judging them either."""
    press = interrupted_by("picture")
    original = registry.checker("picture")

    class Pressing(type(original)):  # type: ignore[misc]
        def check(self, *arguments: Any) -> Any:
            press()
            return super().check(*arguments)

    written: list[Summary] = []
    run = make_run()
    run.registry = registry.added({Reference("checker", "picture"): Pressing})
    run.publish(lambda folder, summary: written.append(summary))
    run_trial(run, scenario())
    finished = run.finish()
    assert finished.interrupted
    assert verdicts(finished.summary) == {"shop.judged": "ABORTED", "run": "ABORTED"}
    assert (finished.summary.exit_code, written) == (5, [finished.summary])
    assert recheck(finished.folder, finished.manifest_sha256, registry).problems == ()
    assert (finished.folder.parent / "latest").resolve() == finished.folder.resolve()


def test_ctrl_c_while_reports_are_written_keeps_what_was_judged(make_run: Make, scenario: Parse, registry: Registry) -> None:
    """Every row stays, the run is interrupted, no report of a completed run is left, and whoever left the run hears of Ctrl-C."""
    press = interrupted_by("report")

    def publish(folder: Path, summary: Summary) -> None:
        (folder / f"report.{summary.finished}").write_text("")
        press()

    run = make_run()
    run.publish(publish)
    with pytest.raises(KeyboardInterrupt), run:
        run_trial(run, scenario())
    finished = run.finished
    assert finished is not None
    rows = verdicts(finished.summary)
    assert (rows.pop("run"), set(rows.values()), len(rows)) == ("ABORTED", {"PASS"}, 6)
    assert [path.name for path in finished.folder.glob("report.*")] == ["report.interrupted"]
    assert recheck(finished.folder, finished.manifest_sha256, registry).problems == ()


def test_after_ctrl_c_a_report_that_takes_long_is_cut_off_and_named(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pressed Ctrl-C does not wait for it: the run is finished at the limit, without that report."""
    monkeypatch.setattr("harness.run.run.INTERRUPTED_LIMIT_S", 0.1)
    press = interrupted_by("report")

    def publish(folder: Path, summary: Summary) -> None:
        press()
        threading.Event().wait(30)

    run = make_run()
    run.publish(publish)
    began = time.monotonic()
    finished = run.finish()
    assert time.monotonic() - began < 5
    assert (finished.interrupted, len(finished.problems), "not done within 0.1 s" in finished.problems[0]) == (True, 1, True)
