"""Verdicts and how they merge.

Worst first: ``FAIL ERROR ABORTED INCONCLUSIVE VACUOUS BLOCKED PASS``. Merging takes the worst; nothing checked is
VACUOUS. Merging is commutative, associative and idempotent (property test in ``suites/unit/core``).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Verdict(enum.StrEnum):
    """The outcome of a check, a layer, a trial or a run."""

    FAIL = "FAIL"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    VACUOUS = "VACUOUS"
    BLOCKED = "BLOCKED"
    PASS = "PASS"  # noqa: S105 - a verdict, not a password

    @property
    def badness(self) -> int:
        """0 for the worst verdict, rising to PASS."""
        return _ORDER[self]

    @property
    def exit_code(self) -> int:
        """The process exit code of DESIGN §5."""
        return _EXIT_CODES[self]


_ORDER = {verdict: position for position, verdict in enumerate(Verdict)}

_EXIT_CODES = {
    Verdict.PASS: 0,
    Verdict.FAIL: 1,
    Verdict.BLOCKED: 3,
    Verdict.INCONCLUSIVE: 4,
    Verdict.VACUOUS: 4,
    Verdict.ERROR: 5,
    Verdict.ABORTED: 5,
}

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of ``verdicts``; VACUOUS when there is none."""
    return min(verdicts, key=lambda verdict: verdict.badness, default=Verdict.VACUOUS)


def judge(required: Iterable[Verdict], optional: Iterable[Verdict]) -> Verdict:
    """The verdict of a run: every BLOCKED ``required`` check blocks it, BLOCKED ``optional`` ones are taken out first.

    If nothing remains that was really checked, the verdict is VACUOUS.
    """
    remaining = [verdict for verdict in optional if verdict is not Verdict.BLOCKED]
    return merge([*required, *remaining])
