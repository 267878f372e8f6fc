"""``harness evaluate retrieval DIR``: any collection in BEIR layout through the running system, beside the published figures if any."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from harness.cli.closing import concluded
from harness.cli.console import Console
from harness.cli.verify import make_run
from harness.core.errors import UsageError
from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import Event, Note, RetrievalFigure
from harness.plugin.session import Session
from harness.retrieval.beir import load_beir
from harness.retrieval.driver import RETRIEVERS
from harness.retrieval.metrics import METRICS
from harness.retrieval.selection import select
from harness.run.project import load_project
from harness.run.run import FinishedRun
from harness.run.view import FolderView

KINDS = ("retrieval",)
COMPARED = {Verdict.PASS: "better", Verdict.FAIL: "worse"}


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", metavar="DIR", help="corpus.jsonl, queries.jsonl (also .gz), qrels/<split>.tsv")
    parser.add_argument("--split", default="test", help="judgements to use (default: test)")
    parser.add_argument("--documents", type=int, default=None, metavar="N", help="all relevant documents and seeded others (default: all)")
    parser.add_argument("--deadline", default="60 min", help="bound of indexing and asking (default: 60 min)")
    parser.add_argument("--profile", default="")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--reports", default="", metavar="DIR")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    folder = Path(namespace.folder).resolve()
    if not folder.is_dir():
        raise UsageError("this is no folder", file=str(namespace.folder), remedy="give a folder in BEIR layout")
    _check(namespace)
    collection = load_beir(folder, namespace.split)
    select(collection, namespace.documents, seed=1)  # wrong input ends here, before anything is started
    console = Console(quiet=namespace.json)
    if not collection.relevant:
        return _nothing_relevant(folder, console, as_json=namespace.json)
    run = make_run(load_project(), namespace, ())
    session = Session(load_project(), run, console.say)
    run.listen(Notes(console))
    scenario = run.folder / "evaluate_retrieval.yaml"
    scenario.write_text(scenario_text(folder, namespace), encoding="utf-8")

    def evaluate() -> None:
        session.scenario(scenario)

    return concluded(session.close, evaluate, lambda finished: _print(finished, console, as_json=namespace.json))


def _check(namespace: argparse.Namespace) -> None:
    if namespace.documents is not None and namespace.documents < 1:
        raise UsageError(f"--documents {namespace.documents}: not a number of documents", remedy="give 1 or more, or leave it out for all")
    Duration.parse(namespace.deadline)


def _nothing_relevant(folder: Path, console: Console, *, as_json: bool) -> int:
    """Every figure would be 0 whatever the system answers: VACUOUS, and nothing is started."""
    reason = f"nothing is judged relevant in {folder.name}: every figure would be 0, so nothing was started"
    if as_json:
        print(json.dumps({"figures": [], "verdict": str(Verdict.VACUOUS), "reasons": [reason]}, sort_keys=True))
    else:
        console.out.print(reason, markup=False)
        console.out.print(console.verdict(Verdict.VACUOUS))
    return Verdict.VACUOUS.exit_code


class Notes:
    """A listener that shows a run's notes while it goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def see(self, event: Event) -> None:
        if isinstance(event, Note):
            self._console.say(event.text)

    def close(self) -> None:
        return


def reasons(finished: FinishedRun) -> list[str]:
    """Why it is not PASS: each reason once, with the checks that gave it."""
    found: dict[str, list[str]] = {}
    for row in finished.summary.rows:
        if row.verdict is not Verdict.PASS:
            found.setdefault(f"{row.verdict}: {row.reason or row.value}", []).append(row.check.rpartition(".")[2])
    return [f"{reason} [{', '.join(checks)}]" for reason, checks in found.items()]


def comparisons(finished: FinishedRun) -> list[str]:
    """The fused ranking against each single one, with its interval."""
    compared = (row for row in finished.summary.rows if "fused_over_" in row.check)
    return [f"fused {row.limit}: {row.value}: {COMPARED.get(row.verdict, 'cannot tell')}" for row in compared]


def scenario_text(folder: Path, namespace: argparse.Namespace) -> str:
    """The scenario that is run: one evaluation, judged by its own run files."""
    parameters: dict[str, Any] = {
        "dataset": str(folder),
        "documents": namespace.documents or "all",
        "split": namespace.split,
        "deadline": namespace.deadline,
    }
    scenario = {
        "name": "evaluate_retrieval",
        "title": f"Retrieval over {folder.name}",
        "layer": "retrieval",
        "profile": "any",
        "deadline": "2 h",
        "requires": ["target"],
        "timeline": [{"step": "evaluate", "driver": "retrieval_eval", "with": parameters}],
        "checks": [{"checker": "retrieval_quality", "with": {"step": "evaluate"}}, {"checker": "trial_completed"}],
    }
    return yaml.safe_dump(scenario, sort_keys=False, allow_unicode=True)


def _print(finished: FinishedRun, console: Console, *, as_json: bool) -> None:
    events = [item.event for item in FolderView(finished.folder).events(RetrievalFigure.NAME)]
    figures = [event for event in events if isinstance(event, RetrievalFigure)]
    verdict = finished.summary.verdict
    if as_json:
        rows = [{"retriever": item.retriever, "metric": item.metric, "value": item.value, "reference": item.reference} for item in figures]
        first = figures[0] if figures else None
        head = {"dataset": first.dataset, "documents": first.documents, "queries": first.queries} if first else {}
        said = {"figures": rows, "comparisons": comparisons(finished), "reasons": reasons(finished)}
        print(json.dumps({**head, **said, "verdict": str(verdict), "run": str(finished.folder)}, sort_keys=True))
        return
    table = Table("retriever", *METRICS, "beside", box=None, header_style="bold")
    for retriever in RETRIEVERS:
        mine = {item.metric: item for item in figures if item.retriever == retriever}
        cells = [f"{mine[metric].value:.4f}" if metric in mine else "-" for metric in METRICS]
        table.add_row(retriever, *cells, mine["nDCG@10"].reference if mine else "")
    if figures:
        console.out.print(f"{figures[0].dataset}, {figures[0].queries} queries", markup=False)
    console.out.print(table)
    for line in comparisons(finished):
        console.out.print(line, markup=False)
    for reason in reasons(finished):
        console.out.print(reason, markup=False)
    console.out.print(console.verdict(verdict))
    console.out.print(f"{finished.folder}/report.html  manifest {finished.manifest_sha256}", markup=False)
