"""A budget over Locust's own statistics (``_stats.csv``), as far as aggregates can be believed.

Three things stand between that file and a verdict, and none is passed over in silence:

* A heading that is not known is an error that names it. (The checker this replaces looked for other headings, found no requests, and
  called that an error rate of 0: a run where half of all requests failed passed.)
* Locust mixes failures into its percentiles: a fast 503 makes p95 better. Where F of N requests failed, the percentile q of the truth
  (failures +∞) lies between Locust's q (all failures were slow already) and its q + F/N (all were fast): an interval, judged as one.
  Locust rounds times to two digits; that widens the interval by half a step.
* Its times are counted from the send of a client that waits for its answers: what it did not send while the server stood still is
  missing. That can show that a limit is broken, never that it holds: such a row is INCONCLUSIVE, unless the caller accepts it.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from harness.core.errors import UsageError, listing, nearest_word
from harness.core.text import one_line
from harness.core.verdict import Verdict
from harness.load.budget.file import ALL, PERCENTILES, Budget, Limit, by_key, declared, limits_for
from harness.load.budget.judge import BudgetRow
from harness.thresholds.evaluate import RARE_EVENTS, SAMPLES_ABOVE_PERCENTILE

NAME, REQUESTS, FAILURES, RATE, FAILED_RATE = "Name", "Request Count", "Failure Count", "Requests/s", "Failures/s"
HEADINGS = (NAME, REQUESTS, FAILURES, RATE, FAILED_RATE)
LEAST, AVERAGE, MOST = "Min Response Time", "Average Response Time", "Max Response Time"
AGGREGATED = "Aggregated"
NO_SAMPLES = "statistics are no samples: judge a run (--run)"
FROM_THE_SEND = "counted from the send of a client that waits: what was not sent while it waited is missing"
MAX_BYTES, MAX_ROWS = 4 << 20, 10_000
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
_STEPS_MS = ((100.0, 1.0), (1000.0, 10.0), (10_000.0, 100.0), (math.inf, 1000.0))  # Locust rounds below … to steps of …


@dataclasses.dataclass(frozen=True, slots=True)
class StatsRow:
    """One line of the file. ``percentiles``: quantile → ms as Locust rounded it, ascending."""

    endpoint: str
    requests: int
    failures: int
    completed_per_s: float
    percentiles: Mapping[Fraction, float]

    def bounds_s(self, q: Fraction) -> tuple[float, float]:
        """Where the percentile ``q`` lies, s, when every failure is +∞."""
        failed = Fraction(self.failures, self.requests)
        low = math.inf if q > 1 - failed else self._low_s(q)
        return low, self._high_s(q + failed)

    def _low_s(self, q: Fraction) -> float:
        below = [value for at, value in self.percentiles.items() if at <= q]
        return max(0.0, below[-1] - _half_step(below[-1])) / 1000 if below else 0.0

    def _high_s(self, q: Fraction) -> float:
        above = [value for at, value in self.percentiles.items() if at >= q]
        return (above[0] + _half_step(above[0])) / 1000 if above and q <= 1 else math.inf


def _half_step(value_ms: float) -> float:
    """Half of what Locust rounded by; of the wider step at a border, where the value may come from either side."""
    return next(step for below, step in _STEPS_MS if value_ms < below) / 2


def read_stats(path: Path) -> list[StatsRow]:
    """The rows of a ``_stats.csv``; ``UsageError`` names file, line and what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"larger than {MAX_BYTES} bytes", file=str(path), remedy="give the file …_stats.csv, not the history")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"the statistics cannot be read: {error}", file=str(path), remedy="give Locust's …_stats.csv") from None
    if not lines:
        raise UsageError("the file is empty", file=str(path), line=1, remedy="give Locust's …_stats.csv")
    headings = lines[0]
    _check_headings(headings, str(path))
    if len(lines) > MAX_ROWS:
        raise UsageError(f"{len(lines)} lines", file=str(path), remedy=f"at most {MAX_ROWS}")
    rows = [_row(headings, cells, str(path), number) for number, cells in enumerate(lines[1:], 2) if cells]
    if not rows:
        raise UsageError("no line of figures", file=str(path), line=2, remedy="Locust was ended before it wrote any")
    _check_whole(path, rows, len(lines))
    return rows


