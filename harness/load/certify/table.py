"""A certificate as a table of the journal, for the report."""

from __future__ import annotations

from collections.abc import Sequence

from harness.journal.events import Table
from harness.load.certify.checks import Result
from harness.load.certify.judge import shown

COLUMNS = ("figure", "reported ms", "true ms", "error ms", "limit ms", "within")


def certificate_table(trial: str, result: Result) -> Table:
    """Reported versus true, a row a figure; rates, lag and the standing in the note."""
    return Table(
        trial=trial,
        title=f"Certificate of {result.reported.engine}: {result.judgement.standing}",
        columns=COLUMNS,
        rows=tuple(rows(result)),
        note=note(result),
    )


def rows(result: Result) -> list[tuple[str, ...]]:
    """One row a figure; those that are not judged have no limit."""
    found: list[tuple[str, ...]] = []
    for figure in result.judgement.figures:
        error, within = figure.error_ms, figure.within
        limit = f"{figure.tolerance_ms:.1f}" if figure.judged else ""
        word = "" if within is None or not figure.judged else "yes" if within else "NO"
        shown_error = "-" if error is None else f"{error:+.2f}"
        found.append((figure.name, shown(figure.reported), shown(figure.true), shown_error, limit, word))
    return found


def note(result: Result) -> str:
    """Offered and achieved rate, lags, what was not answered, how it was measured, and the judgement."""
    truth, reported = result.truth, result.reported
    parts = [
        result.judgement.sentence,
        f"offered {truth.offered_per_s:.1f}/s, achieved {truth.achieved_per_s:.1f}/s ({truth.reached} of {truth.intended} requests)",
        f"own lag p99 {shown(reported.lag_p99_ms)} ms as it says, at most {shown(truth.arrival_lag_p99_ms)} ms as the server saw it",
        f"the server answered within {shown(truth.server_late_p99_ms)} ms of its time (p99)",
    ]
    odd = [f"{count} {word}" for word, count in kinds(result) if count]
    return "; ".join([*parts, *odd, reported.how])


def kinds(result: Result) -> tuple[tuple[str, int], ...]:
    """What happened to requests that have no figure."""
    truth = result.truth
    return (
        ("never sent", truth.never_sent),
        ("reset", truth.reset),
        ("given up by the client", truth.abandoned),
        ("answered after the time-out", truth.timed_out),
        ("rate limited", truth.rate_limited),
        ("not of the plan", truth.extra),
    )


SUMMARY_COLUMNS = ("engine", "p50", "p90", "p99", "p99.9", "max", "offered/s", "achieved/s", "lag p99", "standing")


def summary_table(certificates: Sequence[tuple[str, Result]]) -> Table:
    """All certificates of a run: each figure as ``reported / true`` in ms, one row a certificate."""
    return Table(
        trial="",
        title="Certificates: reported / true, ms",
        columns=SUMMARY_COLUMNS,
        rows=tuple(summary_row(result) for _, result in certificates),
        note="a server of 20 ms base service that stands still; the truth is computed from plan and server log by a script of its own",
    )


def summary_row(result: Result) -> tuple[str, ...]:
    """One certificate in one row."""
    truth = result.truth
    return (
        result.reported.engine,
        *(f"{shown(figure.reported)} / {shown(figure.true)}" for figure in result.judgement.figures),
        f"{truth.offered_per_s:.1f}",
        f"{truth.achieved_per_s:.1f}",
        shown(result.reported.lag_p99_ms),
        result.judgement.sentence[:200],
    )
