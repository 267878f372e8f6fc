"""What the attribution reads: the target's stage timings and the host's samples, taken by drivers beside the load."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from harness.core.errors import HarnessError
from harness.journal.segments import SegmentWriter
from harness.load.attribution.host import Host, HostDriver
from harness.load.attribution.pauses import write_pauses
from harness.load.attribution.readings import family, host_counters, process_counters
from harness.load.attribution.sampler import Sampler
from harness.load.attribution.spans import SPANS, Span, covered_ns, process_spans, self_times_ns
from harness.load.attribution.stage_timings import Reader, StageTimings, StageTimingsDriver
from harness.load.engine.saturation import Watch
from suites.unit.waiting import wait_for


class Target:
    """A ring of entries behind httpx, as the gateway gives it."""

    def __init__(self, ring: int = 1_000) -> None:
        self.process, self.entries, self.ring = "gateway 1", [], ring
        self.status = 200

    def add(self, name: str) -> None:
        spans = [{"stage": "gateway", "start_ns": 5, "duration_ns": 7, "parent": ""}]
        self.entries.append({"sequence": len(self.entries) + 1, "request_id": name, "spans": spans})

    def restart(self) -> None:
        self.process, self.entries = "gateway 2", []

    def answer(self, request: httpx.Request) -> httpx.Response:
        after, limit = (int(request.url.params[name]) for name in ("after", "limit"))
        kept = self.entries[-self.ring :]
        first, last = len(self.entries) - len(kept) + 1, len(self.entries)
        entries = [entry for entry in kept if entry["sequence"] > after][:limit]
        return httpx.Response(self.status, json={"process": self.process, "first": first, "last": last, "entries": entries})

    def reader(self, writer: SegmentWriter) -> Reader:
        http = httpx.Client(base_url="http://target", transport=httpx.MockTransport(self.answer))
        return Reader(http, "/v1/timings", writer)


@pytest.fixture
def writer(place: Any) -> SegmentWriter:
    return SegmentWriter("spans", SPANS, place.run_folder, place.hub, trial="t")


def ids(place: Any, writer: SegmentWriter) -> list[str]:
    writer.close()
    table = place.view().samples("spans", "t")
    return table["request_id"].to_pylist() if table.num_rows else []


def test_only_entries_of_the_step_are_read(place: Any, writer: SegmentWriter) -> None:
    """What was answered before belongs to another step, whose request ids may be the same."""
    target = Target()
    target.add("before")
    reader = target.reader(writer)
    reader.begin()
    target.add("a")
    reader.read()
    target.add("b")
    reader.read()
    reader.read()
    assert ids(place, writer) == ["a", "b"]
    assert (reader.lost, reader.failed) == (0, 0)


def test_what_the_ring_lost_is_counted(place: Any, writer: SegmentWriter) -> None:
    """Entries that were gone before they were read are no entries, and said."""
    target = Target(ring=3)
    reader = target.reader(writer)
    reader.begin()
    for number in range(10):
        target.add(str(number))
    reader.read()
    assert ids(place, writer) == ["7", "8", "9"]
    assert reader.lost == 7


def test_another_process_is_read_from_its_beginning(place: Any, writer: SegmentWriter) -> None:
    """After a restart the numbers begin anew."""
    target = Target()
    reader = target.reader(writer)
    target.add("old")
    reader.begin()
    target.restart()
    target.add("new")
    reader.read()
    assert ids(place, writer) == ["new"]


def test_a_target_that_is_away_is_asked_again(place: Any, writer: SegmentWriter) -> None:
    """A failed reading is counted; the next goes on from the same place."""
    target = Target()
    reader = target.reader(writer)
    reader.begin()
    target.add("a")
    target.status = 503
    reader.read()
    target.status = 200
    reader.read()
    assert ids(place, writer) == ["a"]
    assert reader.failed == 1


def test_a_target_without_stage_timings_is_an_error(place: Any) -> None:
    """The step fails with the path that was asked for; nothing is made up."""
    with pytest.raises(HarnessError, match="/v1/timings"):
        StageTimingsDriver().run(place.context("http://127.0.0.1:9", {}), StageTimings(beside="load"))


def test_parts_that_overlap_count_once() -> None:
    """The own time of a stage is what none of its parts covers, however many run at once; only its own parts are taken off."""
    spans = [
        Span("r", "total", 0, 100, "gateway 1"),
        Span("r", "a", 0, 60, "gateway 1", "total"),
        Span("r", "b", 30, 60, "gateway 1", "total"),
        Span("r", "other", 95, 5, "gateway 1", "elsewhere"),
    ]
    leaves, around = self_times_ns(spans)
    assert around == {("total", "gateway"): 10}
    assert leaves == {("a", "gateway"): 60, ("b", "gateway"): 60, ("other", "gateway"): 5}
    assert covered_ns([(0, 10), (5, 20), (30, 40), (32, 35)]) == 30


def test_pauses_of_the_generator_become_spans(place: Any) -> None:
    """A long garbage collection of an engine process is kept with its time; short ones and a process without any leave nothing."""
    watch = Watch()
    watch.begin()
    watch._gc_began = time.perf_counter() - 0.02
    watch._collecting("stop", {})
    watch._gc_began = time.perf_counter()
    watch._collecting("stop", {})
    watch.end()
    write_pauses(place.run_folder, "t", place.hub, 3, ())
    write_pauses(place.run_folder, "t", place.hub, 3, [pause for pause in watch.pauses if pause[1] >= 20_000_000])
    (span,) = process_spans(place.view().samples("spans", "t"))
    assert (span.stage, span.role, span.process) == ("gc", "generator", "generator 3")
    assert abs(span.end_ns - time.monotonic_ns()) < 60 * 10**9


linux = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the host is sampled from /proc")


@linux
def test_a_stopped_process_is_seen_as_stopped() -> None:
    """SIGSTOP and SIGCONT show in the state of the process, CPU time in its counters; a process that is gone has none."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        try:
            os.kill(child.pid, signal.SIGSTOP)
            wait_for(lambda: bool((found := process_counters(child.pid)) and found.stopped), 5.0)
            os.kill(child.pid, signal.SIGCONT)
            wait_for(lambda: bool((found := process_counters(child.pid)) and not found.stopped), 5.0)
            assert child.pid in family(os.getpid())
        finally:
            child.kill()
            child.wait()
    assert process_counters(child.pid) is None


