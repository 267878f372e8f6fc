"""``harness servers install NAME``: tools and servers that are not wheels, built or unpacked once into the user's cache."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.core.errors import UsageError, listing, nearest_word
from harness.load.k6_tool import BUILD_LIMIT_S, MODULE, found_k6, install_k6, tools_folder

INSTALLERS: Mapping[str, Callable[[], Path]] = {"k6": install_k6}
LATER = ("neo4j", "opensearch", "kafka")  # the servers of the profile local


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("action", choices=("install",))
    parser.add_argument("server", metavar="NAME", help=f"what to install: {', '.join(INSTALLERS)}")


def execute(namespace: argparse.Namespace) -> int:
    """Exit 0 when it is there afterwards; 3 where this machine cannot or the server comes with a later issue."""
    name = namespace.server
    if name in LATER:
        print(f"harness: BLOCKED: installation of the servers of the profile local ({name}) is not built yet", file=sys.stderr)
        return 3
    if name not in INSTALLERS:
        raise UsageError(f"nothing is called {name!r}", nearest=nearest_word(name, INSTALLERS), remedy=f"known: {listing(INSTALLERS)}")
    if found_k6() is None:
        print(f"building {MODULE} with Go into {tools_folder()}: some minutes, at most {BUILD_LIMIT_S / 60:.0f}", flush=True)
    print(f"{name}: {INSTALLERS[name]()}")
    return 0
