"""Back-pressure: when overload mode begins, what it takes away, that it ends and does not flap."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import Site
from system.evidence.fusion import Fusion
from system.evidence.retrieval import Answer, Query
from system.gateway.back_pressure import BackPressure, Mode, PressureSettings, Ticket
from system.gateway.retrieving import CANDIDATES, TOP_K, lessened, retrieve
from system.platform.errors import BadInput, Unavailable

WELL, SLOW = 0.1, 2.0
SETTINGS = PressureSettings(limit_s=1.0, window_s=5.0, breached=3, healthy=3, requests_min=4, probe_every=5)


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A back-pressure with a clock that stands still until told."""

    def __init__(self, given: PressureSettings = SETTINGS) -> None:
        self.clock, self.settings = FakeClock(), given
        self.changes: list[tuple[float, Mode]] = []
        self.pressure = BackPressure(given, self.clock, lambda mode: self.changes.append((self.clock.now, mode)))

    def serve(self, took_s: float, *, answered: bool = True) -> Mode:
        """One request that ends now, after ``took_s``."""
        ticket = self.pressure.begin(self.clock.now - took_s)
        self.pressure.end(ticket, answered=answered)
        return ticket.mode

    def window(self, took_s: float, count: int = 10, *, probe_s: float | None = None, answered: bool = True) -> list[Mode]:
        """A window full of requests; probes take ``probe_s`` when given."""
        modes = []
        for _ in range(count):
            ticket = self.pressure.begin()
            modes.append(ticket.mode)
            took = took_s if probe_s is None or ticket.mode is not Mode.PROBE else probe_s
            ticket = came_at(ticket, self.clock.now - took)
            self.pressure.end(ticket, answered=answered)
        self.clock.now += self.settings.window_s
        return modes


def came_at(ticket: Ticket, came_s: float) -> Ticket:
    """The ticket as if its request had come in at another time."""
    return Ticket(ticket.number, came_s, ticket.mode)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_three_breached_windows_begin_overload_mode(bench: Bench) -> None:
    """Two are not enough; the third turns it, when its window has ended."""
    for _ in range(2):
        bench.window(SLOW)
        assert bench.pressure.mode is Mode.NORMAL
    bench.window(SLOW)
    assert bench.pressure.mode is Mode.OVERLOAD
    assert [mode for _, mode in bench.changes] == [Mode.OVERLOAD]


@pytest.mark.parametrize("between", [WELL, None])
def test_breached_windows_have_to_be_in_a_row(bench: Bench, between: float | None) -> None:
    """A good window, or an empty one, starts the count again."""
    for _ in range(4):
        bench.window(SLOW)
        bench.window(SLOW)
        bench.window(between or WELL, count=10 if between else 0)
    assert bench.pressure.mode is Mode.NORMAL


def test_few_requests_are_no_overload(bench: Bench) -> None:
    """A single slow client is not a crowd."""
    for _ in range(10):
        bench.window(SLOW, count=SETTINGS.requests_min - 1)
    assert bench.pressure.mode is Mode.NORMAL


@pytest.mark.parametrize(("slow", "mode"), [(1, Mode.NORMAL), (2, Mode.OVERLOAD)])
def test_one_slow_request_in_twenty_is_within_the_limit(bench: Bench, slow: int, mode: Mode) -> None:
    """p95 by nearest rank: one in twenty may be slow, two may not."""
    for _ in range(3):
        for number in range(20):
            bench.serve(SLOW if number < slow else WELL)
        bench.clock.now += SETTINGS.window_s
    assert bench.pressure.mode is mode


def test_a_standstill_is_seen_without_any_answer(bench: Bench) -> None:
    """Requests that nobody answers are slow ones when a window closes."""
    for _ in range(10):
        bench.pressure.begin()
    bench.clock.now += 4 * SETTINGS.window_s
    assert bench.pressure.mode is Mode.OVERLOAD


def test_fast_refusals_do_not_make_a_slow_system_look_well(bench: Bench) -> None:
    """A hundred 503s in a millisecond beside ten slow answers change nothing."""
    for _ in range(3):
        for _ in range(100):
            bench.serve(0.001, answered=False)
        bench.window(SLOW)
    assert bench.pressure.mode is Mode.OVERLOAD


def test_slow_refusals_count(bench: Bench) -> None:
    """A 503 after a long wait is a long wait."""
    for _ in range(3):
        bench.window(SLOW, answered=False)
    assert bench.pressure.mode is Mode.OVERLOAD


def overloaded(bench: Bench) -> Bench:
    for _ in range(3):
        bench.window(SLOW)
    assert bench.pressure.mode is Mode.OVERLOAD
    return bench


def test_the_first_request_of_a_window_and_every_fifth_is_a_probe(bench: Bench) -> None:
    """Only full service can show that full service is well again."""
    modes = overloaded(bench).window(WELL, count=11)
    assert [number for number, mode in enumerate(modes) if mode is Mode.PROBE] == [0, 5, 10]
    assert {modes[1], modes[4], modes[6]} == {Mode.OVERLOAD}


