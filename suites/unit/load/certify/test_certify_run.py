"""Certificates made for real, short: an engine, the reference server, the truth, the judgement."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from harness.core.errors import Blocked, UsageError
from harness.core.units import Duration, Rate, Share
from harness.core.verdict import Verdict
from harness.journal.events import Table, Window
from harness.load.certify.checks import LOG, Certified, CertifiedChecker, Result, result
from harness.load.certify.driver import Certify, CertifyDriver
from harness.load.certify.foreign import K6Engine
from harness.load.certify.liars import LiarPlan, NotTheReferenceServer, run
from harness.load.certify.ours import late_canaries, own_delays, planned_start_ns
from harness.load.certify.processes import ReferenceProcess
from harness.load.certify.script import ServerScript
from harness.load.certify.server import ABANDONED, OK, RATE_LIMITED, RESET, Decision
from harness.load.certify.timer import KernelAlarm, LoopAlarm
from harness.load.certify.truth import read_log

MS = 1_000_000


def certified(place: Any, engine: str, rate: int, duration: str, stall: str, **more: Any) -> Result:
    """Run the driver in the trial ``t`` and judge it from the folder."""
    asked = Certify(engine, Rate.parse(f"{rate} /s"), Duration.parse(duration), Duration.parse(stall), **more)
    CertifyDriver().run(place.context("http://127.0.0.1:1", {}, step="certify"), asked)
    found = result(place.view(), "t")
    assert isinstance(found, Result), found
    return found


def verdict(place: Any, expect: str = "honest") -> Verdict:
    return CertifiedChecker().check(place.view(), "t", "certificate", Certified(expect))[0].verdict  # type: ignore[arg-type]


def test_our_engine_tells_the_truth_about_a_stall_or_says_that_it_cannot(place: Any) -> None:
    """200/s for 3 s against a server that stands still for half a second: seen by both, told of, and in the report's table."""
    found = certified(place, "ours", 200, "3 s", "0.5 s")
    assert (found.truth.intended, found.truth.reached, found.truth.extra) == (600, 600, 0)
    assert found.truth.figures["max"] > 450
    assert found.reported.figures["max"] > 450
    assert found.judgement.standing in {"valid", "self-declared invalid"}, found.judgement
    assert verdict(place) is Verdict.PASS
    log = read_log(place.view().evidence(LOG, "t"))
    ((begin, end),) = log.stalls
    assert end - begin >= 500 * MS
    assert all(one.answer_ns >= one.arrival_ns + one.hold_ns for one in log.requests.values())
    assert not [one for one in log.requests.values() if begin < one.arrival_ns < end or begin < one.answer_ns < end]
    tables = [item.event for item in place.view().events(Table.NAME, trial="t")]
    assert [table.title for table in tables] == [f"Certificate of ours: {found.judgement.standing}"]


def test_resets_rate_limits_and_tails_are_counted_alike_by_server_and_engine(place: Any) -> None:
    """What the script does to an id is in the truth and in our report."""
    shares = {"resets": Share.parse("5 %"), "limited": Share.parse("5 %"), "tails": Share.parse("10 %"), "tail": Duration.parse("80 ms")}
    found = certified(place, "ours", 300, "1 s", "0 s", **shares)
    assert min(found.truth.reset, found.truth.rate_limited) > 0
    assert (found.reported.failed, found.reported.rate_limited) == (found.truth.failed, found.truth.rate_limited)
    assert found.truth.figures["max"] >= 100
    assert found.judgement.standing != "lying", found.judgement


def test_a_lying_engine_is_rejected_and_fails_where_honesty_was_expected(place: Any) -> None:
    """One of the gallery against a stall of 0.3 s; the bar ``certificate`` runs all six often, against 2 s."""
    found = certified(place, "liar:drop_when_busy", 400, "1.3 s", "0.3 s")
    assert found.judgement.standing == "lying", found
    assert found.truth.never_sent > 20
    assert (verdict(place, "rejected"), verdict(place)) == (Verdict.PASS, Verdict.FAIL)


