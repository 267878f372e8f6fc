"""The events of a journal, as types. ``docs/events.md`` is generated from this package (``python -m harness.journal.events_doc``).

Rules: an event may be added and never changed; wings outside this repository use names with their own prefix and the
generic shapes below, which the report shows without knowing the wing. Times ending in ``_ns`` are CLOCK_MONOTONIC
nanoseconds (comparable between processes of one machine), durations end in ``_s`` (seconds), sizes in ``_bytes``.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.journal.events.base import SCHEMA_VERSION, Event
from harness.journal.events.comparison import ComparedFigure, ComparedRound, ComparedSide, ComparisonMade, Estimate, TrendChanged, TrendMade
from harness.journal.events.load import KneeStep, LoadFailure, LoadFinished, LoadGenerator, LoadMixPlanned, LoadPlanned, LoadStopped
from harness.journal.events.run import (
    DataSet,
    DataUsed,
    EvidenceCaptured,
    Histogram,
    LayerFinished,
    LayerStarted,
    Measured,
    MonitorRaised,
    Note,
    RunFinished,
    RunStarted,
    SamplesSegment,
    Series,
    StepFinished,
    StepStarted,
    Table,
    TestOutcome,
    TrialBlocked,
    TrialFinished,
    TrialStarted,
    Window,
)
from harness.journal.events.wings import (
    DrillStage,
    FaultApplied,
    FaultIntended,
    FaultProof,
    FaultUndone,
    GuardTested,
    OperationChecked,
    Published,
    RecoveryObserved,
    RetrievalFigure,
    ServiceChanged,
    ServiceExited,
    ServiceHung,
    ShapeChecked,
    StackLost,
    StackWatched,
)

EVENT_TYPES: Mapping[str, type[Event]] = {event.NAME: event for event in Event.__subclasses__()}

__all__ = [
    "EVENT_TYPES",
    "SCHEMA_VERSION",
    "ComparedFigure",
    "ComparedRound",
    "ComparedSide",
    "ComparisonMade",
    "DataSet",
    "DataUsed",
    "DrillStage",
    "Estimate",
    "Event",
    "EvidenceCaptured",
    "FaultApplied",
    "FaultIntended",
    "FaultProof",
    "FaultUndone",
    "GuardTested",
    "Histogram",
    "KneeStep",
    "LayerFinished",
    "LayerStarted",
    "LoadFailure",
    "LoadFinished",
    "LoadGenerator",
    "LoadMixPlanned",
    "LoadPlanned",
    "LoadStopped",
    "Measured",
    "MonitorRaised",
    "Note",
    "OperationChecked",
    "Published",
    "RecoveryObserved",
    "RetrievalFigure",
    "RunFinished",
    "RunStarted",
    "SamplesSegment",
    "Series",
    "ServiceChanged",
    "ServiceExited",
    "ServiceHung",
    "ShapeChecked",
    "StackLost",
    "StackWatched",
    "StepFinished",
    "StepStarted",
    "Table",
    "TestOutcome",
    "TrendChanged",
    "TrendMade",
    "TrialBlocked",
    "TrialFinished",
    "TrialStarted",
    "Window",
]
