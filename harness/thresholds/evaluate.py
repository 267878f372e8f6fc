"""Judges a threshold by values, each window on its own. Enough samples are needed to pass; to fail it is enough that the limit is broken
beyond what chance does (``harness.thresholds.proof``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from harness.core.errors import UsageError
from harness.core.units import unit
from harness.core.verdict import Verdict, merge
from harness.thresholds.figures import Values, quantile
from harness.thresholds.grammar import OPERATORS, Threshold
from harness.thresholds.proof import CONFIDENCE, chance_of_breaking

SAMPLES_ABOVE_PERCENTILE = 10
RARE_EVENTS = 3  # rule of three: 3/L clean requests bound a rate by L with 95 % confidence
MAX_WINDOWS = 10_000
TIME, NUMBER, PER_TIME = "time", "number", "number per time"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What a threshold gave: the verdict, the value as text, the reason when it is not PASS."""

    verdict: Verdict
    value: str
    reason: str = ""
    figure: float | None = None  # in base units; None where there is none or it is infinite


def check_dimension(threshold: Threshold, metric_unit: str) -> None:
    """Raise ``UsageError`` when limit and metric are not of one dimension, or the limit can never be shown."""
    wanted = result_dimension(threshold, metric_unit)
    found = threshold.limit.unit.dimension
    if wanted != found:
        aggregation = threshold.aggregation.name
        raise UsageError(
            f"{threshold.metric}: {aggregation} is a {wanted}, the limit {threshold.limit} is a {found}", remedy=_example(wanted)
        )
    if threshold.aggregation.name == "rate" and wanted == NUMBER and _rare_share(threshold) <= 0:
        raise UsageError(
            f"a rate {threshold.operator} {threshold.limit} can never be shown", remedy="use `count` or `sum`, or allow a small share"
        )


def result_dimension(threshold: Threshold, metric_unit: str) -> str:
    """The dimension of the aggregated value."""
    name = threshold.aggregation.name
    if name == "count":
        return NUMBER
    if name == "rate":
        return NUMBER if metric_unit == "%" else PER_TIME
    return unit(metric_unit).dimension


def _example(dimension: str) -> str:
    return {TIME: "write it like 800 ms", NUMBER: "write it like 1 % or 0.88", PER_TIME: "write it like 10 /s"}.get(
        dimension, "use its unit"
    )


def judge_values(threshold: Threshold, metric_unit: str, values: Values, span_ns: tuple[int, int] | None) -> Finding:
    """Judge ``values`` (in base units: s, B, shares, numbers) of the span (the extent of the values when it is None)."""
    if span_ns is not None:
        values = values.within(*span_ns)
    if not len(values) and threshold.aggregation.name not in {"count", "sum"}:
        return Finding(Verdict.VACUOUS, "", "nothing was measured")
    if threshold.window is None:
        return _judge_one(threshold, metric_unit, values, span_ns)
    return _judge_windows(threshold, metric_unit, values, span_ns or _extent(values))


def _extent(values: Values) -> tuple[int, int]:
    return (int(values.times_ns.min()), int(values.times_ns.max()) + 1) if len(values) else (0, 0)