def test_a_liar_that_is_believed_fails_the_gallery(place: Any) -> None:
    """Without a stall the capped pool hides nothing: expected to be rejected, it is the certificate that is found wanting."""
    found = certified(place, "liar:capped_pool", 100, "0.3 s", "0 s")
    standing = found.judgement.standing
    assert verdict(place, "rejected") is (Verdict.FAIL if standing == "valid" else Verdict.PASS)


def test_a_lying_engine_loads_no_other_server(server: Callable[..., Any]) -> None:
    """It asks one question and goes."""
    other = server()
    plan = LiarPlan("127.0.0.1", other.port, "certify", 100, 1e6, 1.0, 0.1)
    for token in ("token", ""):
        with pytest.raises(NotTheReferenceServer):
            asyncio.run(run("capped_pool", plan, token))
    assert len(other.seen) == 2  # one question each, nothing else


def test_no_certificate_is_vacuous(place: Any) -> None:
    """An empty folder gives no PASS."""
    assert verdict(place) is Verdict.VACUOUS


def test_a_report_that_the_samples_do_not_give_is_an_error(place: Any) -> None:
    """The stored report of our engine is recomputed, never believed."""
    from harness.load.certify import checks
    from harness.load.certify.engines import Reported
    from harness.load.certify.truth import Group, Log, TruthPlan, encoded, establish, write_plan
    from harness.run.context import store_evidence

    plan = TruthPlan(1, 1, 1, (Group("certify", 1, 1e9, 0),))
    context = place.context("http://127.0.0.1:1", {})
    store_evidence(context, "x", checks.PLAN, write_plan(plan))
    store_evidence(context, "x", checks.LOG, b"#reference-server\t1\n")
    store_evidence(context, "x", checks.TRUTH, encoded(establish(plan, Log({}, 0, ()))).encode())
    store_evidence(context, "x", checks.REPORTED, b'{"engine": "ours", "figures": {"p50": 1.0}, "answers": 1}')
    assert Reported.__struct_config__.frozen
    row = CertifiedChecker().check(place.view(), "t", "certificate", Certified())[0]
    assert (row.verdict, "not what its samples give" in row.reason) == (Verdict.ERROR, True)


