"""The framework of the bars: what is run, what is remembered, what is skipped, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bars import __main__ as command
from scripts.bars import state
from scripts.bars.model import Bar, Result
from scripts.bars.runner import outcome
from scripts.bars.table import BARS
from suites.unit.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[3]


def bar(name: str, code: str, text: str = "it holds") -> Bar:
    return Bar(name, "a row", text, ("{python}", "-c", code), 1)


def says(figure: str, passed: object, exit_code: int = 0) -> str:
    return f"import sys; print('working'); print({json.dumps(json.dumps({'figure': figure, 'passed': passed}))}); sys.exit({exit_code})"


@pytest.fixture
def tree(monkeypatch) -> list[str]:
    """The identity of the tree, which the test may change."""
    identity = ["a" * 40]
    monkeypatch.setattr(state, "read_tree", lambda: state.Tree(identity[0], identity[0][:40], dirty="+" in identity[0]))
    return identity


def run(arguments: list[str], bars: list[Bar], folder: Path) -> int:
    return command.main(arguments, bars, folder)


def stored(folder: Path) -> dict[str, Result]:
    return state.load(folder / "state.json")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [([True, True], 0), ([True, False, None], 1), ([True, None], 3), ([], 0)],
    ids=["all", "failed", "blocked", "none"],
)
def test_the_exit_code_is_the_worst_outcome(outcomes, code) -> None:
    """0 all passed, 1 any failed, 3 any BLOCKED."""
    assert command.exit_code(outcomes) == code


def test_results_are_recorded_with_commit_and_figure(tmp_path: Path, tree) -> None:
    """A result keeps figure, outcome, command, seconds, commit; the Markdown table shows them."""
    bars = [bar("good", says("3 of 3", True)), bar("bad", says("2 of 3", False, 1)), bar("away", says("nothing", None, 3))]
    assert run([], bars, tmp_path) == 1
    found = stored(tmp_path)
    assert [(found[name].passed, found[name].figure) for name in ("good", "bad", "away")] == [
        (True, "3 of 3"),
        (False, "2 of 3"),
        (None, "nothing"),
    ]
    assert found["good"].commit == "a" * 40
    assert not found["good"].dirty
    assert found["good"].command.startswith("python -c")
    table = (tmp_path / "bars.md").read_text(encoding="utf-8")
    assert "| good | PASS | 3 of 3 | it holds |" in table
    assert "| bad | FAIL |" in table


def test_what_passed_on_the_same_tree_is_skipped(tmp_path: Path, tree) -> None:
    """A passed bar runs again on another tree, with another bar text, or by --again; a failed one always."""
    witness = tmp_path / "runs"
    code = f"open({str(witness)!r}, 'a').write('x');" + says("1", True)
    once = [bar("once", code)]

    def runs(arguments: list[str], bars: list[Bar]) -> int:
        before = len(witness.read_text()) if witness.exists() else 0
        assert run(arguments, bars, tmp_path / "state") == 0
        return len(witness.read_text()) - before

    assert runs([], once) == 1
    assert runs([], once) == 0
    assert runs(["--again", "once"], once) == 1
    assert runs([], [bar("once", code, "it holds better")]) == 1
    tree[0] = "b" * 40
    assert runs([], once) == 1
    tree[0] = "b" * 40 + "+changes"
    assert runs([], once) == 1
    assert stored(tmp_path / "state")["once"].dirty


@pytest.mark.parametrize(
    ("code", "lines", "passed"),
    [
        (0, ["progress", '{"figure": "1", "passed": true}', "stopped"], True),
        (1, ['{"figure": "1", "passed": true}'], False),
        (0, ["no result at all"], False),
        (0, ['{"figure": "1"}'], False),
        (0, ['{"figure": "1", "passed": "yes"}'], False),
        (0, [], False),
        (3, ['{"figure": "-", "passed": null}'], None),
    ],
)
def test_only_a_result_that_agrees_with_the_exit_code_passes(code, lines, passed) -> None:
    """A bar that says nothing, half of it, or PASS with a failing exit has failed."""
    assert outcome(code, lines)[1] is passed


def test_a_bar_without_a_command_is_blocked(tmp_path: Path, tree) -> None:
    """What nothing runs yet is BLOCKED and says so."""
    assert run([], [Bar("later", "a row", "it holds", (), 1)], tmp_path) == 3
    assert stored(tmp_path)["later"].figure == "not built yet"


def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path, capsys) -> None:
    """A misspelt bar is a usage error."""
    assert run(["godo"], [bar("good", says("1", True))], tmp_path) == 2
    assert "did you mean 'good'?" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", '{"version": 99, "results": []}', '{"version": 1, "results": [{"bar": "x"}]}'])
def test_a_foreign_state_file_is_an_error(tmp_path: Path, content: str, capsys) -> None:
    """A state file that is not ours is named, with what to do, and left alone."""
    (tmp_path / "state.json").write_text(content, encoding="utf-8")
    assert run([], [bar("good", says("1", True))], tmp_path) == 2
    assert "move" in capsys.readouterr().err
    assert (tmp_path / "state.json").read_text(encoding="utf-8") == content


def test_the_tree_is_named_by_its_content(tmp_path: Path) -> None:
    """The same changes give the same identity; other changes, and new files, another."""

    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True, capture_output=True
        )

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    clean = state.read_tree(tmp_path)
    (tmp_path / "a").write_text("2")
    first, again = state.read_tree(tmp_path), state.read_tree(tmp_path)
    (tmp_path / "b").write_text("new")
    assert (clean.dirty, clean.identity) == (False, clean.commit)
    assert first == again
    assert len({clean.identity, first.identity, state.read_tree(tmp_path).identity}) == 3
    assert state.read_tree(tmp_path / "nowhere") == state.Tree("unknown", "unknown", dirty=True)


def test_ctrl_c_keeps_what_was_done(tmp_path: Path) -> None:
    """An interrupt ends the running bar and leaves a valid state file with the results before it."""
    pid_file = tmp_path / "pid"
    sleeper = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        "from scripts.bars.__main__ import main; from scripts.bars.model import Bar; from pathlib import Path; import sys\n"
        f"codes = {[('first', says('1', True)), ('second', sleeper)]!r}\n"
        "bars = [Bar(name, 'r', 't', ('{python}', '-c', code), 1) for name, code in codes]\n"
        f"sys.exit(main([], bars, Path({str(tmp_path)!r})))"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: child.poll() is not None or (pid_file.exists() and pid_file.read_text()))
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 130
    finally:
        child.kill()
        child.wait()
    assert list(stored(tmp_path)) == ["first"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".state")]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_the_table_of_bars_is_sound() -> None:
    """Names are unique, every script is there, every requirement is registered."""
    names = [item.name for item in BARS]
    registered = (PROJECT / "docs" / "requirements.tsv").read_text(encoding="utf-8")
    assert len(names) == len(set(names))
    for item in BARS:
        assert all(f"\n{requirement}\t" in registered for requirement in item.requirements)
        assert item.seconds > 0
        assert item.command[:2] == ("{python}", "-m")
