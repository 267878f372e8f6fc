"""Tables of the page, from the events of the run folder: those of this project's wings, and whatever any wing emits in generic shapes."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.core.clock import NS_PER_S
from harness.core.text import one_line
from harness.journal.events import (
    DrillStage,
    FaultApplied,
    FaultIntended,
    FaultProof,
    FaultUndone,
    Histogram,
    LoadFailure,
    Measured,
    OperationChecked,
    RecoveryObserved,
    RetrievalFigure,
    Series,
    ServiceChanged,
    ShapeChecked,
    Table,
    Window,
)
from harness.report.folder import RunFolder
from harness.report.numbers import quantity, seconds, short, whole

SHOWN_TABLE_ROWS = 500
_NUMBER = re.compile(r"[-+−]?[0-9.,\u202f]+(?: ?[%a-zA-Z/µ]{0,5})?$|[–∞]$")
_LONG_FLOAT = re.compile(r"-?[0-9]{1,15}\.[0-9]{4,}$")
QUIET_CHANGES = frozenset({"started", "healthy"})


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """A table of plain cells; columns named in ``numeric`` (by index) are aligned right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    note: str = ""
    more: int = 0

    def slim(self) -> Grid:
        """Without the columns that are empty in every row."""
        kept = [
            number for number in range(len(self.columns)) if any(row[number : number + 1] not in ((), ("",), ("–",)) for row in self.rows)
        ]
        return dataclasses.replace(
            self,
            columns=tuple(self.columns[number] for number in kept),
            rows=tuple(tuple(row[number] for number in kept if number < len(row)) for row in self.rows),
            numeric=frozenset(place for place, number in enumerate(kept) if number in self.numeric),
        )


def faults(folder: RunFolder) -> Grid | None:
    """Each fault with its proof of effect, detection and recovery."""
    proofs = {(event.trial, event.fault): event for event in folder.of(FaultProof)}
    recovered = {(event.trial, event.fault): event for event in folder.of(RecoveryObserved)}
    applied = {(event.trial, event.fault) for event in folder.of(FaultApplied)}
    undone = {(event.trial, event.fault) for event in folder.of(FaultUndone)}
    rows = []
    for event in folder.of(FaultIntended):
        key = (event.trial, event.fault)
        proof, seen = proofs.get(key), recovered.get(key)
        effect = f"{proof.proof}: {proof.before} → {proof.after}" if proof else "none" if key in applied else "not applied"
        times = (seconds(seen.detection_s), seconds(seen.recovery_s)) if seen else ("–", "–")
        by = f"{seen.recovered_by}, from {seen.counted_from}" if seen else ""
        rows.append((event.trial, f"{event.kind} {event.target}", effect, *times, by, "undone" if key in undone else "not undone"))
    columns = ("trial", "fault", "proof of effect", "detected after", "recovered after", "recovered by", "state")
    return Grid("Faults", columns, tuple(rows), frozenset({3, 4})).slim() if rows else None


def services(folder: RunFolder) -> Grid | None:
    """What happened to the services after they first came up."""
    walls = folder.walls(ServiceChanged)
    seen: Counter[tuple[str, str]] = Counter()
    rows = []
    for wall, event in walls:
        seen[event.service, event.change] += 1
        if event.change in QUIET_CHANGES and seen[event.service, event.change] == 1 and event.restarts == 0:
            continue
        delays = (seconds(event.restart_delay_s), seconds(event.serve_delay_s))
        rows.append((wall[11:23], event.service, event.change, str(event.pid), *delays, one_line(event.detail)))
    columns = ("time, UTC", "service", "what", "pid", "restart delay", "serve delay", "detail")
    shown = tuple(rows[:SHOWN_TABLE_ROWS])
    return Grid("Service events", columns, shown, frozenset({3, 4, 5}), more=len(rows) - len(shown)).slim() if rows else None


