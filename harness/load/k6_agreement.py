"""The checker ``k6_agreement``: k6's own verdict beside one made from the samples; they must agree.

For each threshold of the script: k6 passed and the samples do not, or the other way round, is never a PASS; a threshold over nothing,
which k6 passes, is VACUOUS. Dropped iterations fail. Reads the evidence that the driver ``k6`` kept, and the samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow.compute as pc

from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.load.certificate import doubts
from harness.run.protocols import CheckRow, RunView, trial_row
from harness.thresholds.figures import FORMULAS, Floats, quantile
from harness.thresholds.grammar import OPERATORS

THRESHOLDS_FAILED = 99
LATENCIES = ("http_req_duration", "stage_ms")
COLUMNS = {"op": "op", "intent": "key", "stage": "stage"}  # k6's tags -> columns of the samples
_METRIC = re.compile(r"(\w+)(?:\{(.*)\})?")
_EXPRESSION = re.compile(r"\s*(p\(([\d.]+)\)|avg|min|med|max|rate|count)\s*(===|==|<=|>=|<|>)\s*([\d.]+)\s*")


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step``: the step that ran k6. ``tightest_limit``: as for ``certificate``; a latency that k6 failed uncertified is INCONCLUSIVE."""

    step: str
    tightest_limit: Duration | None = None


class Said(msgspec.Struct, frozen=True):
    """What k6 says of one metric."""

    thresholds: Mapping[str, Mapping[str, bool]] = {}
    values: Mapping[str, float] = {}


class Kept(msgspec.Struct, frozen=True):
    """The evidence of the driver."""

    exit_code: int
    dropped: int
    iterations: int
    metrics: Mapping[str, Said]


class K6AgreementChecker:
    """Judges k6 and the samples against each other."""

    name: ClassVar[str] = "k6_agreement"
    parameters: ClassVar[type[msgspec.Struct]] = Agreement

    def check(self, view: RunView, trial: str, layer: str, parameters: Agreement) -> Sequence[CheckRow]:
        content = view.evidence(f"{parameters.step}.k6.json", trial)
        if content is None:
            return [trial_row(trial, layer, "k6", Verdict.VACUOUS, "", "", "k6 left no verdict")]
        kept = msgspec.json.decode(content, type=Kept)
        tables = {"requests": view.samples("requests", trial), "stages": view.samples("stages", trial)}
        judged = [
            _Threshold(name, text, state, said) for name, said in sorted(kept.metrics.items()) for text, state in said.thresholds.items()
        ]
        doubt = _doubt(view, trial, parameters.tightest_limit)
        return [_dropped(trial, layer, kept), _exit(trial, layer, kept, doubt), *(one.row(trial, layer, tables) for one in judged)]


def _dropped(trial: str, layer: str, kept: Kept) -> CheckRow:
    value, limit = f"{kept.dropped} of {kept.iterations + kept.dropped} dropped", "0 dropped iterations"
    if kept.iterations == 0:
        return trial_row(trial, layer, "k6.dropped_iterations", Verdict.VACUOUS, value, limit, "no iteration ended")
    reason = "k6 did not send what was planned: it had no VU free" if kept.dropped else ""
    return trial_row(trial, layer, "k6.dropped_iterations", Verdict.FAIL if kept.dropped else Verdict.PASS, value, limit, reason)


def _doubt(view: RunView, trial: str, limit: Duration | None) -> str:
    """Why latency figures of this trial may not be believed; empty when they may, or when no limit says how near they must be."""
    rows = doubts(view, trial, limit) if limit is not None else []
    return next((f"{row.check} is {row.verdict}: {row.reason}" for row in rows), "")


def _exit(trial: str, layer: str, kept: Kept, doubt: str) -> CheckRow:
    failed = [f"{name} {text}" for name, said in kept.metrics.items() for text, state in said.thresholds.items() if not state["ok"]]
    value = f"exit {kept.exit_code}, {len(failed)} thresholds failed"
    if (kept.exit_code == THRESHOLDS_FAILED) != bool(failed):
        return trial_row(trial, layer, "k6.exit", Verdict.ERROR, value, "exit 0", "k6's exit code and its summary contradict each other")
    reason = f"k6 says failed: {', '.join(sorted(failed))}" if failed else ""
    if failed and doubt and all(name.startswith(LATENCIES) for name in failed):
        return trial_row(trial, layer, "k6.exit", Verdict.INCONCLUSIVE, value, "exit 0", f"{reason}; not certified: {doubt}")
    return trial_row(trial, layer, "k6.exit", Verdict.FAIL if failed else Verdict.PASS, value, "exit 0", reason)


