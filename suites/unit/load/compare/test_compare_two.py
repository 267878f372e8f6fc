"""Two recordings beside each other, histories of runs, and the commands that print them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main as cli
from harness.core.errors import UsageError
from harness.core.verdict import Verdict
from harness.journal.summary import MetricRow, Summary
from harness.load.compare.changes import change_points
from harness.load.compare.history import history
from harness.load.compare.recording import Recording, in_order
from harness.load.compare.result import Answer
from harness.load.compare.two import Asked, compare, figure_of, merge


def recording(change: float = 0.0, count: int = 4_000, seed: int = 1, failed: int = 0) -> Recording:
    """Log-normal latencies around 20 ms, a hundred a second."""
    random = np.random.default_rng(seed)
    values = 0.02 * (1 + change) * np.exp(random.normal(0, 0.3, count))
    values[:failed] = np.inf
    return in_order("numbers", values, np.arange(count) / 100.0)


def test_the_table_has_every_figure_with_its_ratio_and_interval() -> None:
    """B is 30 % slower: each percentile's ratio has an interval around 1.3; throughput and errors stand beside it."""
    found = compare(("a", "b"), [recording()], [recording(0.3, seed=2)], Asked())
    rows = {row.figure: row for row in found.rows}
    assert list(rows) == ["p50", "p90", "p95", "p99", "p99.9", "max", "throughput", "errors"]
    for name in ("p50", "p90", "p99"):
        ratio = rows[name].ratio
        assert ratio is not None
        assert ratio.low <= ratio.estimate <= ratio.high
        assert ratio.low < 1.3 < ratio.high
    assert rows["p99.9"].a is None
    assert "needs 10000 requests" in rows["p99.9"].note
    assert rows["throughput"].ratio is not None
    assert rows["throughput"].ratio.estimate == pytest.approx(1, abs=0.01)
    assert rows["errors"].a == 0


def test_the_bootstrap_covers_the_truth() -> None:
    """Of 40 pairs of the same source the 95 % interval of the median's ratio holds 1 in all but a few."""
    held = 0
    for seed in range(40):
        row = compare(("a", "b"), [recording(count=600, seed=seed)], [recording(count=600, seed=seed + 500)], Asked(seed=seed)).rows[0]
        held += row.ratio is not None and row.ratio.low <= 1 <= row.ratio.high
    assert held >= 34


def test_one_recording_a_side_cannot_tell_five_percent() -> None:
    """What differs between two runs of one system is larger: the answer says so and names the gate; a large change is told."""
    close = compare(("a", "b"), [recording()], [recording(0.05, seed=2)], Asked())
    assert close.decision.answer is Answer.CANNOT_TELL
    assert "harness gate" in close.decision.cause
    assert compare(("a", "b"), [recording()], [recording(0.6, seed=2)], Asked()).decision.answer is Answer.REGRESSED
    assert compare(("a", "b"), [recording()], [recording(-0.4, seed=2)], Asked()).decision.answer is Answer.NOT_REGRESSED
    quiet = Asked(metric="p50", noise=0.0)
    assert compare(("a", "b"), [recording()], [recording(0.1, seed=2)], quiet).decision.answer is Answer.REGRESSED


def test_two_recordings_of_one_system_are_hardly_ever_a_regression() -> None:
    """With 5 % noise between recordings, as assumed, none of 40 pairs is called regressed."""
    random = np.random.default_rng(3)
    wrong = 0
    for seed in range(40):
        a, b = (
            recording(change, count=1000, seed=seed + at) for at, change in ((0, random.normal(0, 0.05)), (1000, random.normal(0, 0.05)))
        )
        wrong += compare(("a", "b"), [a], [b], Asked(metric="p50")).decision.answer is Answer.REGRESSED
    assert wrong == 0


def test_interleaved_recordings_are_rounds() -> None:
    """Twelve files a side, measured A B, B A, …: the sequential test judges them; unequal numbers are refused."""
    a = [recording(seed=seed) for seed in range(12)]
    b = [recording(0.15, seed=seed + 100) for seed in range(12)]
    decision = compare(("a", "b"), a, b, Asked(metric="p50", interleaved=True)).decision
    assert decision.answer is Answer.REGRESSED
    assert decision.rounds <= 12
    with pytest.raises(UsageError, match="no rounds"):
        compare(("a", "b"), a, b[:3], Asked(interleaved=True))


def test_failures_reach_the_percentiles_and_fast_errors_do_not_help() -> None:
    """2 % of B's requests fail: its p99 has no end and that is a regression, however fast the rest is."""
    found = compare(("a", "b"), [recording()], [recording(-0.5, failed=80)], Asked())
    rows = {row.figure: row for row in found.rows}
    assert math.isinf(rows["p99"].b or 0)
    assert rows["errors"].b == pytest.approx(0.02)
    assert found.decision.answer is Answer.REGRESSED


def test_recordings_of_a_side_are_merged_with_their_weights() -> None:
    """A histogram and single values are one recording; figures are those of all requests."""
    merged = merge([Recording("hgrm", np.array([0.01, 0.03]), weights=np.array([30, 10])), Recording("numbers", np.array([0.02] * 60))])
    assert merged.requests == 100
    assert figure_of(merged, "p50") == 0.02
    assert figure_of(merged, "p90") == 0.02


def test_the_same_seed_gives_the_same_intervals() -> None:
    """A comparison can be repeated to the last digit."""
    one, other = (compare(("a", "b"), [recording()], [recording(seed=2)], Asked(seed=7)) for _ in range(2))
    assert one == other