def stages(folder: RunFolder) -> Grid | None:
    """The stages of recovery drills."""
    rows = tuple(
        (event.trial, event.stage, event.outcome, seconds((event.end_ns - event.start_ns) / NS_PER_S), one_line(event.detail))
        for event in folder.of(DrillStage)
    )
    return Grid("Recovery drill", ("trial", "stage", "outcome", "took", "detail"), rows, frozenset({3})).slim() if rows else None


def quality(folder: RunFolder) -> list[Grid]:
    """Ranking quality: a table a data set, a line a retriever, a column a metric, with the references beside it."""
    by_set: dict[tuple[str, int, int], list[RetrievalFigure]] = defaultdict(list)
    for event in folder.of(RetrievalFigure):
        by_set[event.dataset, event.queries, event.documents].append(event)
    return [_ranking(*key, figures) for key, figures in by_set.items()]


def _ranking(dataset: str, queries: int, documents: int, figures: Sequence[RetrievalFigure]) -> Grid:
    metrics = list(dict.fromkeys(figure.metric for figure in figures))
    cells = {(figure.retriever, figure.metric): figure for figure in figures}
    best = {name: max(figure.value for figure in figures if figure.metric == name) for name in metrics}
    rows = []
    for retriever in dict.fromkeys(figure.retriever for figure in figures):
        own = [cells.get((retriever, name)) for name in metrics]
        values = (("–" if figure is None else f"{figure.value:.3f}{' ▲' if figure.value == best[figure.metric] else ''}") for figure in own)
        references = "; ".join(f"{figure.metric} {figure.reference}" for figure in own if figure and figure.reference)
        rows.append((retriever, *values, references))
    note = f"{whole(queries)} queries over {whole(documents)} documents. ▲ marks the best of each column."
    return Grid(dataset, ("retriever", *metrics, "reference"), tuple(rows), frozenset(range(1, len(metrics) + 1)), note).slim()


def contract(folder: RunFolder) -> Grid | None:
    """A line an operation, a column a kind of check: how many cases, and how many of them failed. Failing operations first."""
    cells: dict[str, dict[str, OperationChecked]] = defaultdict(dict)
    for event in folder.of(OperationChecked):
        cells[event.operation][event.check] = event
    checks = list(dict.fromkeys(check for own in cells.values() for check in own))
    ordered = sorted(cells, key=lambda name: (not any(event.failures for event in cells[name].values()), name))
    rows = [(name, *(_cases(cells[name].get(check)) for check in checks), _details(cells[name].values())) for name in ordered]
    shown = tuple(rows[:SHOWN_TABLE_ROWS])
    columns = ("operation", *checks, "detail")
    numeric = frozenset(range(1, len(checks) + 1))
    note = "Cases tried on each operation."
    return Grid("API contract", columns, shown, numeric, note, more=len(rows) - len(shown)).slim() if rows else None


def _cases(event: OperationChecked | None) -> str:
    if event is None:
        return ""
    return f"{whole(event.failures)} of {whole(event.cases)} failed" if event.failures else whole(event.cases)


def _details(events: Iterable[OperationChecked]) -> str:
    return "; ".join(f"{event.check}: {one_line(event.detail)}" for event in events if event.detail)


def shapes(folder: RunFolder) -> Grid | None:
    """SHACL shapes with their focus nodes: none means that the shape proves nothing."""
    rows = []
    for event in folder.of(ShapeChecked):
        state = "violated" if event.violations else "holds" if event.focus_nodes else "vacuous"
        rows.append((event.shape, whole(event.focus_nodes), whole(event.violations), state, one_line(event.detail)))
    covered = sum(row[1] != "0" for row in rows)
    note = f"{covered} of {len(rows)} shapes had something to look at."
    columns = ("shape", "focus nodes", "violations", "state", "detail")
    return Grid("SHACL shape coverage", columns, tuple(rows), frozenset({1, 2}), note).slim() if rows else None


