"""The register of requirements: ``docs/requirements.tsv`` (id, group, text, threshold, evidence), read strictly."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.core.errors import UsageError, UsageErrors, listing, nearest_word

COLUMNS = ("id", "group", "text", "threshold", "evidence")
EVIDENCE = ("executed", "scaled", "static", "document", "not here")
COUNTED = frozenset({"executed", "scaled"})  # only these can verify a requirement
_ID = re.compile(r"[A-Z][A-Z0-9]*-[A-Z0-9]+(?:\.[0-9]+)?")


class UnknownRequirement(UsageError):
    """A mark, scenario or file names an id that is not in the register."""


@dataclasses.dataclass(frozen=True, slots=True)
class Requirement:
    """One line of the register. ``threshold`` is empty where the sources give no number."""

    id: str
    group: str
    text: str
    threshold: str
    evidence: str


@dataclasses.dataclass(frozen=True, slots=True)
class Requirements:
    """The whole register, in the order of the file."""

    file: str
    by_id: Mapping[str, Requirement]

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[Requirement]:
        return iter(self.by_id.values())

    @property
    def ids(self) -> frozenset[str]:
        """All known ids."""
        return frozenset(self.by_id)


class Marked(Protocol):
    """The part of a pytest item that is looked at."""

    @property
    def nodeid(self) -> str: ...
    def iter_markers(self, name: str) -> Iterable[Any]: ...


def load_requirements(path: Path) -> Requirements:
    """Read the register; ``UsageErrors`` lists every wrong line as file:line with its remedy."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8: {error.reason}", file=str(path), remedy="save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(path), remedy="restore it from the repository") from None
    if not lines or tuple(lines[0].split("\t")) != COLUMNS:
        raise UsageError("the first line is not the header", file=str(path), line=1, remedy=f"make it {' TAB '.join(COLUMNS)}")
    found: dict[str, Requirement] = {}
    errors: list[UsageError] = []
    for number, line in enumerate(lines[1:], start=2):
        problem = _take(line, found)
        if problem is not None:
            errors.append(UsageError(problem[0], file=str(path), line=number, remedy=problem[1], nearest=problem[2]))
    if errors:
        raise UsageErrors(errors)
    return Requirements(str(path), found)


def _take(line: str, found: dict[str, Requirement]) -> tuple[str, str, str] | None:
    """Add the requirement of ``line``, or say what is wrong, the remedy, and the nearest right word."""
    fields = line.split("\t")
    if len(fields) != len(COLUMNS):
        return f"{len(fields)} columns instead of {len(COLUMNS)}", f"give {', '.join(COLUMNS)} separated by tabs", ""
    requirement = Requirement(*fields)
    if not _ID.fullmatch(requirement.id):
        return f"{requirement.id!r} is no requirement id", "write it like OPS-2.1 or M18-101", ""
    if requirement.id in found:
        return f"{requirement.id} stands twice", "remove one of the lines", ""
    if not requirement.group.strip() or not requirement.text.strip():
        return f"{requirement.id} has no group or no text", "fill in both", ""
    if requirement.evidence not in EVIDENCE:
        return (
            f"unknown evidence {requirement.evidence!r}",
            f"use one of {', '.join(EVIDENCE)}",
            nearest_word(requirement.evidence, EVIDENCE),
        )
    found[requirement.id] = requirement
    return None


@functools.lru_cache(maxsize=8)
def _ids(path: Path, _modified_ns: int) -> frozenset[str]:
    return load_requirements(path).ids


def requirement_ids(path: Path) -> frozenset[str]:
    """The ids of the register; empty where the project has none."""
    return _ids(path, path.stat().st_mtime_ns) if path.is_file() else frozenset()


def unknown(given: Iterable[str], ids: frozenset[str], place: str) -> list[UnknownRequirement]:
    """An error for each id that is not in the register, or stands twice at one place."""
    errors, seen = [], set()
    for name in given:
        if name not in ids:
            near = nearest_word(name, ids)
            errors.append(UnknownRequirement(f"unknown requirement {name!r}", place=place, nearest=near, remedy=_remedy(near, ids)))
        elif name in seen:
            errors.append(UnknownRequirement(f"requirement {name} is named twice", place=place, remedy="name it once"))
        seen.add(name)
    return errors


def _remedy(near: str, ids: frozenset[str]) -> str:
    family = near.split("-", maxsplit=1)[0]
    return f"known: {listing((name for name in ids if name.startswith(family)), 12)}"


def check_marker_ids(items: Iterable[Marked], ids: frozenset[str]) -> None:
    """Raise ``UsageErrors`` naming every test whose ``requirement`` mark has an unknown or repeated id."""
    errors: list[UsageError] = []
    for item in items:
        for marker in item.iter_markers("requirement"):
            errors += unknown((str(name) for name in marker.args), ids, item.nodeid)
    if errors:
        raise UsageErrors(errors)
