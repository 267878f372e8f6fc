"""The sample of what the gate let pass: a share, behind the answer, bounded; what it finds is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from suites.unit.gate.scripted import UNIT, Scripted
from system.assembly import PooledReference, differential_gate
from system.evidence.graph import sampling
from system.evidence.graph.engine_reference import PyShacl
from system.evidence.graph.engines import Engines
from system.evidence.graph.gate import Gate, judge_sample
from system.evidence.graph.sampling import QUEUE_MAX, Sample, Tally
from system.platform.errors import BadInput, EnginesDiffer, Unavailable
from system.platform.ports import GraphBatch, GraphNode, NodeRef
from system.platform.settings import load_settings

BATCH = GraphBatch("write:w1", (GraphNode(NodeRef("Condition", "asthma"), {"name": "Asthma"}),), ())
PATIENCE_S = 10.0


def eventually(holds: Callable[[], bool]) -> None:
    """Waits until it holds, at most ten seconds."""
    until = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < until, "it never came true"
        pause.wait(0.005)


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def samples() -> Iterator[list[Sample]]:
    made: list[Sample] = []
    yield made
    for one in made:
        one.close()


def gate_with(sample: Sample, tally: Tally, samples: list[Sample]) -> Gate:
    samples.append(sample)
    return Gate(Engines(Scripted("one"), Scripted("two")), sample, tally)


def _never(_ref: NodeRef) -> bool:
    return False


def test_a_difference_behind_an_accepted_batch_is_filed(tally: Tally, samples: list[Sample]) -> None:
    """The batch is written already: the incident says so and has both reports, the first of them empty."""
    filed: list[tuple[GraphBatch, EnginesDiffer]] = []
    judge = judge_sample(Scripted("two", UNIT), tally, lambda batch, found: filed.append((batch, found)), "one")
    gate_with(Sample(1.0, judge, tally), tally, samples).check(BATCH, _never)
    eventually(lambda: tally.sampled.value == 1)
    ((batch, found),) = filed
    assert (batch, str(found).endswith("the batch was written")) == (BATCH, True)
    assert {name: len(issues) for name, issues in found.reports.items()} == {"one": 0, "two": 1}
    assert tally.samples_differ.value == 1


@pytest.mark.parametrize(("share", "taken"), [(0.0, 0), (0.01, 10), (0.5, 500), (1.0, 1000)])
def test_the_share_is_what_is_judged(share: float, taken: int, tally: Tally, samples: list[Sample]) -> None:
    """Of a thousand evenly drawn offers; 0 is never, 1 is always."""
    seen: list[GraphBatch] = []
    draws = iter([number / 1000 for number in range(1000)])
    sample = Sample(share, lambda batch, _known: seen.append(batch), tally, lambda: next(draws))
    samples.append(sample)
    for _ in range(1000):
        sample.offer(BATCH, ())
        eventually(lambda: len(sample._due) < QUEUE_MAX)
    eventually(lambda: len(seen) == taken)


def test_a_slow_second_engine_slows_no_write(tally: Tally, samples: list[Sample]) -> None:
    """The queue is bounded: what finds no place is counted as dropped, and every offer returns while the engine stands still."""
    stands, goes_on = threading.Event(), threading.Event()

    def judge(_batch: GraphBatch, _known: Any) -> None:
        stands.set()
        assert goes_on.wait(PATIENCE_S)

    gate = gate_with(Sample(1.0, judge, tally), tally, samples)
    for _ in range(QUEUE_MAX + 5):
        gate.check(BATCH, _never)
    assert stands.wait(PATIENCE_S)
    assert tally.dropped.value == 5
    goes_on.set()


def test_an_incident_that_cannot_be_filed_is_tried_again(
    tally: Tally, samples: list[Sample], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the records are away the batch keeps its place, and the log has the incident from the first time."""
    monkeypatch.setattr(sampling, "PAUSE_FIRST_S", 0.001)
    filed: list[str] = []
    answers = iter([Unavailable("records", "refused"), Unavailable("records", "refused"), None])

    def file(batch: GraphBatch, _found: EnginesDiffer) -> None:
        problem = next(answers)
        if problem is not None:
            raise problem
        filed.append(batch.supporter)

    gate_with(Sample(1.0, judge_sample(Scripted("two", UNIT), tally, file, "one"), tally), tally, samples).check(BATCH, _never)
    eventually(lambda: filed == ["write:w1"])
    eventually(lambda: tally.samples_differ.value == 1)
    assert "the SHACL engines differ on write:w1" in caplog.text


