"""What a person can type wrongly: one line, the nearest right word, exit 2; what is not built says so and exits 3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import COMMANDS, NOT_YET
from harness.topology.model import StackInfo
from harness.topology.stack import Stack

PROJECT = Path(__file__).parents[3]
Call = Callable[..., tuple[int, str, str]]
TARGET = '[target]\nbase_url = "http://127.0.0.1:9"\n'


def written(folder: Path, text: str | bytes) -> Path:
    (folder / "harness.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verfy"], "unknown command 'verfy' (did you mean 'verify'?)"),
        (["xyzzy"], "unknown command 'xyzzy'"),
        (["verify", "--ful1"], "unrecognized arguments: --ful1"),
        (["verify", "--seed", "three"], "invalid int value: 'three'"),
        (["recheck"], "the following arguments are required: run"),
        (["evaluate", "latency", "."], "invalid choice: 'latency'"),
        (["--nonsense"], "unrecognized arguments"),
        (["run", "x.yaml", "--repeat", "0"], "--repeat 0; give a number from 1 to 10000"),
        (["recheck", "."], "this is no run folder: it has no journal.jsonl"),
        (["recheck", "nowhere"], "nowhere: there is no such run"),
        (["report", "nowhere"], "nowhere: there is no such run"),
        (["evaluate", "retrieval", "nowhere"], "nowhere: this is no folder"),
        (["shacl", "nowhere.ttl", "nowhere"], "nowhere.ttl"),
    ],
)
def test_wrong_commands_and_arguments_exit_2_with_what_is_right(call: Call, tmp_path: Path, arguments: list[str], said: str) -> None:
    """Nothing is started, nothing is written, the message is the last line."""
    code, out, err = call(written(tmp_path, TARGET), *arguments)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[0 if "--repeat" in arguments else -1]  # the scenario is not there either
    assert [path.name for path in tmp_path.iterdir()] == ["harness.toml"]


def test_no_command_at_all_shows_every_command(call: Call, tmp_path: Path) -> None:
    """The help names what there is and what is not built yet; exit 2."""
    code, out, _ = call(tmp_path)
    assert code == 2
    assert all(name in out for name in (*COMMANDS, *NOT_YET))
    assert call(tmp_path, "--help")[0] == 0
    assert call(tmp_path, "--version")[1].startswith("evidence-harness ")


@pytest.mark.parametrize("name", NOT_YET)
def test_commands_of_later_issues_are_blocked_and_say_so(call: Call, tmp_path: Path, name: str) -> None:
    """Exit 3, never a silent pass."""
    code, _, err = call(tmp_path, name, "--whatever", "x")
    assert (code, "BLOCKED" in err, "not built yet" in err) == (3, True, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TARGET + "[topolgy]\nfile = 'x'\n", "unknown table [topolgy] (did you mean 'topology'?)"),
        ('[target]\nbase_ulr = "http://127.0.0.1:9"\n', "base_ulr"),
        ("[target\n", "this is not TOML: "),
        (b"[target]\nbase_url = '\xff'\n", "this is not TOML: "),
        (TARGET + "service = 'a'\n", "give exactly one of service and base_url"),
        ("[target]\n", "give exactly one of service and base_url"),
        ("", "missing required field `target`"),
        (TARGET + "[layers.a]\nsuit = 'x'\n", "suit"),
        (TARGET + "[layers.a]\nsuite = 'nowhere'\n", "the suite 'nowhere' is not there"),
        (TARGET + "reports = 7\n", "reports"),
    ],
)
def test_a_wrong_harness_toml_is_named_with_its_place(call: Call, tmp_path: Path, text: str | bytes, said: str) -> None:
    """The file, what is wrong in it and what would be right; exit 2, and no run folder."""
    code, _, err = call(written(tmp_path, text), "verify")
    assert (code, "harness.toml" in err, said in err) == (2, True, True), err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "reports").exists()


def test_outside_of_a_project_says_where_it_looked(call: Call, tmp_path: Path) -> None:
    """No harness.toml here or above: one line with the remedy."""
    code, _, err = call(tmp_path, "verify")
    assert (code, f"there is no harness.toml in {tmp_path} or above it" in err) == (2, True)


def test_an_unknown_layer_lists_the_known_ones(call: Call, tmp_path: Path) -> None:
    """``--only`` with a wrong name gives the nearest and all; no run folder."""
    (tmp_path / "shop").mkdir()
    text = TARGET + "[layers.load]\nsuite = 'shop'\n[layers.chaos]\nsuite = 'shop'\n"
    code, _, err = call(written(tmp_path, text), "verify", "--only", "laod")
    assert (code, "unknown layer 'laod' (did you mean 'load'?); known: chaos, load" in err) == (2, True)
    assert not (tmp_path / "reports").exists()


def test_a_scenario_that_is_not_there_leaves_no_run(call: Call, tmp_path: Path) -> None:
    """A wrong name is wrong usage; the newest report stays the newest."""
    code, _, err = call(written(tmp_path, TARGET), "run", "nowhere")
    assert (code, "nowhere" in err) == (2, True)
    assert not (tmp_path / "reports").exists()


def test_the_doctor_speaks_json(call: Call, tmp_path: Path) -> None:
    """Every finding has a name, a state, what was found and a remedy; also outside of a project."""
    for folder in (PROJECT, tmp_path):
        code, out, _ = call(folder, "doctor", "--json")
        found = json.loads(out)
        assert code == 0
        assert {"Python", "Chromium", "project"} <= {item["what"] for item in found}
        assert all(set(item) == {"what", "ok", "found", "remedy"} and (item["ok"] or item["remedy"]) for item in found)
    assert {item["what"]: item["ok"] for item in found}["project"] is False


def test_the_doctor_only_looks(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the cache, nor anything in the temp dir, is made; the folder that a run would make is named."""
    for name in ("cache", "temp"):
        monkeypatch.setenv({"cache": "XDG_CACHE_HOME", "temp": "TMPDIR"}[name], str(tmp_path / name))
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    code, out, _ = call(tmp_path, "doctor")
    assert (code, f"{tmp_path}/cache/evidence-harness/vectors, made by the first run" in out) == (0, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["temp"]


def test_status_tells_address_and_place_of_the_secrets(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms name the judged service's address and the folder of the secrets; no secret is shown; outside a project no address."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "admin_key").write_text("5ecret")
    places = dict.fromkeys(("topology_file", "folder", "socket", "objects_dir", "logs_dir", "project_root"), tmp_path)
    info = StackInfo(
        stack_id="abc", owner="user", profile="embedded", secrets_dir=secrets, ports={"web": 81}, port_variables={},
        environments={}, supervisor_pid=1, supervisor_start=0.0, **places,
    )  # fmt: skip
    monkeypatch.setattr("harness.cli.stack.Stack.recorded", lambda _project: [Stack(info)])
    monkeypatch.setattr("harness.cli.stack.Stack.services", lambda _self: ())
    project = written(tmp_path, "[target]\nservice = 'web'\n[topology]\nfile = 'x'\n")
    code, out, _ = call(project, "status", "--json")
    facts = {"stack": "abc", "project": str(tmp_path), "url": "http://127.0.0.1:81", "secrets": str(secrets)}
    expected = {**facts, "services": [], "problem": "", "well": True}
    assert (code, json.loads(out)) == (0, {**expected, "stacks": [expected]})
    said = call(project, "status")[1]
    assert "http://127.0.0.1:81" in said
    assert str(secrets) in said
    assert "5ecret" not in said + out
    (tmp_path / "harness.toml").unlink()
    assert json.loads(call(tmp_path, "status", "--json")[1])["stacks"][0]["url"] == ""


def test_requirements_speak_json_and_count_every_id(call: Call, tmp_path: Path) -> None:
    """All ids of the register, none verified without a run; a project without a register is BLOCKED."""
    code, out, _ = call(PROJECT, "requirements", "--json", "--run", str(tmp_path))
    ids = [line.split("\t")[0] for line in (PROJECT / "docs" / "requirements.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert code == 0
    assert all(f'"{name}"' in out for name in ids)
    assert "verified" in json.dumps(json.loads(out))
    assert call(written(tmp_path, TARGET), "requirements", "--json")[0] == 3


def test_an_error_of_ours_is_exit_5_not_a_verdict(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is ERROR; exit 1 is kept for FAIL."""

    def broken(_namespace: Any) -> int:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr("harness.cli.doctor.execute", broken)
    code, _, err = call(tmp_path, "doctor")
    assert (code, "nobody foresaw this" in err) == (5, True)
