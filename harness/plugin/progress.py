"""Live progress of `harness verify`: layer, counts, time left, one line a test; the first verdict as soon as a layer ends."""

from __future__ import annotations

import time
from collections import Counter
from typing import Protocol

import pytest

from harness.core.text import one_line
from harness.core.verdict import Verdict, merge
from harness.journal.events import TestOutcome

# Usual seconds of a layer on 2 cores, for the time left; only shown, never judged.
USUAL_S = {"contract": 25, "e2e": 30, "shacl": 10, "retrieval": 31, "load": 66, "chaos": 29, "recovery": 50}


class Says(Protocol):
    """Whoever shows a line to people."""

    def say(self, text: str) -> None: ...


class Progress:
    """Registered as a pytest plugin by `harness verify`."""

    def __init__(self, layers: list[str], console: Says) -> None:
        self._layers = layers
        self._console = console
        self._total: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._verdicts: dict[str, list[Verdict]] = {}
        self._began: dict[str, float] = {}
        self._current = ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        from harness.plugin.hooks import layer_of

        self._total.update(layer_of(item) for item in session.items)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        from harness.plugin.hooks import OUTCOMES

        session.config.stash[OUTCOMES].subscribe(self.ended)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        from harness.plugin.hooks import layer_of

        layer = layer_of(item)
        if layer != self._current:
            self._end_layer()
            self._current = layer
            self._began[layer] = time.monotonic()
            self._console.say(f"{layer}: {self._total[layer]} tests, about {self._left(layer):.0f} s left in all")

    def ended(self, outcome: TestOutcome) -> None:
        """One line a test; a suite that cannot be collected is told too."""
        layer, verdict = outcome.layer, outcome.verdict
        note = "" if verdict is Verdict.PASS else f"  {one_line(outcome.detail)}"
        if layer not in self._total:
            self._console.say(f"{layer}: {verdict} {outcome.node}{note}")
            return
        self._done[layer] += 1
        self._verdicts.setdefault(layer, []).append(verdict)
        title = one_line(outcome.title or outcome.name)
        self._console.say(f"{layer} {self._done[layer]}/{self._total[layer]} {verdict} {title} ({outcome.duration_s:.1f} s){note}")

    def _left(self, layer: str) -> float:
        index = self._layers.index(layer) if layer in self._layers else 0
        return sum(USUAL_S.get(name, 20) for name in self._layers[index:])

    def _end_layer(self) -> None:
        if self._current:
            verdicts = self._verdicts.get(self._current, [])
            verdict = merge([item for item in verdicts if item is not Verdict.BLOCKED] or verdicts)
            self._console.say(f"{self._current}: {verdict} after {time.monotonic() - self._began[self._current]:.1f} s")
            self._current = ""

    def close(self) -> None:
        self._end_layer()
