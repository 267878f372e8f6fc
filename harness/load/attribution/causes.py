"""The join: for each slow request the one cause that explains the largest share of its excess.

Candidates are the request's own way (the generator's lag, what lies between its sending and its arrival, each stage of the target: each
above what is usual for its operation) and the conditions that held while it was under way. A cause counts only where it explains at least
half of the excess. Of several that explain about as much (``TIE``) the deeper one is named: a stage is slow *because* its process was
stopped, not the other way round. A shortage slows everything: it accounts for no more than what the slowest part leaves, or the stages of
the request are slower on the whole, so that one slow stage is not put down to a busy machine. Time inside the target that no stage
accounts for is named as a place and is no cause.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.journal.events import Window
from harness.load.attribution.conditions import Condition, Rank, conditions
from harness.load.attribution.slowest import Slow, Tail, Usual, tail_of
from harness.load.attribution.spans import STREAM, Span, self_times_ns, spans_of
from harness.run.protocols import RunView

COUNTS_FROM = 0.5  # share of the excess
TIE = 0.2
SHORT = frozenset({Rank.STEAL, Rank.SHORTAGE, Rank.WAIT_FOR_CPU})
TELLING_NS = 300_000  # a stage that usually takes less says nothing of how much slower everything is
STAGES_LEAST = 3
LAG = "generator lag"
ACCEPT = "connection and accept"
REPLY = "on the way back"
UNEXPLAINED = ""
Stage = tuple[str, str]  # stage, role of its process


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A cause and how much of a request's excess it accounts for."""

    cause: str
    rank: Rank
    explained_ns: float


