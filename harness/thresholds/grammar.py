"""The one form of a threshold: ``metric{tags}: agg op value unit [in phase] [every window]``.

response_time{op=retrieve}: p(95) < 450 ms in steady
errors: rate < 1 % every 60 s
recall@20{intent=pico}: mean >= 0.88
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NoReturn

from harness.core.errors import UsageError, listing, nearest_word
from harness.core.units import Duration, Quantity, unit

AGGREGATIONS = ("p", "max", "min", "mean", "median", "count", "sum", "rate", "last")
OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
MAX_CHARACTERS = 500
MAX_TAGS = 20
_WORD = r"[A-Za-z_][A-Za-z0-9_@./-]*"


class ThresholdError(UsageError):
    """A threshold that cannot be read; the message shows the place with a caret."""

    def __init__(self, expression: str, position: int, message: str, *, nearest: str = "", remedy: str = "") -> None:
        self.expression, self.position = expression, position
        super().__init__(message, column=position + 1, place="threshold", nearest=nearest, remedy=remedy)

    def caret(self) -> str:
        """The expression with a caret under the place."""
        return f"{self.expression}\n{' ' * self.position}^"


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregation:
    """How many values become one; ``quantile`` (0 < q < 1, exact) for ``p``."""

    name: str
    quantile: Fraction | None = None

    def __str__(self) -> str:
        if self.quantile is None:
            return self.name
        percent = self.quantile * 100
        return f"p({percent.numerator if percent.denominator == 1 else float(percent)!r})".replace("'", "")


@dataclasses.dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold as it was read; ``str`` gives an expression that reads to an equal threshold."""

    metric: str
    tags: tuple[tuple[str, str], ...]
    aggregation: Aggregation
    operator: str
    limit: Quantity
    phase: str | None = None
    window: Duration | None = None

    def limit_text(self) -> str:
        """What stands in the column *limit*."""
        return f"{self.aggregation} {self.operator} {self.limit}"

    def subject(self) -> str:
        """The metric with its tags."""
        tags = ", ".join(f"{key}={value}" for key, value in self.tags)
        return f"{self.metric}{{{tags}}}" if tags else self.metric

    def __str__(self) -> str:
        phase = f" in {self.phase}" if self.phase else ""
        window = f" every {self.window}" if self.window else ""
        return f"{self.subject()}: {self.limit_text()}{phase}{window}"


def parse_threshold(expression: str) -> Threshold:
    """Read one expression; raises ``ThresholdError`` with the position of what is wrong."""
    if len(expression) > MAX_CHARACTERS:
        raise ThresholdError(expression[:MAX_CHARACTERS], 0, f"longer than {MAX_CHARACTERS} characters", remedy="split it")
    return _Parser(expression).threshold()


class _Parser:
    """Recursive descent over the text; ``_at`` is the position of the next character."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def threshold(self) -> Threshold:
        metric = self._word("a metric", "write `metric{tags}: agg op value unit`")
        tags = self._tags()
        self._sign(":", "after the metric")
        aggregation = self._aggregation()
        comparison = self._operator()
        limit = self._limit()
        phase = self._word("a phase", "name a phase of the scenario after `in`") if self._keyword("in") else None
        window = self._window() if self._keyword("every") else None
        if self._rest():
            self._fail(
                f"{self._rest()[:20]!r} is left over", remedy="the form is `metric{tags}: agg op value unit [in phase] [every window]`"
            )
        return Threshold(metric, tags, aggregation, comparison, limit, phase, window)

    def _fail(self, message: str, *, at: int | None = None, nearest: str = "", remedy: str = "") -> NoReturn:
        raise ThresholdError(self._text, self._at if at is None else at, message, nearest=nearest, remedy=remedy)

    def _take(self, pattern: str) -> re.Match[str] | None:
        self._at += len(self._text[self._at :]) - len(self._text[self._at :].lstrip())
        match = re.compile(pattern).match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _rest(self) -> str:
        return self._text[self._at :].strip()

    def _sign(self, sign: str, where: str) -> None:
        if not self._take(re.escape(sign)):
            self._fail(f"{sign!r} is missing {where}", remedy=f"put {sign!r} here")

    def _keyword(self, word: str) -> bool:
        return self._take(rf"{word}\b") is not None

    def _word(self, what: str, remedy: str) -> str:
        match = self._take(_WORD)
        if match is None:
            self._fail(f"{what} is missing", remedy=remedy)
        return match[0]

    def _tags(self) -> tuple[tuple[str, str], ...]:
        if not self._take(r"\{"):
            return ()
        tags: dict[str, str] = {}
        while not self._take(r"\}"):
            if tags:
                self._sign(",", "between two tags")
            key = self._word("a tag", "write {op=retrieve}")
            if key in tags or len(tags) >= MAX_TAGS:
                self._fail(f"tag {key!r} once more", at=self._at - len(key), remedy="give each tag once")
            self._sign("=", "after a tag")
            value = self._take(r"[^\s,={}:]+")
            if value is None:
                self._fail("the value of a tag is missing", remedy="write {op=retrieve}")
            tags[key] = value[0]
        return tuple(sorted(tags.items()))

    def _aggregation(self) -> Aggregation:
        match = self._take(r"[A-Za-z_]+")
        if match is None or match[0] not in AGGREGATIONS:
            start = match.start() if match else self._at
            word = match[0] if match else ""
            self._fail(
                "an aggregation is wanted", at=start, nearest=nearest_word(word, AGGREGATIONS), remedy=f"known: {listing(AGGREGATIONS)}"
            )
        return Aggregation(match[0], self._quantile()) if match[0] == "p" else Aggregation(match[0])

    def _quantile(self) -> Fraction:
        self._sign("(", "after p")
        start = self._at
        match = self._take(r"\d{1,6}(?:\.\d{1,6})?")
        percent = Fraction(match[0]) if match else Fraction(0)
        if not 0 < percent < 100:
            self._fail("a percentile between 0 and 100 is wanted", at=start, remedy="write p(95)")
        self._sign(")", "after the percentile")
        return percent / 100

    def _operator(self) -> str:
        match = self._take(r"[<>=!]+")
        if match is None or match[0] not in OPERATORS:
            self._fail("a comparison is wanted", at=match.start() if match else self._at, remedy=f"one of {' '.join(OPERATORS)}")
        return match[0]

    def _limit(self) -> Quantity:
        match = self._take(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
        if match is None:
            self._fail("a number is wanted", remedy="write a limit like 450 ms")
        start = self._at
        symbol = self._take(r"(?!(?:in|every)\b)[A-Za-zµ%/1][A-Za-zµ%/]*")
        try:
            return Quantity.parse(f"{match[0]} {symbol[0] if symbol else ''}")
        except UsageError as error:
            self._fail(error.message, at=start + 1 if symbol else start, nearest=error.nearest, remedy=error.remedy)

    def _window(self) -> Duration:
        match = self._take(r"\d+(?:\.\d+)?\s*[A-Za-zµ]+")
        if match is None:
            self._fail("a duration is wanted after `every`", remedy="write `every 60 s`")
        try:
            window = Duration.parse(match[0])
        except UsageError as error:
            self._fail(error.message, at=match.start(), nearest=error.nearest, remedy=error.remedy)
        if window.ns <= 0:
            self._fail("a window of no length", at=match.start(), remedy="write `every 60 s`")
        return window


def dimension_of(unit_name: str) -> str:
    """The dimension of a declared unit (``s``, ``1``, ``%``, ``1/s`` …)."""
    return unit(unit_name).dimension
