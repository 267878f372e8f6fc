"""report.html: what a person reads first, also of runs that went wrong."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from harness.core.verdict import Verdict
from harness.journal import events as e
from harness.report.html import publish_html, render
from harness.report.publish import publishers

S = 1_000_000_000
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'\x1b[31m\x00\u202e=cmd|calc"


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_verdict_and_its_coverage_stand_first(maker, row):
    """The page begins with the verdict in words, how much was checked, and that only sample data was read."""
    made = maker("run-1")
    made.start()
    rows = [row("a"), row("b"), row("c", Verdict.BLOCKED, reason="no GPU here")]
    text = " ".join(Page(render(made.path, made.summary(rows, sample_data=True))).text.split())
    assert text.index("PASS") < text.index("2 of 3 checks passed, 1 blocked — on sample data") < text.index("no GPU here")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_word_and_a_sentence(maker, row, verdict):
    """No verdict is told by colour alone."""
    made = maker("run-1")
    made.start()
    page = Page(render(made.path, made.summary([row("a", verdict, reason="why so", optional=False)])))
    assert f"{verdict}" in page.text
    assert ("why so" in page.text) == (verdict is not Verdict.PASS)


def test_the_page_asks_nothing_of_the_network(maker, row):
    """No script, no address, no import; a content security policy that forbids everything but inline styles."""
    made = maker("run-1")
    made.start()
    content = render(made.path, made.summary([row("a")]))
    page = Page(content)
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags for name in ("src", "srcset", "action") if name in attrs]
    assert all((attrs.get("href") or "#").startswith("#") for _, attrs in page.tags)
    assert not re.search(r"https?://|url\(|@import", content)


def test_hostile_text_reaches_the_page_only_as_text(maker, row):
    """Markup, control and direction characters of any event or row are shown as harmless text."""
    made = maker("run-1")
    made.emit(
        e.RunStarted(run=HOSTILE, command=(), seed=1, profile=HOSTILE, mode="verify", environment={HOSTILE: HOSTILE}, required=()),
        e.TrialStarted(trial="t", scenario=HOSTILE, layer="l", seed=1, scenario_path="x", plan_path="x", plan_sha256="0"),
        e.Table(trial="t", title=HOSTILE, columns=(HOSTILE,), rows=((HOSTILE,),), note=HOSTILE),
        e.Note(trial="t", text=HOSTILE),
        e.Window(trial="t", kind="phase", name=HOSTILE, start_ns=1, end_ns=2),
        e.FaultApplied(trial="t", fault=HOSTILE, at_ns=5_000 * S + S),
        e.Series(trial="t", name=HOSTILE, unit=HOSTILE, times_ns=(1, 2, 3), values=(1.0, 2.0, 3.0)),
    )
    made.load("t", 3, 10, op=HOSTILE)
    content = render(made.path, made.summary([row(HOSTILE, Verdict.FAIL, HOSTILE, reason=HOSTILE, value=HOSTILE, limit=HOSTILE)]))
    names = {tag for tag, _ in Page(content).tags}
    assert not names & {"script", "img"}
    assert not [name for _, attrs in Page(content).tags for name in attrs if name.startswith("on")]
    assert not re.search("[\x00-\x08\x1b\u202e]", content)
    assert "&lt;script&gt;" in content


def test_a_killed_run_has_a_page(maker, row):
    """A journal without an end, missing segments and no trials do not cost the page."""
    made = maker("run-1")
    made.start()
    made.emit(e.TrialStarted(trial="t", scenario="t", layer="load", seed=1, scenario_path="x", plan_path="x", plan_sha256="0"))
    made.load("t", 3, 10)
    next((made.path / "segments").glob("t.requests.*")).unlink()
    summary = made.summary([row("run", Verdict.ABORTED, "", reason="the runner was killed")], finished="killed", duration_s=None)
    text = " ".join(Page(render(made.path, summary)).text.split())
    assert "did not complete: killed" in text
    assert re.search(r"1 of \d segments of requests in t are missing", text)


@pytest.mark.parametrize("content", [b"", b"not a journal\n", b'{"half": '])
def test_a_damaged_journal_is_said_on_the_page(maker, row, content):
    """Where the journal cannot be read the summary is shown and the reason given."""
    made = maker("run-1")
    made.start()
    summary = made.summary([row("a")])
    (made.path / "journal.jsonl").write_bytes(content)
    assert "1 of 1 checks passed" in render(made.path, summary)


def test_no_rows_and_no_journal_give_a_page(maker):
    """A run that has nothing is VACUOUS and still readable."""
    made = maker("run-1")
    summary = made.summary([], data=(), environment={})
    (made.path / "journal.jsonl").unlink()
    text = Page(render(made.path, summary)).text
    assert "VACUOUS" in text
    assert "there is no journal" in text


def test_the_same_folder_gives_the_same_bytes(maker, row):
    """All three reports are functions of the folder."""
    made = maker("run-1")
    made.start()
    made.emit(e.TrialStarted(trial="t", scenario="t", layer="load", seed=1, scenario_path="x", plan_path="x", plan_sha256="0"))
    made.load("t", 4, 10)
    summary = made.summary([row("a", requirements=("OPS-2.1",)), row("b", Verdict.FAIL, reason="r")])

    def written() -> dict[str, bytes]:
        for publish in publishers():
            publish(made.path, summary)
        names = [made.path / "report.html", made.path / "junit.xml", *sorted((made.path / "allure-results").iterdir())]
        return {path.name: path.read_bytes() for path in names}

    assert written() == written()


def test_generic_shapes_of_a_foreign_wing_are_shown(maker, row):
    """Tables, series, windows and figures appear without the report knowing who emitted them; unknown events are counted."""
    made = maker("run-1")
    made.start()
    made.emit(
        e.Table(trial="t", title="Tide", columns=("port", "cm"), rows=(("Wismar", "12.5"), ("Brest", "610"))),
        e.Measured(trial="t", metric="salinity", unit="%", value=3.5, tags={"depth": "10"}),
        e.Series(trial="t", name="level", unit="cm", times_ns=(0, S, 2 * S), values=(1.0, 4.0, 2.0)),
        e.Window(trial="t", kind="storm", name="Xaver", start_ns=0, end_ns=3 * S),
        e.Histogram(trial="t", name="waves", unit="cm", encoded="not base64", count=7),
    )
    made.journal.append_data("sea.buoy", {"id": "54"})
    text = " ".join(Page(render(made.path, made.summary([row("a")]))).text.split())
    for words in ("Tide", "Wismar", "3.5 %", "depth=10", "level", "1 to 4 cm", "Xaver", "unreadable", "sea.buoy"):
        assert words in text


def test_a_test_that_repeats_its_trial_is_told_once(maker, row):
    """A test that took over the verdict of its trial points to the trial's rows instead of repeating them."""
    made = maker("run-1")
    made.start()
    made.emit(
        e.TestOutcome(node="s.py::test_a", layer="load", verdict=Verdict.FAIL, duration_s=1, detail="t.p95: FAIL 900 ms", trials=("t",))
    )
    rows = [
        row("t.p95", Verdict.FAIL, trial="t", reason="900 ms"),
        row("s.py::test_a", Verdict.FAIL, reason="t.p95: FAIL 900 ms", limit="It is fast."),
    ]
    text = " ".join(Page(render(made.path, made.summary(rows))).text.split())
    assert "It is fast." in text
    assert "Its trial did not pass: t." in text
    assert "t.p95: FAIL 900 ms" not in text


