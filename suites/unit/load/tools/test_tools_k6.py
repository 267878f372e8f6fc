"""k6 as a tool: what it plans is known before the run, what it decides is compared with the samples, and it is never silently missing."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli.main import main
from harness.core.errors import Blocked, HarnessError, UsageError
from harness.core.units import Rate
from harness.core.verdict import Verdict
from harness.journal.events import LoadFinished, LoadPlanned, Measured
from harness.journal.segments import SegmentWriter
from harness.load import k6 as driver
from harness.load import k6_tool
from harness.load.certificate import Certificate, CertificateChecker
from harness.load.k6 import K6, STAGES, K6Driver
from harness.load.k6_agreement import Agreement, K6AgreementChecker
from harness.load.k6_plan import K6Plan, K6Scenario, read_options, seconds_of
from harness.load.k6_tool import found_k6, install_k6, k6
from harness.run.context import store_evidence
from harness.scenario.parameters import decode_parameters

PROJECT = Path(__file__).resolve().parents[4]
KIND = {"op": "retrieve", "path": "/v1/retrieve", "key": "reader"}
CONSTANT = {"executor": "constant-arrival-rate", "rate": 600, "timeUnit": "1m0s", "duration": "1m30s", "preAllocatedVUs": 20, "maxVUs": 20}
RAMPING = {
    "executor": "ramping-arrival-rate",
    "startRate": 0,
    "timeUnit": "1s",
    "stages": [{"duration": "10s", "target": 10}, {"duration": "10s", "target": 0}],
    "preAllocatedVUs": 5,
}
Make = Callable[..., Any]


def needs_k6() -> None:
    if found_k6() is None:
        pytest.skip("k6 is not here: run `harness servers install k6`")


# --- where it is ------------------------------------------------------------------------------------------------------


def test_without_k6_the_step_is_blocked_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: Any
) -> None:
    """Neither on PATH nor in the cache."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Blocked, match="harness servers install k6"):
        K6Driver().run(place.context("http://127.0.0.1:9", KIND), K6(script="x.js"))
    with pytest.raises(Blocked, match=r"Go is not on PATH.*go install go\.k6\.io/k6@v"):
        install_k6()
    assert main(["servers", "install", "k6"]) == 3


def test_k6_is_taken_from_the_path_before_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program of the user's own comes first; a file that cannot be run is none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    cached, own = tmp_path / "evidence-harness" / "tools" / "k6", tmp_path / "bin" / "k6"
    for path in (cached, own):
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
    assert found_k6() is None
    cached.chmod(0o755)
    assert k6() == cached
    own.chmod(0o755)
    assert k6() == own == install_k6()


@pytest.mark.parametrize(("code", "message"), [("exit 1", "ended with 1"), ("exit 0", "ended with 0"), ("sleep 9", "was not done within")])
def test_a_build_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, message: str) -> None:
    """Go fails, builds nothing, or hangs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\nexec /bin/sh -c '{code}'\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(k6_tool, "BUILD_LIMIT_S", 0.5)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(k6_tool, "found_k6", lambda: None)
    with pytest.raises(HarnessError, match=message):
        install_k6()


def test_servers_knows_what_it_can_install(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name is wrong usage with the nearest one; a server of a later issue is BLOCKED."""
    assert main(["servers", "install", "k66"]) == 2
    assert "did you mean 'k6'" in capsys.readouterr().err
    assert main(["servers", "install", "neo4j"]) == 3


# --- what it plans ----------------------------------------------------------------------------------------------------


def test_the_plan_of_a_script_is_its_rates_and_their_area() -> None:
    """10/s for 90 s, and a ramp to 10/s and back; the canary is not counted."""
    plan = read_options({"scenarios": {"a": CONSTANT, "b": RAMPING, "canary": CONSTANT}}, "x.js")
    assert [(scenario.name, scenario.requests, scenario.duration_s) for scenario in plan.scenarios] == [("a", 900, 90.0), ("b", 100, 20.0)]
    assert (plan.peak_per_s, plan.requests) == (10.0, 1000)


@pytest.mark.parametrize("executor", ["constant-vus", "ramping-vus", "shared-iterations", "per-vu-iterations", "externally-controlled"])
def test_a_closed_loop_is_refused(executor: str) -> None:
    """A script that waits for answers hides a stall: the error says what to use."""
    with pytest.raises(UsageError, match=r"x\.js: scenarios\.a\.executor: .*constant-arrival-rate"):
        read_options({"scenarios": {"a": {**CONSTANT, "executor": executor}}}, "x.js")
    with pytest.raises(UsageError, match="no scenarios"):
        read_options({"scenarios": None}, "x.js")