@linux
def test_counters_of_the_host_only_grow() -> None:
    """What the kernel gives is given as seconds since boot."""
    before, after = host_counters(), host_counters()
    assert before.busy_s is not None
    assert after.busy_s is not None
    assert after.busy_s >= before.busy_s > 0


@linux
def test_a_sample_holds_from_the_one_before_it(place: Any) -> None:
    """Rows follow each other without gaps, and rates are over the time that really passed."""
    sampler = Sampler(place.run_folder, "t", place.hub)
    sampler.watch({"me": os.getpid(), "down": 0})
    for _ in range(3):
        begun = time.thread_time()
        while time.thread_time() - begun < 0.03:  # work to be seen
            pass
        sampler.sample()
    sampler.close()
    host, services = place.view().samples("host", "t"), place.view().samples("services", "t")
    assert host["since_ns"].to_pylist()[1:] == host["at_ns"].to_pylist()[:-1]
    assert set(services["service"].to_pylist()) == {"me"}
    assert max(services["cpu"].to_pylist()) > 0
    assert services["stopped"].to_pylist() == [False, False, False]


@linux
def test_the_host_is_sampled_by_a_process_of_its_own_until_the_load_ends(place: Any) -> None:
    """The driver tells it which processes the services have, and ends it with the step it stands beside."""
    ended = threading.Event()
    stack = SimpleNamespace(services=lambda: [SimpleNamespace(name="gateway", pid=os.getpid())])
    samples = place.run_folder / "segments"

    def window(_step: str) -> tuple[int, int] | None:
        return (0, 1) if ended.is_set() else None

    context = place.context("http://127.0.0.1:1", {}, stack=stack, window=window, project=Path(__file__).parents[4])
    thread = threading.Thread(target=HostDriver().run, args=(context, Host(beside="load")))
    thread.start()
    wait_for(lambda: sum(path.stat().st_size for path in samples.glob("t.services.*")) > 1_000, 30)
    ended.set()
    thread.join(30)
    assert not thread.is_alive()
    view = place.view()
    closed = [item.event.stream for item in view.events("samples.segment")]
    assert {"host", "services"} <= set(closed)
    assert view.samples("services", "t")["pid"].to_pylist()[0] == os.getpid()