def test_an_engine_that_is_not_here_is_blocked_with_the_remedy(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a pass, never an error."""
    monkeypatch.setattr("harness.load.certify.foreign.found_k6", lambda: None)
    assert "harness servers install k6" in K6Engine().missing()
    with pytest.raises(Blocked, match="harness servers install k6"):
        certified(place, "k6", 100, "3 s", "1 s")


@pytest.mark.parametrize(
    ("engine", "rate", "duration", "stall", "words"),
    [
        ("our", 100, "3 s", "1 s", "did you mean 'ours'"),
        ("ours", 100, "2 s", "1.5 s", "give at least 2.5 s"),
        ("ours", 100, "30 s", "10 s", "time-out"),
        ("ours", 1_000_000, "30 s", "0 s", "2000000"),
    ],
)
def test_what_cannot_be_certified_is_refused_before_anything_starts(
    place: Any, engine: str, rate: int, duration: str, stall: str, words: str
) -> None:
    """Unknown engine, a stall that does not fit, a time-out inside the stall, too much."""
    with pytest.raises(UsageError, match=words):
        certified(place, engine, rate, duration, stall)


def test_what_the_server_does_to_an_id_depends_on_seed_and_id_alone() -> None:
    """Shares as asked within sampling error, the same again, others with another seed."""
    script = ServerScript(seed=1, tail_share=0.1, tail_ms=200, reset_share=0.05, limit_share=0.05)
    ids = [b"certify-%08d" % number for number in range(20_000)]
    drawn = [Decision(script).of(one) for one in ids]
    shares = [drawn.count(what) / len(ids) for what in ((20 * MS, RESET), (20 * MS, RATE_LIMITED), (220 * MS, OK))]
    assert shares == pytest.approx([0.05, 0.05, 0.1], abs=0.01)
    assert drawn == [Decision(script).of(one) for one in ids]
    assert drawn != [Decision(ServerScript(**{**as_dict(script), "seed": 2})).of(one) for one in ids]
    assert ABANDONED not in {status for _, status in drawn}


def as_dict(script: ServerScript) -> dict[str, Any]:
    return {name: getattr(script, name) for name in script.__struct_fields__}


@pytest.mark.parametrize("make", [KernelAlarm, LoopAlarm])
def test_an_alarm_rings_after_its_time_and_soon(make: Any) -> None:
    """Never early; the last setting counts."""
    if make is KernelAlarm and not hasattr(socket, "AF_PACKET"):
        pytest.skip("timerfd is Linux")

    async def ring() -> int:
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[int] = loop.create_future()
        alarm = make(loop, lambda: rung.done() or rung.set_result(time.monotonic_ns()))
        alarm.set(time.monotonic_ns() + 500 * MS)
        due = time.monotonic_ns() + 15 * MS
        alarm.set(due)
        return await asyncio.wait_for(rung, 5) - due

    assert 0 <= asyncio.run(ring()) < 300 * MS


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [(b"POST / HTTP/1.1\r\n\r\n", b"405"), (b"GET / HTTP/1.1\r\n\r\n", b"400"), (b"GET /reference HTTP/1.1\r\n\r\n", b"200")],
)
def test_the_reference_server_says_what_it_does_not_serve(place: Any, request_bytes: bytes, status: bytes) -> None:
    """Only GETs with a request id are answered as planned; its name is for the asking."""
    context = place.context("http://127.0.0.1:1", {}, step="certify")
    with (
        ReferenceProcess(context, ServerScript(seed=1), "a token") as reference,
        socket.create_connection(("127.0.0.1", reference.port), timeout=5) as client,
    ):
        client.sendall(request_bytes)
        assert client.recv(1000).split()[1] == status


def table(**columns: list[int]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()})


def test_an_engine_that_was_busy_when_the_answer_of_a_figure_came_says_so() -> None:
    """An arrival was due 8 ms before the slowest answer was read and sent after it: max cannot be vouched for, p50 can."""
    intended = [n * 10 * MS for n in range(100)]
    done = [time_ns + 20 * MS for time_ns in intended]
    done[50] = 578 * MS
    sent = list(intended)
    sent[57] = 579 * MS
    samples = table(intended_ns=intended, sent_ns=sent, done_ns=done)
    assert list(own_delays(samples, samples)) == [
        "own delay: max rests on an answer that may have been read 8.0 ms late (limit 1.0 ms)",
    ]
    on_time = table(intended_ns=intended, sent_ns=intended, done_ns=done)
    assert not list(own_delays(on_time, on_time))


def test_a_p99_is_vouched_for_by_the_p99_of_the_canary() -> None:
    """3 of 100 canaries 5 ms late: out of band for a p99 of 20 ms, in band for one of 2 s."""
    errors = np.array([0.1] * 97 + [5.0] * 3)
    for response_ms, said in ((20, ["canary: its p99 error is 5.0 ms where p99 may be off by 1.0 ms"]), (2000, [])):
        answered = table(intended_ns=[0] * 100, sent_ns=[0] * 100, done_ns=[response_ms * MS] * 100)
        answered = answered.append_column("outcome", pa.array(["ok"] * 100))
        assert list(late_canaries(errors, answered)) == said


def test_the_start_of_our_engine_is_the_one_journaled_before_the_first_request(place: Any) -> None:
    """Not one that the engine writes into its samples."""
    for name, start in (("warmup", 5), ("steady", 9)):
        place.emit(Window(trial="t", kind="phase", name=name, start_ns=start, end_ns=20))
    assert planned_start_ns(place.view(), "t") == 5