def test_too_few_vus_are_refused_before_the_run() -> None:
    """10/s with answers of 3 s need 30 VUs, made beforehand."""
    plan = K6Plan((K6Scenario("a", ((60.0, 10.0, 10.0),), 20, 100),))
    plan.refuse_unreachable(2.0, "x.js")
    with pytest.raises(UsageError, match=r"x\.js: scenarios\.a\.preAllocatedVUs: 20 VUs send at most .*preallocate at least 31"):
        plan.refuse_unreachable(3.0, "x.js")


@pytest.mark.parametrize(("text", "seconds"), [("1m30s", 90), ("500ms", 0.5), ("2h0m0s", 7200)])
def test_durations_of_go_are_read(text: str, seconds: float) -> None:
    """As k6 writes them; anything else is an error."""
    assert seconds_of(text) == pytest.approx(seconds)
    for bad in ("", "soon", "5", "5 s"):
        with pytest.raises(ValueError, match="no duration"):
            seconds_of(bad)


def test_keys_cannot_be_given_in_the_scenario() -> None:
    """The knobs of a script are for everybody to read: a key there is refused."""
    with pytest.raises(UsageError, match="EH_LOAD_KEY is set by the driver"):
        decode_parameters(K6, {"script": "x.js", "environment": {"EH_LOAD_KEY": "secret"}})


# --- what it says against the samples -----------------------------------------------------------------------------------


def requests(count: int = 300, ms: int = 20, **more: Any) -> list[dict[str, Any]]:
    row = {"op": "ask", "step": "load", "status": 200, "outcome": "ok", "bytes": 0, "request_id": "", "key": ""}
    return [{**row, "intended_ns": n * 10**7, "sent_ns": n * 10**7, "done_ns": n * 10**7 + ms * 10**6, **more} for n in range(count)]


def agreement(place: Any, metrics: dict[str, Any], rows: list[dict[str, Any]], **kept: Any) -> dict[str, Any]:
    """The rows of the checker by name."""
    given = {"exit_code": 0, "dropped": 0, "iterations": len(rows), "metrics": metrics, **kept}
    store_evidence(place.context("http://127.0.0.1:9", KIND), "k6", "load.k6.json", json.dumps(given).encode())
    place.rows("requests", rows)
    with SegmentWriter("stages", STAGES, place.run_folder, place.hub, trial="t") as stages:
        for number in range(10):
            stages.append(at_ns=number, stage="bm25", stage_time=0.05)
    found = K6AgreementChecker().check(place.view(), "t", "load", Agreement(step="load"))
    return {row.check.removeprefix("t.k6."): row for row in found}


def said(metric: str, text: str, *, ok: bool, **values: float) -> dict[str, Any]:
    return {metric: {"thresholds": {text: {"ok": ok}}, "values": values}}


@pytest.mark.parametrize(
    ("metric", "text", "ok", "verdict", "reason"),
    [
        ("http_req_duration{op:ask}", "p(95)<500", True, Verdict.PASS, ""),
        ("http_req_duration{op:ask}", "p(95)<10", False, Verdict.PASS, ""),
        ("http_req_duration{op:ask}", "p(95)<10", True, Verdict.FAIL, "the samples do not"),
        ("http_req_duration{op:ask}", "p(95)<500", False, Verdict.ERROR, "one of them is wrong"),
        ("http_req_duration{op:other}", "p(95)<500", True, Verdict.VACUOUS, "no sample at all"),
        ("http_req_duration{op:ask}", "avg<25", True, Verdict.PASS, ""),
        ("http_req_duration{op:ask}", "med<25", True, Verdict.PASS, ""),
        ("http_req_duration{op:ask}", "max<=20", True, Verdict.PASS, ""),
        ("checks{op:ask}", "rate>0.95", True, Verdict.PASS, ""),
        ("stage_ms{stage:bm25}", "p(95)<100", True, Verdict.PASS, ""),
        ("stage_ms{stage:bm25}", "p(95)<10", True, Verdict.FAIL, "the samples do not"),
        ("dropped_iterations", "count==0", True, Verdict.PASS, ""),
        ("dropped_iterations{op:ask}", "count==0", False, Verdict.ERROR, "one of them is wrong"),
        ("data_sent", "count<5", True, Verdict.ERROR, "no sample stands for"),
        ("http_req_duration{op:ask}", "p(95)<500 && p(99)<1", True, Verdict.ERROR, "cannot be judged"),
    ],
)
def test_each_threshold_is_judged_twice(place: Any, metric: str, text: str, ok: bool, verdict: Verdict, reason: str) -> None:
    """Agreement passes; a threshold that only one of them holds, that stands over nothing or that nobody can repeat, does not."""
    row = agreement(place, said(metric, text, ok=ok), requests(), exit_code=0 if ok else 99)[f"agrees.{metric}"]
    assert (row.verdict, reason in row.reason) == (verdict, True), row


