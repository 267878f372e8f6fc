"""Variables in the commands, addresses and environments of a profile: ``$${NAME}`` (compose leaves it alone) or ``${NAME}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from harness.topology.model import Service

STACK_VARIABLES = frozenset({"PYTHON", "PROJECT_ROOT", "STACK_DIR", "STACK_ID", "SECRETS_DIR", "OBJECTS_DIR", "MODEL_CACHE_DIR"})
_VARIABLE = re.compile(r"\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")


def variables_in(text: str) -> list[str]:
    return _VARIABLE.findall(text)


def substitute(text: str, values: Mapping[str, str]) -> str:
    """``text`` with every variable replaced; all names were checked when the file was loaded."""
    return _VARIABLE.sub(lambda found: values[found[1]], text).replace("$$", "$")


def resolve(service: Service, values: Mapping[str, str], environment: Mapping[str, str]) -> Service:
    """``service`` with its variables replaced; ``environment`` is added to its own and wins."""
    health = service.health
    return msgspec.structs.replace(
        service,
        command=tuple(substitute(part, values) for part in service.command),
        environment={**{name: substitute(text, values) for name, text in service.environment.items()}, **environment},
        health=msgspec.structs.replace(
            health, command=tuple(substitute(part, values) for part in health.command), http=substitute(health.http, values)
        ),
    )
