"""Failpoints: crashes before and after any writing port call, for crash tests.

This module is absent from the production image; :mod:`system.assembly` asks for it only when ``EH_FAILPOINTS_SOCKET`` is set, and
``/ready`` shows "armed". Control is a unix socket, mode 0600, one JSON object a line:

    {"arm": {"point": "records.transition", "moment": "before", "hit": 3, "action": "crash"}}  → {"ok": true}
    {"trace": true}  → {"calls": ["objects.put", …]}      every writing call so far, in order
    {"reset": true}  → {"ok": true}
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from system.platform.ports import WRITING_CALLS

_LINE_BYTES_MAX = 1 << 16
_TRACE_MAX = 100_000


class Failpoints:
    """The armed points of this process and the trace of its writing calls. Counting starts when the process does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[tuple[str, str], tuple[int, str]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._trace: list[str] = []

    def reach(self, point: str, moment: str) -> None:
        """Called by the wrapped ports; does not return when a crash is armed for this hit."""
        with self._lock:
            if moment == "before" and len(self._trace) < _TRACE_MAX:
                self._trace.append(point)
            key = (point, moment)
            self._counts[key] = self._counts.get(key, 0) + 1
            armed = self._armed.get(key)
            if armed is not None and armed[0] == self._counts[key] and armed[1] == "crash":
                os.kill(os.getpid(), signal.SIGKILL)

    def command(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if "arm" in request:
                arm = request["arm"]
                self._armed[(str(arm["point"]), str(arm["moment"]))] = (int(arm["hit"]), str(arm["action"]))
            elif "reset" in request:
                self._armed.clear()
                self._counts.clear()
                self._trace.clear()
            elif "trace" in request:
                return {"calls": list(self._trace)}
            else:
                return {"error": "unknown command; known: arm, reset, trace"}
        return {"ok": True}

    def wrap(self, name: str, port: Any) -> Any:
        """``port`` with every writing call of its Protocol behind the failpoints."""
        return _Wrapped(name, port, self)


class _Wrapped:
    """A port whose writing calls pass the failpoints; everything else goes straight through."""

    def __init__(self, name: str, port: Any, points: Failpoints) -> None:
        self._name = name
        self._port = port
        self._points = points

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._port, attribute)
        if attribute not in WRITING_CALLS.get(self._name, ()):
            return value
        return self._guarded(f"{self._name}.{attribute}", value)

    def _guarded(self, point: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **named: Any) -> Any:
            self._points.reach(point, "before")
            result = call(*arguments, **named)
            self._points.reach(point, "after")
            return result

        return guarded


def armed_at(path: Path) -> Failpoints:
    """Failpoints of this process, controlled at ``path`` (created 0600). An arming file beside it (``PATH.arm``) is applied first.

    The file lets a crash be armed before the process starts, so that its very first call can be hit.
    """
    points = Failpoints()
    waiting = path.with_suffix(".arm")
    if waiting.exists():
        text = waiting.read_text(encoding="utf-8")
        waiting.unlink()  # once: the restarted process must not crash at the same place again
        for line in text.splitlines():
            points.command(json.loads(line))
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    old = os.umask(0o177)
    try:
        server.bind(str(path))
    finally:
        os.umask(old)
    server.listen(4)
    threading.Thread(target=_serve, args=(server, points), name="failpoints", daemon=True).start()
    return points


def _serve(server: socket.socket, points: Failpoints) -> None:
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            for line in iter(lambda: stream.readline(_LINE_BYTES_MAX), b""):
                try:
                    answer = points.command(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    answer = {"error": str(error)}
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()
