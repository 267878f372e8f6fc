"""Plans of load tools: what their users can reach, how many there are when, what they ask; a plan out of reach never starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UsageError
from harness.journal.events import Measured
from harness.load.locust_plan import LocustPlan, read_plan, refuse_unreachable
from harness.load.other_engine import with_engine
from harness.load.scale import factor_for, last_knee
from harness.run.project import load_project
from harness.run.registry import Registry
from harness.scenario.loader import load_scenario, parse_scenario

PROJECT = Path(__file__).resolve().parents[4]
SCENARIOS = PROJECT / "scenarios"
CHI2_LIMIT = 18.47  # 4 degrees of freedom, p = 0.001
BURST = LocustPlan(users=50, rate_per_user=1.0, spawn_rate=10.0, duration_s=120.0)
LOCUSTFILE_TRIAL = """
import json, random, sys
from locust.util.load_locustfile import load_locustfile
out = {}
for name in ("burst", "steady", "ramp"):
    users, shapes = load_locustfile(f"scenarios/locust/{name}.py")
    shape = shapes[0]
    ticks = []
    for second in [*range(0, 700)]:
        shape.get_run_time = lambda second=second: second
        tick = shape.tick()
        if tick is None:
            break
        ticks.append(tick[0])
    user = next(iter(users.values()))
    random.seed(7)
    drawn = [random.choice(user.tasks).__name__ for _ in range(20000)] if name == "burst" else []
    tags = sorted(next(iter(task.locust_tag_set)) for task in set(user.tasks))
    out[name] = {"ticks": ticks, "users": sorted(users), "tags": tags, "drawn": drawn}
print(json.dumps(out))
"""


def registry() -> Registry:
    """With the project's own drivers."""
    return Registry.discover().with_tables(load_project(PROJECT).wing_tables(), PROJECT)


@pytest.fixture(scope="module")
def locustfiles() -> Any:
    """What Locust itself makes of our files, in a process of its own (it patches the standard library)."""
    pytest.importorskip("importlib.metadata").version("locust")
    done = subprocess.run([sys.executable, "-c", LOCUSTFILE_TRIAL], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("users", "each", "rate", "latency", "needed"),
    [(29, 1.0, 45, 0.0, 45), (50, 0.5, 45, 0.0, 90), (50, 1.0, 45, 2.0, 90), (10, 0.6, 10, 0.0, 17)],
)
def test_users_that_cannot_reach_the_rate_are_refused_with_how_many_could(
    users: int, each: float, rate: float, latency: float, needed: int
) -> None:
    """Users × rate a user below the plan's rate (also for slow answers) names file, place and the number that would do."""
    with pytest.raises(UsageError, match=rf"x\.yaml: users: {users} users .* give at least {needed} users"):
        refuse_unreachable(users, each, rate, latency, file="x.yaml")
    refuse_unreachable(needed, each, rate, latency)


def test_a_scenario_out_of_reach_is_refused_before_the_run_with_its_line() -> None:
    """29 users at 1/s for 50/s: the scenario file does not load, and the error shows where."""
    text = (SCENARIOS / "load_locust_burst.yaml").read_text().replace("users: 50", "users: 29")
    with pytest.raises(UsageError, match=r"burst\.yaml:\d+.*29 users at 1 requests/s each send at most 29/s.*at least 50 users"):
        parse_scenario(text.encode(), "burst.yaml", registry())


@pytest.mark.parametrize("old", ["rate: 50 /s", "users: 50", "workers: 99"])
def test_numbers_that_make_no_sense_are_refused(old: str) -> None:
    """No rate, negative users, 99 workers."""
    text = (SCENARIOS / "load_locust_burst.yaml").read_text()
    new = {"rate: 50 /s": "rate: 0 /s", "users: 50": "users: -1"}.get(old, "")
    text = text.replace(old, new) if new else text.replace("judged: true", "judged: true\n      workers: 99")
    with pytest.raises(UsageError, match="must"):
        parse_scenario(text.encode(), "burst.yaml", registry())


