"""A type for secrets which everything that writes refuses to write."""

from __future__ import annotations

import hmac
from typing import NoReturn

HIDDEN = "Secret(hidden)"


class Secret:
    """Holds a secret text. Only ``reveal()`` gives it out; printing hides it; formatting, pickling, encoding and copying refuse."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """The text; call it as late as possible and store the result nowhere."""
        text: str = object.__getattribute__(self, "_text")
        return text

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError("a Secret is not formatted into text; call reveal() where it is sent")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __bool__(self) -> bool:
        return bool(self.reveal())