def test_it_ends_after_three_healthy_windows(bench: Bench) -> None:
    """Fast answers and fast probes, three windows in a row."""
    overloaded(bench)
    for wanted in (Mode.OVERLOAD, Mode.OVERLOAD, Mode.NORMAL):
        bench.window(WELL)
        assert bench.pressure.mode is wanted


def test_it_does_not_flap_while_the_cause_stays(bench: Bench) -> None:
    """The lessened answers are fast, the probes are still slow: it stays for as long as that."""
    overloaded(bench)
    for _ in range(50):
        bench.window(WELL, probe_s=SLOW)
    assert bench.pressure.mode is Mode.OVERLOAD
    assert len(bench.changes) == 1


def test_it_ends_in_silence(bench: Bench) -> None:
    """The next visitor does not find it degraded for ever."""
    overloaded(bench)
    bench.clock.now += SETTINGS.window_s * (SETTINGS.healthy + 1)
    assert bench.pressure.mode is Mode.NORMAL


def test_an_ended_ticket_counts_once(bench: Bench) -> None:
    """Ending it again changes nothing."""
    ticket = bench.pressure.begin(bench.clock.now - SLOW)
    for _ in range(10):
        bench.pressure.end(ticket, answered=True)
    bench.clock.now += 5
    for _ in range(2):
        bench.window(SLOW)
    assert bench.pressure.mode is Mode.NORMAL


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("LIMIT_S", "0"),
        ("LIMIT_S", "nan"),
        ("LIMIT_S", "inf"),
        ("WINDOW_S", "soon"),
        ("BREACHED", "1.5"),
        ("HEALTHY", "-1"),
        ("REQUESTS_MIN", ""),
    ],
)
def test_wrong_settings_end_the_start(name: str, raw: str) -> None:
    """The variable is named."""
    with pytest.raises(BadInput, match=f"EH_BACK_PRESSURE_{name}"):
        PressureSettings.of({f"EH_BACK_PRESSURE_{name}": raw})


def test_settings_are_read_from_the_environment() -> None:
    """Those that are given; the others stay."""
    found = PressureSettings.of({"EH_BACK_PRESSURE_LIMIT_S": "0.5", "EH_BACK_PRESSURE_BREACHED": "2"})
    assert (found.limit_s, found.breached, found.window_s) == (0.5, 2, 5.0)


class AnyTraffic(RuleBasedStateMachine):
    """Whatever comes: the mode changes for a reason, not before its windows, and ends when all is well."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.working: list[Ticket] = []
        self.served_slowly: dict[int, int] = {}  # window → slow requests or probes that ended, or stood, in it

    @property
    def at(self) -> int:
        return math.floor(self.bench.clock.now / SETTINGS.window_s)

    @rule(dt=st.floats(0.01, 12))
    def wait(self, dt: float) -> None:
        self.bench.clock.now += dt
        assert self.bench.pressure.mode in {Mode.NORMAL, Mode.OVERLOAD}

    @rule(took=st.sampled_from([WELL, 0.99, 1.01, SLOW]), count=st.integers(1, 12), answered=st.booleans())
    def crowd(self, took: float, count: int, answered: bool) -> None:
        before = self.bench.pressure.mode
        modes = {self.bench.serve(took, answered=answered) for _ in range(count)}
        assert modes <= ({Mode.NORMAL} if before is Mode.NORMAL else {Mode.OVERLOAD, Mode.PROBE})
        if took > SETTINGS.limit_s:
            self.served_slowly[self.at] = self.served_slowly.get(self.at, 0) + count

    @rule()
    def begin(self) -> None:
        self.working.append(self.bench.pressure.begin())

    @precondition(lambda self: self.working)
    @rule()
    def finish(self) -> None:
        ticket = self.working.pop(0)
        if self.bench.clock.now - ticket.came_s > SETTINGS.limit_s:
            self.served_slowly[self.at] = self.served_slowly.get(self.at, 0) + 1
        self.bench.pressure.end(ticket, answered=True)

    @precondition(lambda self: not self.working)
    @rule()
    def rest(self) -> None:
        """It always recovers when all is well: after so many silent windows the mode is normal."""
        self.bench.clock.now += SETTINGS.window_s * (SETTINGS.healthy + 1)
        assert self.bench.pressure.mode is Mode.NORMAL

    @invariant()
    def changes_are_three_windows_apart(self) -> None:
        """Also from the start; seen when somebody looks, so counted in windows of the clock."""
        times = [1000.0, *(at for at, _ in self.bench.changes)]
        for earlier, later in itertools.pairwise(times):
            gone = math.floor(later / SETTINGS.window_s) - math.floor(earlier / SETTINGS.window_s)
            assert gone >= min(SETTINGS.breached, SETTINGS.healthy)

    @invariant()
    def overload_has_a_cause(self) -> None:
        """No overload without slow requests in the windows before it, or requests that stand still."""
        for at, mode in self.bench.changes[-1:]:
            if mode is Mode.OVERLOAD:
                window = math.floor(at / SETTINGS.window_s)
                assert self.working or any(self.served_slowly.get(window - back) for back in range(1, 12))

    @invariant()
    def modes_alternate(self) -> None:
        modes = [mode for _, mode in self.bench.changes]
        assert modes == [Mode.OVERLOAD if number % 2 == 0 else Mode.NORMAL for number in range(len(modes))]


AnyTraffic.TestCase.settings = settings(derandomize=True, max_examples=60, stateful_step_count=40, deadline=None)
TestAnyTraffic = AnyTraffic.TestCase


# --- what overload mode takes away -----------------------------------------------------------------------------------


class Retriever:
    """Remembers what it was asked."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.asked: list[Query] = []
        self.fault = fault
        self.answer = Answer((), (), ("bm25",), Fusion.MINMAX, False, {}, reranked=True)

    def retrieve(self, query: Query) -> Answer:
        self.asked.append(query)
        if self.fault:
            raise self.fault
        return self.answer


