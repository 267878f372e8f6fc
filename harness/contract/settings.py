"""``[contract]`` of ``harness.toml``: what is fuzzed, as whom, how long, and which role may not do what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from harness.core.errors import Blocked, UsageError

FILE = "harness.toml"
Phase = Literal["examples", "coverage", "fuzzing", "stateful"]


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Statuses that a request may get though it fits the document: for rules that no schema can state."""

    statuses: tuple[int, ...]
    reason: str


class ContractTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``exclude`` and ``checks_off`` map an operation or a Schemathesis check to the reason why it is left out: shown, never hidden.

    ``lesser_role`` is a role whose key must get 403 on every operation that documents 403 and is no GET, ``lesser_role_may`` aside.
    """

    role: str = ""  # whose key the fuzzing sends; empty for none
    time_s: float = 25.0  # what one whole pass should take; a busy machine has three times as long
    max_examples: int = 40  # cases an operation and phase
    phases: tuple[Phase, ...] = ("examples", "coverage", "fuzzing", "stateful")
    exclude: Mapping[str, str] = {}
    checks_off: Mapping[str, str] = {}
    may_refuse: Mapping[str, Refusal] = {}  # by operation
    lesser_role: str = ""
    lesser_role_may: tuple[str, ...] = ()
    invalid_status: tuple[int, ...] = (400,)
    request_id_header: str = "X-Request-ID"


def contract_table(configuration: Mapping[str, Any]) -> ContractTable:
    """The table, defaults where it is absent; ``UsageError`` names the wrong key."""
    try:
        table = msgspec.convert(configuration.get("contract", {}), ContractTable)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), file=FILE, place="[contract]", remedy="see docs/foreign-system.md for its keys") from None
    reasons = (*table.exclude.values(), *table.checks_off.values(), *(item.reason for item in table.may_refuse.values()))
    if not all(reason.strip() for reason in reasons):
        raise UsageError("an exception has no reason", file=FILE, place="[contract]", remedy="say why beside each")
    if not 1 <= table.time_s <= 3600 or not 1 <= table.max_examples <= 10_000:
        raise UsageError("time_s is 1 to 3600, max_examples 1 to 10000", file=FILE, place="[contract]", remedy="give such numbers")
    return table


def openapi_path(configuration: Mapping[str, Any]) -> str:
    """``[target] openapi``; ``Blocked`` when the target has none."""
    path = str(configuration.get("target", {}).get("openapi", ""))
    if not path:
        raise Blocked("harness.toml has no [target] openapi: there is no contract to judge")
    return path
