"""What the page says of the run as a whole: headline, what did not pass, layers, requirements, the list of all checks."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from harness.core.text import one_line
from harness.core.verdict import Verdict
from harness.journal.events import Note, TestOutcome
from harness.journal.requirements import RequirementMatrix, RequirementRow, Status
from harness.journal.summary import LayerSummary, MetricRow, Row, Summary
from harness.report.folder import RunFolder
from harness.report.numbers import quantity, seconds

SHOWN_EXCEPTIONS = 100
ONE_REASON = ".one_reason"  # what others follow from stands in front of them


@dataclasses.dataclass(frozen=True, slots=True)
class LayerLine:
    """A layer with the shares of its bar, in percent."""

    layer: LayerSummary
    counts: str
    seconds: str
    passed: float
    blocked: float
    bad: float
    time_share: float


@dataclasses.dataclass(frozen=True, slots=True)
class RequirementGroup:
    """The requirements of one group, with how many are what."""

    name: str
    counts: Mapping[Status, int]
    rows: tuple[RequirementRow, ...]

    @property
    def touched(self) -> bool:
        """Whether any check of the run carries one of its ids."""
        return self.counts.get(Status.UNTESTED, 0) < len(self.rows)


# metric name or beginning of a threshold, word among its tags, label
HEADLINES: tuple[tuple[str, str, str], ...] = (
    ("documents_to_dossier", "", "documents to dossiers"),
    ("grounded_quotes", "", "quotes grounded in their source"),
    ("nDCG@10", "fused", "nDCG@10, fused retrieval"),
    ("response_time", "retrieve", "p95 of retrieve under load"),
    ("recovery_time", "", "recovery after the kill"),
    ("acknowledged_lost", "", "acknowledged writes lost"),
)


def headlines(summary: Summary) -> list[tuple[str, str]]:
    """The figures that this run has, as (value, label)."""
    found = []
    for name, word, label in HEADLINES:
        metric = next((item for item in summary.metrics if item.value is not None and _is(item, name, word)), None)
        if metric is not None:
            found.append((quantity(metric.value, metric.unit), label))
    return found


def _is(metric: MetricRow, name: str, word: str) -> bool:
    expression = metric.tags.get("threshold", "")
    named = metric.name == name or expression.startswith((f"{name}{{", f"{name}:"))
    return named and (not word or word in metric.tags.values())


def exceptions(summary: Summary) -> list[Row]:
    """Every row that is not PASS, the worst first; a test that only repeats the rows of its trial keeps its place behind them."""
    rows = (row for row in summary.rows if row.verdict is not Verdict.PASS)
    return sorted(rows, key=lambda row: (ONE_REASON not in row.check, row.verdict.badness, not row.trial))


def repeats(folder: RunFolder, summary: Summary) -> dict[str, str]:
    """Tests that only took over the verdict of a trial whose own rows are in the list: test id → trials."""
    verdicts: dict[str, set[Verdict]] = defaultdict(set)
    for row in summary.rows:
        verdicts[row.trial].add(row.verdict)
    taken = {event.node: (event.verdict, event.trials) for event in folder.of(TestOutcome) if event.verdict is not Verdict.PASS}
    return {
        node: ", ".join(trial for trial in trials if verdict in verdicts[trial])
        for node, (verdict, trials) in taken.items()
        if any(verdict in verdicts[trial] for trial in trials)
    }


def layer_lines(summary: Summary) -> list[LayerLine]:
    """The layers with bars of checks and of time."""
    longest = max((layer.duration_s or 0.0 for layer in summary.layers), default=0.0) or 1.0
    lines = []
    for layer in summary.layers:
        total = max(layer.total, 1)
        bad = max(layer.total - layer.passed - layer.blocked, 0)
        lines.append(
            LayerLine(
                layer=layer,
                counts=f"{layer.passed} of {layer.total}" + (f", {layer.blocked} blocked" if layer.blocked else ""),
                seconds=seconds(layer.duration_s),
                passed=100 * layer.passed / total,
                blocked=100 * layer.blocked / total,
                bad=100 * bad / total,
                time_share=100 * (layer.duration_s or 0.0) / longest,
            )
        )
    return lines


def sentence(summary: Summary) -> str:
    """What the verdict means, for someone who has never seen one."""
    failed = sum(row.verdict is Verdict.FAIL for row in summary.rows)
    meanings = {
        Verdict.PASS: "Everything that could be checked here holds.",
        Verdict.FAIL: f"{failed} {'statement' if failed == 1 else 'statements'} about the system did not hold.",
        Verdict.ERROR: "A check itself went wrong, so the run proves nothing about that part.",
        Verdict.ABORTED: "The run was ended before it was done.",
        Verdict.INCONCLUSIVE: "The measurements cannot be trusted enough to decide; a rerun may help.",
        Verdict.VACUOUS: "Some check had nothing to look at, so it proves nothing.",
        Verdict.BLOCKED: "Something that this run requires is not available here.",
    }
    return meanings[summary.verdict]


def notes(folder: RunFolder) -> list[tuple[str, str]]:
    """Sentences for people, (level, text); bounded."""
    return [(event.level, event.text) for event in folder.of(Note)][:100]


def requirement_groups(matrix: RequirementMatrix | None) -> list[RequirementGroup]:
    """The matrix by group, in the order of the register."""
    if matrix is None:
        return []
    by_group: dict[str, list[RequirementRow]] = defaultdict(list)
    for row in matrix.rows:
        by_group[row.group].append(row)
    return [RequirementGroup(name, Counter(row.status for row in rows), tuple(rows)) for name, rows in by_group.items()]


def compact(summary: Summary, durations: Mapping[str, float]) -> Iterator[tuple[str, str, list[str]]]:
    """All checks by file or trial: (name, counts, one line a check); small however many there are."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in summary.rows:
        groups[row.trial or row.check.split("::")[0]].append(row)
    for name, rows in groups.items():
        counts = Counter(row.verdict for row in rows)
        text = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
        yield name, text, [_compact_line(row, durations) for row in rows]


def _compact_line(row: Row, durations: Mapping[str, float]) -> str:
    took = f"  {seconds(durations[row.check])}" if row.check in durations else ""
    value = f"  {one_line(row.value, 80)}" if row.value else ""
    return f"{row.verdict:<13}{one_line(row.check.split('::', 1)[-1], 160)}{value}{took}"
