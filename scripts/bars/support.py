"""What the bars share: the result line, a system of their own, calls of the command line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError
from harness.core.units import Duration
from harness.plugin.session import vector_cache
from harness.run.project import Project, load_project
from harness.run.protocols import Target
from harness.topology.compose import load_topology
from harness.topology.stack import Stack
from suites.wing.api import Api
from suites.wing.corpus import Corpus, load_corpus, sample_corpus

PROJECT = Path(__file__).resolve().parent.parent.parent
OUTPUT = PROJECT / "reports" / "bars"
HARNESS = str(Path(sys.executable).parent / "harness")
INGEST_LIMIT_S = 300.0


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)


def ended(main: Callable[[list[str]], int]) -> int:
    """The exit code of ``main`` with the arguments of this process; wrong usage is told in a line, not in a traceback."""
    try:
        return main(sys.argv[1:])
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2


def result(figure: str, passed: bool | None, detail: object = "") -> int:  # noqa: FBT001 - the three outcomes of a bar
    """Print the result line; the exit code that goes with it."""
    text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False, sort_keys=True)
    print(json.dumps({"figure": figure, "passed": passed, "detail": text}, ensure_ascii=False), flush=True)
    return {True: 0, False: 1, None: 3}[passed]


def listed(problems: Sequence[str], limit: int = 12) -> str:
    """The first problems, a line each."""
    more = [f"… and {len(problems) - limit} more"] if len(problems) > limit else []
    return "\n".join([*problems[:limit], *more])


@contextlib.contextmanager
def own_stack() -> Iterator[tuple[Stack, Target]]:
    """The system, started for this process and ended with it, however it ends."""
    project = load_project(PROJECT)
    configured = project.configuration.topology
    assert configured is not None
    topology = load_topology(project.folder / configured.file, configured.profile, project.folder)
    deadline_s = Duration.parse(configured.start_deadline).seconds
    began = time.monotonic()
    with Stack.start(topology, owner="run", model_cache_dir=vector_cache(), deadline_s=deadline_s) as stack:
        table = project.configuration.target
        keys = {role: stack.secret(name) for role, name in table.keys.items()}
        say(f"the system is up after {time.monotonic() - began:.1f} s")
        yield stack, Target(stack.url(table.service), keys, table.key_header)


def project() -> Project:
    return load_project(PROJECT)


def corpus(*, sample: bool = False) -> Corpus:
    """The corpus of a run: the real data where there are any, unless the sample is wanted."""
    found = project()
    return sample_corpus(found.sample_dir()) if sample else load_corpus(found.data_dir(), found.sample_dir())


def ingest(api: Api, chosen: Corpus) -> list[dict[str, Any]]:
    """Ingest a corpus and wait; the documents as their jobs list them."""
    until = time.monotonic() + INGEST_LIMIT_S
    jobs = [api.ingest(payload.source, payload.content) for payload in chosen.payloads]
    return [dict(item) for job in jobs for item in api.wait_job(job, time.sleep, lambda: time.monotonic() > until)["documents"]]


def call(
    *arguments: str, limit_s: float = 600.0, cwd: Path = PROJECT, before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``harness …`` to its end, started by ``before`` where that is given; both streams as text."""
    return subprocess.run(
        [*before, HARNESS, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=limit_s,
        check=False,
    )


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder with a blank in its name, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bars of "))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