def test_steps_of_a_series_are_found_where_they_are() -> None:
    """8 % up at run 40 and back at 60; nothing in a series without a step; one odd run is no change."""
    random = np.random.default_rng(5)
    values = 100 * np.exp(random.normal(0, 0.02, 80))
    assert change_points(values) == ()
    values[20] *= 1.5
    assert change_points(values) == ()
    values[20] /= 1.5
    values[40:60] *= 1.08
    found = change_points(values)
    assert [step.index for step in found] == pytest.approx([40, 60], abs=2)
    assert all(step.p_value < 0.01 for step in found)


def test_series_without_a_step_rarely_have_one() -> None:
    """Of 40 seeded series of 50 runs at most 2 show a change point; a 5 % step at 2 % noise is seen ten runs later in nine of ten."""
    random = np.random.default_rng(6)
    assert sum(bool(change_points(100 * np.exp(random.normal(0, 0.02, 50)))) for _ in range(40)) <= 2
    seen = 0
    for _ in range(20):
        values = 100 * np.exp(random.normal(0, 0.02, 40))
        values[30:] *= 1.05
        seen += any(abs(step.index - 30) <= 3 for step in change_points(values))
    assert seen >= 17


def test_change_points_of_constant_short_and_broken_series() -> None:
    """A constant and five values have none; a clean jump of constants has one; NaN is refused."""
    assert change_points([1.0] * 30) == ()
    assert change_points([1.0, 2.0, 3.0, 4.0, 5.0]) == ()
    assert [step.index for step in change_points([1.0] * 10 + [2.0] * 10)] == [10]
    with pytest.raises(ValueError, match="finite"):
        change_points([1.0, math.nan, 1.0, 1.0, 1.0, 1.0])


def summary(number: int, value: float | None, **tags: str) -> bytes:
    metric = MetricRow(name="response_time", unit="s", value=value, trial="load-1", tags=tags)
    made = Summary(
        v=1,
        run=f"run{number:02d}",
        seed=1,
        profile="embedded",
        mode="run",
        started=f"2026-01-01T00:{number:02d}:00Z",
        finished="completed",
        duration_s=1.0,
        verdict=Verdict.PASS,
        exit_code=0,
        coverage="PASS 1 of 1",
        passed=1,
        total=1,
        blocked=0,
        sample_data=False,
        layers=(),
        rows=(),
        metrics=(metric,),
        environment={},
        data=(),
        journal_last_hash="0",
    )
    return made.encoded()


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Thirty runs; from the twentieth on the p99 is 10 % higher. One run cannot be read, one has no figure."""
    random = np.random.default_rng(9)
    for number in range(30):
        folder = tmp_path / f"r{number:02d}"
        folder.mkdir()
        value = 0.1 * (1.1 if number >= 20 else 1.0) * float(np.exp(random.normal(0, 0.01)))
        (folder / "summary.json").write_bytes(summary(number, None if number == 3 else value, threshold="p(99) < 1 s"))
    (tmp_path / "r05" / "summary.json").write_text("{")
    return tmp_path


def test_a_history_names_the_run_from_which_on_it_changed(reports: Path) -> None:
    """In the order of their start, with what was left out and why; the size is that of the change."""
    found = history(reports, "response_time{threshold=p(99)}")
    assert [point.run for point in found.points] == ["run20"]
    assert found.points[0].change == pytest.approx(0.1, abs=0.02)
    assert len(found.values) == 28
    assert any("r05" in reason for reason in found.skipped)
    with pytest.raises(UsageError, match="known: response_time"):
        history(reports, "response_tme")


def test_figures_of_different_tags_are_no_one_history(reports: Path) -> None:
    """A run with two figures of one name: the person is asked which."""
    content = json.loads((reports / "r00" / "summary.json").read_text())
    content["metrics"].append({**content["metrics"][0], "tags": {"threshold": "p(50) < 1 s"}})
    (reports / "r00" / "summary.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="2 different figures"):
        history(reports, "response_time")


def numbers(path: Path, change: float, seed: int) -> str:
    path.write_text("\n".join(f"{value * 1000:.6f}" for value in recording(change, seed=seed).values_s))
    return str(path)


def test_the_command_prints_table_and_answer_and_exits_by_it(tmp_path: Path, reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 not regressed, 1 regressed, 4 cannot tell, 2 wrong input; --json is the same result as data; --history shows change points."""
    same, other, slow = (
        numbers(tmp_path / f"{name}.txt", change, seed) for name, change, seed in (("a", 0, 1), ("b", 0.02, 2), ("c", 0.8, 3))
    )
    assert cli.main(["compare", same, slow]) == 1
    out = capsys.readouterr().out
    assert "regressed" in out
    assert "p99" in out
    assert "95% interval" in out
    assert cli.main(["compare", slow, same]) == 0
    assert cli.main(["compare", same, other]) == 4
    capsys.readouterr()
    assert cli.main(["compare", same, slow, "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["decision"]["answer"] == "regressed"
    assert {row["figure"] for row in data["rows"]} >= {"p50", "p99", "max"}
    assert cli.main(["compare", "--history", "response_time", "--reports", str(reports)]) == 0
    assert "run20" in capsys.readouterr().out
    for wrong in (
        ["compare", same],
        ["compare", same, same, "--metric", "p98"],
        ["compare", same, same, "--gate", "-1"],
        ["compare", same, "nowhere"],
    ):
        assert cli.main(wrong) == 2
        assert capsys.readouterr().err.startswith("harness: ")
