"""Seeded defects: the platform, broken on purpose and on demand, to prove that the checks of the harness see it.

This module is absent from the production image; :mod:`system.assembly` asks for it only when ``EH_SEEDED_FILE`` is set, and ``/ready``
shows "armed". The file holds ``{"defect": "<id>"}`` or ``{}``; a thread reads it again when it changes, so a running stack switches
defects without a restart, and answers in ``<file>.<process>`` with what is armed now. Every call in which a defect really changed
something adds a line to ``<file>.hits``: its proof of effect.

A defect is a mechanical operator on one port call. ``focus`` says what it works on: empty is the call itself, else paths joined by
``|`` that begin with an argument's position or ``result`` and go on through fields, keys and ``*`` (every item).
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import importlib
import importlib.util
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from system.seeded_catalogue import CATALOGUE, Defect
from system.seeded_lens import Change, drop, duplicate, off_by_one, reorder, rewrite, truncate
from system.seeded_success import success

LOG = logging.getLogger("system.seeded")
DELAY_S: Final = 1.5
_LOOK_S: Final = 0.05
_HITS_MAX: Final = 200  # lines a process writes for one defect: enough to prove it, bounded


class Patch(Protocol):
    """A defect that replaces code instead of disturbing a port; ``process`` is where it has to be activated."""

    @property
    def id(self) -> str: ...
    @property
    def process(self) -> str: ...
    @property
    def activate(self) -> Callable[[], Callable[[], None]]: ...


class Seeded:
    """The defect of this process (``gateway`` or ``worker``) as the file has it; wraps ports."""

    def __init__(self, path: Path, process: str, defects: Mapping[str, Defect], patches: Mapping[str, Patch]) -> None:
        self._path, self._process = path, process
        self._defects, self._patches = defects, patches
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._defect: Defect | None = None
        self._undo: Callable[[], None] | None = None
        self._calls: collections.Counter[str] = collections.Counter()
        self._hits = 0

    def watch(self) -> None:
        """Look at the file now and from now on, until the process ends."""
        self.look()
        threading.Thread(target=self._watch, name="seeded", daemon=True).start()

    def wrap(self, name: str, port: Any) -> Any:
        """``port`` with every call behind the seeded defect."""
        return _Wrapped(name, port, self)

    def due(self, port: str, call: str) -> Defect | None:
        """The defect, when it works on this call this time."""
        with self._lock:
            defect = self._defect
            if defect is None or not defect.hits_call(port, call):
                return None
            self._calls[call] += 1
            return defect if self._calls[call] % defect.every == 0 else None

    def proved(self, defect: Defect) -> None:
        """Something was changed by ``defect``."""
        with self._lock:
            if defect is self._defect and self._hits < _HITS_MAX:
                self._hits += 1
                self._hit(defect.id)

    def look(self) -> None:
        """Read the file again when it is another one than before; a file that cannot be read means no defect."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            name = str(json.loads(self._path.read_bytes() or b"{}").get("defect", ""))
        except (OSError, ValueError):
            stamp, name = None, ""
        with self._lock:
            self._stamp = stamp
            said = self._arm(name)
        if stamp is not None:
            self._say(said)

    def _arm(self, name: str) -> str:
        """Make ``name`` the defect of this process; returns what to answer."""
        if self._undo is not None:
            self._undo()
            self._undo = None
        self._hits = 0
        self._calls.clear()
        self._defect = self._defects.get(name)
        patch = self._patches.get(name)
        if patch is not None and patch.process in {self._process, "both"}:
            self._undo = patch.activate()
            self._hit(name)  # replaced code cannot count: that it was replaced is the proof
        known = not name or self._defect is not None or patch is not None
        return name if known else f"unknown: {name}"

    def _hit(self, name: str) -> None:
        with self._path.with_name(f"{self._path.name}.hits").open("ab") as stream:
            stream.write(f"{name}\n".encode())

    def _say(self, text: str) -> None:
        answer = self._path.with_name(f"{self._path.name}.{self._process}")
        temporary = answer.with_name(f"{answer.name}.new")  # the gateway and the worker answer at the same moment
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(answer)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            try:
                self.look()
            except Exception:
                LOG.exception("the seeded defect cannot be switched")


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


def defects() -> dict[str, Defect]:
    """The mechanical defects by id; an id that stands twice is an error."""
    return _by_id(CATALOGUE)


def patches() -> dict[str, Patch]:
    """The defects written by somebody who has not seen the checks, by id; empty where there are none."""
    if importlib.util.find_spec("system.seeded_blind") is None:
        return {}
    return _by_id(importlib.import_module("system.seeded_blind").BLIND)


def contract_patches() -> dict[str, Patch]:
    """The defects that only fuzzing finds, by id; empty where there are none. The reduced runs do not fuzz, so they do not try these."""
    if importlib.util.find_spec("system.seeded_contract") is None:
        return {}
    return _by_id(importlib.import_module("system.seeded_contract").CONTRACT)


def relation_patches() -> dict[str, Patch]:
    """The defects under which the relations of the layer ``e2e`` are tried, by id; empty where there are none."""
    if importlib.util.find_spec("system.seeded_relations") is None:
        return {}
    return _by_id(importlib.import_module("system.seeded_relations").RELATIONS)


def _by_id(items: Sequence[Any]) -> dict[str, Any]:
    found = {item.id: item for item in items}
    if len(found) != len(items):
        raise ValueError("an id of a seeded defect stands twice")
    return found


def seeded_at(path: Path, process: str) -> Seeded:
    """The seeded defects of this process, switched by the file at ``path``."""
    seeded = Seeded(path, process, defects(), {**patches(), **contract_patches(), **relation_patches()})
    seeded.watch()
    return seeded
