"""Engines that say what a test wants, and count what they were asked."""

from __future__ import annotations

from collections.abc import Sequence

from system.evidence.graph.engines import Issue
from system.platform.ports import GraphBatch, NodeRef

UNIT = Issue("urn:eh:Evidence:e1", "urn:eh:unit", "furlong", "UnitShape", "use a UCUM code")


class Scripted:
    """Answers the same report every time, or raises what it was given."""

    def __init__(self, name: str, *answer: Issue | BaseException) -> None:
        self.name = name
        self.answer = answer
        self.asked: list[tuple[GraphBatch, tuple[NodeRef, ...]]] = []

    def validate(self, batch: GraphBatch, known: Sequence[NodeRef]) -> tuple[Issue, ...]:
        self.asked.append((batch, tuple(known)))
        for item in self.answer:
            if isinstance(item, BaseException):
                raise item
        return tuple(item for item in self.answer if isinstance(item, Issue))
