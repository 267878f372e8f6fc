"""A seeded defect that replaces code: names of this process, put back by what ``activate`` returns. It belongs in no production image."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

Undo = Callable[[], None]
Make = Callable[[Any], Any]  # from what is there to what stands in its place


@dataclasses.dataclass(frozen=True, slots=True)
class CodeDefect:
    """``what`` a user would notice; each target, ``module:name`` or ``module:Class.name``, is replaced by what its function makes of it."""

    id: str
    what: str
    targets: Mapping[str, Make]
    process: Literal["gateway", "worker", "both"] = "gateway"

    @property
    def activate(self) -> Callable[[], Undo]:
        return self._activate

    def _activate(self) -> Undo:
        undone = [_patch(target, make) for target, make in self.targets.items()]

        def undo() -> None:
            for one in reversed(undone):
                one()

        return undo


def _patch(target: str, make: Make) -> Undo:
    module_name, _, path = target.partition(":")
    *outer, name = path.split(".")
    owner = functools.reduce(getattr, outer, importlib.import_module(module_name))
    before = vars(owner)[name]
    setattr(owner, name, make(before))
    return functools.partial(setattr, owner, name, before)
