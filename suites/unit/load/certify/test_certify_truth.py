"""The truth of a certificate, on logs made by hand whose answers are known."""

from __future__ import annotations

import ast
import dataclasses
import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.certify import truth
from harness.load.certify.truth import Group, Log, Served, TruthPlan, establish, parse_id, read_log, read_plan, write_plan

MS = 1_000_000
PLAN = TruthPlan(rate_per_s=100, duration_s=1, timeout_s=5, groups=(Group("c", 100, 10.0 * MS, 1_000 * MS),))


def served(due_ms: float, response_ms: float, status: int = 200, hold_ms: float = 20) -> Served:
    """A request due at ``due_ms``, read 1 ms later, answered ``response_ms`` after it was due, written in 0.05 ms."""
    answer = round((due_ms + response_ms) * MS)
    return Served(round((due_ms + 1) * MS), round(hold_ms * MS), answer, answer + MS // 20, status)


def a_log(**changes: Served | None) -> Log:
    """All hundred requests answered after 21 ms, but for the changed ones (``n7=…``; None: never seen)."""
    requests = {("c", number): served(1_000 + 10 * number, 21) for number in range(100)}
    for name, change in changes.items():
        key = ("c", int(name[1:]))
        if change is None:
            del requests[key]
        else:
            requests[key] = change
    return Log(requests, 0, ())


def text_of(log: Log) -> bytes:
    """The log as the server writes it."""
    lines = ["#reference-server\t1", *(f"#stall\t{begin}\t{end}" for begin, end in log.stalls)]
    for (name, number), one in log.requests.items():
        lines.append("\t".join(map(str, (f"{name}-{number:08d}xxx", *dataclasses.astuple(one)))))
    return gzip.compress("\n".join(lines).encode() + b"\n")


def test_an_undisturbed_load_has_the_times_of_its_log() -> None:
    """Answer minus intended start, the reading after the write as upper bound."""
    found = establish(PLAN, a_log())
    assert (found.intended, found.reached, found.answered, found.failed) == (100, 100, 100, 0)
    assert set(found.figures.values()) == {21.0}
    assert set(found.upper.values()) == {21.05}
    assert (found.offered_per_s, found.achieved_per_s) == (100, 100)
    assert (found.arrival_lag_p99_ms, found.server_late_p99_ms) == (1.0, 0.0)


def test_a_stall_shows_in_the_upper_percentiles_only() -> None:
    """Ten requests due in a stall of 100 ms are answered at its end."""
    changes = {f"n{number}": served(1_000 + 10 * number, 120 - 10 * (number - 40)) for number in range(40, 50)}
    found = establish(PLAN, a_log(**changes))
    assert found.figures == {"p50": 21.0, "p90": 30.0, "p99": 120.0, "p99.9": 120.0, "max": 120.0}


def test_lateness_of_the_sender_is_part_of_the_response_time() -> None:
    """A request sent 500 ms late and answered in 20 ms took 520 ms."""
    late = Served(2_490 * MS, 20 * MS, 2_510 * MS, 2_510 * MS, 200)
    assert establish(PLAN, a_log(n99=late)).figures["max"] == 520.0


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (None, "never_sent"),
        (served(1_070, 20, status=0), "reset"),
        (served(1_070, 20, status=-1), "abandoned"),
        (served(1_070, 5_001), "timed_out"),
        (served(1_070, 20, status=429), "rate_limited"),
    ],
)
def test_what_has_no_good_answer_is_counted_by_kind_and_has_no_finite_time(change: Served | None, kind: str) -> None:
    """In none of the figures, +inf among all intended requests; 429 stands apart from both."""
    found = establish(PLAN, a_log(n7=change))
    assert [getattr(found, name) for name in truth.KINDS] == [int(name == kind) for name in truth.KINDS]
    assert found.answered == 99
    assert found.figures["max"] == 21.0
    assert found.all["max"] == (21.0 if kind == "rate_limited" else math.inf)
    assert found.failed == (kind not in {"never_sent", "rate_limited"})


def test_nothing_answered_gives_no_figures() -> None:
    """No percentile is invented for an empty log."""
    found = establish(PLAN, Log({}, 0, ()))
    assert (found.figures, found.never_sent, found.arrival_lag_p99_ms) == ({}, 100, None)
    assert found.all["p50"] == math.inf