@dataclasses.dataclass(frozen=True, slots=True)
class Attributed:
    """A slow request with its cause (empty: none), the share of its excess, and where its unexplained time was spent."""

    request: Slow
    cause: str
    share: float
    place: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """Where the time of a request went, ns: up to its arrival, in stages, around stages, and back."""

    accept: int
    reply: int
    stages: Mapping[Stage, int]
    around: Mapping[Stage, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The tail of a trial with its causes."""

    tail: Tail
    requests: Sequence[Attributed]
    has_spans: bool
    has_host: bool

    @property
    def attributed(self) -> int:
        return sum(bool(one.cause) for one in self.requests)


def attribute(view: RunView, trial: str, step: str, unanswered_ns: int) -> Finding:
    """A pure function of the run folder. ``step`` empty: all steps of the trial."""
    samples = view.samples("requests", trial)
    if step and samples.num_rows:
        samples = samples.filter(pc.equal(samples["step"], step))
    tail = tail_of(_counted(view, trial, samples), unanswered_ns)
    spans = view.samples(STREAM, trial)
    usual = {op: _usual_way(spans, tail.usual[op]) for op in sorted({one.op for one in tail.slow})}
    own = spans_of(spans, [one.request_id for one in tail.slow if one.request_id])
    held = conditions(view, trial)
    requests = [_attributed(one, own.get(one.request_id, ()), tail.usual[one.op], usual[one.op], held) for one in tail.slow]
    return Finding(tail, requests, bool(spans.num_rows), bool(view.samples("host", trial).num_rows))


def _counted(view: RunView, trial: str, samples: Any) -> Any:
    """Without the requests of a warm-up: they belong to no figure."""
    for item in view.events(Window.NAME, trial=trial):
        if isinstance(event := item.event, Window) and (event.kind, event.name) == ("phase", "warmup") and samples.num_rows:
            at = samples["intended_ns"].to_numpy()
            mine = pc.equal(samples["step"], event.tags.get("step", "")).to_numpy(zero_copy_only=False)
            samples = samples.filter(pa.array(~(mine & (at >= event.start_ns) & (at < event.end_ns))))
    return samples


def _usual_way(spans: Any, usual: Usual) -> Way:
    """The median of each part over typical requests; a part that a request lacks is 0 there."""
    ways = [way_of(found, usual.sent_ns[name], 0) for name, found in spans_of(spans, list(usual.sent_ns)).items() if found]
    return Way(
        round(median(way.accept for way in ways)) if ways else 0,
        0,
        _medians([way.stages for way in ways]),
        _medians([way.around for way in ways]),
    )


def _medians(parts: Sequence[Mapping[Stage, int]]) -> Mapping[Stage, int]:
    names = sorted({name for part in parts for name in part})
    return {name: round(median(part.get(name, 0) for part in parts)) for name in names}


def way_of(spans: Sequence[Span], sent_ns: int, end_ns: int) -> Way:
    """The way of one request; of one that was sent twice, its last arrival counts."""
    root = _root(spans)
    mine = [span for span in spans if root.start_ns <= span.start_ns < root.end_ns or span is root]
    stages, around = self_times_ns(mine)
    return Way(max(0, root.start_ns - sent_ns), max(0, end_ns - root.end_ns), stages, around)


def _root(spans: Sequence[Span]) -> Span:
    """The outermost span of the process that took the request first; the last one where it was taken more than once."""
    roots = [span for span in spans if not span.parent] or [spans[0]]
    return max((span for span in roots if span.role == roots[0].role), key=lambda span: span.start_ns)


def _attributed(request: Slow, spans: Sequence[Span], usual: Usual, usual_way: Way, held: Sequence[Condition]) -> Attributed:
    way = way_of(spans, request.sent_ns or request.intended_ns, request.end_ns) if spans else None
    own = list(_own(request, usual, way, usual_way))
    slowest = max([0.0, *(one.explained_ns for one in own), *_places(way, usual_way).values()])
    spread = max(_spread_ns(request, usual, way, usual_way), request.excess_ns - slowest)
    found = [*own, *_conditions(request, held, spread)]
    excess = request.excess_ns
    counted = [one for one in found if one.explained_ns >= COUNTS_FROM * excess]
    if not counted:
        return Attributed(request, UNEXPLAINED, 0.0, _place(way, usual_way, excess))
    best = max(min(one.explained_ns, excess) for one in counted)
    chosen = min(
        (one for one in counted if one.explained_ns >= best - TIE * excess), key=lambda one: (one.rank, -one.explained_ns, one.cause)
    )
    return Attributed(request, chosen.cause, min(1.0, chosen.explained_ns / excess))


def _own(request: Slow, usual: Usual, way: Way | None, usual_way: Way) -> Iterator[Candidate]:
    if request.sent_ns:
        yield Candidate(LAG, Rank.LAG, request.sent_ns - request.intended_ns - usual.lag_ns)
    if way is None:
        return
    yield Candidate(ACCEPT, Rank.STAGE, way.accept - usual_way.accept)
    for (stage, role), spent in way.stages.items():
        yield Candidate(f"{stage} ({role})", Rank.STAGE, spent - usual_way.stages.get((stage, role), 0))


def _conditions(request: Slow, held: Sequence[Condition], spread_ns: float) -> Iterator[Candidate]:
    for condition in held:
        explained = condition.explained_ns(request.intended_ns, request.end_ns)
        if explained and condition.rank in SHORT:
            explained = min(explained, spread_ns)
        if explained:
            yield Candidate(condition.cause, condition.rank, explained)


def _spread_ns(request: Slow, usual: Usual, way: Way | None, usual_way: Way) -> float:
    """By how much the stages of a request are slower on the whole: the median factor of those that are long enough to tell."""
    if way is None:
        return float(request.excess_ns)
    known = {name: spent for name, spent in usual_way.stages.items() if spent >= TELLING_NS}
    if len(known) < STAGES_LEAST:
        return float(request.excess_ns)
    factor = median(way.stages.get(name, 0) / spent for name, spent in known.items())
    return max(0.0, factor - 1) * usual.response_ns


def _place(way: Way | None, usual_way: Way, excess_ns: int) -> str:
    """Where most of an unexplained excess was spent, for people."""
    places = _places(way, usual_way)
    if not places:
        return "no spans of this request"
    name = max(places, key=lambda place: (places[place], place))
    return name if places[name] >= COUNTS_FROM * excess_ns else f"spread; most {name}"


def _places(way: Way | None, usual_way: Way) -> Mapping[str, float]:
    """Each place of a request's way and how much longer than usual it was there."""
    if way is None:
        return {}
    places: dict[str, float] = {REPLY: way.reply}
    for (stage, role), spent in way.around.items():
        places[f"in {stage} ({role}), outside its stages"] = spent - usual_way.around.get((stage, role), 0)
    for (stage, role), spent in way.stages.items():
        places[f"in {stage} ({role})"] = spent - usual_way.stages.get((stage, role), 0)
    return places


def by_cause(requests: Sequence[Attributed]) -> Mapping[str, Sequence[Attributed]]:
    """The requests of each cause, that with most first; those without any last."""
    found: dict[str, list[Attributed]] = defaultdict(list)
    for one in requests:
        found[one.cause].append(one)
    return dict(sorted(found.items(), key=lambda item: (item[0] == UNEXPLAINED, -len(item[1]), item[0])))
