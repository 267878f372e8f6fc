"""``python -m system.worker --roles ingest,parser,chunker,indexer,extract``: run until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading

from system.assembly import assemble
from system.platform.errors import PlatformError
from system.platform.logs import quieten
from system.platform.settings import load_settings
from system.worker.consumer import Consumer, ConsumerSettings
from system.worker.relay import Applier, Relay
from system.worker.table import ROLES, entries_for


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    quieten()
    parser = argparse.ArgumentParser(prog="python -m system.worker")
    parser.add_argument("--roles", default=",".join(ROLES), help=f"comma-separated; known: {', '.join(ROLES)}")
    roles = frozenset(parser.parse_args().roles.split(","))
    unknown = roles - set(ROLES)
    if unknown:
        parser.error(f"unknown roles: {', '.join(sorted(unknown))}; known: {', '.join(ROLES)}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        work(roles, stop)
    except PlatformError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1
    return 0


def work(roles: frozenset[str], stop: threading.Event) -> None:
    """Run consumers, relay and applier until ``stop``; the threads are daemons, so that a stuck call cannot outlive it."""
    platform = assemble(load_settings(os.environ), failpoints=True)
    relay = Relay(platform.events, platform.ports, stop)
    group = "+".join(sorted(roles))
    owner = f"{socket.gethostname()}:{os.getpid()}"
    runners = [
        Consumer(ConsumerSettings(group, owner, partition), entries_for(roles), platform.events, platform.ports, stop, relay.wake).run
        for partition in range(platform.events.partitions)
    ]
    runners.append(relay.run)
    if "extract" in roles:
        runners.append(Applier(platform.ports, stop).run)
    threads = [threading.Thread(target=runner, name=f"worker-{number}", daemon=True) for number, runner in enumerate(runners)]
    for thread in threads:
        thread.start()
    while not stop.wait(0.5):
        if not all(thread.is_alive() for thread in threads):
            raise PlatformError("a worker thread ended on a defect; the log says which")
    for thread in threads:
        thread.join(timeout=2.0)


if __name__ == "__main__":
    raise SystemExit(main())
