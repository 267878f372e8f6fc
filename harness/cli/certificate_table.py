"""Certificates for the terminal and for ``--json``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from harness.load.certify.checks import Result
from harness.load.certify.judge import shown
from harness.load.certify.liar_engine import PREFIX

STYLES = {"valid": "green", "self-declared invalid": "yellow", "lying": "bold red"}


def rich_table(certificates: Sequence[tuple[str, Result]]) -> Table:
    """Two rows a certificate, as reported and as it is; 80 columns wide."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [figure.name for figure in certificates[0][1].judgement.figures]
    for number, column in enumerate(("engine", "ms", *names, "rate/s", "lag p99")):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=number > 0, overflow="fold")
    for _, one in certificates:
        truth, figures = one.truth, one.judgement.figures
        said = (brief(figure.reported) for figure in figures)
        true = (brief(figure.true) for figure in figures)
        name, style = one.reported.engine.removeprefix(PREFIX), STYLES[one.judgement.standing]
        table.add_row(name, "reported", *said, f"{truth.offered_per_s:.1f}", brief(one.reported.lag_p99_ms), style=style)
        table.add_row("", "true", *true, f"{truth.achieved_per_s:.1f}", brief(truth.arrival_lag_p99_ms), end_section=True)
    return table


def brief(value: float | None) -> str:
    """A time in ms short enough for a narrow terminal."""
    return f"{value:.0f}" if value is not None and 1000 <= value < math.inf else shown(value)


def certificate_data(trial: str, one: Result) -> dict[str, Any]:
    """One certificate."""
    truth, reported, judgement = one.truth, one.reported, one.judgement
    return {
        "trial": trial,
        "engine": reported.engine,
        "standing": judgement.standing,
        "declared": judgement.declared,
        "departures": list(judgement.reasons),
        "figures": {
            figure.name: {
                "reported_ms": plain(figure.reported),
                "true_ms": plain(figure.true),
                "error_ms": plain(figure.error_ms),
                "limit_ms": figure.tolerance_ms if figure.judged else None,
                "within": figure.within,
            }
            for figure in judgement.figures
        },
        "offered_per_s": truth.offered_per_s,
        "achieved_per_s": truth.achieved_per_s,
        "intended": truth.intended,
        "reached": truth.reached,
        "never_sent": truth.never_sent,
        "no_good_answer": truth.failed,
        "rate_limited": truth.rate_limited,
        "lag_p99_ms": reported.lag_p99_ms,
        "lag_p99_seen_ms": truth.arrival_lag_p99_ms,
        "server_late_p99_ms": truth.server_late_p99_ms,
        "cpu_share": reported.cpu_share,
    }


def plain(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return "never" if value is not None and math.isinf(value) else value
