"""Seeded defects of the API that only unusual, valid requests show: they prove the fuzzing of the contract layer.

Each keeps every documented refusal as it is, so no request of a fixed list turns red. They are armed like those of
:mod:`system.seeded_blind` (``activate`` patches names of this process and returns what undoes it) and belong in no production image.
"""

from __future__ import annotations

import contextvars
import importlib
from typing import Any, Final

from system.seeded_patch import CodeDefect

_RETRIEVAL: Final = "system.evidence.retrieval"
_ANSWERS: Final = "system.gateway.routes_answers"

_BY_YEAR: contextvars.ContextVar[bool] = contextvars.ContextVar("by_year", default=False)  # of the request at work


def _remembers_years(old: Any) -> Any:
    def search_filter(body: Any) -> Any:
        _BY_YEAR.set(body.year_from is not None or body.year_to is not None)
        return old(body)

    return search_filter


def _meta_unchecked(old: Any) -> Any:
    def meta(**given: Any) -> Any:
        if not _BY_YEAR.get():
            return old(**given)
        del given["degraded"]
        return old.model_construct(**given)

    return meta


def _bound_is_outside(old: Any) -> Any:
    bound = importlib.import_module(_RETRIEVAL).MAX_TOP_K

    def query(**given: Any) -> Any:
        if given["top_k"] >= bound:
            raise ValueError(f"{given['top_k']} results do not fit")
        return old(**given)

    return query


def _latin_only(old: Any) -> Any:
    return lambda text: old(text.encode("latin-1").decode("latin-1"))


CONTRACT: Final[tuple[CodeDefect, ...]] = (
    CodeDefect(
        "fuzz: answer by year lacks a member",
        "The answer to a question limited by year does not say whether it is degraded.",
        {f"{_ANSWERS}:search_filter": _remembers_years, "system.gateway.schemas:RetrieveMeta": _meta_unchecked},
    ),
    CodeDefect(
        "fuzz: largest top_k is a 500",
        "The largest number of results that the document allows is an unexpected error.",
        {f"{_ANSWERS}:Query": _bound_is_outside},
    ),
    CodeDefect(
        "fuzz: query beyond Latin-1 is a 500",
        "A question with a character beyond Latin-1, a Greek letter for one, is an unexpected error.",
        {f"{_RETRIEVAL}:named_identifiers": _latin_only},
    ),
)
