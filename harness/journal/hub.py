"""The one writer of a run's journal, and the local socket by which other processes send it events.

Frames are JSON lines: ``{"token"}`` first, then ``{"name","data","sync"}``; each is acknowledged with ``{"seq"}`` or
``{"error"}`` after it is written (and synced when asked). The socket is a file of mode 0600 in the run folder where its
path is short enough, else loopback TCP; both want the token of the address.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from harness.core.clock import Clock
from harness.journal.events import EVENT_TYPES, Event
from harness.journal.writer import MAX_LINE_BYTES, JournalError, JournalWriter, event_data

SOCKET_NAME = ".journal.sock"
MAX_UNIX_PATH_BYTES = 100  # sun_path holds 104 bytes on macOS, 108 on Linux
MAX_CLIENTS = 256
CLIENT_TIMEOUT_S = 30.0

Observer = Callable[[Event], None]


class JournalHub:
    """Owns the writer; implements ``Emitter``; tells observers (monitors) of each event after it is written."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._writer = JournalWriter(path, clock)
        self._observers: list[Observer] = []
        self._token = secrets.token_hex(16)
        self._clients: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._socket, place = _listen(path.parent)
        self.address = f"{place}#{self._token}"
        self._thread = threading.Thread(target=self._accept, name="journal-hub", daemon=True)
        self._thread.start()

    @property
    def last_hash(self) -> str:
        return self._writer.last_hash

    def emit(self, event: Event, *, sync: bool = False) -> None:
        """Write; then observers see the event in the caller's thread."""
        self._writer.append(event, sync=sync)
        self._tell(event)

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Let ``observer`` see every event from now on; returns what ends that."""
        with self._guard:
            self._observers.append(observer)
        return lambda: self._forget(observer)

    def _forget(self, observer: Observer) -> None:
        with self._guard:
            self._observers.remove(observer)

    def _tell(self, event: Event) -> None:
        with self._guard:
            observers = tuple(self._observers)
        for observer in observers:
            observer(event)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            with self._guard:
                full = len(self._clients) >= MAX_CLIENTS
                if not full:
                    self._clients.add(connection)
            if full:
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="journal-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rwb") as stream:
                if not _authentic(stream, self._token):
                    return
                for frame in _frames(stream):
                    stream.write(json.dumps(self._receive(frame)).encode() + b"\n")
                    stream.flush()
        except OSError:
            pass  # the client died; what it sent before is written
        finally:
            with self._guard:
                self._clients.discard(connection)

    def _receive(self, frame: bytes) -> dict[str, Any]:
        try:
            fields = json.loads(frame)
            kind = EVENT_TYPES[fields["name"]]
            event = msgspec.convert(fields["data"], kind)
            sequence = self._writer.append(event, sync=bool(fields.get("sync")))
        except KeyError as error:
            return {"error": f"unknown event or field {error}"}
        except (JournalError, msgspec.ValidationError, ValueError, TypeError) as error:
            return {"error": str(error)}
        self._tell(event)
        return {"seq": sequence}

    def close(self) -> None:
        """Refuse further events, end the socket, make the journal durable."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._guard:
            clients = tuple(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._thread.join(2.0)
        self._writer.close()
        (self._writer.path.parent / SOCKET_NAME).unlink(missing_ok=True)


class JournalClient:
    """Implements ``Emitter`` in another process: ``emit`` returns when the journal's owner has written the event."""

    def __init__(self, address: str) -> None:
        """``address`` as in ``StepContext.address``; raises ``JournalError`` when nobody listens there."""
        place, _, token = address.rpartition("#")
        try:
            self._socket = _connect(place)
        except OSError as error:
            raise JournalError(f"no journal at {place}: {error}") from None
        self._stream = self._socket.makefile("rwb")
        self._lock = threading.Lock()
        self._stream.write(json.dumps({"token": token}).encode() + b"\n")
        self._stream.flush()

    def emit(self, event: Event, *, sync: bool = False) -> None:
        frame = json.dumps({"name": type(event).NAME, "data": event_data(event), "sync": sync}).encode() + b"\n"
        with self._lock:
            try:
                self._stream.write(frame)
                self._stream.flush()
                answer = self._stream.readline(MAX_LINE_BYTES)
            except OSError as error:
                raise JournalError(f"the journal's owner is gone: {error}") from None
        if not answer:
            raise JournalError("the journal's owner closed the connection")
        if "error" in (fields := json.loads(answer)):
            raise JournalError(fields["error"])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _listen(folder: Path) -> tuple[socket.socket, str]:
    path = folder.resolve() / SOCKET_NAME
    if hasattr(socket, "AF_UNIX") and len(os.fsencode(path)) <= MAX_UNIX_PATH_BYTES:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(64)
            return listener, f"unix:{path}"
        except OSError:  # a file system without sockets
            listener.close()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    return listener, f"tcp:127.0.0.1:{listener.getsockname()[1]}"


def _connect(place: str) -> socket.socket:
    kind, _, where = place.partition(":")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CLIENT_TIMEOUT_S)
        try:
            connection.connect(where)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = where.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=CLIENT_TIMEOUT_S)


def _authentic(stream: Any, token: str) -> bool:
    try:
        given = json.loads(stream.readline(1_000))["token"]
    except (ValueError, KeyError, TypeError):
        return False
    return isinstance(given, str) and hmac.compare_digest(given.encode(), token.encode())


def _frames(stream: BinaryIO | Any) -> Iterator[bytes]:
    while (frame := stream.readline(MAX_LINE_BYTES)).endswith(b"\n"):
        yield frame