def tables(folder: RunFolder, elsewhere: frozenset[str] = frozenset()) -> list[Grid]:
    """Generic tables, but for those of the trials ``elsewhere``, which show their own."""
    return [shown(event) for event in folder.of(Table) if event.trial not in elsewhere]


def shown(event: Table) -> Grid:
    """A generic table as its wing wrote it, bounded."""
    return Grid(
        event.title or "Table",
        event.columns,
        tuple(tuple(_rounded(cell) for cell in row) for row in event.rows[:SHOWN_TABLE_ROWS]),
        _numeric(event),
        event.note,
        more=max(0, len(event.rows) - SHOWN_TABLE_ROWS),
    )


def _rounded(cell: str) -> str:
    """A float as a program prints it, rounded for people; anything else as it is."""
    return short(float(cell)) if _LONG_FLOAT.match(cell) else cell


def _numeric(table: Table) -> frozenset[int]:
    """The columns whose every cell begins like a number."""
    columns = zip(*table.rows, strict=False)
    return frozenset(number for number, cells in enumerate(columns) if all(_NUMBER.match(cell) for cell in cells if cell))


def measured(folder: RunFolder) -> Grid | None:
    """Single figures that drivers emitted."""
    rows = [(event.trial, event.metric, tagged(event.tags), quantity(event.value, event.unit)) for event in folder.of(Measured)]
    shown = tuple(rows[:SHOWN_TABLE_ROWS])
    return Grid("Measured", ("trial", "metric", "tags", "value"), shown, frozenset({3}), more=len(rows) - len(shown)) if rows else None


def distributions(folder: RunFolder) -> Grid | None:
    """Histograms of any wing, by quantile."""
    rows = tuple((event.trial, event.name, tagged(event.tags), whole(event.count), *_hdr(event)) for event in folder.of(Histogram))
    columns = ("trial", "histogram", "tags", "count", "p50", "p95", "p99", "max")
    return Grid("Distributions", columns, rows, frozenset({3, 4, 5, 6, 7})) if rows else None


def _hdr(event: Histogram) -> tuple[str, ...]:
    from hdrh.histogram import HdrHistogram  # only where a wing emitted one

    try:
        decoded = HdrHistogram.decode(event.encoded.encode())
        return tuple(f"{short(float(decoded.get_value_at_percentile(q)))} {event.unit}" for q in (50, 95, 99, 100))
    except Exception:  # noqa: BLE001 - a foreign encoding is shown as unreadable, not a reason to have no report
        return ("unreadable", "–", "–", "–")


def tagged(tags: Mapping[str, str]) -> str:
    """Tags in one text."""
    return ", ".join(f"{name}={value}" for name, value in tags.items())


def series(folder: RunFolder) -> list[Series]:
    """Short time series of any wing, bounded."""
    return folder.of(Series)[:40]


def first_failures(folder: RunFolder, trial: str) -> Iterator[Grid]:
    """The first failed request of each kind of failure, with its answer."""
    rows = {
        (event.step, event.op, event.outcome, str(event.status or "–"), event.role): (event.cause, event.request, event.response)
        for event in reversed(folder.of(LoadFailure, trial))
    }
    if rows:
        columns = ("step", "op", "outcome", "status", "role", "cause", "request", "response")
        note = "Cut short; keys, tokens and cookies are left out."
        yield Grid(
            "The first failed request of each kind", columns, tuple((*kind, *said) for kind, said in sorted(rows.items())), note=note
        ).slim()


def windows(folder: RunFolder, drawn: frozenset[str]) -> Grid | None:
    """Windows of trials that have no drawing."""
    rows = tuple(
        (event.trial, event.kind, event.name, seconds((event.end_ns - event.start_ns) / NS_PER_S), tagged(event.tags))
        for event in folder.of(Window)
        if event.trial not in drawn
    )
    return Grid("Windows", ("trial", "kind", "name", "length", "tags"), rows[:SHOWN_TABLE_ROWS], frozenset({3})) if rows else None