def _check_possible(
    given: Mapping[str, str], percentiles: Mapping[Fraction, float], requests: int, rate: float, file: str, line: int
) -> None:
    """Figures that no run can have are refused, never judged: percentiles that fall, or lie under the least time,
    and an average outside least and greatest. (A percentile above the greatest time is not: Locust's own files have them.)
    """
    values = [percentiles[at] for at in sorted(percentiles)]
    least, average, most = (_figure(given.get(name, "")) for name in (LEAST, AVERAGE, MOST))
    problem = ""
    if not math.isfinite(rate) or rate < 0 or any(not math.isfinite(value) or value < 0 for value in values):
        problem = "a figure is negative, infinite or no number"
    elif values != sorted(values):
        problem = "a higher percentile is smaller than a lower one"
    elif requests and values and least is not None and values[0] + _half_step(values[0]) < least:
        problem = f"a percentile of {values[0]:g} ms under a least time of {least:g} ms"
    elif any(figure is not None and (figure < 0 or not math.isfinite(figure)) for figure in (least, average, most)):
        problem = "a time is negative, infinite or no number"
    elif requests and None not in (least, average, most) and not (least or 0) - 1 <= (average or 0) <= (most or 0) + 1:
        problem = f"an average of {average:g} ms outside {least:g} to {most:g} ms"
    if problem:
        raise UsageError(f"impossible: {problem}", file=file, line=line, remedy="the file is damaged: take it again from Locust")


def _figure(text: str) -> float | None:
    """A cell's number; None for what is none, such as ``N/A``."""
    try:
        return float(text)
    except ValueError:
        return None


def _check_whole(path: Path, rows: Sequence[StatsRow], lines: int) -> None:
    """Locust ends the file with the line over all requests: without it, the file is torn and its limits would go unjudged."""
    remedy = "the file is torn or was edited: take it again from Locust"
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        if stream.read(1) not in b"\r\n":
            raise UsageError("the last line has no end", file=str(path), line=lines, remedy=remedy)
    if rows[-1].endpoint != ALL or any(row.endpoint == ALL for row in rows[:-1]):
        raise UsageError(f"the last line, {AGGREGATED!r}, is missing", file=str(path), line=lines, remedy=remedy)
    for what, total, parts in (
        ("requests", rows[-1].requests, sum(row.requests for row in rows[:-1])),
        ("failures", rows[-1].failures, sum(row.failures for row in rows[:-1])),
    ):
        if len(rows) > 1 and total != parts:
            raise UsageError(f"{total} {what} in all, {parts} in the lines above", file=str(path), line=lines, remedy=remedy)


def _check_headings(headings: Sequence[str], file: str) -> None:
    for wanted in HEADINGS:
        if wanted not in headings:
            found = nearest_word(wanted, headings)
            shown = listing([one_line(heading, 40) for heading in headings])
            remedy = f"the headings are: {shown}; give the file …_stats.csv of Locust 2"
            raise UsageError(f"the heading {wanted!r} is missing", file=file, line=1, nearest=found, remedy=remedy)
    if not any(_PERCENT.fullmatch(heading) for heading in headings):
        raise UsageError("no heading is a percentile (50%, 95%, 99%)", file=file, line=1, remedy="give the file …_stats.csv of Locust 2")


def _row(headings: Sequence[str], cells: Sequence[str], file: str, line: int) -> StatsRow:
    if len(cells) != len(headings):
        raise UsageError(f"{len(cells)} cells under {len(headings)} headings", file=file, line=line, remedy="the file is damaged")
    given = dict(zip(headings, cells, strict=True))
    try:
        requests, failures = int(given[REQUESTS]), int(given[FAILURES])
        rate = float(given[RATE]) - float(given[FAILED_RATE])
        percentiles = {
            Fraction(match[1]) / 100: float(cell)
            for heading, cell in zip(headings, cells, strict=True)
            if (match := _PERCENT.fullmatch(heading)) and cell != "N/A"
        }
    except ValueError as error:
        raise UsageError(f"no figure: {error}", file=file, line=line, remedy="the file is damaged") from None
    if not 0 <= failures <= requests:
        raise UsageError(f"{failures} failures of {requests} requests", file=file, line=line, remedy="the file is damaged")
    _check_possible(given, percentiles, requests, rate, file, line)
    name = ALL if given[NAME] == AGGREGATED else one_line(given[NAME])
    return StatsRow(name, requests, failures, rate, dict(sorted(percentiles.items())))


def judge_stats(budget: Budget, phase: str, rows: Sequence[StatsRow], *, accept_send: bool = False) -> list[BudgetRow]:
    """A row for each limit that an aggregate can speak of, and a VACUOUS one for each that none did.

    Objectives and burn rates want samples: the statistics say nothing about them.
    """
    judged = [
        found for row in rows for limit in limits_for(budget, phase, row.endpoint) for found in _judged(phase, row, limit, accept_send)
    ]
    return [*judged, *_unmet(budget, phase, [row.endpoint for row in rows])]


