"""Who may be told something: nobody without a table, loopback and named hosts with one; and that a run follows the table."""

from __future__ import annotations

import pytest

from harness.core.errors import UsageError
from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.load.publish import live
from harness.load.publish.settings import decode, grafana_peer
from harness.run.registry import Registry
from harness.run.run import Run

from .recorders import TOKEN, Grafana, Receiver

URL = "http://127.0.0.1:3000"


def grafana_table(**more) -> dict:
    return {"publish": {"grafana": {"url": URL} | more}}


@pytest.mark.parametrize("url", [URL, "http://localhost:3000", "http://[::1]:3000", "http://127.3.4.5", "https://127.0.0.1/grafana/"])
def test_loopback_needs_no_permission(url):
    """This machine's own addresses may be spoken to."""
    assert grafana_peer(decode(grafana_table(url=url)).grafana).url == url.rstrip("/")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"url": "http://grafana.example.org"}, "not on this machine"),
        ({"url": "http://127.0.0.1.example.org:3000"}, "not on this machine"),
        ({"url": "http://10.0.0.1:3000"}, "not on this machine"),
        ({"url": "http://0.0.0.0:3000"}, "not on this machine"),
        ({"url": "http://127.0.0.1@grafana.example.org"}, "holds a user"),
        ({"url": "http://admin:admin@127.0.0.1:3000"}, "holds a user"),
        ({"url": "ftp://127.0.0.1"}, "no http address"),
        ({"url": "127.0.0.1:3000"}, "no http address"),
        ({"url": "http://127.0.0.1:99999"}, "no address"),
        ({"url": URL, "timeout": "5 min"}, "timeout"),
        ({"url": URL, "token": "abc"}, "unknown key 'token'"),
        ({"url": URL, "api": "v3"}, "api"),
        ({}, "url"),
    ],
)
def test_a_wrong_table_is_told_before_the_run(table, words):
    """File, place and remedy, before a run folder is made."""
    with pytest.raises(UsageError) as caught:
        live.check({"publish": {"grafana": table}})
    assert words in str(caught.value)
    assert "harness.toml" in str(caught.value)


def test_an_unknown_target_names_the_nearest():
    """A misspelt table does not silently publish nothing."""
    with pytest.raises(UsageError, match="remote_write"):
        live.check({"publish": {"remote_wirte": {"url": URL}}})


def test_a_named_host_is_allowed_and_gets_no_token_in_the_clear(monkeypatch):
    """Another machine must be named, and a token goes there over https only."""
    monkeypatch.setenv("GRAFANA_TOKEN", "secret")
    table = {"hosts": ["grafana.example.org"]}
    decode(grafana_table(url="https://grafana.example.org", **table))
    with pytest.raises(UsageError, match="plain HTTP"):
        decode(grafana_table(url="http://grafana.example.org", **table))


def make_run(tmp_path) -> Run:
    return Run(tmp_path / "reports", registry=Registry.discover(), project=tmp_path, seed=1)


def listening(tmp_path, tables) -> Run:
    run = make_run(tmp_path)
    live.listen(run, tables)
    return run


def events_of(run: Run) -> list[e.Event]:
    return [line.event for line in read_journal(run.folder / "journal.jsonl").lines if line.event is not None]


def test_without_a_table_nobody_follows(tmp_path):
    """Off by default."""
    run = listening(tmp_path, {"target": {}})
    run.finish()
    assert not [event for event in events_of(run) if isinstance(event, e.Published | e.Note)]


def test_a_run_is_told_and_tells_what_came_of_it(tmp_path, monkeypatch, grafana: Grafana, receiver: Receiver):
    """Annotations while it goes on, metrics at its end, every attempt in its own journal, the verdict untouched."""
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    tables = {"publish": {"grafana": {"url": grafana.url}, "remote_write": {"url": f"{receiver.url}/api/v1/write"}}}
    run = listening(tmp_path, tables)
    run.journal.emit(e.FaultApplied(trial="t", fault="k", at_ns=run.clock.monotonic_ns()))
    run.journal.emit(e.FaultUndone(trial="t", fault="k", at_ns=run.clock.monotonic_ns()))
    run.journal.emit(e.Measured(trial="t", metric="rto", unit="s", value=4.5))
    finished = run.finish()
    bare = make_run(tmp_path / "bare").finish()
    assert finished.summary.verdict == bare.summary.verdict
    published = [event for event in events_of(run) if isinstance(event, e.Published)]
    assert {(event.target, event.action) for event in published} == {("grafana", "open"), ("grafana", "finish"), ("remote_write", "push")}
    assert {event.outcome for event in published} == {"done"}
    assert grafana.problems == receiver.problems == []
    assert receiver.find("harness_measured", metric="rto")[0][1] == 4.5
    assert TOKEN not in (run.folder / "journal.jsonl").read_text()


def test_nobody_there_costs_the_run_nothing(tmp_path, monkeypatch):
    """With both receivers away the run ends with its verdict and two remarks."""
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    tables = {
        "publish": {
            "grafana": {"url": "http://127.0.0.1:9", "token_variable": "", "timeout": "1 s"},
            "remote_write": {"url": "http://127.0.0.1:9/api/v1/write", "timeout": "1 s"},
        }
    }
    run = listening(tmp_path, tables)
    run.journal.emit(e.Measured(trial="t", metric="rto", unit="s", value=4.5))
    finished = run.finish()
    assert finished.summary.verdict == make_run(tmp_path / "bare").finish().summary.verdict
    notes = [event.text for event in events_of(run) if isinstance(event, e.Note)]
    assert len(notes) == 2
    assert not finished.problems


def test_a_missing_token_is_a_remark(tmp_path, monkeypatch):
    """Without it nothing is sent, and the journal says why."""
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    run = listening(tmp_path, grafana_table())
    run.finish()
    (note,) = [event for event in events_of(run) if isinstance(event, e.Note)]
    assert "GRAFANA_TOKEN" in note.text


def test_a_listener_that_breaks_costs_the_run_nothing(tmp_path):
    """Whoever follows a run may raise anything."""

    class Broken:
        def see(self, event: e.Event) -> None:
            raise RuntimeError("see")

        def close(self) -> None:
            raise RuntimeError("close")

    run = make_run(tmp_path)
    run.listen(Broken())
    run.journal.emit(e.Note(trial="", text="still written"))
    run.finish()
    assert any(isinstance(event, e.Note) and event.text == "still written" for event in events_of(run))
