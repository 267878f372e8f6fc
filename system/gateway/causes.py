"""Why a probe failed, in words that tell an operator enough and a stranger nothing: /ready needs no key."""

from __future__ import annotations

import re
from collections.abc import Iterator

from system.gateway.schemas import Cause

_DEPTH_MAX = 10
# Drivers wrap what the socket said in texts of their own, and not always as a cause: the words decide. In this order, because
# a refused connection is told in sentences that speak of time-outs too.
_WORDS: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    ("authentication", re.compile(r"authenti|autherror|unauthori[sz]ed|password|wrongpass|noauth|access denied|no pg_hba", re.IGNORECASE)),
    ("refused", re.compile(r"refused|\berrno 111\b|\berrno 61\b", re.IGNORECASE)),
    ("timed out", re.compile(r"timed?.?out|no answer|acquire within", re.IGNORECASE)),
)
_KINDS: tuple[tuple[Cause, type[BaseException]], ...] = (("refused", ConnectionRefusedError), ("timed out", TimeoutError))


def cause_of(error: BaseException) -> Cause:
    """One of ``refused``, ``timed out``, ``authentication``, ``other``: by the kinds in the chain of causes, then by its words."""
    chain = tuple(_chain(error))
    for cause, kind in _KINDS:
        if any(isinstance(one, kind) for one in chain):
            return cause
    told = " ".join(f"{type(one).__name__}: {one}" for one in chain)
    return next((cause for cause, words in _WORDS if words.search(told)), "other")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_DEPTH_MAX):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
