"""The driver ``schemathesis``: property-based requests against the OpenAPI document, by the Schemathesis CLI in a process of its own.

The API key stands in the environment of that process only: its configuration file names the variable. The seed is the step's, so a
rerun with the same seed generates the same cases; every run has another seed.

It makes one whole pass over every operation and phase. A time limit of its own (``--max-time``) would cut each operation to an equal
slice: the operations with the richest bodies, which are the slowest to generate for, then got one case in place of two hundred.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgspec
import yaml

from harness.contract.openapi import operations, self_contained, server_path
from harness.contract.report import FuzzReport, read_report
from harness.contract.settings import ContractTable, contract_table, openapi_path
from harness.core.errors import HarnessError
from harness.core.text import outside
from harness.core.units import Duration
from harness.journal.events import Note, OperationChecked
from harness.run.context import store_evidence
from harness.run.processes import spawn
from harness.run.protocols import MetricSpec, StepContext

KEY_VARIABLE = "EH_CONTRACT_KEY"
OVERTIME_S = 25.0  # start-up, the schema's own analysis
PATIENCE = 3.0  # a busy machine: the pass may take this many times what it should
SEED_BITS = 31
ACCEPTED = ("2xx", "3xx", "401", "403", "404", "409", "429", "5xx")  # of a request that fits the document, as Schemathesis has it
FETCH_TIMEOUT_S = 15.0


class Schemathesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``time`` overrides ``[contract] time_s`` for this step: what the pass should take; it is ended at ``PATIENCE`` times that."""

    time: Duration | None = None


class SchemathesisDriver:
    """Emits ``contract.operation`` (check ``fuzzing``) for every operation of the document, also for those that got no case."""

    name: ClassVar[str] = "schemathesis"
    parameters: ClassVar[type[msgspec.Struct]] = Schemathesis
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: Schemathesis) -> None:
        """Raises ``HarnessError`` when Schemathesis cannot work, ``UsageError`` for a wrong [contract]."""
        table = contract_table(context.configuration)
        document = fetch_openapi(context)
        location = openapi_path(context.configuration)
        labels = [operation.label for operation in operations(document, location)]
        seed = context.seed % (1 << SEED_BITS)
        time_s = parameters.time.seconds if parameters.time else table.time_s
        work = context.folder / f"{context.step}.work"
        work.mkdir()
        try:
            schema = _schema(context, document, work)
            output = _execute(context, table, work, seed, time_s, schema, server_path(document, location) or "")
            report = _stored_report(context, work, labels, output)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        _emit(context, table, report, seed)


def fetch_openapi(context: StepContext) -> Mapping[str, Any]:
    """The document the running system serves, stored as evidence once a trial."""
    path = openapi_path(context.configuration)
    try:
        answer = httpx.get(context.target.base_url + path, timeout=FETCH_TIMEOUT_S)
        answer.raise_for_status()
        document = read_document(answer.content)
    except (httpx.HTTPError, ValueError) as error:
        raise HarnessError(f"{path} is not a readable OpenAPI document: {error}") from None
    store_evidence(context, "openapi", f"{context.step}.openapi.json", answer.content)
    return document


def read_document(content: bytes) -> Mapping[str, Any]:
    """An OpenAPI document in JSON or YAML; ``ValueError`` for what is neither, or no mapping."""
    try:
        document = json.loads(content)
    except ValueError:
        try:
            document = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ValueError(f"neither JSON nor YAML: {error}") from None
    if not isinstance(document, Mapping):
        raise ValueError("it is no mapping")  # noqa: TRY004 - the kind of error that the caller knows
    return document


def configuration_text(context: StepContext, table: ContractTable) -> str:
    """schemathesis.toml: header by variable, operations and checks left out. Every value is a JSON string, which TOML reads alike."""
    lines = []
    for label in table.exclude:
        lines += ["[[operations]]", f"include-name = {json.dumps(label)}", "enabled = false"]
    for label, refusal in table.may_refuse.items():
        expected = [*ACCEPTED, *(str(status) for status in refusal.statuses)]
        lines += ["[[operations]]", f"include-name = {json.dumps(label)}"]
        lines += ["[operations.checks.positive_data_acceptance]", f"expected-statuses = {json.dumps(expected)}"]
    for check in table.checks_off:
        lines += [f"[checks.{check}]", "enabled = false"]
    if table.role:
        lines += ["[headers]", f'{json.dumps(context.target.key_header)} = "${{{KEY_VARIABLE}}}"']
    return "\n".join(lines) + "\n"


