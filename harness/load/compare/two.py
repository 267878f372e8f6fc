"""Two sides beside each other: the table of figures, and an answer that knows what two recordings cannot say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from harness.core.errors import UsageError, listing, nearest_word
from harness.core.seeds import Seeds
from harness.load.compare.bootstrap import Draws, axis, draws, ratio
from harness.load.compare.recording import Floats, Recording, enough
from harness.load.compare.result import Answer, Comparison, Decision, ErrorRates, FigureRow, Interval, Side
from harness.load.compare.sequential import ESTIMATE_SHARE, Question, Round, judge

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
FIGURES = (*QUANTILES, "max", "throughput", "errors")
DECIDABLE = (*QUANTILES, "throughput")
CONFIDENCE = 0.95
NOISE = 0.05  # between two recordings of the same system, where nobody says better: what shared machines do
RATES = ErrorRates(false_alarm=0.0004, false_pass=0.005)


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks of two sides. ``noise``: standard deviation between recordings of one system, as a share."""

    metric: str = "p99"
    gate: float = 0.05
    noise: float = NOISE
    interleaved: bool = False  # the n-th recordings of both sides were measured as the n-th round: A B, B A, A B, …
    seed: int = 0


def compare(names: tuple[str, str], a: Sequence[Recording], b: Sequence[Recording], asked: Asked) -> Comparison:
    """The whole comparison. Raises ``UsageError`` for a metric that cannot be decided or for rounds that are no pairs."""
    if asked.metric not in DECIDABLE:
        near = nearest_word(asked.metric, DECIDABLE)
        raise UsageError(f"unknown metric {asked.metric!r}", nearest=near, remedy=f"one of {listing(DECIDABLE)} is needed")
    merged = merge(a), merge(b)
    edges = axis(*merged)
    seeds = Seeds(asked.seed)
    drawn = [
        draws(one, edges, tuple(QUANTILES.values()), np.random.default_rng(seeds.derive(f"compare {name}")))
        for name, one in zip("AB", merged, strict=True)
    ]
    rows = tuple(_row(figure, merged, (drawn[0], drawn[1])) for figure in FIGURES)
    decision = _interleaved(a, b, asked) if asked.interleaved else _plain(rows, merged, (drawn[0], drawn[1]), asked)
    return Comparison(_side(names[0], a), _side(names[1], b), rows, decision, CONFIDENCE, asked.seed)


def merge(recordings: Sequence[Recording]) -> Recording:
    """All recordings of a side as one: values one after the other, durations added."""
    if len(recordings) == 1:
        return recordings[0]
    weights = None
    if any(one.weights is not None for one in recordings):
        weights = np.concatenate(
            [one.weights if one.weights is not None else np.ones(len(one.values_s), dtype=np.int64) for one in recordings]
        )
    spans = [one.span_s() for one in recordings]
    duration = sum(span for span in spans if span) if all(spans) else None
    return Recording(recordings[0].kind, np.concatenate([one.values_s for one in recordings]), weights=weights, duration_s=duration)


def figure_of(recording: Recording, figure: str) -> float | None:
    """One figure: seconds, 1/s or a share; None where the samples cannot give it."""
    if figure == "throughput":
        return recording.throughput()
    if figure == "errors":
        return recording.error_share()
    if figure == "max":
        return float(recording.values_s.max())
    return recording.quantile(QUANTILES[figure]) if enough(QUANTILES[figure], recording.requests) else None


def _side(name: str, recordings: Sequence[Recording]) -> Side:
    spans = [one.span_s() for one in recordings]
    notes = tuple(dict.fromkeys(note for one in recordings for note in one.notes))
    return Side(
        name=name,
        kind=recordings[0].kind,
        recordings=len(recordings),
        requests=sum(one.requests for one in recordings),
        failed=sum(one.failed for one in recordings),
        duration_s=sum(span for span in spans if span) if all(spans) else None,
        notes=notes,
    )


def _drawn_figure(figure: str, drawn: Draws, duration_s: float | None) -> Floats | None:
    if figure in QUANTILES:
        return drawn.quantiles[:, list(QUANTILES).index(figure)]
    if figure == "errors":
        return drawn.failed
    if figure == "throughput" and duration_s:
        return drawn.good / duration_s
    return None


def _row(figure: str, sides: tuple[Recording, Recording], drawn: tuple[Draws, Draws]) -> FigureRow:
    unit = {"throughput": "1/s", "errors": "share"}.get(figure, "s")
    a, b = (figure_of(one, figure) for one in sides)
    draws_a, draws_b = (_drawn_figure(figure, one, side.span_s()) for one, side in zip(drawn, sides, strict=True))
    found: Interval | None = None
    if a is not None and b is not None:
        if draws_a is not None and draws_b is not None:
            found = ratio(a, b, draws_a, draws_b, CONFIDENCE)
        elif figure == "max" and 0 < a < math.inf and 0 < b < math.inf:
            found = Interval(0.0, b / a, math.inf)
    return FigureRow(figure, unit, a, b, found, _note(figure, a, b, sides))


