"""A type for secrets which everything that writes refuses to write."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import quote

HIDDEN = "Secret(hidden)"
REDACTED = "[redacted]"
CUT_LEAST = 4  # characters of a secret at the end of a text that was cut off there
_NAMES = r"(?:[\w.-]*(?:api[_-]?key|token|passw(?:or)?d|secret|credential|authorization|cookie|session)[\w.-]*|key)"
_NAMED = re.compile(
    rf"""(?P<name>["']?\b{_NAMES}["']?\s*[:=]\s*)(?P<value>"(?:[^"\\]|\\.)*"?|'[^']*'?|(?:(?:bearer|basic|digest)\s+)?[^\s,;&"'}}\]]+)""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)


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


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the known ``secrets`` (in any common encoding, cut off at the end too) and without what is named like one."""
    for form in sorted({form for secret in secrets if secret for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, REDACTED)
        cut = next((size for size in range(len(form) - 1, CUT_LEAST - 1, -1) if text.endswith(form[:size])), 0)
        text = text[: len(text) - cut] + REDACTED if cut else text
    return _SCHEME.sub(rf"\1 {REDACTED}", _NAMED.sub(rf"\g<name>{REDACTED}", text))


def _forms(secret: str) -> set[str]:
    """What a secret looks like in what a server may send back."""
    encoded = base64.b64encode(secret.encode()).decode()
    return {secret, encoded, encoded.rstrip("="), quote(secret, safe=""), json.dumps(secret)[1:-1]}
