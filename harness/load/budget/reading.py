"""Reads a budget file; everything wrong is a ``UsageError`` with file, line, column, the nearest right word and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from harness.core.errors import UsageError
from harness.load.budget.file import ALL, Budget, Endpoint, Phase
from harness.scenario.parameters import ParameterError, decode_parameters
from harness.scenario.yaml_tree import MAX_BYTES, Path, Tree, read_tree

KEYS = "name, defaults, phases, endpoints, objectives"
_UNKNOWN = re.compile(r"unknown (?:field|parameter) [`'](.*)[`']")


def load_budget(path: FilePath, shown: str = "") -> Budget:
    """Read a file, named ``shown`` in errors."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        remedy = "give the path of a budget file"
        raise UsageError(f"the budget cannot be read: {error.strerror}", file=shown or str(path), remedy=remedy) from None
    return parse_budget(content, shown or str(path))


def parse_budget(content: bytes, file: str) -> Budget:
    """As ``load_budget`` for content at hand."""
    if not content.strip():
        raise UsageError("the file is empty", file=file, line=1, remedy=f"write {KEYS}")
    tree = read_tree(content, file)
    if not isinstance(tree.data, dict):
        raise UsageError("a budget is keys with values", file=file, line=1, remedy=f"write {KEYS}")
    try:
        budget = decode_parameters(Budget, tree.data)
    except ParameterError as error:
        raise _placed(tree, _narrowed(tree.data, error)) from None
    for problem in _contradictions(tree, budget):
        raise problem
    return budget


def _contradictions(tree: Tree, budget: Budget) -> Iterator[UsageError]:
    """What is well formed and cannot be meant."""
    tables: list[tuple[Path, Mapping[str, Endpoint]]] = [(("endpoints",), budget.endpoints)]
    tables += [(("phases", name, "endpoints"), phase.endpoints) for name, phase in budget.phases.items()]
    for path, table in tables:
        if ALL in table:
            yield tree.error((*path, ALL, "#key"), f"{ALL!r} is the row over every endpoint", remedy="give its limits to the phase itself")
    for place, objective in enumerate(budget.objectives):
        for row in budget.burn_rates:
            if row.rate * objective.allowed >= 1:
                most = float(1 / objective.allowed)
                message = f"{objective.name}: a burn of {row.rate:g} can never be seen: with every request failing it is {most:g}"
                yield tree.error(("objectives", place), message, remedy="raise `share`, or give lower `burn_rates`")


_TABLES: Mapping[str, type[msgspec.Struct]] = {"phases": Phase, "endpoints": Endpoint}


def _narrowed(data: Mapping[str, Any], error: ParameterError) -> ParameterError:
    """The decoder does not say under which key of a table something is wrong: each entry is read on its own to find it."""
    for table, kind in _TABLES.items():
        entries = data.get(table)
        if error.path[:1] != (table,) or not isinstance(entries, dict):
            continue
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                return ParameterError(error.message, (table, name), remedy="write limits like {p95: 900 ms, errors: 1 %}")
            try:
                decode_parameters(kind, entry)
            except ParameterError as inner:
                deeper = _narrowed(entry, inner)
                return ParameterError(deeper.message, (table, name, *deeper.path), nearest=deeper.nearest, remedy=deeper.remedy)
    return error


def _placed(tree: Tree, error: ParameterError) -> UsageError:
    path: Path = error.path
    unknown = _UNKNOWN.search(error.message)
    if unknown is not None and path[-1:] != (unknown[1],):
        path = (*path, unknown[1])
    if unknown is not None:
        path = (*path, "#key")
    remedy = "" if error.remedy.startswith("wanted: ") and not error.message.startswith("Expected") else error.remedy
    return tree.error(path, error.message, nearest=error.nearest, remedy=remedy)
