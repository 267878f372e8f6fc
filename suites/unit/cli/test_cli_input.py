"""Wrong types and references in harness.toml, scenario and command line: told together, with line and nearest word."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.run.configuration import Places

Call = Callable[..., tuple[int, str, str]]
COMPOSE = """
name: shop
services:
  till:
    image: till:1
    ports: ["127.0.0.1:${TILL_PORT:-8000}:8000"]
    x-profiles: {embedded: {command: ["true"], health: {http: "http://127.0.0.1:$${TILL_PORT}/"}}}
  larder:
    image: larder:1
    ports: ["127.0.0.1:${LARDER_PORT:-8001}:8000"]
    x-profiles: {embedded: {command: ["true"], health: {http: "http://127.0.0.1:$${LARDER_PORT}/"}}}
"""
TARGET = '[target]\nservice = "till"\n[topology]\nfile = "compose.yaml"\n'
SCENARIO = """
name: stop_one
title: A service is killed
layer: chaos
timeline:
  - step: kill
    driver: kill
    with: {service: SERVICE, deadline: 5 s}
checks:
  - checker: trial_completed
"""


def project(folder: Path, text: str = TARGET) -> Path:
    (folder / "harness.toml").write_text(text, encoding="utf-8")
    (folder / "compose.yaml").write_text(COMPOSE, encoding="utf-8")
    return folder


WRONG_TABLES = {
    "a number for a text": (TARGET + "start_deadline = 90\n", 5, "topology.start_deadline", "wanted: a text"),
    "a text for a flag": (TARGET + "[layers.a]\nsuite = 's'\nrequired = 'yes'\n", 7, "layers.a.required", "wanted: true or false"),
    "a text for a table": ("layers = 'all'\n" + TARGET, 1, "layers", "wanted: a table"),
    "a list for a text": (TARGET + "[data]\ndir = ['a', 'b']\n", 6, "data.dir", "wanted: a text"),
    "a wrong word": (TARGET + "[layers.a]\nsuite = 's'\nwhen = 'ful'\n", 7, "layers.a.when", "did you mean 'full'"),
    "a misspelt key": (TARGET + "[layers.a]\nsuite = 's'\nrequird = true\n", 7, "requird", "did you mean 'required'"),
    "a misspelt key of a key table": (
        TARGET + "[commands.reset]\nservise = 'till'\ncommand = ['x']\n",
        6,
        "servise",
        "did you mean 'service'",
    ),
    "a bad duration": (TARGET + "start_deadline = '90'\n", 5, "topology.start_deadline", "write it like 90 s"),
    "a wing that is no class": (TARGET + "[wings.drivers]\nmine = 'my_wing.Mine'\n", 6, "wings.drivers.mine", "module:Class"),
    "no address": ("[target]\nbase_url = 'localhost:8000'\n", 2, "target.base_url", "write it like http://"),
    "an unknown service": (TARGET.replace('"till"', '"tlil"'), 2, "unknown service 'tlil'", "did you mean 'till'"),
    "a command of no service": (TARGET + "[commands.reset]\nservice = 'ladder'\ncommand = ['x']\n", 6, "'ladder'", "did you mean 'larder'"),
    "a kill of no service": (TARGET + "[kill]\nservice = 'til'\n", 6, "kill.service", "did you mean 'till'"),
    "no compose file": (TARGET.replace("compose.yaml", "compsoe.yaml"), 4, "'compsoe.yaml' is not there", "did you mean 'compose.yaml'"),
}


@pytest.mark.parametrize("name", WRONG_TABLES)
def test_what_is_wrong_in_harness_toml_is_told_with_its_line(call: Call, tmp_path: Path, name: str) -> None:
    """Exit 2, file and line, what stands there, what is wanted or meant; no run folder."""
    text, line, what, remedy = WRONG_TABLES[name]
    code, _, err = call(project(tmp_path, text), "verify")
    assert (code, f"harness.toml:{line}:" in err) == (2, True), err
    assert what in err
    assert remedy in err
    assert not (tmp_path / "reports").exists()


def test_all_errors_of_one_file_are_told_together(call: Call, tmp_path: Path) -> None:
    """Five wrong places of harness.toml give five lines, in the order of the file."""
    text = TARGET + "profil = 'local'\n[layers.a]\nsuite = 3\nwhen = 'nevr'\n[wing]\nx = 1\n[data]\ndir = 7\n"
    code, _, err = call(project(tmp_path, text), "verify")
    assert code == 2
    assert [int(found) for found in re.findall(r"harness\.toml:(\d+):", err)] == [5, 7, 8, 9, 12]


def test_all_errors_of_a_command_line_and_its_references_are_told_together(call: Call, tmp_path: Path) -> None:
    """Two unknown layers, a profile, a suite that is not there and a service: each has its line."""
    text = TARGET.replace('"till"', '"tlil"') + "[layers.shop]\nsuite = 'shop'\n[layers.yard]\nsuite = 'yard'\n"
    code, _, err = call(project(tmp_path, text), "verify", "--only", "shp", "--only", "yrad", "--only", "yard", "--profile", "embeded")
    assert code == 2
    for said in ("'shp' (did you mean 'shop'?)", "'yrad' (did you mean 'yard'?)", "suite 'yard'", "'embeded' (did you mean 'embedded'?)"):
        assert said in err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(("service", "near"), [("tlil", "till"), ("lader", "larder"), ("Till", "till")])
def test_a_scenario_with_an_unknown_service_does_not_start(call: Call, tmp_path: Path, service: str, near: str) -> None:
    """The scenario's line and the nearest service of the topology; no run folder."""
    (tmp_path / "stop.yaml").write_text(SCENARIO.replace("SERVICE", service))
    code, _, err = call(project(tmp_path), "run", "stop.yaml")
    assert (code, "stop.yaml:8:" in err, f"did you mean {near!r}" in err) == (2, True, True), err
    assert not (tmp_path / "reports").exists()


