"""Judges samples by a budget: a row for each endpoint, metric, objective and burn rate of a phase.

The figures are those of ``harness.thresholds``: response time counts every intended request, one that failed (a fast 503 too), timed
out or was never sent is +∞; a percentile or a rate without enough samples is INCONCLUSIVE.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.core.units import Rate
from harness.core.verdict import Verdict
from harness.load.budget.burn import Burn, judge_burn, least_burn, needed
from harness.load.budget.file import ALL, PERCENTILES, Budget, Limit, Objective, by_key, declared, limits_for
from harness.thresholds.evaluate import Finding, judge_values
from harness.thresholds.figures import Values, values_of
from harness.thresholds.grammar import Aggregation, Threshold

MAX_KEYS = 50
LATENCY = frozenset(PERCENTILES)
Span = tuple[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class BudgetRow:
    """One judged statement. ``limit`` is the text of the limit, ``source`` where the budget says it."""

    phase: str
    endpoint: str
    metric: str
    verdict: Verdict
    value: str
    limit: str
    source: str
    reason: str = ""
    latency: Limit | None = None  # set for limits on a time: what a certificate has to vouch for

    @property
    def name(self) -> str:
        """Unique within a phase: ``retrieve.p95``."""
        return f"{self.endpoint}.{self.metric}"


def judge_phase(budget: Budget, phase: str, table: Any, span: Span, endpoints: Sequence[str] = (), scale: float = 1.0) -> list[BudgetRow]:
    """Every row of a phase over a table of ``requests`` samples. ``endpoints`` have to be there; others are judged when they are.

    Without ``endpoints`` all that the budget limits by name have to be: a limit that no request met is VACUOUS.

    ``scale``: by how much the load was scaled down to this machine; throughput is, times and errors are not.
    """
    budget = _scaled(budget, scale)
    table = within(table, span)
    rows = list(_limit_rows(budget, phase, ALL, table, span))
    for endpoint in dict.fromkeys([*(endpoints or declared(budget, phase)), *_words(table, "op")]):
        mine = only(table, "op", endpoint)
        rows += _limit_rows(budget, phase, endpoint, mine, span)
        if by_key(budget, phase, endpoint):
            for key in _words(mine, "key")[:MAX_KEYS]:
                rows += _limit_rows(budget, phase, endpoint, only(mine, "key", key), span, key)
    return [*rows, *(row for one in budget.objectives for row in _objective_rows(budget, phase, one, table, span))]


def _scaled(budget: Budget, scale: float) -> Budget:
    """The budget with its limits on throughput times ``scale``."""
    if scale == 1:
        return budget
    phases = {name: msgspec.structs.replace(one, rate=_less(one.rate, scale)) for name, one in budget.phases.items()}
    endpoints = {name: msgspec.structs.replace(one, rate=_less(one.rate, scale)) for name, one in budget.endpoints.items()}
    return msgspec.structs.replace(budget, phases=phases, endpoints=endpoints)


def _less(rate: Rate | None, scale: float) -> Rate | None:
    return None if rate is None else Rate(rate.base * Fraction(scale).limit_denominator(1_000_000), rate.unit)


def _limit_rows(budget: Budget, phase: str, endpoint: str, table: Any, span: Span, key: str = "") -> Iterator[BudgetRow]:
    for limit in limits_for(budget, phase, endpoint):
        if key and limit.metric == "rate":
            continue  # an intent is a part of the endpoint's throughput
        threshold, unit = _threshold(limit)
        finding = _finding(threshold, unit, table, span)
        yield BudgetRow(
            phase=phase,
            endpoint=f"{endpoint}/{key}" if key else endpoint,
            metric=limit.metric,
            verdict=finding.verdict,
            value=finding.value,
            limit=f"{threshold.operator} {limit.quantity}",
            source=limit.source,
            reason=finding.reason,
            latency=limit if limit.metric in LATENCY else None,
        )


def _threshold(limit: Limit) -> tuple[Threshold, str]:
    """The limit in the grammar's own form, and the unit of its metric."""
    if limit.metric in PERCENTILES:
        return Threshold("response_time", (), Aggregation("p", PERCENTILES[limit.metric]), "<=", limit.quantity), "s"
    if limit.metric == "errors":
        return Threshold("errors", (), Aggregation("rate"), "<=", limit.quantity), "%"
    return Threshold("completed", (), Aggregation("rate"), ">=", limit.quantity), "1"


