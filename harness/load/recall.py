"""Recall on the very requests that carried the load: the driver ``recall`` compares kept answers with an exact oracle made beforehand.

The oracle is evidence of the run (or a file of the project): for every request body the best items with their exact scores, made by
scoring everything. An answer's recall@k is the share of the exact k best that it has among its first k; items that tie with the k-th
are as good as it. One row an answer goes to the stream ``recall``, the mean of each second to the series ``recall@20``. Requests without
an answer are in no figure here: they are errors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.core.errors import HarnessError, UsageError
from harness.journal.events import Note, Series
from harness.journal.segments import SegmentWriter
from harness.load.engine.plan import EnginePlan
from harness.run.protocols import MetricSpec, StepContext
from harness.run.view import FolderView

DEPTHS = (10, 20)
TIE = 1e-6  # scores this close (relative) are the same: engines add floats in orders of their own
HTTP_OK = 200
SERIES_MAX = 5_000
RECALL = pa.schema(
    [
        ("op", pa.string()),
        ("step", pa.string()),
        ("intended_ns", pa.int64()),
        ("request_id", pa.string()),
        *((f"recall@{depth}", pa.float64()) for depth in DEPTHS),
    ]
)


class Exact(msgspec.Struct, frozen=True):
    """The exact answer of one request: ids and scores, best first, at least as deep as the deepest recall, with all that tie there."""

    request: str  # SHA-256 of the body
    ids: tuple[str, ...]
    scores: tuple[float, ...]


class Oracle(msgspec.Struct, frozen=True):
    """Exact answers, and over how many items they were made."""

    items: int
    made_by: str
    answers: tuple[Exact, ...]


def request_key(body: str) -> str:
    """By what an oracle knows a request."""
    return hashlib.sha256(body.encode()).hexdigest()


class Recall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step``: whose kept answers. ``oracle``: name of the evidence that holds it; ``file``: a file of the project in its place.

    ``ids``: where the ids stand in an answer, LIST.MEMBER.
    """

    step: str
    oracle: str = "oracle"
    file: str = ""
    ids: str = "results.chunk_id"


class RecallDriver:
    """Runs after the load; reads the run folder only."""

    name: ClassVar[str] = "recall"
    parameters: ClassVar[type[msgspec.Struct]] = Recall
    metrics: ClassVar[tuple[MetricSpec, ...]] = tuple(
        MetricSpec(f"recall@{depth}", "%", "samples:recall", ("op", "step")) for depth in DEPTHS
    )
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: Recall) -> None:
        """Raises ``UsageError`` without an oracle, ``HarnessError`` when no answer was kept or none is known to it."""
        view = FolderView(context.run_folder)
        exact = {one.request: one for one in _oracle(context, view, parameters).answers}
        answers = view.samples("answers", context.trial)
        answers = answers.filter(pc.equal(answers["step"], parameters.step)) if answers.num_rows else answers
        if not answers.num_rows:
            raise HarnessError(f"step {parameters.step} kept no answers: its request kind needs `keep_answers = true`")
        keys = _keys(context.folder, parameters.step)
        rows = [row for answer in answers.to_pylist() if (row := _row(answer, exact.get(keys[answer["request"]]), parameters.ids))]
        if not rows:
            raise HarnessError(f"none of {answers.num_rows} answers of step {parameters.step} has an exact one beside it")
        with SegmentWriter("recall", RECALL, context.run_folder, context.journal, trial=context.trial) as writer:
            for row in rows:
                writer.append(**row)
        if len(rows) < answers.num_rows:
            text = f"recall: {answers.num_rows - len(rows)} of {answers.num_rows} kept answers are no result or are unknown to the oracle"
            context.journal.emit(Note(trial=context.trial, text=text, level="warning"))
        context.journal.emit(series(context.trial, parameters.step, rows))


def _oracle(context: StepContext, view: FolderView, parameters: Recall) -> Oracle:
    place = parameters.file or f"evidence {parameters.oracle}"
    content = view.evidence(parameters.oracle, context.trial)
    try:
        if parameters.file:
            content = (context.project / parameters.file).read_bytes()
        return msgspec.json.decode(content or b"", type=Oracle)
    except (OSError, msgspec.DecodeError) as error:
        remedy = "make the oracle in a step before the load, or name its file"
        raise UsageError(f"there is no oracle of exact answers: {error}", file=place, remedy=remedy) from None


def _keys(folder: Path, step: str) -> Sequence[str]:
    """The key of each planned request by its number."""
    plan = msgspec.json.decode((folder / f"{step}.engine.json").read_bytes(), type=EnginePlan)
    return [request_key(request.body) for request in plan.requests]


def _row(answer: Mapping[str, Any], exact: Exact | None, ids: str) -> Mapping[str, Any] | None:
    if exact is None or answer["status"] != HTTP_OK:
        return None
    found = answer_ids(answer["body"], ids)
    if found is None:
        return None
    row = {name: answer[name] for name in ("op", "step", "intended_ns", "request_id")}
    return row | {f"recall@{depth}": recall_at(depth, found, exact) for depth in DEPTHS}


def answer_ids(body: bytes, place: str) -> Sequence[str] | None:
    """The ids of an answer in its order; None when it has no such list."""
    items, _, member = place.partition(".")
    try:
        return [str(item[member]) for item in msgspec.json.decode(body)[items]]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None


def recall_at(depth: int, found: Sequence[str], exact: Exact) -> float:
    """Share of the exact ``depth`` best among the first ``depth`` found; 1.0 where nothing is to be found."""
    wanted = min(depth, len(exact.ids))
    if not wanted:
        return 1.0
    least = exact.scores[wanted - 1] - TIE * abs(exact.scores[wanted - 1])
    good = {name for name, score in zip(exact.ids, exact.scores, strict=True) if score >= least}
    return min(1.0, len(good & set(found[:depth])) / wanted)


def series(trial: str, step: str, rows: Sequence[Mapping[str, Any]]) -> Series:
    """The mean recall@20 of each second of intended starts, %, where there were answers; longer seconds where there are too many."""
    at = np.array([row["intended_ns"] for row in rows], dtype=np.int64)
    values = np.array([row["recall@20"] for row in rows])
    width = 10**9 * max(1, -(-int(at.max() - at.min()) // (10**9 * SERIES_MAX)))
    bins = (at - at.min()) // width
    counts = np.bincount(bins)
    means = np.bincount(bins, weights=values)[counts > 0] / counts[counts > 0]
    times = at.min() + np.flatnonzero(counts) * width + width // 2
    return Series(
        trial=trial,
        name="recall@20",
        unit="%",
        times_ns=tuple(times.tolist()),
        values=tuple(round(100 * value, 3) for value in means.tolist()),
        tags={"step": step},
    )