OPTIONS = [
    (["verify", "--sed", "3"], "did you mean '--seed'"),
    (["verify", "--ful1"], "did you mean '--full'"),
    (["verify", "--sed=3", "--jsn"], "did you mean '--seed' for --sed=3, '--json' for --jsn"),
    (["run", "x", "--repaet", "3"], "did you mean '--repeat'"),
    (["run", "x", "--engine", "lokust"], "did you mean 'locust'"),
    (["data", "lst"], "did you mean 'list'"),
    (["verify", "--seed", "-1"], "give a whole number from 0 to 2**63-1"),
    (["verify", "--seed", str(2**63)], "give a whole number from 0 to 2**63-1"),
    (["run", "x", "--seed", "1.5"], "invalid int value: '1.5'"),
]


@pytest.mark.parametrize(("arguments", "said"), OPTIONS)
def test_a_wrong_option_names_the_right_one(call: Call, tmp_path: Path, arguments: list[str], said: str) -> None:
    """Options, choices and seeds: exit 2, the last line says what is meant."""
    code, _, err = call(project(tmp_path), *arguments)
    assert code == 2
    assert said.replace("for --sed=3", "for --sed") in err.splitlines()[-1]


def test_an_unknown_run_names_the_nearest(call: Call, tmp_path: Path) -> None:
    """``recheck`` and ``report`` look beside what was given; a run's bare id is found below reports/."""
    run = project(tmp_path) / "reports" / "20300101T000000Z-abc123"
    run.mkdir(parents=True)
    (run / "journal.jsonl").write_bytes(b"")
    for command in ("recheck", "report"):
        code, _, err = call(tmp_path, command, "reports/20300101T000000Z-abc132")
        assert (code, "did you mean" in err, run.name in err) == (2, True, True), err
    assert "killed before it began" in call(tmp_path, "report", run.name)[2]


MANIFEST = '[[file]]\nset = "a"\nname = "one.gz"\naddress = "https://example.org/1"\nconvert = "gzip"\n'


@pytest.mark.parametrize("there", [True, False])
def test_doctor_and_data_list_say_the_same_of_the_data(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """The folder and the count of the one are those of the other, with data and without."""
    data = tmp_path / "the data"
    (data / "a").mkdir(parents=True)
    if there:
        (data / "SHA256SUMS").write_text("")
        (data / "a" / "one.gz").write_bytes(b"")
        monkeypatch.setenv("HARNESS_DATA_DIR", str(data))
    else:
        monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "sets.toml").write_text(MANIFEST)
    folder = project(tmp_path, TARGET + '[data]\nmanifest = "sets.toml"\n')
    listed = call(folder, "data", "list")[1].splitlines()
    doctor = call(folder, "doctor")[1]
    assert f"{'1' if there else '0'} of 1 files" in listed[0]
    assert listed[0] in doctor
    assert ("ok   real data sets" in doctor) is there


def test_a_toml_place_is_found_in_every_spelling(tmp_path: Path) -> None:
    """Headers, quoted parts, dotted keys, arrays of tables; what has no line of its own stands where its table does."""
    text = "[a]\nx = 1\n[\"b c\".d]\n'e f' = 2\ng.h = 3\n[[i]]\nj = {k = 1}\n"
    places = Places("f", text)
    found: list[Any] = [("a", "x"), ("b c", "d", "e f"), ("b c", "d", "g", "h"), ("i", "j", "k"), ("a", "nothing"), ("z",)]
    assert [places.line(path) for path in found] == [2, 4, 5, 7, 1, 1]
