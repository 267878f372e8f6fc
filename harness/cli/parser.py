"""The argument parser of every command: says what was probably meant."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from harness.core.errors import nearest_word
from harness.core.seeds import SEED_BITS

_UNRECOGNIZED = "unrecognized arguments: "
_CHOICE = re.compile(r"invalid choice: '?(?P<given>[^' ]+)'? \(choose from (?P<known>.*)\)")


class Parser(argparse.ArgumentParser):
    """As argparse's, with the nearest right option or choice in its errors."""

    def error(self, message: str) -> NoReturn:
        super().error(self._with_nearest(message))

    def _with_nearest(self, message: str) -> str:
        if message.startswith(_UNRECOGNIZED):
            options = [word for word in self._option_string_actions if word.startswith("--")]
            words = (word.partition("=")[0] for word in message.removeprefix(_UNRECOGNIZED).split())
            near = [f"{found!r} for {word}" for word in words if word.startswith("-") and (found := nearest_word(word, options))]
            hint = ", ".join(near) if len(near) > 1 else near[0].partition(" for ")[0] if near else ""
            return message + (f" (did you mean {hint}?)" if hint else f" (known: {', '.join(sorted(options))})" if options else "")
        if choice := _CHOICE.search(message):
            near_choice = nearest_word(choice["given"], re.findall(r"[^', ]+", choice["known"]))
            return message + (f" (did you mean {near_choice!r}?)" if near_choice else "")
        return message


def seed_number(text: str) -> int:
    """The type of ``--seed``: a whole number from 0 to 2**63 - 1."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text!r}") from None
    if not 0 <= value < 2**SEED_BITS:
        raise argparse.ArgumentTypeError(f"{value} is no seed; give a whole number from 0 to 2**{SEED_BITS}-1")
    return value