def test_plain_locust_refuses_a_plan_out_of_reach(tmp_path: Path) -> None:
    """By hand too: Locust ends with the same sentence before it sends anything."""
    plan = tmp_path / "plan.json"
    plan.write_text('{"users": 5, "rate_per_user": 1.0, "spawn_rate": 5.0, "duration_s": 5.0, "rate_per_s": 50.0}')
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIOS / "locust" / "burst.py"), "--headless", "--host", "http://127.0.0.1:9"]
    environment = {"PATH": "/usr/bin:/bin", "EH_LOCUST_PLAN": str(plan), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "5 users at 1 requests/s each send at most 5/s, the plan wants 50/s" in done.stderr


def test_a_plan_file_that_is_none_is_an_error_with_its_path(tmp_path: Path) -> None:
    """EH_LOCUST_PLAN naming something else."""
    path = tmp_path / "plan.json"
    path.write_text('{"users": "many"}')
    with pytest.raises(UsageError, match=r"plan\.json"):
        read_plan({"EH_LOCUST_PLAN": str(path)})
    assert read_plan({}) is None


def test_users_come_as_planned_and_the_requests_are_their_sum() -> None:
    """50 users at 10/s: 10 in the first second, 50 from the fifth on; what they are due to send is the area."""
    assert [BURST.users_at(second) for second in (-1, 0, 1.5, 4, 100, 119.9, 120)] == [0, 10, 20, 50, 50, 50, 0]
    assert BURST.requests() == 10 + 20 + 30 + 40 + 50 * 116
    slow = LocustPlan(users=3, rate_per_user=2.0, spawn_rate=0.5, duration_s=10.0)
    assert [slow.users_at(second) for second in (0, 2, 4, 9)] == [1, 2, 3, 3]


def test_the_shapes_give_locust_the_planned_users(locustfiles: Any) -> None:
    """Locust asks burst, steady and ramp every second and gets 50, 10 and up to 100 users, for 2 min, an hour and 10 min."""
    burst, steady, ramp = (locustfiles[name]["ticks"] for name in ("burst", "steady", "ramp"))
    assert burst[:6] == [10, 20, 30, 40, 50, 50]
    assert (len(burst), max(burst)) == (121, 50)  # one second longer: its users stop by themselves when their schedule ends
    assert steady[:6] == [2, 4, 6, 8, 10, 10]
    assert len(steady) == 700
    assert (ramp[0], ramp[50], ramp[99], ramp[-1], len(ramp)) == (1, 51, 100, 100, 601)


def test_the_intent_mix_is_within_chi_squared_of_its_weights(locustfiles: Any) -> None:
    """20,000 draws as Locust makes them: 40, 25, 15, 10 and 10 %; each intent is a tag."""
    counts = Counter(locustfiles["burst"]["drawn"])
    weights = {"endpoint": 40, "adverse_events": 25, "dose": 15, "eligibility": 10, "other": 10}
    expected = {name: 20_000 * weight / 100 for name, weight in weights.items()}
    assert sum((counts[name] - wanted) ** 2 / wanted for name, wanted in expected.items()) < CHI2_LIMIT
    swapped = {**expected, "dose": expected["other"], "other": expected["dose"]}
    assert sum((counts[name] - wanted) ** 2 / wanted for name, wanted in swapped.items()) > CHI2_LIMIT
    assert locustfiles["burst"]["tags"] == ["ae", "dose", "eligibility", "endpoint", "other"]


def test_each_intent_has_real_questions_of_its_own() -> None:
    """The pools together are the request pool of the project, every question once."""
    pools = {path.stem: path.read_text().splitlines() for path in sorted((SCENARIOS / "requests").glob("intent_*.jsonl"))}
    assert len(pools) == 5
    together = [line for lines in pools.values() for line in lines]
    assert sorted(together) == sorted((SCENARIOS / "requests" / "retrieve.jsonl").read_text().splitlines())


@pytest.mark.parametrize(("rate", "knee", "factor"), [(50, 200, 1.0), (50, 100, 1.0), (50, 60, 0.6), (200, 100, 0.25), (50, 0, 1.0)])
def test_rates_above_half_the_knee_are_brought_down_to_it(rate: float, knee: float, factor: float) -> None:
    """At most half the knee stays; an unknown knee scales nothing."""
    assert factor_for(rate, knee) == pytest.approx(factor)


def test_the_knee_is_what_was_measured_last_in_any_unit_of_rate() -> None:
    """A knee search's estimate (not its bounds), or a figure by that name; none gives 0."""

    def figure(metric: str, value: float, unit: str = "1/s", **tags: str) -> Measured:
        return Measured(trial="t", metric=metric, unit=unit, value=value, tags=tags)

    assert last_knee([]) == 0
    assert last_knee([figure("capacity", 90, bound="estimate"), figure("capacity", 80, bound="low"), figure("errors", 1)]) == 90
    assert last_knee([figure("capacity", 90, bound="estimate"), figure("knee", 3600, "/min")]) == 60


# --- --engine -------------------------------------------------------------------------------------------------------

OPEN = """name: one
title: one step
layer: load
timeline:
  - step: ask
    driver: open_loop
    with: {rate: 20 /s, duration: 5 s, warmup: 1 s, requests: retrieve, MORE}
checks:
  - checker: trial_completed
"""


def loaded(more: str = "timeout: 5 s") -> Any:
    return parse_scenario(OPEN.replace("MORE", more).encode(), "one.yaml", registry())


def test_an_open_loop_step_becomes_the_same_plan_by_locust() -> None:
    """Rate, duration, warm-up, requests and time-out stay; the rest of the scenario too."""
    given = with_engine(loaded(), "locust")
    step = given.timeline[0]
    assert (step.name, step.driver) == ("ask", "locust")
    assert step.parameters == {
        "rate": "20 /s", "duration": "5 s", "warmup": "1 s", "requests": "retrieve", "timeout": "5 s", "judged": True
    }  # fmt: skip
    assert with_engine(loaded(), "ours") == loaded()


@pytest.mark.parametrize(
    ("more", "message"),
    [("shape: poisson", r"one\.yaml: timeline\.ask\.shape: Locust cannot keep shape"), ("processes: 2", "cannot keep 'processes'")],
)
def test_what_locust_cannot_keep_is_refused(more: str, message: str) -> None:
    """A Poisson shape, several engine processes: an error with step and remedy, not another load in silence."""
    with pytest.raises(UsageError, match=message):
        with_engine(loaded(more), "locust")


def test_a_scenario_without_open_loop_has_no_other_engine() -> None:
    """Nothing to replace is said, not ignored."""
    with pytest.raises(UsageError, match="no step of this scenario is open_loop"):
        with_engine(load_scenario(SCENARIOS / "load_locust_burst.yaml", registry()), "locust")


@pytest.mark.parametrize(
    "path", sorted([*SCENARIOS.glob("load_locust_*.yaml"), *SCENARIOS.glob("load_k6_*.yaml")]), ids=lambda path: path.stem
)
def test_every_scenario_of_load_loads(path: Path) -> None:
    """Thresholds, checks and parameters of the shipped scenarios are understood."""
    assert load_scenario(path, registry()).layer == "load"