def test_failed_requests_count_against_the_samples_even_where_k6_is_content(place: Any) -> None:
    """10 % fast errors improve k6's p95; from the samples they never came."""
    rows = [*requests(270), *requests(30, ms=1, outcome="http_error", status=503)]
    row = agreement(place, said("http_req_duration{op:ask}", "p(95)<500", ok=True), rows)["agrees.http_req_duration{op:ask}"]
    assert (row.verdict, "the samples do not" in row.reason) == (Verdict.FAIL, True)


def test_dropped_iterations_fail(place: Any) -> None:
    """One is enough."""
    assert agreement(place, {}, requests(), dropped=1)["dropped_iterations"].verdict is Verdict.FAIL


def test_no_iteration_at_all_is_vacuous(place: Any) -> None:
    """A script that did nothing passes in k6, not here."""
    assert agreement(place, {}, [], iterations=0)["dropped_iterations"].verdict is Verdict.VACUOUS


@pytest.mark.parametrize(
    ("code", "ok", "verdict"), [(0, True, Verdict.PASS), (99, False, Verdict.FAIL), (0, False, Verdict.ERROR), (99, True, Verdict.ERROR)]
)
def test_exit_code_and_summary_must_not_contradict_each_other(place: Any, code: int, ok: bool, verdict: Verdict) -> None:
    """99 means a threshold failed, 0 that none did."""
    assert agreement(place, said("checks{op:ask}", "rate>0.95", ok=ok), requests(), exit_code=code)["exit"].verdict is verdict


@pytest.mark.parametrize(("metric", "verdict"), [("http_req_duration{op:ask}", Verdict.INCONCLUSIVE), ("checks{op:ask}", Verdict.FAIL)])
def test_a_latency_that_k6_fails_is_no_fault_of_the_system_where_the_canary_is_out_of_band(
    place: Any, metric: str, verdict: Verdict
) -> None:
    """No canary in band: a crossed latency is INCONCLUSIVE with the cause; crossed checks stay red."""
    place.rows("canary", [{"intended_ns": n, "sent_ns": n, "done_ns": n + 10**9, "known_delay_ns": 5, "outcome": "ok"} for n in range(300)])
    content = {"exit_code": 99, "dropped": 0, "iterations": 1, "metrics": said(metric, "p(95)<10", ok=False)}
    store_evidence(place.context("http://127.0.0.1:9", KIND), "k6", "load.k6.json", json.dumps(content).encode())
    place.rows("requests", requests())
    given = decode_parameters(Agreement, {"step": "load", "tightest_limit": "500 ms"})
    row = next(row for row in K6AgreementChecker().check(place.view(), "t", "load", given) if row.check == "t.k6.exit")
    assert row.verdict is verdict
    assert ("canary is out of band" in row.reason) == (verdict is Verdict.INCONCLUSIVE)


def test_without_its_verdict_there_is_nothing_to_compare(place: Any) -> None:
    """k6 never ran: VACUOUS."""
    rows = K6AgreementChecker().check(place.view(), "t", "load", Agreement(step="load"))
    assert [row.verdict for row in rows] == [Verdict.VACUOUS]


# --- the real thing -----------------------------------------------------------------------------------------------------


