"""The kill drill on a fake clock: proof, detection and recovery are counted from the injection; nothing else is signalled."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from harness.chaos.checks import NoParameters, NoResidueChecker
from harness.chaos.kill import Kill, KillDriver
from harness.core.errors import Blocked, HarnessError
from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import FaultProof, Measured, RecoveryObserved, Window

S = 1_000_000_000


def kill(drill: Any, stack: Any, *, deadline: str = "30 s", ready: str = "", base: str = "http://127.0.0.1:9", **more: Any) -> list[str]:
    """Run the drill; the names of what was journaled."""
    KillDriver().run(drill.context(stack, base, ready), Kill(service="graph", deadline=Duration.parse(deadline), **more))
    return [item.event.NAME for item in drill.view().events()]


def one(drill: Any, kind: type[Any]) -> Any:
    (found,) = [item.event for item in drill.view().events(kind.NAME)]
    return found


def test_a_kill_that_is_recovered_from_is_told_in_order(drill: Any, fake_stack: Any) -> None:
    """Intended before the signal, applied, proof by a new pid, recovery, window, undone; the times count from the injection."""
    stack = fake_stack(restart_s=0.5, serve_s=1.0)
    names = kill(drill, stack)
    order = ["fault.intended", "fault.applied", "fault.proof", "recovery.observed", "measured", "measured", "window", "fault.undone"]
    assert names == order
    assert stack.killed == [("graph", signal.SIGKILL)]
    proof, seen = one(drill, FaultProof), one(drill, RecoveryObserved)
    assert (proof.proof, proof.before, proof.after) == ("pid_changed", "100@5.0", "200@9.0")
    assert seen.counted_from == "injection"
    assert seen.recovery_s == pytest.approx(1.5, abs=0.03)
    assert seen.detection_s == pytest.approx(0.0, abs=0.03)
    measured = {item.event.metric: item.event.value for item in drill.view().events("measured") if isinstance(item.event, Measured)}
    assert measured == {"recovery_time": seen.recovery_s, "detection_time": seen.detection_s}


def test_the_fault_window_opens_five_seconds_before_and_ends_with_recovery(drill: Any, fake_stack: Any) -> None:
    """What was acknowledged in [injection - 5 s, recovery] was at risk."""
    kill(drill, fake_stack(restart_s=2.0, serve_s=2.0))
    window = one(drill, Window)
    assert (window.kind, window.name) == ("fault", "kill")
    assert window.end_ns - window.start_ns == pytest.approx(9 * S, abs=S // 10)


def test_a_new_process_that_does_not_serve_is_no_recovery(drill: Any, fake_stack: Any) -> None:
    """Running again is not healthy: recovery is counted to the first healthy answer."""
    kill(drill, fake_stack(restart_s=0.2, serve_s=9.0))
    assert one(drill, RecoveryObserved).recovery_s == pytest.approx(9.2, abs=0.03)


@pytest.mark.parametrize(("restart_s", "proof"), [(None, "process_gone"), (1.0, "pid_changed")])
def test_no_recovery_before_the_deadline_is_a_finding_and_stays_not_undone(drill: Any, fake_stack: Any, restart_s: Any, proof: str) -> None:
    """The fault is proven and not called undone, no recovery time is made up: the residue check fails, and the drill is no ERROR."""
    kill(drill, fake_stack(restart_s=restart_s, serve_s=100.0), deadline="5 s")
    names = [item.event.NAME for item in drill.view().events()]
    assert one(drill, FaultProof).proof == proof
    assert {"window", "note"} <= set(names)
    assert not {"fault.undone", "recovery.observed", "measured"} & set(names)
    assert drill.clock.monotonic_ns() - 100 * S == pytest.approx(5 * S, abs=S // 10)
    (row,) = NoResidueChecker().check(drill.view(), "t", "chaos", NoParameters())
    assert row.verdict is Verdict.FAIL


def test_without_a_stack_of_ours_nothing_is_journaled_or_killed(drill: Any, fake_stack: Any) -> None:
    """No stack, another machine, an unknown service: BLOCKED before the fault is even intended."""
    for stack, base, service in (
        (None, "http://127.0.0.1", "graph"),
        (fake_stack(), "http://192.0.2.1", "graph"),
        (fake_stack(), "http://127.0.0.1", "x"),
    ):
        with pytest.raises(Blocked):
            KillDriver().run(drill.context(stack, base), Kill(service=service))
        assert stack is None or stack.killed == []
    assert drill.view().events() == ()


def test_a_recycled_pid_is_never_signalled(drill: Any, fake_stack: Any) -> None:
    """When another process has the pid between the look and the signal, the drill is BLOCKED and nothing is killed."""
    stack = fake_stack()
    stack.recycle_after = 1
    with pytest.raises(Blocked, match="no longer the one that was meant"):
        kill(drill, stack)
    assert stack.killed == []
    assert [item.event.NAME for item in drill.view().events()] == ["fault.intended"]


def test_a_trial_that_is_ended_ends_the_drill(drill: Any, fake_stack: Any) -> None:
    """The wait for recovery ends when the trial does."""
    drill.stopping.set()
    with pytest.raises(HarnessError):
        kill(drill, fake_stack(restart_s=None))
    assert drill.clock.monotonic_ns() == 100 * S


def test_term_is_another_signal(drill: Any, fake_stack: Any) -> None:
    """``signal: TERM`` sends SIGTERM."""
    stack = fake_stack()
    kill(drill, stack, signal="TERM")
    assert stack.killed == [("graph", signal.SIGTERM)]


class _Ready(BaseHTTPRequestHandler):
    """Not ready in as many ways as given, then ready."""

    answers: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(type(self).answers.pop(0) if len(type(self).answers) > 1 else type(self).answers[0])


def _answer(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.fixture
def ready_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ready)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_recovered_means_ready_with_nothing_degraded(drill: Any, fake_stack: Any, ready_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, a degraded 200, garbage, a torn answer and silence are each not ready; a proxy of the environment is not asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    bad = [
        _answer("{}", "503 Away"),
        _answer('{"status": "degraded", "services": {}}'),
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        b"",
    ]
    _Ready.answers = [*bad, _answer('{"status": "ok", "services": {"x": "degraded"}}')]
    kill(drill, fake_stack(restart_s=0.0, serve_s=0.0), base=ready_url, ready="/ready")
    assert one(drill, RecoveryObserved).recovery_s == pytest.approx(len(bad) * 0.02)
    assert len(_Ready.answers) == 1