def _finding(threshold: Threshold, unit: str, table: Any, span: Span) -> Finding:
    if not table.num_rows:
        return Finding(Verdict.VACUOUS, "", "no request was intended")
    values = _placed(values_of(threshold.metric, table), span)
    if threshold.metric == "completed" and not len(values):
        return Finding(Verdict.FAIL, "0 /s", f"none of {table.num_rows} requests succeeded", 0.0)
    return judge_values(threshold, unit, values, span)


def bad_requests(objective: Objective, table: Any) -> Values:
    """1 for each request that the objective does not count as good, 0 for the others."""
    if objective.within is None:
        return values_of("errors", table)
    times = values_of("response_time", table)
    return Values(times.times_ns, (times.values > objective.within.seconds).astype(np.float64))


def of_objective(objective: Objective, table: Any) -> Any:
    """The samples that an objective speaks of."""
    return only(table, "op", objective.endpoint) if objective.endpoint else table


def _objective_rows(budget: Budget, phase: str, objective: Objective, table: Any, span: Span) -> Iterator[BudgetRow]:
    mine = of_objective(objective, table)
    limit = f">= {objective.share}" + (f" within {objective.within}" if objective.within else " succeed")
    source, endpoint = f"objectives.{objective.name}", objective.endpoint or ALL
    latency = Limit(objective.name, objective.within, source) if objective.within else None
    if not mine.num_rows:
        yield BudgetRow(phase, endpoint, objective.name, Verdict.VACUOUS, "", limit, source, "no request was intended", latency)
        return
    bad = _placed(bad_requests(objective, mine), span)
    count, wrong = len(bad), int(bad.values.sum())
    verdict, reason = _objective_verdict(objective, count, wrong)
    spent = wrong / (count * float(objective.allowed))
    value = f"{100 * (count - wrong) / count:.4g} % ({count - wrong} of {count}); burn {spent:.3g}, least shown {_least(objective, count)}"
    yield BudgetRow(phase, endpoint, objective.name, verdict, value, limit, source, reason, latency)
    for burn in judge_burn(bad, objective.allowed, budget.burn_rates, span):
        yield _burn_row(phase, endpoint, objective, burn, source, latency)


def _least(objective: Objective, count: int) -> str:
    return f"{least_burn(count, objective.allowed):.3g}"


def _objective_verdict(objective: Objective, count: int, wrong: int) -> tuple[Verdict, str]:
    wanted = needed(1, objective.allowed)
    if count < wanted:
        return Verdict.INCONCLUSIVE, f"{count} requests show a burn of {_least(objective, count)} or more; {wanted} are needed for 1"
    if wrong > count * objective.allowed:
        return Verdict.FAIL, f"{wrong} bad requests, {float(count * objective.allowed):.4g} are allowed"
    return Verdict.PASS, ""


def _burn_row(phase: str, endpoint: str, objective: Objective, burn: Burn, source: str, latency: Limit | None) -> BudgetRow:
    row = burn.scaled
    windows = f"{row.long_ns / 1e9:.4g} s and {row.short_ns / 1e9:.4g} s"
    return BudgetRow(
        phase=phase,
        endpoint=endpoint,
        metric=f"{objective.name}.burn_{row.rate:g}",
        verdict=burn.verdict,
        value=f"burn {burn.worst:.3g} at most; least shown {burn.least:.3g} ({burn.fewest} requests)",
        limit=f"burn <= {row.rate:g} over {windows}",
        source=source,
        reason=burn.reason,
        latency=latency,
    )


def _placed(values: Values, span: Span) -> Values:
    """Requests of the span whose intended time nobody knows count too: as of its begin, where a filter by time would lose them."""
    return Values(np.clip(values.times_ns, span[0], span[1] - 1), values.values)


def within(table: Any, span: Span) -> Any:
    """Samples whose time lies in the span: the intended one, the sent one where a tool knows no other."""
    if not table.num_rows:
        return table
    times = pc.coalesce(table.column("intended_ns"), table.column("sent_ns"), pa.scalar(span[0]))
    return table.filter(pc.and_(pc.greater_equal(times, span[0]), pc.less(times, span[1])))


def _words(table: Any, column: str) -> list[str]:
    """The values of a column of words, sorted, without the empty one."""
    if column not in table.column_names:
        return []
    return sorted({str(word) for word in pc.unique(table.column(column)).to_pylist() if word})


def only(table: Any, column: str, word: str) -> Any:
    return table.filter(pc.equal(table.column(column), word)) if table.num_rows else table