def test_normal_answers_are_what_they_were_before(bench: Bench) -> None:
    """The query goes through untouched, the answer comes back itself."""
    inner, query = Retriever(), Query("heart", top_k=50, rerank=True)
    answer, mode = retrieve(inner, bench.pressure, query, bench.clock.now)  # type: ignore[arg-type]
    assert answer is inner.answer
    assert inner.asked[0] is query
    assert mode is Mode.NORMAL


def test_overload_asks_less_and_says_so(bench: Bench) -> None:
    """No reranking, fewer candidates and results, fusion by rank; the answer is degraded and says what it lacks. A probe lacks nothing."""
    overloaded(bench)
    inner, query = Retriever(), Query("heart", top_k=50, rerank=True)
    probe, first = retrieve(inner, bench.pressure, query, bench.clock.now)  # type: ignore[arg-type]
    assert (probe, first) == (inner.answer, Mode.PROBE)
    answer, mode = retrieve(inner, bench.pressure, query, bench.clock.now)  # type: ignore[arg-type]
    assert mode is Mode.OVERLOAD
    less = inner.asked[1]
    assert (less.rerank, less.top_k, less.candidates, less.fusion) == (False, TOP_K, CANDIDATES, Fusion.RRF)
    assert answer.degraded
    assert answer.warnings == (
        "overload mode: 100 candidates of each retriever, fused by rank; not reranked; 10 results at most instead of 50",
    )


def test_a_small_question_stays_as_small_as_it_is() -> None:
    """Nothing grows in overload mode."""
    query = Query("heart", top_k=3, retrievers=("bm25",))
    assert lessened(query) == msgspec.structs.replace(query, candidates=CANDIDATES, fusion=Fusion.RRF)


def test_a_failing_request_is_ended_too(bench: Bench) -> None:
    """No ticket stays behind when the retriever raises."""
    with pytest.raises(Unavailable):
        retrieve(Retriever(Unavailable("search", "away")), bench.pressure, Query("heart"), bench.clock.now)  # type: ignore[arg-type]
    bench.clock.now += 10 * SETTINGS.window_s
    assert bench.pressure.mode is Mode.NORMAL
    assert not bench.changes


@pytest.fixture
def pressed(site: Site) -> Callable[[], None]:
    """Puts the gateway into overload mode, as three windows of slow requests would."""

    def press() -> None:
        ahead = [0.0]
        metrics = site.app.state.pressure._changed
        pressure = BackPressure(SETTINGS, lambda: time.monotonic() + ahead[0], metrics)
        site.app.state.pressure = pressure
        for _ in range(3):
            for _ in range(10):
                pressure.end(pressure.begin(time.monotonic() + ahead[0] - SLOW), answered=True)
            ahead[0] += SETTINGS.window_s
        assert pressure.mode is Mode.OVERLOAD

    return press


def test_the_mode_shows_in_ready_metrics_and_answers(site: Site, client: TestClient, payload: bytes, pressed: Any) -> None:
    """Before, and in overload mode: /ready, /metrics, the answer's mode and warning."""
    client.post("/v1/ingest/pubmed", content=payload, headers={"Content-Type": "application/xml"})
    site.work()
    assert client.get("/ready").json()["retrieve"] == "normal"
    body = client.post("/v1/retrieve", json={"query": "sleep"}).json()
    assert (body["meta"]["mode"], body["meta"]["degraded"], body["warnings"]) == ("normal", False, [])
    pressed()
    assert client.get("/ready").json()["retrieve"] == "overload"
    modes = [client.post("/v1/retrieve", json={"query": "sleep"}).json() for _ in range(2)]
    assert [one["meta"]["mode"] for one in modes] == ["probe", "overload"]
    assert [one["meta"]["fusion"] for one in modes] == ["minmax", "rrf"]
    assert modes[1]["meta"]["degraded"]
    assert "overload mode" in modes[1]["warnings"][-1]
    text = client.get("/metrics").text
    assert "retrieve_overload 1.0" in text
    assert 'retrieve_mode_changes_total{mode="overload"} 1.0' in text
    assert 'retrieve_served_total{mode="probe"} 1.0' in text