def _note(figure: str, a: float | None, b: float | None, sides: tuple[Recording, Recording]) -> str:
    if figure in QUANTILES and (a is None or b is None):
        return f"needs {math.ceil(round(10 / (1 - QUANTILES[figure]), 6))} requests a side"
    if figure == "throughput" and (a is None or b is None):
        return "a file without times"
    if figure == "max":
        return "one request decides it: no interval" if not any(map(_failed, sides)) else "requests that never ended"
    return "requests that never ended" if math.isinf(a or 0) or math.isinf(b or 0) else ""


def _failed(recording: Recording) -> bool:
    return recording.failed > 0


def _interleaved(a: Sequence[Recording], b: Sequence[Recording], asked: Asked) -> Decision:
    if len(a) != len(b):
        raise UsageError(f"{len(a)} recordings of A and {len(b)} of B are no rounds", remedy="give as many of one as of the other")
    unit = "1/s" if asked.metric == "throughput" else "s"
    rounds = [Round(_needed(one, asked.metric), _needed(other, asked.metric)) for one, other in zip(a, b, strict=True)]
    return judge(rounds, Question(asked.metric, unit, asked.gate, higher_is_better=asked.metric == "throughput"))


def _needed(recording: Recording, metric: str) -> float:
    value = figure_of(recording, metric)
    if value is None or not value > 0:
        raise UsageError(
            f"a recording of {recording.requests} requests has no {metric}", remedy="give longer recordings or another --metric"
        )
    return value


def _plain(rows: Sequence[FigureRow], sides: tuple[Recording, Recording], drawn: tuple[Draws, Draws], asked: Asked) -> Decision:
    """Recordings that were not interleaved: the interval of the samples, widened by the noise between recordings."""
    row = next(row for row in rows if row.figure == asked.metric)
    draft = Decision(
        answer=Answer.CANNOT_TELL,
        cause="",
        metric=asked.metric,
        unit=row.unit,
        gate=asked.gate,
        change=Interval(-math.inf, 0.0, math.inf),
        rounds=1,
        rounds_max=1,
        errors=RATES,
        noise=asked.noise,
    )
    if row.a is None or row.b is None:
        return dataclasses.replace(draft, cause=f"no {asked.metric}: {row.note}")
    if row.ratio is None:
        return _without_ratio(draft, row)
    pair = [_drawn_figure(asked.metric, one, side.span_s()) for one, side in zip(drawn, sides, strict=True)]
    assert pair[0] is not None
    assert pair[1] is not None
    return _widened(draft, row.ratio.estimate, _log_error(pair[0], pair[1]), asked)


def _without_ratio(draft: Decision, row: FigureRow) -> Decision:
    b_never = math.isinf(row.b or 0) and math.isfinite(row.a or 0) and row.unit == "s"
    if b_never:
        return dataclasses.replace(draft, answer=Answer.REGRESSED, cause=f"{row.figure} of B has no end: too many of its requests failed")
    return dataclasses.replace(draft, cause=f"{row.figure} is {row.a:g} and {row.b:g}: there is no ratio")


def _log_error(a: Floats, b: Floats) -> float:
    """Standard error of the logarithm of the ratio, from the replicates that have one; infinite when most have none."""
    good = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    return float(np.std(np.log(b[good] / a[good]))) if good.mean() > 0.95 else math.inf


def _widened(draft: Decision, estimate: float, error: float, asked: Asked) -> Decision:
    turned = -math.log(estimate) if asked.metric == "throughput" else math.log(estimate)
    total = math.hypot(error, math.sqrt(2) * asked.noise)
    low = turned - NormalDist().inv_cdf(1 - RATES.false_alarm) * total
    high = turned + NormalDist().inv_cdf(1 - RATES.false_pass) * total
    limit = math.log1p(asked.gate)
    change = Interval(math.expm1(low), math.expm1(turned), math.expm1(min(high, 700.0)))
    said = f"the change lies between {change.low:+.1%} and {change.high:+.1%}, the gate is {asked.gate:.0%}"
    basis = f"{asked.noise:.0%} noise between recordings is assumed (--noise)"
    answer = Answer.CANNOT_TELL
    if high < limit:
        answer = Answer.NOT_REGRESSED
    elif low > 0 and turned >= ESTIMATE_SHARE * limit:
        answer = Answer.REGRESSED
    else:
        basis += "; `harness gate` measures in interleaved rounds until it can tell"
    return dataclasses.replace(draft, answer=answer, cause=f"{said}; {basis}", change=change)
