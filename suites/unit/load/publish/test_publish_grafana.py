"""Annotations in Grafana: what is sent, as the documentation asks for it, and that no Grafana can hurt a run."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

from harness.core.secrets import Secret
from harness.journal import events as e
from harness.load.publish.annotator import GIVE_UP_AFTER, GrafanaListener
from harness.load.publish.grafana import Annotation, AppsApi, LegacyApi, annotation_api
from harness.load.publish.regions import Regions
from harness.load.publish.sending import NotSent
from harness.load.publish.settings import GrafanaTable, Peer

from .recorders import TOKEN, Grafana

S = 1_000_000_000
EPOCH_NS = 1_795_000_000 * S
MS = EPOCH_NS // 1_000_000
TABLE = GrafanaTable(url="http://127.0.0.1:3000")
FAULT = (
    e.FaultIntended(trial="t", fault="k", kind="kill", target="graph", undo="serves", at_ns=10 * S),
    e.FaultApplied(trial="t", fault="k", at_ns=11 * S),
    e.RecoveryObserved(trial="t", fault="k", counted_from="injection", detection_s=0.4, recovery_s=4.0, detected_by="a", recovered_by="b"),
    e.FaultUndone(trial="t", fault="k", at_ns=15 * S),
)
TRIAL = e.TrialStarted(trial="t", scenario="chaos_graph", layer="chaos", seed=1, scenario_path="x", plan_path="x", plan_sha256="0")
ENDED = e.TrialFinished(trial="t", outcome="completed", duration_s=20.0)


def listener(recorder, journal, sender, table=TABLE, peer=None, end_max_s=30.0) -> GrafanaListener:
    api = annotation_api(sender(peer or recorder.peer()), table)
    return GrafanaListener(api, Regions("run-1", EPOCH_NS), journal, end_max_s)


def steps(*events) -> list:
    regions = Regions("run-1", EPOCH_NS)
    return [step for event in events for step in regions.see(event, 50 * S)]


def test_a_fault_is_open_from_its_injection_to_its_undo():
    """Its region begins when it was applied, ends when it was undone, and carries run, scenario, kind and phase as tags."""
    found = [step for step in steps(TRIAL, *FAULT) if step.key == "fault/t/k/inject"]
    assert [step.opens for step in found] == [True, False]
    assert found[1].annotation == Annotation(
        "fault kill graph", MS + 11_000, ("harness", "run:run-1", "scenario:chaos_graph", "fault:kill", "phase:inject"), MS + 15_000
    )


def test_recovery_is_a_region_of_its_own():
    """It begins where the recovery is counted from and is as long as it took."""
    (found,) = [step.annotation for step in steps(TRIAL, *FAULT) if step.key.startswith("recovery/")]
    assert (found.start_ms, found.end_ms) == (MS + 11_000, MS + 15_000)
    assert {"fault:kill", "phase:recover"} <= set(found.tags)


def test_a_phase_that_is_planned_is_a_region_at_once():
    """Its window is journaled before it begins: nothing is left to be ended."""
    window = e.Window(trial="t", kind="phase", name="steady", start_ns=20 * S, end_ns=60 * S)
    (found,) = steps(window)
    assert (found.annotation.start_ms, found.annotation.end_ms, found.opens) == (MS + 20_000, MS + 60_000, True)
    assert "phase:steady" in found.annotation.tags


def test_what_never_ended_ends_with_its_trial_and_says_so():
    """A fault without undo is closed by the end of the trial, tagged `unfinished`."""
    found = steps(TRIAL, *FAULT[:2], ENDED)
    assert [(step.key, "unfinished" in step.annotation.tags) for step in found if not step.opens] == [
        ("fault/t/k/inject", True),
        ("trial/t", False),
    ]


def test_the_old_api_gets_a_region_and_its_end(grafana: Grafana, journal, sender):
    """POST at the start, PATCH of timeEnd at the end: two requests a region, accepted as documented, each journaled."""
    follower = listener(grafana, journal, sender)
    for event in (TRIAL, *FAULT, ENDED):
        follower.see(event)
    follower.close()
    assert grafana.problems == []
    assert journal.warnings == []
    fault = next(one for one in grafana.annotations.values() if "phase:inject" in one["tags"])
    assert (fault["time"], fault["timeEnd"]) == (MS + 11_000, MS + 15_000)
    assert [method for method, _, _ in grafana.requests].count("PATCH") == 3  # fault, trial, run
    assert {event.outcome for event in journal.published} == {"done"}
    assert len(journal.published) == len(grafana.requests)


def test_a_fault_is_shown_while_it_lasts(grafana: Grafana, journal, sender):
    """The annotation is there before the fault is undone: nothing waits for the end of the run."""
    follower = listener(grafana, journal, sender)
    for event in (TRIAL, *FAULT[:2]):
        follower.see(event)
    grafana.wait_requests(3)
    until = time.monotonic() + 30
    while len(grafana.annotations) < 3 and time.monotonic() < until:
        grafana.released.wait(0.01)
    assert any("fault:kill" in one["tags"] for one in grafana.annotations.values())
    follower.close()


def test_the_new_api_ends_with_one_region(grafana: Grafana, journal, sender):
    """There the time of an annotation cannot be changed: the moment of the start is replaced by the region."""
    follower = listener(grafana, journal, sender, GrafanaTable(url="http://127.0.0.1:3000", api="apis"))
    for event in (TRIAL, *FAULT, ENDED):
        follower.see(event)
    follower.close()
    assert grafana.problems == []
    inject = [one for one in grafana.annotations.values() if "phase:inject" in one["tags"]]
    assert [(one["time"], one["timeEnd"]) for one in inject] == [(MS + 11_000, MS + 15_000)]
    assert len(grafana.deleted) == 3
    assert not [method for method, _, _ in grafana.requests if method == "PATCH"]


@pytest.mark.parametrize("kind", [LegacyApi, AppsApi])
def test_a_dashboard_and_a_panel_may_be_named(grafana: Grafana, sender, kind):
    """Where the table names them the annotation belongs to that panel, in the spelling of each API."""
    table = GrafanaTable(url="http://127.0.0.1:3000", dashboard_uid="abc", panel_id=7)
    kind(sender(grafana.peer()), table).open(Annotation("text", MS, ("harness",)))
    (found,) = grafana.annotations.values()
    assert found["dashboardUID"] == "abc"
    assert found["panelId" if kind is LegacyApi else "panelID"] == 7
    assert grafana.problems == []


@pytest.mark.parametrize("mood", [401, 403, 404, 500, 503, "garbage", "redirects", "cuts", "endless"])
def test_a_grafana_that_refuses_costs_a_remark(grafana: Grafana, journal, sender, mood):
    """Every failure is journaled with its reason and one warning; after three in a row nothing more is sent."""
    grafana.mood = mood
    follower = listener(grafana, journal, sender)
    for event in (TRIAL, *FAULT, ENDED):
        follower.see(event)
    follower.close()
    outcomes = [event.outcome for event in journal.published]
    assert outcomes.count("failed") == GIVE_UP_AFTER
    assert set(outcomes[GIVE_UP_AFTER:]) == {"dropped"}
    assert len(journal.warnings) == 2
    assert len(grafana.requests) == GIVE_UP_AFTER  # a redirect is not followed
    if isinstance(mood, int):
        assert {event.status for event in journal.published if event.outcome == "failed"} == {mood}
    assert TOKEN not in str(journal.events)


@pytest.mark.parametrize("mood", ["hangs", "drips"])
def test_a_grafana_that_is_slow_delays_nobody(grafana: Grafana, journal, sender, mood):
    """Observers return at once and the end waits a bounded time, however slowly answers come."""
    grafana.mood = mood
    follower = listener(grafana, journal, sender, peer=grafana.peer(timeout_s=1.0), end_max_s=1.5)
    began = time.monotonic()
    for event in (TRIAL, *FAULT):
        follower.see(event)
    assert time.monotonic() - began < 1  # five answers that do not come take five seconds
    follower.close()
    assert time.monotonic() - began < 10
    assert journal.warnings


def test_nobody_there_costs_a_remark(journal, sender):
    """A refused connection is a failure like any other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    follower = listener(None, journal, sender, peer=Peer(f"http://127.0.0.1:{port}", 1.0, Secret("")))
    follower.see(TRIAL)
    follower.close()
    assert journal.published[0].outcome == "failed"
    assert journal.published[0].status == 0
    assert journal.warnings


