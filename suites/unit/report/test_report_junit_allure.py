"""junit.xml and allure-results/: every row once, nothing that is not PASS is silent."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from harness.core.verdict import Verdict
from harness.journal import events as e
from harness.report.allure import publish_allure
from harness.report.junit import publish_junit

HOSTILE = "]]><x a='\x00\x1b[31m\x0b\ufffe &"
ELEMENT = {Verdict.PASS: None, Verdict.FAIL: "failure", Verdict.BLOCKED: "skipped"}
STATUS = {Verdict.PASS: "passed", Verdict.FAIL: "failed", Verdict.BLOCKED: "skipped", Verdict.ERROR: "broken", Verdict.VACUOUS: "unknown"}


def junit(made, rows, **more):
    summary = made.summary(rows, **more)
    publish_junit(made.path, summary)
    return ET.parse(made.path / "junit.xml").getroot(), summary


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_has_its_element(maker, row, verdict):
    """FAIL is a failure, BLOCKED is skipped, everything else that is not PASS is an error with the verdict's name."""
    root, _ = junit(maker("r"), [row("suites/x.py::test_y", verdict, reason="because")])
    case = root.find(".//testcase")
    found = [child for child in case if child.tag != "properties"]
    if verdict is Verdict.PASS:
        assert not found
    else:
        assert (found[0].tag, found[0].get("type")) == (ELEMENT.get(verdict, "error"), str(verdict))
        assert "because" in found[0].get("message")


def test_suites_carry_run_seed_verdict_and_last_hash(maker, row):
    """A suite a layer, with counts, and properties that lead to the run; cases carry requirement ids and times."""
    made = maker("r")
    made.start()
    made.emit(e.TestOutcome(node="a::b", layer="e2e", verdict=Verdict.PASS, duration_s=1.25))
    root, summary = junit(
        made, [row("a::b", requirements=("OPS-2.1", "OPS-2.1")), row("c", Verdict.FAIL, "load"), row("d", Verdict.BLOCKED, "load")]
    )
    suites = {suite.get("name"): suite for suite in root}
    assert {name: suites["load"].get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "2",
        "failures": "1",
        "skipped": "1",
        "errors": "0",
    }
    facts = {item.get("name"): item.get("value") for item in suites["e2e"].find("properties")}
    assert (facts["run"], facts["seed"], facts["verdict"]) == ("r", "4711", "FAIL")
    assert facts["journal_last_hash"] == summary.journal_last_hash
    case = suites["e2e"].find("testcase")
    assert (case.get("classname"), case.get("name"), case.get("time")) == ("a", "b", "1.250")
    assert [item.get("value") for item in case.iter("property")] == ["OPS-2.1"]


def test_characters_that_xml_forbids_are_taken_out(maker, row):
    """Hostile names and reasons stay text and the document stays well-formed."""
    made = maker("r")
    root, _ = junit(made, [row(HOSTILE, Verdict.FAIL, "l", reason=HOSTILE, value=HOSTILE)])
    assert root.find(".//failure") is not None
    assert b"\x1b" not in (made.path / "junit.xml").read_bytes()


def test_one_allure_result_a_row(maker, row):
    """Each row is one result with its status, layer, requirement and a link into the page; ids do not change on repetition."""
    made = maker("r")
    made.start()
    made.emit(e.TestOutcome(node="x::a", layer="e2e", verdict=Verdict.PASS, duration_s=0.5))
    rows = [row("x::a", requirements=("OPS-2.1",)), *(row(f"b{v}", v, reason=HOSTILE) for v in STATUS)]
    publish_allure(made.path, made.summary(rows))
    results = {
        item["fullName"]: item for item in (json.loads(path.read_bytes()) for path in (made.path / "allure-results").glob("*-result.json"))
    }
    assert len(results) == len(rows)
    assert {verdict: results[f"b{verdict}"]["status"] for verdict in STATUS} == STATUS
    assert {"name": "requirement", "value": "OPS-2.1"} in results["x::a"]["labels"]
    assert results["x::a"]["links"][0]["url"] == "../report.html#requirement-OPS-2.1"
    assert results["x::a"]["stop"] - results["x::a"]["start"] == 500


def test_results_of_the_allure_plugin_are_left_alone(maker, row):
    """Where allure-pytest wrote into the folder, nothing is added beside it."""
    made = maker("r")
    folder = made.path / "allure-results"
    folder.mkdir()
    (folder / "abc-result.json").write_text("{}")
    publish_allure(made.path, made.summary([row("a")]))
    assert [path.name for path in folder.iterdir()] == ["abc-result.json"]
