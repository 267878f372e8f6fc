"""What a bar is, and what running it gave."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """One row of "must be shown". ``command`` is run in the project's folder; ``{python}`` and ``{harness}`` are those of the venv.

    A bar without a command has not been built yet and is BLOCKED. ``seconds`` is an estimate for people and the source of its limit.
    """

    name: str
    row: str
    text: str
    command: tuple[str, ...]
    seconds: int
    requirements: tuple[str, ...] = ()

    @property
    def limit_s(self) -> float:
        """When a bar is stopped: far above what it takes on two busy cores."""
        return max(600.0, 4.0 * self.seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """``passed`` is None when the bar is BLOCKED here. ``tree`` names the very content judged: the commit, and what was changed on top."""

    bar: str
    text: str
    command: str
    figure: str
    passed: bool | None
    detail: str
    tree: str
    commit: str
    dirty: bool
    seconds: float
    date: str

    @property
    def word(self) -> str:
        """PASS, FAIL or BLOCKED."""
        return {True: "PASS", False: "FAIL", None: "BLOCKED"}[self.passed]
