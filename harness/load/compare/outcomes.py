"""Whether a foreign tool says that a request failed: the spellings of "no error", of yes and no, and of a status.

What is understood counts; what is not is refused with the value, for a guess either way is a false verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness.load.compare.lines import wrong

YES_WORDS: Final = ("true", "t", "yes", "y", "1", "1.0", "on", "ok", "okay", "success", "successful", "succeeded", "pass", "passed")
NO_WORDS: Final = ("false", "f", "no", "n", "0", "0.0", "off", "ko", "fail", "failed", "failure", "error", "errored")
BAD_ENDS: Final = frozenset(
    {"timeout", "timed out", "http_error", "refused", "reset", "aborted", "cancelled", "canceled", "unsent", "dropped"}
)
NOTHING: Final = ("none", "null", "nan", "nil", "n/a", "na", "undefined", "[]", "{}", "()", "noerror")
NO_ERROR: Final = frozenset((*NOTHING, *YES_WORDS[6:], "false", "f", "no", "n", "off", "no-error", "no-errors", "without-error", "not-set"))
_YES: Final = frozenset(YES_WORDS)
_NO: Final = frozenset(NO_WORDS)
_STATUS: Final = re.compile(r"(?:HTTP(?:/\d(?:\.\d)?)?\s*)?([1-5])(?:\d\d|xx)(?:\.0+)?(?:[\s:(-].*)?", re.IGNORECASE | re.DOTALL)
_NO_ANSWER: Final = re.compile(r"-?0*1?(?:\.0+)?|non http.*|none|null|nan|nil|n/a", re.IGNORECASE | re.DOTALL)  # 0, 000, -1, JMeter's own
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
SHOWN: Final = 60

FIRST_FAILED, FIRST_ALWAYS_FAILED = 4, 5  # of a status: 4xx fails unless the tool says it was expected, 5xx always


def says_error(path: Path, line: int, value: object, column: str) -> bool:
    """An error column: empty, 0, a dash or a word for none is no error; any other number or text with letters is one."""
    word = _word(value)
    if not word.strip("-–—_ ") or re.sub(r"[\s_]+", "-", word) in NO_ERROR:
        return False
    if _NUMBER.fullmatch(word):
        return float(word) != 0
    if any(letter.isalpha() for letter in word):
        return True
    raise _not_understood(path, line, value, column, "write a text for an error, nothing for none")


def says_yes(path: Path, line: int, value: object, column: str) -> bool:
    """A column of yes and no."""
    word = _word(value)
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise _not_understood(path, line, value, column, "write true or false")


def says_good(path: Path, line: int, value: object, column: str) -> bool:
    """A word for what became of a request: a yes or a no, or a word that only bad ends have."""
    word = _word(value)
    if word in BAD_ENDS:
        return False
    return says_yes(path, line, value, column)


def failed_by_status(path: Path, line: int, value: object, column: str, expected: bool | None = None) -> bool:  # noqa: FBT001
    """0, no status and 5xx are failures whatever else is said; 4xx is one unless the tool ``expected`` it."""
    word = _word(value)
    if word in _YES - {"1", "1.0"}:
        return False
    if not word or word in _NO or word == "timeout" or _NO_ANSWER.fullmatch(word):
        return True
    found = _STATUS.fullmatch(word)
    if found is None:
        raise _not_understood(path, line, value, column, "an HTTP status, OK, or 0 for no answer is needed")
    kind = int(found[1])
    return kind >= FIRST_ALWAYS_FAILED or (kind >= FIRST_FAILED and expected is not True)


def k6_failed(path: Path, line: int, tags: Mapping[str, Any]) -> bool:
    """k6 may leave out any of its system tags: the status speaks where there is one, whatever the others say."""
    expected = tags.get("expected_response")
    said = None if expected in {None, ""} else says_yes(path, line, expected, "expected_response")
    if tags.get("status") not in {None, ""} and failed_by_status(path, line, tags["status"], "status", said):
        return True
    if said is not None:
        return not said
    return any(says_error(path, line, tags[name], name) for name in ("error", "error_code") if tags.get(name) is not None)


def _word(value: object) -> str:
    return "" if value is None else " ".join(str(value).casefold().split())


def _not_understood(path: Path, line: int, value: object, column: str, remedy: str) -> Exception:
    return wrong(path, line, f"{column} is {str(value)[:SHOWN]!r}, which says neither failed nor not", remedy)
