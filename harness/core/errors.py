"""The one exception tree of ``harness``: what went wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from harness.core.verdict import EXIT_INTERRUPTED, EXIT_USAGE, Verdict


class HarnessError(Exception):
    """Base of every error that ``harness`` raises itself."""


class Blocked(HarnessError):
    """What was asked cannot be done by this machine, target or profile: the check is BLOCKED with the reason, never passed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Aborted(HarnessError):
    """Work was ended before it was done: a stop, a guard, a passed deadline."""


class DamagedRun(HarnessError):
    """A run folder that is incomplete or was changed; names the first wrong file or line."""


class UsageError(HarnessError):
    """Wrong input of a person: says the file, the place, what is wrong, the nearest right word and the remedy."""

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        place: str = "",
        remedy: str = "",
        nearest: str = "",
    ) -> None:
        self.message, self.file, self.line, self.column = message, file, line, column
        self.place, self.remedy, self.nearest = place, remedy, nearest
        super().__init__(str(self))

    def __str__(self) -> str:
        position = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        parts = [f"{position}: " if position else "", f"{self.place}: " if self.place else "", self.message]
        parts.append(f" (did you mean {self.nearest!r}?)" if self.nearest else "")
        parts.append(f"; {self.remedy}" if self.remedy else "")
        return "".join(parts)


class UsageErrors(UsageError):
    """Several wrong places of one input, all listed, in the order of the file."""

    def __init__(self, errors: Iterable[UsageError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: (error.file, error.line, error.column)))
        super().__init__("\n".join(str(error) for error in self.errors))


def nearest_word(word: str, known: Iterable[str]) -> str:
    """The known word that ``word`` most likely means, or an empty string."""
    choices = sorted(known)
    lowered = {choice.lower(): choice for choice in reversed(choices)}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.55)
    return lowered[found[0]] if found else ""


def listing(known: Iterable[str], limit: int = 40) -> str:
    """The known words, for an error message; bounded."""
    words = sorted(known)
    more = f" … ({len(words) - limit} more)" if len(words) > limit else ""
    return (", ".join(words[:limit]) or "(none)") + more


def exit_code(error: BaseException) -> int:
    """The process exit code of DESIGN §5 for an error that ends a command."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, UsageError):
        return EXIT_USAGE
    if isinstance(error, Blocked):
        return Verdict.BLOCKED.exit_code
    if isinstance(error, DamagedRun):
        return Verdict.FAIL.exit_code
    return Verdict.ERROR.exit_code