def test_one_failure_in_between_is_got_over(grafana: Grafana, journal, sender):
    """The annotations after it are sent; the one without a beginning has no end."""
    grafana.mood = ["as documented", 500, "as documented", "as documented", "as documented", "as documented", "as documented"]
    follower = listener(grafana, journal, sender)
    for event in (TRIAL, *FAULT, ENDED):
        follower.see(event)
    follower.close()
    assert [event.subject for event in journal.published if event.outcome == "dropped"] == ["trial/t"]
    assert len(grafana.annotations) == 3  # run, fault, recovery


@pytest.mark.parametrize(
    ("body", "words"),
    [({"time": 1_795_000_000}, "epoch ms"), ({"tags": ["a", 1]}, "tags"), ({"time_end": 1}, "unknown field"), ({"time": "now"}, "time is")],
)
def test_the_recorder_sees_what_the_interface_forbids(grafana: Grafana, sender, body, words):
    """The control of this file's own check: each breach is noticed."""
    content = json.dumps({"text": "t"} | body).encode()
    with contextlib.suppress(NotSent, KeyError):
        sender(grafana.peer()).send("POST", "/api/annotations", content, {"Content-Type": "application/json"})
    assert words in " ".join(grafana.problems)


def test_an_answer_without_an_id_is_no_success(grafana: Grafana, sender):
    """JSON that is not Grafana's is refused with what was missing."""
    grafana.documented = lambda _request, _body: (200, {"message": "ok"})  # type: ignore[method-assign]
    for kind in (LegacyApi, AppsApi):
        with pytest.raises(NotSent, match="is this Grafana"):
            kind(sender(grafana.peer()), TABLE).open(Annotation("text", MS, ()))