class _Threshold:
    """One threshold of the script."""

    def __init__(self, metric: str, text: str, state: Mapping[str, bool], said: Said) -> None:
        self._metric, self._text, self._passed, self._said = metric, text, state["ok"], said

    def row(self, trial: str, layer: str, tables: Mapping[str, Any]) -> CheckRow:
        name, limit = f"k6.agrees.{self._metric}", f"{self._metric}: {self._text}"
        match = _EXPRESSION.fullmatch(self._text)
        if match is None:
            return trial_row(trial, layer, name, Verdict.ERROR, "", limit, "this threshold cannot be judged from the samples")
        try:
            figure = _figure(self._metric, match, tables)
        except KeyError as error:
            return trial_row(trial, layer, name, Verdict.ERROR, "", limit, f"no sample stands for {error}")
        if figure is None:
            return trial_row(trial, layer, name, Verdict.VACUOUS, "", limit, "k6 judged it over no sample at all")
        ours = OPERATORS[match[3].replace("===", "==")](figure, float(match[4]))
        value = f"samples {figure:.6g}, k6 {self._said.values.get(match[1], float('nan')):.6g}"
        verdict, reason = self._compare(ours=ours)
        return trial_row(trial, layer, name, verdict, value, limit, reason)

    def _compare(self, *, ours: bool) -> tuple[Verdict, str]:
        if ours == self._passed:
            return Verdict.PASS, ""  # they agree; a threshold that both see broken fails in `k6.exit` and in the scenario's own
        if self._passed:
            return Verdict.FAIL, "k6 passed it, the samples do not"
        return Verdict.ERROR, "k6 failed it, the samples hold it: one of them is wrong"


def _figure(metric: str, expression: re.Match[str], tables: Mapping[str, Any]) -> float | None:
    """The aggregate from the samples in k6's unit (ms, share, count); None without samples. ``KeyError`` for an unknown metric."""
    match = _METRIC.fullmatch(metric)
    if match is None:
        raise KeyError(metric)
    stream, values = _VALUES[match[1]]
    table = tables[stream]
    for key, wanted in _tags(match[2] or ""):
        table = table.filter(pc.equal(table[COLUMNS[key]], wanted)) if table.num_rows else table
    if match[1] == "dropped_iterations":
        return float(values(table).sum()) if table.num_rows else 0.0
    return _aggregate(values(table), expression) if table.num_rows else None


def _tags(text: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, text.split(",")):
        key, _, value = pair.partition(":")
        yield key.strip(), value.strip()


def _aggregate(values: Floats, expression: re.Match[str]) -> float:
    if expression[2]:
        return quantile(values, Fraction(expression[2]) / 100)
    if expression[1] in {"avg", "rate"}:
        return float(values.mean())
    if expression[1] == "count":
        return float(len(values))
    named = {"min": values.min(), "max": values.max(), "med": np.median(values)}
    return float(named[expression[1]])


def _service_ms(table: Any) -> Floats:
    return FORMULAS["service_time"](table)[1] * 1000


def _good(table: Any) -> Floats:
    return 1.0 - FORMULAS["errors"](table)[1]


def _unsent(table: Any) -> Floats:
    return np.asarray(pc.equal(table["outcome"], "unsent").to_numpy(zero_copy_only=False), dtype=np.float64)


def _stage_ms(table: Any) -> Floats:
    return np.asarray(table["stage_time"].to_numpy(), dtype=np.float64) * 1000


_VALUES = {
    "http_req_duration": ("requests", _service_ms),
    "dropped_iterations": ("requests", _unsent),
    "checks": ("requests", _good),
    "stage_ms": ("stages", _stage_ms),
}
