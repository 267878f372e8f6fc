"""A session whose open-loop steps are given to another load engine (``harness run --engine``)."""

from __future__ import annotations

from pathlib import Path

from harness.load.other_engine import OURS, with_engine
from harness.plugin.session import Session
from harness.scenario.model import Scenario


class EngineSession(Session):
    """As a session; ``engine`` is who sends what ``open_loop`` steps plan."""

    engine = OURS

    def load(self, path: Path | str) -> Scenario:
        return with_engine(super().load(path), self.engine)
