"""Settings of every ``system`` process, read once from the environment. Secrets are files, never variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from system.platform.errors import BadInput

_DEFAULTS = {
    "EH_STACK_ID": "dev",
    "EH_FAILPOINTS_SOCKET": "",
    "EH_SEEDED_FILE": "",
    "EH_GATE_SAMPLE": "0.01",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Addresses (loopback), folders and the stack's name. URLs carry no passwords."""

    stack_id: str
    records_url: str
    search_url: str
    graph_url: str
    cache_url: str
    events_url: str
    embed_url: str
    splade_url: str
    objects_dir: Path
    model_cache_dir: Path
    secrets_dir: Path
    gateway_port: int
    failpoints_socket: str
    seeded_file: str = ""
    gate_sample: float = 0.01
    """The share (0 to 1) of the batches the gate lets pass that its second engine judges behind the answer."""

    def secret(self, name: str) -> str:
        """The secret ``name`` of this stack; raises ``BadInput`` naming the file that is missing."""
        path = self.secrets_dir / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadInput(f"secret {name} cannot be read: {error.strerror}", str(path), "start the stack with `harness up`") from error


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from EH_* variables; raises ``BadInput`` naming the variable that is missing or wrong."""
    values: dict[str, object] = {}
    for field in dataclasses.fields(Settings):
        name = f"EH_{field.name.upper()}"
        raw = environ.get(name, _DEFAULTS.get(name))
        if raw is None:
            raise BadInput(f"{name} is not set", f"environment variable {name}", "start the system with `harness up`, which sets it")
        values[field.name] = _READERS[str(field.type)](name, raw)
    return Settings(**values)  # type: ignore[arg-type]  # the loop above builds each field by its declared type


def _integer(name: str, raw: str) -> int:
    try:
        return int(raw)
    except ValueError as error:
        raise BadInput(f"{name} is {raw!r}, not a whole number", f"environment variable {name}", "give a port number") from error


def _share(name: str, raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise BadInput(f"{name} is {raw!r}, not a share", f"environment variable {name}", "give a number from 0 (never) to 1 (always)")
    return value


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "str": lambda _name, raw: raw,
    "Path": lambda _name, raw: Path(raw),
    "int": _integer,
    "float": _share,
}
