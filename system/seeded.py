"""Seeded defects: the platform, broken on purpose and on demand, to prove that the checks of the harness see it.

This module is absent from the production image; :mod:`system.assembly` asks for it only when ``EH_SEEDED_FILE`` is set, and ``/ready``
shows "armed". The file holds ``{"defect": "<id>"}`` or ``{}``; it is read again when it changes, so a running stack switches defects
without a restart. Every call in which a defect really changed something adds a line to ``<file>.hits``: its proof of effect.

A defect is a mechanical operator on one port call. ``focus`` says what it works on: empty is the call itself, else paths joined by
``|`` that begin with an argument's position or ``result`` and go on through fields, keys and ``*`` (every item).
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import importlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from system.seeded_lens import Change, drop, duplicate, off_by_one, reorder, rewrite, truncate
from system.seeded_success import success

LOG = logging.getLogger("system.seeded")
OPERATORS: Final = ("drop", "duplicate", "delay", "reorder", "truncate", "off_by_one", "swallow")
PORTS: Final = ("records", "objects", "search", "graph", "events", "cache", "dense", "sparse", "gate", "retriever")
LAYERS: Final = ("e2e", "shacl", "retrieval", "consistency", "contract")
DELAY_S: Final = 1.5
_HITS_MAX: Final = 200  # lines a process writes for one defect: enough to prove it, bounded


class Defect(msgspec.Struct, frozen=True):
    """One seeded defect. ``every``: only each n-th call, counted from the moment it was armed. ``amount``: shift, or seconds."""

    id: str
    port: str
    call: str  # a method's name, or several joined by |
    operator: str
    breaks: str  # what a user would see
    layers: tuple[str, ...]  # any of these should find it
    focus: str = ""
    every: int = 1
    amount: float = 1

    def hits_call(self, port: str, call: str) -> bool:
        return port == self.port and call in self.call.split("|")


class Seeded:
    """The defect of this process as the file has it; wraps ports."""

    def __init__(self, path: Path, catalogue: Mapping[str, Defect]) -> None:
        self._path = path
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._defect: Defect | None = None
        self._calls: collections.Counter[str] = collections.Counter()
        self._hits = 0

    def wrap(self, name: str, port: Any) -> Any:
        """``port`` with every call behind the seeded defect."""
        return _Wrapped(name, port, self)

    def due(self, port: str, call: str) -> Defect | None:
        """The defect, when it works on this call this time."""
        with self._lock:
            self._look()
            defect = self._defect
            if defect is None or not defect.hits_call(port, call):
                return None
            self._calls[call] += 1
            return defect if self._calls[call] % defect.every == 0 else None

    def proved(self, defect: Defect) -> None:
        """Something was changed by ``defect``."""
        with self._lock:
            if defect is not self._defect or self._hits >= _HITS_MAX:
                return
            self._hits += 1
            with self._path.with_name(f"{self._path.name}.hits").open("ab") as stream:
                stream.write(f"{defect.id}\n".encode())

    def _look(self) -> None:
        """Read the file again when it is another one than before; a file that cannot be read means no defect."""
        try:
            found = self._path.stat()
        except OSError:
            self._stamp, self._defect = None, None
            return
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp == self._stamp:
            return
        self._stamp, self._hits = stamp, 0
        self._calls.clear()
        name = json.loads(self._path.read_bytes() or b"{}").get("defect", "")
        self._defect = self._catalogue.get(name)
        if name and self._defect is None:
            LOG.error("no seeded defect is called %r", name)


class _Wrapped:
    """A port whose calls pass the seeded defect; everything that is no call goes straight through."""

    def __init__(self, name: str, port: Any, seeded: Seeded) -> None:
        self._name = name
        self._port = port
        self._seeded = seeded

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._port, attribute)
        if attribute.startswith("_") or not callable(value):
            return value
        return functools.partial(self._through, attribute, value)

    def _through(self, attribute: str, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        defect = self._seeded.due(self._name, attribute)
        if defect is None:
            return call(*arguments, **named)
        return _Broken(self._name, attribute, call, defect, functools.partial(self._seeded.proved, defect)).run(arguments, named)


@dataclasses.dataclass(frozen=True, slots=True)
class _Broken:
    """One call with its defect."""

    port: str
    name: str
    call: Callable[..., Any]
    defect: Defect
    proved: Callable[[], None]

    def run(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        whole = _WHOLE.get(self.defect.operator)
        if whole is not None and not self.defect.focus:
            return whole(self, arguments, named)
        paths = [path.split(".") for path in self.defect.focus.split("|")]
        given = list(arguments)
        for position, *path in (path for path in paths if path[0] != "result"):
            if int(position) < len(given):
                given[int(position)] = self._changed(given[int(position)], path)
        answer = self.call(*given, **named)
        for _, *path in (path for path in paths if path[0] == "result"):
            answer = self._changed(answer, path)
        return answer

    def _changed(self, value: Any, path: Sequence[str]) -> Any:
        changed, differs = rewrite(value, tuple(path), self._change())
        if differs:
            self.proved()
        return changed

    def _change(self) -> Change:
        if self.defect.operator == "off_by_one":
            return functools.partial(off_by_one, self.defect.amount)
        return _FOCUSED[self.defect.operator]

    def dropped(self, arguments: tuple[Any, ...], _named: Mapping[str, Any]) -> Any:
        self.proved()
        return success(self.port, self.name, arguments)

    def duplicated(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        self.call(*arguments, **named)
        self.proved()
        return self.call(*arguments, **named)

    def delayed(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        self.proved()
        time.sleep(self.defect.amount if self.defect.amount != 1 else DELAY_S)
        return self.call(*arguments, **named)

    def swallowed(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        try:
            return self.call(*arguments, **named)
        except Exception:  # noqa: BLE001 - swallowing everything is the defect
            self.proved()
            return success(self.port, self.name, arguments)


_WHOLE: Final = {"drop": _Broken.dropped, "duplicate": _Broken.duplicated, "delay": _Broken.delayed, "swallow": _Broken.swallowed}
_FOCUSED: Final[Mapping[str, Change]] = {"drop": drop, "duplicate": duplicate, "reorder": reorder, "truncate": truncate}


def catalogue() -> dict[str, Defect]:
    """Every defect by id: ours and those written by somebody who has not seen the checks; an id that stands twice is an error."""
    found: dict[str, Defect] = {}
    for module in ("system.seeded_catalogue", "system.seeded_blind"):
        try:
            defects: Sequence[Any] = importlib.import_module(module).CATALOGUE
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            continue
        for item in defects:
            defect = msgspec.convert(item, Defect, from_attributes=True)
            if defect.id in found:
                raise ValueError(f"{module}: the seeded defect {defect.id} stands twice")
            found[defect.id] = defect
    return found


def seeded_at(path: Path) -> Seeded:
    """The seeded defects of this process, switched by the file at ``path``."""
    return Seeded(path, catalogue())