def _unmet(budget: Budget, phase: str, names: Sequence[str]) -> Iterator[BudgetRow]:
    """What the budget says and no line of the statistics speaks of."""
    for endpoint in declared(budget, phase):
        if endpoint in names:
            continue
        near = nearest_word(endpoint, names)
        reason = "no line of the statistics has this name" + (f" (did you mean {near!r}?)" if near else "") + f": they are {listing(names)}"
        for limit in limits_for(budget, phase, endpoint):
            yield BudgetRow(
                phase, endpoint, limit.metric, Verdict.VACUOUS, "", f"{_operator(limit)} {limit.quantity}", limit.source, reason
            )
    for endpoint in names:
        if by_key(budget, phase, endpoint):
            yield _no_samples(phase, endpoint, "by_key", "each key within the limits", f"endpoints.{endpoint}")
    for name in ("cpu", "memory_growth"):
        most = getattr(budget.resources, name, None)
        if most is not None:
            yield _no_samples(phase, ALL, name, f"<= {most}", f"resources.{name}")
    for objective in budget.objectives:
        within = f" within {objective.within}" if objective.within else " succeed"
        reason = NO_SAMPLES
        if objective.endpoint and objective.endpoint not in names:
            reason += f"; and no line has the name {objective.endpoint!r}"
        limit_text, source = f">= {objective.share}{within}", f"objectives.{objective.name}"
        yield BudgetRow(phase, objective.endpoint or ALL, objective.name, Verdict.VACUOUS, "", limit_text, source, reason)


def _no_samples(phase: str, endpoint: str, metric: str, limit: str, source: str) -> BudgetRow:
    return BudgetRow(phase, endpoint, metric, Verdict.VACUOUS, "", limit, source, NO_SAMPLES)


def _operator(limit: Limit) -> str:
    return ">=" if limit.metric == "rate" else "<="


def _judged(phase: str, row: StatsRow, limit: Limit, accept_send: bool) -> Iterator[BudgetRow]:  # noqa: FBT001 - passed on
    verdict, value, reason = Verdict.VACUOUS, "", "no request was sent"
    if row.requests:
        judges = {"errors": _errors, "rate": _rate}
        verdict, value, reason = judges.get(limit.metric, _latency)(row, limit)
    if verdict is Verdict.PASS and limit.metric in PERCENTILES and not accept_send:
        verdict, reason = Verdict.INCONCLUSIVE, FROM_THE_SEND
    yield BudgetRow(phase, row.endpoint, limit.metric, verdict, value, f"{_operator(limit)} {limit.quantity}", limit.source, reason)


Judged = tuple[Verdict, str, str]


def _latency(row: StatsRow, limit: Limit) -> Judged:
    q, most = PERCENTILES[limit.metric], float(limit.quantity.base)
    low, high = row.bounds_s(q)
    value = f"{_ms(low)} to {_ms(high)} (n={row.requests}, {row.failures} failed)"
    wanted = math.ceil(SAMPLES_ABOVE_PERCENTILE / min(q, 1 - q))
    if row.requests < wanted:
        return Verdict.INCONCLUSIVE, value, f"{row.requests} samples, {wanted} are needed"
    if low > most:
        return Verdict.FAIL, value, f"{_ms(low)} at least is not <= {limit.quantity}"
    if high > most:
        return Verdict.INCONCLUSIVE, value, f"with {row.failures} failures and rounded times it may be {_ms(high)}"
    return Verdict.PASS, value, ""


def _errors(row: StatsRow, limit: Limit) -> Judged:
    share, most = Fraction(row.failures, row.requests), limit.quantity.base
    value = f"{float(share) * 100:.4g} % ({row.failures} of {row.requests})"
    wanted = math.ceil(RARE_EVENTS / most)
    if row.requests < wanted:
        return Verdict.INCONCLUSIVE, value, f"{row.requests} samples, {wanted} are needed"
    return (Verdict.PASS, value, "") if share <= most else (Verdict.FAIL, value, f"{value} is not <= {limit.quantity}")


def _rate(row: StatsRow, limit: Limit) -> Judged:
    value = f"{row.completed_per_s:.6g} /s"
    good = row.completed_per_s >= float(limit.quantity.base)
    return (Verdict.PASS, value, "") if good else (Verdict.FAIL, value, f"{value} is not >= {limit.quantity}")


def _ms(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds * 1000:g} ms"
