"""The tools of the bars find what they must: a bar that cannot go red shows nothing."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from scripts.bars import grounding
from scripts.bars.bad_input import Tally, judge_reason
from scripts.bars.bad_usage import expected, judge
from scripts.bars.hostile import CONTROL
from scripts.bars.hostile_documents import SOURCES, TEXTS, documents
from scripts.bars.leftovers import Watch
from scripts.bars.mutations import mutants
from scripts.bars.recheck import flipped
from scripts.bars.registry import as_stated
from scripts.bars.retrieval_full import figures
from suites.unit.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[3]
SAMPLE = PROJECT / "samples" / "corpus"
GOOD = {
    "ctgov": SAMPLE / "ctgov" / "NCT90000001.json",
    "jats": SAMPLE / "jats" / "velotril-review.xml",
    "spl": SAMPLE / "spl" / "velotril.xml",
    "pubmed": SAMPLE / "pubmed" / "velotril-sleep.xml",
}


@pytest.mark.parametrize("source", SOURCES)
def test_there_are_twenty_real_mutations_a_source(source: str) -> None:
    """Every mutation changes the file, no two agree, and a seed gives the same bytes again."""
    good = GOOD[source].read_bytes()
    found = dict(mutants(source, good, {}, 1))
    small = {name: payload for name, payload in found.items() if len(payload) < 1 << 20}
    assert len(found) >= 20
    assert good not in found.values()
    assert len(set(small.values())) >= len(small) - 1
    assert found == dict(mutants(source, good, {}, 1))


def test_hostile_documents_carry_their_text_in_four_formats() -> None:
    """Thirty documents, all four formats, each with its marker many times."""
    made = documents(SAMPLE)
    assert len(made) == len(TEXTS) == 30
    assert {item.source for item in made} == set(SOURCES)
    assert all(item.content.count(item.marker.encode()) >= 3 for item in made)
    assert len({item.content for item in made}) == 30


def test_a_flip_is_taken_back(tmp_path: Path) -> None:
    """One bit differs inside the context and none after it; an empty file has a byte meanwhile."""
    path, empty = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"abc")
    empty.touch()
    with flipped(path, (1, 0)), flipped(empty, (0, 3)):
        assert path.read_bytes() == b"acc"
        assert empty.read_bytes() == b"\x08"
    assert (path.read_bytes(), empty.read_bytes()) == (b"abc", b"")


def test_the_grounding_script_imports_neither_package() -> None:
    """Standard library only, so that no code of either side vouches for itself."""
    tree = ast.parse(Path(grounding.__file__).read_text(encoding="utf-8"))
    roots = {name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    roots |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("start", "end", "quote", "wrong"), [(0, 2, "aé", 0), (1, 3, "é😀", 0), (0, 2, "ae", 1), (2, 9, "😀z", 1), (1, 1, "", 1)]
)
def test_the_tally_compares_code_points(start: int, end: int, quote: str, wrong: int) -> None:
    """A quote is right only if it equals its slice exactly and the slice lies within the text."""
    tally = grounding.Tally(SimpleNamespace(text=lambda _doc_id: "aé😀z"))  # type: ignore[arg-type]
    tally.check("chunk", "doc", {"start": start, "end": end}, quote)
    assert (tally.seen, len(tally.wrong)) == ({"chunk": 1}, wrong)


def test_citations_are_found_wherever_they_are() -> None:
    """Quotes in nested lists and objects are all compared; fifty queries come out of few chunks."""
    quote = {"doc_id": "d", "start": 0, "end": 1, "quote": "a"}
    assert len(list(grounding.citations({"a": [{"b": quote}, [quote]], "c": quote}))) == 3
    assert list(grounding.nested_spans({"spans": [quote], "other": {"x": [quote]}})) == [quote]
    assert len(grounding.queries(["a few words of a chunk that is long enough"])) == 50
    assert grounding.queries([]) == []


def test_leftovers_of_a_process_are_found(tmp_path: Path) -> None:
    """A process in a session of its own, its port and its files are found, and gone with it."""
    code = "import socket, sys, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)"
    watch = Watch(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        before = watch.belongings(psutil.Process(os.getpid()))
        assert port in before.ports
        left = watch.left(before)
        assert any(str(child.pid) in item for item in left)
        assert f"port {port}" in left
        (tmp_path / "forgotten").touch()
        assert "file forgotten" in watch.left(before)
    finally:
        child.kill()
        child.communicate()
    (tmp_path / "forgotten").unlink()
    wait_for(lambda: not [item for item in watch.left(before) if str(child.pid) in item or f"port {port}" in item or "file" in item], 10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_reasons_must_be_whole_and_not_ours() -> None:
    """A reason without a remedy, and one that reports a crash, are problems."""
    tally = Tally()
    judge_reason(tally, "a", {"error": "e", "place": "p", "remedy": "r"})
    assert tally.problems == []
    judge_reason(tally, "b", {"error": "e", "place": " ", "remedy": "r"})
    judge_reason(tally, "c", {"error": "KeyError: 'x'", "place": "p", "remedy": "a defect of the platform: report it"})
    assert [problem[0] for problem in tally.problems] == ["b", "c"]


@pytest.mark.parametrize(
    ("code", "said", "problems"),
    [
        (2, "harness: a.yaml:3: unknown key 'x'; did you mean 'y'?", 0),
        (1, "harness: no; give a number", 1),
        (2, "", 1),
        (2, "harness: no", 1),
    ],
)
def test_usage_errors_need_exit_two_and_a_remedy(code: int, said: str, problems: int) -> None:
    """Anything but exit 2 with a message that says what to do is a problem."""
    assert len(list(judge("x", subprocess.CompletedProcess([], code, "", said)))) == problems


def test_a_traceback_is_a_problem() -> None:
    """Even with exit 2 and a remedy."""
    said = 'Traceback (most recent call last):\n  File "x"\ngive up'
    assert any("traceback" in problem for problem in judge("x", subprocess.CompletedProcess([], 2, "", said)))


def test_expected_errors_are_read() -> None:
    """Every broken scenario has at least one expected line."""
    folder = PROJECT / "suites" / "fixtures" / "scenarios_broken"
    assert all(expected(path.name) for path in folder.glob("*.yaml"))


def test_control_characters_are_known() -> None:
    """Escape, bell, C1 and overrides are found; blanks, umlauts and emoji are not."""
    assert all(CONTROL.search(text) for text in ("\x1b[0m", "\x07", "\x9b", "\u202e", "\u2066", "\r"))
    assert not CONTROL.search("tab\tline\nübung 😀")


def test_stated_estimates_are_read_as_numbers() -> None:
    """An analysis without a value states none."""
    stated = {"paramValue": "-1.5", "ciLowerLimit": "-2", "ciUpperLimit": "1", "ciPctValue": "95", "pValue": "<0.05", "paramType": "MD"}
    assert as_stated(stated) == (-1.5, -2.0, 1.0, 95.0, 0.05, "MD")
    assert as_stated({**stated, "paramValue": "NA"}) is None
    assert as_stated({name: value for name, value in stated.items() if name != "ciPctValue"}) is None


def test_figures_are_read_by_ranking() -> None:
    """The value of a metric by the tag that names the ranking."""
    metrics = [
        {"name": "nDCG@10", "value": 0.7, "tags": {"retriever": "fused"}},
        {"name": "MRR", "value": 0.1, "tags": {"retriever": "bm25"}},
    ]
    assert figures({"metrics": metrics}, "ndcg@10") == {"fused": 0.7}
