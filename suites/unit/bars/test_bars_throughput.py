"""The search of the bar ``throughput`` finds what a generator holds, and its judgement can go red."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.bars import throughput
from scripts.bars.generators import Bench, Held
from scripts.bars.throughput import NEAR, earlier, highest, judge

BENCH = Bench(port=1, core=1, server_core=0, seconds=1.0)
GOOD = {"ours": 40_000.0, "k6": 20_000.0, "locust": 8_000.0, "ours closed": 100_000.0, "wrk closed": 150_000.0}


class Until:
    """Holds every rate up to a limit."""

    name = "until"

    def __init__(self, limit: float, first_rate: float = 10_000.0) -> None:
        self.limit, self.first_rate = limit, first_rate
        self.asked: list[float] = []

    def hold(self, _bench: Bench, rate_per_s: float) -> Held:
        self.asked.append(rate_per_s)
        return Held(rate_per_s, min(rate_per_s, self.limit), "" if rate_per_s <= self.limit else "dropped")


@pytest.mark.parametrize("limit", [6_000.0, 9_900.0, 10_000.0, 31_000.0])
def test_the_search_ends_near_the_limit_and_never_above_it(limit: float) -> None:
    """From far away in eight steps, from the round before in four; what it reports was held."""
    far = Until(limit)
    found = highest(far, BENCH, 0.0)
    assert limit / 1.15 <= found <= limit
    assert len(far.asked) <= 8
    near = Until(limit)
    again = highest(near, BENCH, found)
    assert found <= again <= limit or limit / again <= NEAR * 1.05
    assert len(near.asked) <= 4


def test_a_generator_that_holds_nothing_has_no_rate() -> None:
    """Zero, after a bounded number of steps."""
    nothing = Until(0.0)
    assert highest(nothing, BENCH, 0.0) == 0.0
    assert len(nothing.asked) == 8


@pytest.mark.parametrize(
    ("changed", "code"),
    [({}, 0), ({"ours": 23_000.0}, 1), ({"locust": 14_000.0}, 1), ({"ours closed": 70_000.0}, 1), ({"k6": 0.0}, 1)],
)
def test_each_ratio_can_turn_the_bar_red(changed: dict[str, float], code: int) -> None:
    """Seven rounds of good figures pass; one ratio below its limit does not, nor a generator that held nothing."""
    assert judge([{**GOOD, **changed}] * 7) == code


def test_fewer_rounds_than_asked_for_are_no_bar() -> None:
    """Six rounds fail, however good."""
    assert judge([GOOD] * 6) == 1


def test_rounds_of_other_content_are_not_taken_over(tmp_path: Path) -> None:
    """A second call goes on with its own rounds only."""
    kept = tmp_path / "throughput.jsonl"
    assert earlier(kept, "a") == []
    kept.write_text(
        "".join(json.dumps({"content": name, "figures": {"ours": rate}}) + "\n" for name, rate in (("a", 1), ("b", 2), ("a", 3)))
    )
    assert earlier(kept, "a") == [{"ours": 1}, {"ours": 3}]


def test_a_missing_tool_blocks_with_the_command(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """BLOCKED names what installs it; nothing is started."""
    monkeypatch.setattr(throughput, "missing", lambda: "harness servers install k6")
    monkeypatch.setattr("sys.argv", ["throughput"])
    assert throughput.main() == 3
    assert "harness servers install k6" in capsys.readouterr().out