def run(place: Any, port: int, knobs: dict[str, str], **more: Any) -> Any:
    place.project = PROJECT
    given = K6(script="scenarios/k6/retrieve_latency.js", environment=knobs, **more)
    context = place.context(f"http://127.0.0.1:{port}", KIND, target=driver_target(port))
    K6Driver().run(context, given)
    return place.view()


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of every process that is started."""
    started: list[Any] = []
    popen = subprocess.Popen

    def watch(arguments: Any, *rest: Any, **more: Any) -> Any:
        started.append(arguments)
        return popen(arguments, *rest, **more)

    monkeypatch.setattr(subprocess, "Popen", watch)
    return started


def driver_target(port: int) -> Any:
    from harness.run.protocols import Target

    return Target(f"http://127.0.0.1:{port}", {"reader": "top-secret-key", "writer": "other-secret-key"})


def of(view: Any, kind: type[Any]) -> Any:
    return next(item.event for item in view.events(kind.NAME))


def test_a_real_k6_run_gives_certified_samples(place: Any, server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of the real thing: planned arrivals, the exact mix, due times on our clock, a canary, agreement, no key in arguments."""
    needs_k6()
    scripted = server()
    started = watched(monkeypatch)
    view = run(place, scripted.port, {"RETRIEVE_RATE": "20", "DURATION_S": "2"})
    assert any("run" in [str(part) for part in arguments] for arguments in started)
    assert "secret" not in str(started)
    rows = view.samples("requests", "t")
    assert of(view, LoadPlanned).requests == 40
    assert rows.num_rows in {40, 41}  # k6 starts one more on the very end
    assert Counter(rows["outcome"].to_pylist()) == {"ok": rows.num_rows}
    assert Counter(rows["key"].to_pylist()[:40]) == {"endpoint": 16, "ae": 10, "dose": 6, "eligibility": 4, "other": 4}
    lag_ms = (rows["sent_ns"].to_numpy() - rows["intended_ns"].to_numpy()) / 1e6
    assert np.median(lag_ms) < 50
    assert lag_ms.min() > -2
    gaps_ms = np.diff(np.sort(rows["intended_ns"].to_numpy())) / 1e6
    assert np.allclose(gaps_ms, 50, atol=0.01)
    assert of(view, LoadFinished).engine == "k6"
    canary = {
        row.check: row for row in CertificateChecker().check(view, "t", "load", decode_parameters(Certificate, {"tightest_limit": "1 s"}))
    }
    assert view.samples("canary", "t").num_rows >= 35
    assert canary["t.certificate.shortfall"].verdict is Verdict.PASS
    assert canary["t.certificate.saturation"].verdict is Verdict.PASS
    agreed = K6AgreementChecker().check(view, "t", "load", Agreement(step="load"))
    assert {row.verdict for row in agreed} == {Verdict.PASS}, agreed
    assert b"X-Api-Key: top-secret-key".lower() in scripted.heads[0].lower()
    files = [path for path in Path(place.run_folder).rglob("*") if path.is_file()]
    assert not [path for path in files if b"top-secret-key" in path.read_bytes()]


def test_a_server_that_answers_too_late_makes_k6_and_the_samples_red(place: Any, server: Make) -> None:
    """One second instead of 20 ms: k6 fails its threshold, the samples agree; at half the knee, with the factor journaled."""
    needs_k6()
    scripted = server(dict.fromkeys(range(0, 200, 2), "stall"), stall_s=0.7)
    view = run(place, scripted.port, {"RETRIEVE_RATE": "5", "DURATION_S": "3"}, scaled=True, knee=Rate.parse("8 /s"))
    rows = {row.check.removeprefix("t.k6."): row for row in K6AgreementChecker().check(view, "t", "load", Agreement(step="load"))}
    assert rows["exit"].verdict is Verdict.FAIL
    assert rows["agrees.http_req_duration{op:retrieve}"].verdict is Verdict.PASS
    scale = next(event for item in view.events("measured") if isinstance(event := item.event, Measured) and event.metric == "load_scale")
    assert scale.value == pytest.approx(0.8)
    assert of(view, LoadPlanned).rate_per_s == pytest.approx(4.0)


@pytest.mark.parametrize("script", sorted(path.stem for path in (PROJECT / "scenarios" / "k6").glob("*.js") if path.stem != "lib"))
def test_every_script_says_what_it_intends_and_needs_a_key(script: str) -> None:
    """Arrival rates with VUs made beforehand; without a key k6 does not even start."""
    needs_k6()
    environment = {"PATH": "/usr/bin:/bin", "BASE_URL": "http://127.0.0.1:9", "API_TOKEN": "k"}
    path = PROJECT / "scenarios" / "k6" / f"{script}.js"
    plan = driver.inspect(k6(), path, environment, PROJECT)
    plan.refuse_unreachable(2.0, script)
    assert all(scenario.vus == scenario.max_vus for scenario in plan.scenarios)
    with pytest.raises(UsageError, match="EH_LOAD_KEY is not set"):
        driver.inspect(k6(), path, {**environment, "API_TOKEN": ""}, PROJECT)
