"""``[load]`` and ``[kill]`` of ``harness.toml``, decoded strictly, and the scenarios that are written from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import yaml

from harness.core.errors import Blocked, UsageError
from harness.core.units import Duration

FILE = "harness.toml"
TABLE = TypeVar("TABLE", bound=msgspec.Struct)


class LoadTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Open-loop arrivals of one request kind and their objectives; quantities are texts with units."""

    requests: str = ""  # name of a table [requests.NAME]; may be left out when there is only one
    rate: str = "10 /s"
    warmup: str = "2 s"
    duration: str = "40 s"  # 400 requests: an error rate of 1 % needs 300 of them, a p95 200
    errors: str = "1 %"
    p95: str = "800 ms"


class KillTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kill -9 of ``service`` at ``at`` under load. ``errors``: share of failed requests over the whole drill, empty for no limit."""

    service: str = ""
    requests: str = ""
    rate: str = "10 /s"
    duration: str = "20 s"
    at: str = "5 s"
    recovery: str = "30 s"
    errors: str = ""


def decoded(tables: Mapping[str, Any], name: str, kind: type[TABLE]) -> TABLE:
    """One table of the file, defaults where it is absent; ``UsageError`` names the wrong key."""
    try:
        return msgspec.convert(tables.get(name, {}), kind)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), file=FILE, place=f"[{name}]", remedy="see docs/foreign-system.md for its keys") from None


def request_name(tables: Mapping[str, Any], given: str) -> str:
    """The request kind: the one given, or the only one there is; ``Blocked`` when nothing can be sent."""
    known = list(tables.get("requests", {}))
    if given or len(known) == 1:
        return given or known[0]
    if not known:
        raise Blocked("harness.toml has no [requests.NAME]: there is no request to send")
    raise UsageError("there are several request kinds", file=FILE, place="requests", remedy=f"name one of {', '.join(known)}")


def contract_scenario() -> str:
    """Manners first: they are fast, and a system that refuses nothing needs no fuzzing to be found out."""
    return _text(
        name="contract",
        title="The API keeps the contract that its OpenAPI document states",
        layer="contract",
        deadline="15 min",
        timeline=[{"step": "manners", "driver": "api_manners"}, {"step": "fuzz", "driver": "schemathesis", "after": "manners"}],
        checks=[{"checker": "contract_manners"}, {"checker": "contract_operations"}, {"checker": "trial_completed"}],
    )


def load_scenario_text(tables: Mapping[str, Any]) -> str:
    """One request kind open-loop, a canary beside it, errors and p95 judged in the steady phase."""
    table = decoded(tables, "load", LoadTable)
    name = request_name(tables, table.requests)
    op = str(tables["requests"].get(name, {}).get("op", name))
    return _text(
        name="load",
        title=f"{op} holds its objectives at {table.rate}",
        layer="load",
        timeline=[{"step": "load", "driver": "open_loop", "with": _arrivals(table, name)}],
        thresholds=[
            {"id": "errors", "expr": f"errors{{op={op}}}: rate <= {table.errors} in steady"},
            {"id": "p95", "expr": f"response_time{{op={op}}}: p(95) < {table.p95} in steady"},
        ],
        phases={"steady": {"step": "load", "from": table.warmup, "to": _sum(table.warmup, table.duration)}},
        checks=[
            {"checker": "certificate", "with": {"tightest_limit": table.p95}},
            {"checker": "bodies", "with": {"step": "load"}},
            {"checker": "trial_completed"},
        ],
    )


def kill_scenario_text(tables: Mapping[str, Any]) -> str:
    """Kill -9 under load: proof of effect, recovery in time, nothing left behind."""
    table = decoded(tables, "kill", KillTable)
    service = table.service or str(tables.get("target", {}).get("service", ""))
    if not service:
        raise Blocked("harness.toml names no [kill] service and no [target] service: there is nothing of ours to kill")
    name = request_name(tables, table.requests)
    op = str(tables["requests"].get(name, {}).get("op", name))
    thresholds = [{"id": "recovery_time", "expr": f"recovery_time{{fault=kill}}: max < {table.recovery}"}]
    if table.errors:
        thresholds.append({"id": "errors", "expr": f"errors{{op={op}}}: rate <= {table.errors}"})
    arrivals = {"rate": table.rate, "warmup": "0 s", "duration": table.duration, "requests": name, "seed_stream": "kill"}
    return _text(
        name="kill",
        title=f"kill -9 of {service} under load is recovered from within {table.recovery}",
        layer="kill",
        timeline=[
            {"step": "guards", "driver": "prove_guards"},
            {"step": "load", "driver": "open_loop", "with": arrivals, "after": "guards"},
            {
                "step": "kill",
                "driver": "kill",
                "with": {"service": service, "deadline": _sum(table.recovery, "10 s")},
                "at": table.at,
                "after": "guards",
            },
        ],
        thresholds=thresholds,
        checks=[
            {"checker": "proof_of_effect", "with": {"faults": ["kill"]}},
            {"checker": "guards_tripped"},
            {"checker": "no_residue"},
            {"checker": "bodies", "with": {"step": "load"}},
            {"checker": "trial_completed"},
        ],
    )


def _arrivals(table: LoadTable, name: str) -> dict[str, str]:
    return {"rate": table.rate, "warmup": table.warmup, "duration": table.duration, "requests": name, "seed_stream": "load"}


def _sum(*durations: str) -> str:
    return str(Duration.of_seconds(sum(Duration.parse(text).seconds for text in durations)))


def _text(**scenario: Any) -> str:
    return yaml.safe_dump({"profile": "any", "requires": ["target"], **scenario}, sort_keys=False, allow_unicode=True, width=120)
