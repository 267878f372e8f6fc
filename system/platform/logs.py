"""Which libraries may speak in our logs, and how loudly."""

from __future__ import annotations

import logging

# httpx logs every request; the driver of the graph warns of what we handle (a server that is away, a retried transaction)
LEVELS = {"httpx": logging.WARNING, "neo4j": logging.ERROR}


def quieten() -> None:
    """Set the levels of libraries; ours keep their own."""
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