def _schema(context: StepContext, document: Mapping[str, Any], work: Path) -> str:
    """The document as the fuzzer reads it: where it is served, or a copy with its path items written out where that makes a difference."""
    written = self_contained(document)
    if written is document:
        return context.target.base_url + openapi_path(context.configuration)
    path = work / "openapi.json"
    path.write_text(json.dumps(written, default=str), encoding="utf-8")
    return str(path)


def _execute(context: StepContext, table: ContractTable, work: Path, seed: int, time_s: float, schema: str, base_path: str) -> str:
    """Run the CLI to its end or the bound; what it printed last."""
    config = work / "schemathesis.toml"
    config.touch(mode=0o600)
    config.write_text(configuration_text(context, table), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color", "run"),
        *("--max-examples", str(table.max_examples), "--phases", ",".join(table.phases)),
        *("--seed", str(seed), "--generation-database", "none", "--no-shrink", "--continue-on-failure", "--request-timeout", "10"),
        *("--report", "ndjson", "--report-ndjson-path", str(work / "report.ndjson"), "--warnings", "off"),
        # The document's servers may name other machines; requests go to the target, under the path of the first one.
        *("--url", context.target.base_url + base_path),
        schema,
    ]
    environment = {**os.environ, KEY_VARIABLE: context.target.keys.get(table.role, ""), "PYTHONWARNINGS": "ignore"}
    deadline_ns = context.now_ns() + round((PATIENCE * time_s + OVERTIME_S) * 1e9)
    with (work / "output.txt").open("wb") as output:
        spawned = spawn(command, folder=work, environment=environment, stdout=output, stderr=output)
        try:
            while spawned.process.poll() is None and context.now_ns() < deadline_ns and not context.stop():
                context.wait(0.1)
        finally:
            spawned.end()
    printed = (work / "output.txt").read_text(encoding="utf-8", errors="replace")
    return f"exit {spawned.process.returncode}: {printed[-1500:].replace(str(work), '')}"


def _stored_report(context: StepContext, work: Path, labels: list[str], output: str) -> FuzzReport:
    path = work / "report.ndjson"
    content = path.read_bytes() if path.is_file() else b""
    report = read_report(content.splitlines(), labels)
    if not any(tally.cases for tally in report.operations.values()):
        raise HarnessError(f"Schemathesis sent nothing: {'; '.join(report.errors)} {output}")
    store_evidence(context, "schemathesis", f"{context.step}.ndjson.gz", gzip.compress(content, mtime=0))
    return report


def _emit(context: StepContext, table: ContractTable, report: FuzzReport, seed: int) -> None:
    cases = sum(tally.cases for tally in report.operations.values())
    end = "" if report.finished else "; it was ended at the bound before it was done: raise [contract] time_s"
    text = f"Schemathesis {report.version}, seed {seed}: {cases} cases on {len(report.operations)} operations{end}"
    context.journal.emit(Note(trial=context.trial, text=text))
    for check, why in table.checks_off.items():
        context.journal.emit(Note(trial=context.trial, text=f"the check {check} is switched off: {why}", level="warning"))
    for label, refusal in table.may_refuse.items():
        statuses = ", ".join(map(str, refusal.statuses))
        context.journal.emit(Note(trial=context.trial, text=f"{label} may also answer {statuses}: {refusal.reason}", level="warning"))
    for label, tally in report.operations.items():
        reason = table.exclude.get(label)
        event = OperationChecked(
            trial=context.trial,
            operation=label,
            check="fuzzing" if reason is None else "excluded",
            cases=tally.cases,
            failures=sum(tally.failures.values()),
            detail=outside(tally.text() if reason is None else reason),
        )
        context.journal.emit(event)
    if report.errors:
        detail = outside("; ".join(report.errors))
        general = OperationChecked(
            trial=context.trial, operation="(run)", check="fuzzing", cases=1, failures=len(report.errors), detail=detail
        )
        context.journal.emit(general)