def windows(start_ns: int, end_ns: int, length_ns: int) -> Sequence[tuple[int, int]]:
    """Consecutive windows; the last ends at the end and overlaps the one before, so that each has the full length."""
    count = -(-(end_ns - start_ns) // length_ns)
    if count > MAX_WINDOWS:
        raise UsageError(f"{count} windows", remedy=f"at most {MAX_WINDOWS}; make them longer")
    ends = [min(end_ns, start_ns + (index + 1) * length_ns) for index in range(count)]
    return [(max(start_ns, end - length_ns), end) for end in ends]


def _judge_windows(threshold: Threshold, metric_unit: str, values: Values, span_ns: tuple[int, int]) -> Finding:
    assert threshold.window is not None
    findings = []
    spans = windows(*span_ns, threshold.window.ns)
    for start, end in spans:
        inside = values.within(start, end)
        if not len(inside) and threshold.aggregation.name not in {"count", "sum"}:
            findings.append(Finding(Verdict.VACUOUS, "", f"nothing was measured from {_offset(start, span_ns)}"))
        else:
            found = _judge_one(threshold, metric_unit, inside, (start, end), len(spans))
            reason = f"window from {_offset(start, span_ns)}: {found.reason}" if found.reason else ""
            findings.append(dataclasses.replace(found, reason=reason))
    worst = merge(finding.verdict for finding in findings)
    first = next((finding for finding in findings if finding.verdict is worst), Finding(Verdict.VACUOUS, "", "no window"))
    if worst is Verdict.PASS:
        return dataclasses.replace(first, value=f"{len(findings)} windows, first {first.value}")
    bad = sum(finding.verdict is worst for finding in findings)
    return dataclasses.replace(first, reason=f"{bad} of {len(findings)} windows; {first.reason}")


def _offset(start_ns: int, span_ns: tuple[int, int]) -> str:
    return f"+{(start_ns - span_ns[0]) / 1e9:.1f} s"


def _judge_one(threshold: Threshold, metric_unit: str, values: Values, span_ns: tuple[int, int] | None, looked_at: int = 1) -> Finding:
    """``looked_at``: how many windows are judged; the more looks, the less chance is left to each for a wrong FAIL."""
    figure, shown = _figure(threshold, metric_unit, values, span_ns)
    finite = figure if math.isfinite(figure) else None
    needed = needed_samples(threshold, metric_unit)
    if len(values) < needed:
        chance = chance_of_breaking(threshold, metric_unit, values.values)
        if chance <= (1 - CONFIDENCE) / looked_at:
            reason = f"{shown} is not {threshold.operator} {threshold.limit}: proven with {len(values)} samples (chance {chance:.2g})"
            return Finding(Verdict.FAIL, shown, reason, finite)
        reason = f"{len(values)} samples, {needed} are needed for {threshold.limit_text()}"
        return Finding(Verdict.INCONCLUSIVE, shown, reason, finite)
    if OPERATORS[threshold.operator](figure, float(threshold.limit.base)):
        return Finding(Verdict.PASS, shown, "", finite)
    return Finding(Verdict.FAIL, shown, f"{shown} is not {threshold.operator} {threshold.limit}", finite)


def needed_samples(threshold: Threshold, metric_unit: str) -> int:
    """How many samples the statement needs before it means anything (DESIGN §5)."""
    q = threshold.aggregation.quantile
    if q is not None:
        return math.ceil(SAMPLES_ABOVE_PERCENTILE / min(q, 1 - q))  # the same for the lower tail
    if threshold.aggregation.name == "rate" and metric_unit == "%":
        share = _rare_share(threshold)
        return math.ceil(RARE_EVENTS / share) if share > 0 else 0
    return 0


def _rare_share(threshold: Threshold) -> Fraction:
    """The share of the rarer side: L for an upper limit, 1 - L for a lower one."""
    limit = threshold.limit.base
    return 1 - limit if threshold.operator.startswith(">") else limit


def _figure(threshold: Threshold, metric_unit: str, values: Values, span_ns: tuple[int, int] | None) -> tuple[float, str]:
    """The aggregated value in base units, and as text in the unit of the limit."""
    name, count = threshold.aggregation.name, len(values)
    if name == "rate" and metric_unit == "%":
        share = float(values.values.mean())
        return share, f"{_shown(share, threshold)} ({round(values.values.sum()):d} of {count})"
    if name == "rate":
        start, end = span_ns or _extent(values)
        figure = count / max((end - start) / 1e9, 1e-9)
    else:
        figure = _aggregate(threshold, values)
    return figure, f"{_shown(figure, threshold)} (n={count})"


def _aggregate(threshold: Threshold, values: Values) -> float:
    data, name = values.values, threshold.aggregation.name
    if name == "count":
        return float(len(data))
    if name in {"p", "median"}:
        return quantile(data, threshold.aggregation.quantile or Fraction(1, 2))
    if name == "last":
        return float(data[np.argmax(values.times_ns[::-1]) * -1 - 1]) if len(data) else math.nan
    if name == "mean":
        return float(data.mean())
    if name == "sum":
        return float(data.sum())
    return float(data.max() if name == "max" else data.min())


def _shown(figure: float, threshold: Threshold) -> str:
    if math.isinf(figure):
        return "never" if figure > 0 else "-inf"
    symbol = threshold.limit.unit
    return f"{figure / float(symbol.scale):.6g} {symbol.name}".strip()
