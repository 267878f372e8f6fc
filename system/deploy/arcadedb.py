"""``python -m system.deploy.arcadedb --data DIR --port N --http-port N --secret FILE``: become an ArcadeDB server (Bolt).

The JVM of the wheel is executed directly. Production mode flushes the write-ahead log in every transaction, so what was
acknowledged survives the death of the process. The password reaches the engine as the path of its file.
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

_DATABASE = "eh"
_LOGGING = """handlers=java.util.logging.ConsoleHandler
.level=INFO
java.util.logging.ConsoleHandler.level=INFO
java.util.logging.ConsoleHandler.formatter=com.arcadedb.utility.AnsiLogFormatter
"""
_JVM_FLAGS = (
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # its file in the temp folder would outlive a kill -9
    "-XX:+UseCompactObjectHeaders",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:ErrorFile=hs_err.log",
    "--add-modules=jdk.incubator.vector",
    "--enable-native-access=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "--add-opens=java.base/java.nio.channels.spi=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Dfile.encoding=UTF8",
    "-Dpolyglot.engine.WarnInterpreterOnly=false",
)


def main(arguments: Sequence[str]) -> NoReturn:
    options = parser("arcadedb")
    options.add_argument("--http-port", type=int, required=True, help="loopback port of the engine's own HTTP interface")
    options.add_argument("--heap", default="512m", help="largest heap, as -Xmx takes it")
    chosen = options.parse_args(arguments)
    read_secret(chosen.secret)  # missing or empty is said here, not in a Java stack trace
    folder = private_folder(chosen.data)
    write_private(folder / "logging.properties", _LOGGING)
    home = package_folder("arcadedb_embedded", "arcadedb-embedded")
    settings = _settings(folder, chosen.port, chosen.http_port, chosen.secret.absolute())
    java = [
        str(home / "jre" / "bin" / "java"),
        f"-Xmx{chosen.heap}",
        *_JVM_FLAGS,
        f"-Djava.util.logging.config.file={folder / 'logging.properties'}",
    ]
    properties = [f"-Darcadedb.{name}={value}" for name, value in settings.items()]
    command = [*java, *properties, "-cp", str(home / "jars" / "*"), "com.arcadedb.server.ArcadeDBServer"]
    become(command, folder=folder, environment=engine_environment())


def _settings(folder: Path, bolt_port: int, http_port: int, secret: Path) -> dict[str, str]:
    return {
        "server.mode": "production",
        "server.rootPath": str(folder),
        "server.rootPasswordPath": str(secret),
        "server.httpIncomingHost": "127.0.0.1",
        "server.httpIncomingPort": str(http_port),
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "server.defaultDatabases": f"{_DATABASE}[root]",
        "bolt.host": "127.0.0.1",
        "bolt.port": str(bolt_port),
        "bolt.defaultDatabase": _DATABASE,
    }


if __name__ == "__main__":
    run_launcher(main)
