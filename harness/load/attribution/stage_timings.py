"""The driver ``stage_timings``: reads where the target says the time of its requests went, beside the load, into the stream ``spans``.

The target gives pages as JSON, newest entries kept in a ring: ``{process, first, last, entries: [{sequence, request_id, spans: [{stage,
start_ns, duration_ns, parent}]}]}``, asked with ``after`` and ``limit``. Times are CLOCK_MONOTONIC: the target runs on this machine.
What the ring lost before it was read is counted and said.
"""

from __future__ import annotations

from typing import ClassVar

import httpx
import msgspec

from harness.core.errors import HarnessError
from harness.core.units import Duration
from harness.journal.events import Measured, Note
from harness.journal.segments import SegmentWriter
from harness.load.attribution.spans import SPANS, STREAM
from harness.run.protocols import MetricSpec, StepContext

NEWEST = 2**53  # behind every entry: the answer says where the ring ends
PAGE = 1_000
PAGES_MAX = 1_000  # of one reading
TIMEOUT_S = 10.0


class StageTimings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``beside``: the step that carries the load; reading ends with it. ``role``: whose API key is sent."""

    beside: str
    path: str = "/v1/timings"
    role: str = "admin"
    every: Duration = Duration.parse("2 s")


class _Span(msgspec.Struct):
    stage: str
    start_ns: int
    duration_ns: int
    parent: str = ""


class _Entry(msgspec.Struct):
    sequence: int
    request_id: str
    spans: list[_Span]


class Page(msgspec.Struct):
    """One answer of the target."""

    process: str
    first: int
    last: int
    entries: list[_Entry]


class StageTimingsDriver:
    """Reads; judges nothing. A target that is away for a while is asked again: what it kept in memory is then lost, and counted."""

    name: ClassVar[str] = "stage_timings"
    parameters: ClassVar[type[msgspec.Struct]] = StageTimings
    metrics: ClassVar[tuple[MetricSpec, ...]] = (MetricSpec("spans_lost", "1", "measured", ("step",)),)
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: StageTimings) -> None:
        """Raises ``HarnessError`` when the target has no such page."""
        headers = {context.target.key_header: context.target.keys.get(parameters.role, "")}
        writer = SegmentWriter(STREAM, SPANS, context.run_folder, context.journal, trial=context.trial)
        with (
            httpx.Client(base_url=context.target.base_url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http,
            writer,
        ):
            reader = Reader(http, parameters.path, writer)
            reader.begin()
            while context.window(parameters.beside) is None and not context.stop():
                context.wait(parameters.every.seconds)
                reader.read()
            reader.read()
        _report(context, reader)


def _report(context: StepContext, reader: Reader) -> None:
    tags = {"step": context.step}
    context.journal.emit(Measured(trial=context.trial, metric="spans_lost", unit="1", value=reader.lost, tags=tags))
    if reader.lost or reader.failed:
        text = f"stage timings: {reader.lost} entries were gone before they were read, {reader.failed} readings failed"
        context.journal.emit(Note(trial=context.trial, text=text, level="warning"))


class Reader:
    """Follows the ring of one target; ``lost`` counts the entries it never saw."""

    def __init__(self, http: httpx.Client, path: str, writer: SegmentWriter) -> None:
        self._http, self._path, self._writer = http, path, writer
        self._process = ""
        self._after = 0
        self.lost = self.failed = 0

    def begin(self) -> None:
        """From here on: what was answered before belongs to no request of this step. Raises ``HarnessError`` without such a page."""
        try:
            page = self._page(NEWEST, 1)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise HarnessError(f"{self._path} of the target gives no stage timings: {error}") from None
        self._process, self._after = page.process, page.last

    def read(self) -> None:
        """All that is new. A failure is counted; the next reading goes on from the same place."""
        try:
            for _ in range(PAGES_MAX):
                page = self._page(self._after, PAGE)
                if page.process != self._process:  # another process answers: its numbers begin anew
                    self._process, self._after = page.process, 0
                    page = self._page(0, PAGE)
                self._keep(page)
                if self._after >= page.last:
                    return
        except (httpx.HTTPError, msgspec.DecodeError):
            self.failed += 1

    def _page(self, after: int, limit: int) -> Page:
        answer = self._http.get(self._path, params={"after": after, "limit": limit}).raise_for_status()
        return msgspec.json.decode(answer.content, type=Page)

    def _keep(self, page: Page) -> None:
        for entry in page.entries:
            for span in entry.spans:
                self._writer.append(
                    request_id=entry.request_id,
                    stage=span.stage,
                    start_ns=span.start_ns,
                    duration_ns=span.duration_ns,
                    process=page.process,
                    parent=span.parent,
                )
        self.lost += max(0, page.first - self._after - 1)
        self._after = page.entries[-1].sequence if page.entries else max(self._after, page.last)
