"""JSON of this package's types; paths travel as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=_plain)


def decode(text: bytes, kind: type[T]) -> T:
    """Raises ``msgspec.MsgspecError`` where the text is not a ``kind``."""
    return msgspec.json.decode(text, type=kind, dec_hook=_typed)


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _typed(kind: type[Any], value: object) -> Any:
    if issubclass(kind, Path):
        return kind(str(value))
    raise NotImplementedError(kind.__name__)