def test_floats_of_foreign_tables_are_rounded(maker, row):
    """What a program printed with seventeen digits is shown with three."""
    made = maker("run-1")
    made.start()
    made.emit(e.Table(trial="t", title="T", columns=("a", "b"), rows=(("10.521952887444588", "v1.0.00001"),)))
    text = Page(render(made.path, made.summary([row("a")]))).text
    assert "10.5" in text
    assert "10.52195" not in text
    assert "v1.0.00001" in text


def test_the_wings_of_this_project_are_shown(maker, row, origin):
    """Faults with proof, drill stages, service events, contract operations, shapes and ranking figures have tables."""
    made = maker("run-1")
    made.start()
    made.emit(
        e.FaultIntended(trial="c", fault="kill", kind="kill", target="graph", undo="serves", at_ns=origin),
        e.FaultApplied(trial="c", fault="kill", at_ns=origin),
        e.FaultProof(trial="c", fault="kill", proof="pid_changed", before="1", after="2", at_ns=origin),
        e.RecoveryObserved(
            trial="c", fault="kill", counted_from="injection", detection_s=0.4, recovery_s=4.1, detected_by="ready", recovered_by="query"
        ),
        e.DrillStage(trial="b", stage="restore", outcome="done", start_ns=0, end_ns=2 * S),
        e.ServiceChanged(service="graph", change="started", at_ns=1, pid=7, start_time=1.0, restarts=0),
        e.ServiceChanged(service="graph", change="exited", at_ns=1, pid=7, start_time=1.0, restarts=0, detail="signal 9"),
        e.OperationChecked(trial="", operation="POST /v1/retrieve", check="fuzzing", cases=1200, failures=3),
        e.ShapeChecked(trial="", shape="SpanShape", focus_nodes=0, violations=0),
        e.RetrievalFigure(trial="", dataset="SciFact", retriever="fused", metric="nDCG@10", value=0.73, queries=300, documents=1000),
    )
    text = " ".join(Page(render(made.path, made.summary([row("a")]))).text.split())
    for words in (
        "pid_changed: 1 → 2",
        "400 ms",
        "4.1 s",
        "not undone",
        "restore",
        "signal 9",
        "3 of 1\u202f200 failed",
        "vacuous",
        "0.730 ▲",
    ):
        assert words.replace("\u202f", " ") in text.replace("\u202f", " ")
    assert "started" not in text.split("Service events")[-1].split("API contract")[0]


