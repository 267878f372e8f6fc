"""``harness run SCENARIO --dry-run``: a timeline on standard output, nothing started, nothing kept."""

from __future__ import annotations

from typing import Any

SCENARIO = """
name: s
title: t
layer: load
requires: [target]
timeline:
  - step: a
    driver: open_loop
    with: {duration: 2 s, requests: ask, shape: {kind: ramp, from: 0/s, to: 10/s}}
"""


def test_a_dry_run_prints_csv_and_touches_nothing(foreign: Any) -> None:
    """Ten requests at √(k/2.5) s with a seed on standard error; no run folder is made; a second one gives the same bytes."""
    foreign.write('[target]\nbase_url = "http://127.0.0.1:1/"\n[requests.ask]\nop = "ask"\npath = "/"\nmethod = "GET"\n')
    (foreign.folder / "s.yaml").write_text(SCENARIO)
    code, out, err = foreign.harness("run", "s.yaml", "--dry-run", "--seed", "5")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[:3] == ["t_ns,op,body,principal,step", "0,driver:open_loop,,,a", "0,ask,0,0,a"]
    assert [int(line.split(",")[0]) for line in lines[2:]] == [round((k / 2.5) ** 0.5 * 1e9) for k in range(10)]
    assert "seed 5: 10 requests planned in 1 of 1 steps; nothing was sent" in err
    assert not (foreign.folder / "reports").exists()


def test_what_a_dry_run_cannot_do_is_refused(foreign: Any) -> None:
    """Repetitions and a wrong scenario are errors of usage."""
    (foreign.folder / "s.yaml").write_text(SCENARIO.replace("kind: ramp", "kind: rmap"))
    code, _, err = foreign.harness("run", "s.yaml", "--dry-run")
    assert code == 2
    assert "s.yaml:9:" in err
    assert "did you mean 'ramp'" in err
    (foreign.folder / "s.yaml").write_text(SCENARIO)
    code, _, err = foreign.harness("run", "s.yaml", "--dry-run", "--repeat", "3")
    assert (code, "--repeat has no meaning with --dry-run" in err) == (2, True)
