"""``harness evaluate retrieval DIR``: any collection in BEIR layout through the running system, beside the published figures if any."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from harness.cli.console import Console
from harness.cli.verify import closed, make_run
from harness.core.errors import UsageError
from harness.journal.events import RetrievalFigure
from harness.plugin.session import Session
from harness.retrieval.beir import load_beir
from harness.retrieval.driver import RETRIEVERS
from harness.retrieval.metrics import METRICS
from harness.retrieval.selection import select
from harness.run.project import load_project
from harness.run.run import FinishedRun
from harness.run.view import FolderView

KINDS = ("retrieval",)


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
    select(load_beir(folder, namespace.split), namespace.documents, seed=1)  # wrong input ends here, before anything is started
    console = Console(quiet=namespace.json)
    run = make_run(load_project(), namespace, ())
    session = Session(load_project(), run, console.say)
    scenario = run.folder / "evaluate_retrieval.yaml"
    scenario.write_text(scenario_text(folder, namespace), encoding="utf-8")

    def evaluate() -> None:
        session.scenario(scenario)

    finished, interrupted = closed(session, evaluate)
    _print(finished, console, as_json=namespace.json)
    return 130 if interrupted else finished.summary.exit_code


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
        print(json.dumps({**head, "figures": rows, "verdict": str(verdict), "run": str(finished.folder)}, sort_keys=True))
        return
    table = Table("retriever", *METRICS, "beside", box=None, header_style="bold")
    for retriever in RETRIEVERS:
        mine = {item.metric: item for item in figures if item.retriever == retriever}
        cells = [f"{mine[metric].value:.4f}" if metric in mine else "-" for metric in METRICS]
        table.add_row(retriever, *cells, mine["nDCG@10"].reference if mine else "")
    if figures:
        console.out.print(f"{figures[0].dataset}, {figures[0].queries} queries", markup=False)
    console.out.print(table)
    for row in finished.summary.rows:
        if str(row.verdict) != "PASS":
            console.out.print(f"{row.check}: {row.verdict} {row.value} {row.reason}", markup=False)
    console.out.print(console.verdict(verdict))
    console.out.print(f"{finished.folder}/report.html  manifest {finished.manifest_sha256}", markup=False)