def test_ten_thousand_tests_stay_small(maker, row):
    """10,000 checks give a page of at most 5 MB with the failing ones in full."""
    made = maker("run-1")
    made.start()
    names = [f"suites/area_{number % 200}/test_part.py::test_statement_number_{number}_holds[{number}]" for number in range(10_000)]
    rows = [
        row(name, Verdict.FAIL if number % 100 == 0 else Verdict.PASS, reason="assert 1 == 2" * 20) for number, name in enumerate(names)
    ]
    publish_html(made.path, made.summary(rows))
    content = (made.path / "report.html").read_text()
    assert len(content.encode()) < 5_000_000
    assert all(name.split("::")[1] in content for name in names)


@pytest.mark.parametrize(
    ("rows", "words", "tone"),
    [
        ([], "nothing vouches for these latency figures", "none"),
        ([("canary", Verdict.PASS, ""), ("shortfall", Verdict.PASS, "")], "may be believed", "good"),
        (
            [("canary", Verdict.PASS, ""), ("schedule_lag", Verdict.INCONCLUSIVE, "requests were sent late")],
            "requests were sent late",
            "doubt",
        ),
        ([("canary", Verdict.VACUOUS, "no canary ran beside the load")], "no canary ran beside the load", "doubt"),
    ],
)
def test_the_certificate_of_the_load_is_a_sentence(maker, row, rows, words, tone):
    """Each trial says whether its latency may be believed, from the rows of its own certificate and of no other trial's."""
    made = maker("run-1")
    made.start()
    made.emit(e.TrialStarted(trial="t", scenario="t", layer="load", seed=1, scenario_path="x", plan_path="x", plan_sha256="0"))
    made.load("t", 3, 10)
    judged = [row(f"t.certificate.{name}", verdict, trial="t", reason=reason, value="v", limit="l") for name, verdict, reason in rows]
    other = row("u.certificate.canary", Verdict.INCONCLUSIVE, trial="u", reason="another trial")
    page = render(made.path, made.summary([*judged, other]))
    box = page[page.index('<div class="certificate') : page.index('<p class="legend">')]
    assert f'class="certificate {tone}"' in box
    assert words in box
    assert "another trial" not in box


def test_tables_of_a_trial_stand_in_its_card(maker, row):
    """Attribution and budget tables are shown beside the pictures of their trial, once; those of a trial without load further down."""
    made = maker("run-1")
    made.start()
    made.emit(e.TrialStarted(trial="t", scenario="t", layer="load", seed=1, scenario_path="x", plan_path="x", plan_sha256="0"))
    made.load("t", 3, 10)
    made.emit(e.Table(trial="t", title="Where the p99 went", columns=("cause",), rows=(("queueing",),)))
    made.emit(e.Table(trial="u", title="Elsewhere", columns=("a",), rows=(("b",),)))
    page = render(made.path, made.summary([row("a")]))
    assert page.count("queueing") == 1
    assert page.index('class="card"') < page.index("queueing") < page.index("</section>") < page.index("Elsewhere")
