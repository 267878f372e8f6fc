"""Where the time of a request goes: whoever does a part of the work notes it, whoever serves the request reads the notes.

The request at work is a context variable: a thread that works for it has to run in a copy of the request's context. Without a request,
noting does nothing. Times are CLOCK_MONOTONIC, so that notes of several processes of one machine can be laid side by side.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

STAGES_MAX = 256  # of one request: enough for every call of a dossier's search, and a bound


class Span(msgspec.Struct, frozen=True):
    """One stretch of work for one request (or of the whole process); ``parent`` is the stage it is a part of, empty for the outermost."""

    stage: str
    start_ns: int
    duration_ns: int
    parent: str = ""


class Stages:
    """The spans of one request, noted by several threads."""

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def note(self, stage: str, start_ns: int, end_ns: int, parent: str) -> None:
        if len(self._spans) < STAGES_MAX:
            self._spans.append(Span(stage, start_ns, end_ns - start_ns, parent))

    def spans(self) -> Sequence[Span]:
        """What was noted so far: a thread that comes too late may still note something afterwards."""
        return tuple(self._spans)


_REQUEST: contextvars.ContextVar[Stages | None] = contextvars.ContextVar("stages of the request at work", default=None)
_STAGE: contextvars.ContextVar[str] = contextvars.ContextVar("stage that is under way", default="")


def begin() -> Stages:
    """Let what follows in this context be noted for a new request."""
    stages = Stages()
    _REQUEST.set(stages)
    _STAGE.set("")
    return stages


class stage:  # noqa: N801 - reads as the statement it is: ``with stage("fusion"):``
    """A block that is one stage of the request at work."""

    __slots__ = ("_around", "_name", "_start_ns")

    def __init__(self, name: str) -> None:
        self._name, self._start_ns = name, 0

    def __enter__(self) -> Self:
        self._around = _STAGE.set(self._name)
        self._start_ns = time.monotonic_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _STAGE.reset(self._around)
        waited(self._name, self._start_ns)


def waited(name: str, since_ns: int) -> None:
    """A stage that began at ``since_ns`` ends now."""
    stages = _REQUEST.get()
    if stages is not None:
        stages.note(name, since_ns, time.monotonic_ns(), _STAGE.get())