@given(shift=st.integers(min_value=-(10**9), max_value=10**12), seed=st.integers(0, 1000))
def test_shifting_all_times_changes_nothing(shift: int, seed: int) -> None:
    """The zero of the clock has no meaning."""
    rng = np.random.default_rng(seed)
    log = Log({("c", n): served(1_000 + 10 * n, float(rng.integers(20, 300))) for n in range(100)}, 0, ((1_200 * MS, 1_300 * MS),))
    moved = Log(
        {
            key: Served(s.arrival_ns + shift, s.hold_ns, s.answer_ns + shift, s.written_ns + shift, s.status)
            for key, s in log.requests.items()
        },
        0,
        tuple((begin + shift, end + shift) for begin, end in log.stalls),
    )
    plan = dataclasses.replace(PLAN, groups=(dataclasses.replace(PLAN.groups[0], start_ns=1_000 * MS + shift),))
    assert establish(plan, moved) == establish(PLAN, log)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_the_percentiles_are_those_of_numpy_higher(values: list[float]) -> None:
    """One definition, a second implementation."""
    found = truth.figures(values)
    for name, top, bottom in truth.QUANTILES:
        assert found[name] == sorted(values)[math.ceil(round((len(values) - 1) * top / bottom, 9))]
        if bottom in {1, 2}:  # other shares are no binary numbers, numpy may round them over a neighbour
            assert found[name] == float(np.quantile(values, top / bottom, method="higher"))


def test_an_engine_that_begins_by_itself_gets_the_start_that_favours_it_most() -> None:
    """Its first request is 50 ms late, the others are not: the plan begins so that none is early."""
    requests = {("c", n): served(7_000 + 10 * n, 21) for n in range(1, 100)}
    requests["c", 0] = Served(7_051 * MS, 20 * MS, 7_071 * MS, 7_071 * MS, 200)
    plan = dataclasses.replace(PLAN, groups=(dataclasses.replace(PLAN.groups[0], start_ns=None),))
    found = establish(plan, Log(requests, 0, ()))
    assert (found.figures["p50"], found.figures["max"]) == (20.0, 70.0)


def test_a_closed_engine_is_held_against_what_the_rate_would_have_met() -> None:
    """Half the requests were left out while the server stood still: the arrivals due in the stall are answered after its end."""
    stall = (1_400 * MS, 1_500 * MS)
    requests = {("u1", n): served(1_000 + 20 * n, 21) for n in range(50)}
    plan = dataclasses.replace(PLAN, groups=(Group("", 100, 10.0 * MS, None, closed=True),))
    found = establish(plan, Log(requests, 0, (stall,)))
    assert (found.never_sent, found.reached, found.achieved_per_s) == (50, 50, 50)
    assert found.figures["p50"] == 20.0
    assert found.figures["max"] == pytest.approx(119.0)  # arrivals begin at 1,001 ms: the first in the stall at 1,401


def test_a_request_that_came_twice_counts_with_its_first_good_answer() -> None:
    """A replay after a reset is one request, and is told of."""
    both = text_of(a_log(n3=served(1_030, 5, status=0))), text_of(a_log(n3=served(1_030, 40)))
    log = read_log(gzip.compress(gzip.decompress(both[0]) + gzip.decompress(both[1])))
    found = establish(PLAN, log)
    assert (found.figures["max"], found.reset, found.extra) == (40.0, 0, 100)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("certify-00000012xxxx", ("certify", 12)),
        ("a-b-7", ("a-b", 7)),
        ("u17-3", ("u17", 3)),
        ("nothing", None),
        ("-3", None),
        ("a-", None),
    ],
)
def test_ids_are_a_group_and_a_number(text: str, key: tuple[str, int] | None) -> None:
    """Padding is not looked at; other texts are no ids of a plan."""
    assert parse_id(text) == key


def test_a_log_with_a_wrong_line_is_refused_with_its_number() -> None:
    """Never a truth from half a log."""
    with pytest.raises(ValueError, match="line 2"):
        read_log(b"#reference-server\t1\nc-1\t12\n")


def test_a_plan_survives_its_file_and_nothing_else_is_one() -> None:
    """Written and read back it is the same; another file says what it lacks."""
    assert read_plan(write_plan(PLAN)) == PLAN
    with pytest.raises(ValueError, match="no plan of a certificate"):
        read_plan(b"{}")


def test_the_script_runs_alone_and_says_the_same(tmp_path: Path) -> None:
    """``python -I -S`` in an empty folder, where nothing but the standard library can be imported."""
    (tmp_path / "plan.json").write_bytes(write_plan(PLAN))
    (tmp_path / "log.gz").write_bytes(text_of(a_log(n7=None)))
    command = [sys.executable, "-I", "-S", truth.__file__, "plan.json", "log.gz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == truth.encoded(establish(PLAN, a_log(n7=None)))
    assert json.loads(done.stdout)["all"]["max"] == "never"
    wrong = subprocess.run([*command[:-1], "missing"], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert (wrong.returncode, "missing" in wrong.stderr, "Traceback" in wrong.stderr) == (2, True, False)


def test_the_script_imports_the_standard_library_only() -> None:
    """Nothing of ``harness``, nothing installed: whoever doubts the harness can read all of it."""
    tree = ast.parse(Path(truth.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert "harness" not in {name.partition(".")[0] for name in names}