def test_a_broken_judge_loses_one_batch_and_goes_on(tally: Tally, samples: list[Sample]) -> None:
    """What cannot be judged is counted as dropped; the thread lives."""
    seen: list[str] = []

    def judge(batch: GraphBatch, _known: Any) -> None:
        if not seen:
            seen.append("broken")
            raise ValueError("a defect")
        seen.append(batch.supporter)

    gate = gate_with(Sample(1.0, judge, tally), tally, samples)
    gate.check(BATCH, _never)
    gate.check(BATCH, _never)
    eventually(lambda: seen == ["broken", "write:w1"])
    assert tally.dropped.value == 1


def test_a_closed_sample_takes_nothing_more(tally: Tally, samples: list[Sample]) -> None:
    """Closing waits for no queue."""
    sample = Sample(1.0, lambda _batch, _known: None, tally)
    sample.close()
    sample.offer(BATCH, ())
    assert (tally.dropped.value, sample._thread) == (1, None)


def test_the_platform_s_gate_samples_with_its_reference(draft: Any) -> None:
    """Assembled as the worker does it: engines named, the share asked for, a difference filed."""
    pytest.importorskip("shacl", reason="without the Rust engine there is nothing to sample with")
    filed: list[GraphBatch] = []
    gate, watch = differential_gate(Scripted("two", UNIT), 1.0, lambda batch, _found: filed.append(batch))
    gate.check(draft.batch(), _never)
    eventually(lambda: filed == [draft.batch()])
    eventually(lambda: watch.tally.samples_differ.value == 1)
    assert watch.engines.endswith("confirmed by two")
    off, watch = differential_gate(Scripted("two", UNIT), 0.0, lambda batch, _found: filed.append(batch))
    off.check(draft.batch(), _never)
    assert (watch.tally.sampled.value, watch.tally.dropped.value, len(filed)) == (0, 0, 1)


def test_the_reference_beside_the_process_reports_as_the_one_in_it(draft: Any) -> None:
    """The gateway's reference runs in a process of its own; a process that dies is ``Unavailable``, and the next call has another."""
    pooled, batch = PooledReference(1), draft.edge("HAS_AE", grade=9).without("outcome").batch()
    known = [draft.nodes["outcome"].ref]
    assert pooled.validate(batch, known) == PyShacl().validate(batch, known) != ()
    assert pooled.name == PyShacl().name
    assert pooled._pool is not None
    for process in list(pooled._pool._processes.values()):
        process.kill()
    with pytest.raises(Unavailable):
        pooled.validate(batch, known)
    assert pooled.validate(batch, known) != ()


SETTINGS = {
    f"EH_{name}": "x"
    for name in (
        *("RECORDS_URL", "SEARCH_URL", "GRAPH_URL", "CACHE_URL", "EVENTS_URL", "EMBED_URL", "SPLADE_URL"),
        *("OBJECTS_DIR", "MODEL_CACHE_DIR", "SECRETS_DIR"),
    )
} | {"EH_GATEWAY_PORT": "1"}


@pytest.mark.parametrize(("raw", "share"), [(None, 0.01), ("0", 0.0), ("1", 1.0), ("0.25", 0.25)])
def test_the_share_is_a_setting(raw: str | None, share: float) -> None:
    """One percent unless ``EH_GATE_SAMPLE`` says otherwise."""
    assert load_settings(SETTINGS if raw is None else {**SETTINGS, "EH_GATE_SAMPLE": raw}).gate_sample == share


@pytest.mark.parametrize("raw", ["", "1 %", "nan", "-0.1", "1.01", "inf"])
def test_a_share_that_is_none_is_refused_by_name(raw: str) -> None:
    """Before anything starts."""
    with pytest.raises(BadInput, match="EH_GATE_SAMPLE"):
        load_settings({**SETTINGS, "EH_GATE_SAMPLE": raw})
