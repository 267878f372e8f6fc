"""The reaper: a process that outlives a supervisor and does nothing but wait for its end, to remove what a killed one could not.

It holds the reading end of a pipe whose only writing end is the supervisor's. A supervisor that ended in order left nothing to do.
"""

from __future__ import annotations

import contextlib
import os
import signal

from harness.topology import folder, ports
from harness.topology.errors import TopologyError
from harness.topology.model import StartRequest
from harness.topology.registry import forget


def start(request: StartRequest) -> None:
    """Fork it off this process (one thread, nothing opened yet). It becomes nobody's child, so that nothing of the stack ends it."""
    reading, _writing = os.pipe()  # the writing end stays open, by number, until this process ends; no child inherits it
    between = os.fork()
    if between:
        os.close(reading)
        os.waitpid(between, 0)
        return
    try:
        if os.fork() == 0:
            os.close(_writing)
            _wait_and_clean(request, reading)
    finally:
        os._exit(0)


def _wait_and_clean(request: StartRequest, reading: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # the starter's life line and answer are not ours to hold open
        os.dup2(nothing, descriptor)
    os.chdir("/")
    while os.read(reading, 1):
        pass
    clean(request)


def clean(request: StartRequest) -> None:
    """Remove what is left of the stack of ``request``, whose supervisor is dead."""
    place = folder.stack_folder(request.base_dir, request.stack_id)
    if place.exists():
        socket = None
        with contextlib.suppress(TopologyError):
            socket = folder.read_info(place).socket
        folder.end_remains(request.stack_id, place, socket, keep=request.keep)
        ports.sweep()
    if request.owner == "user":
        forget(request.stack_id)
