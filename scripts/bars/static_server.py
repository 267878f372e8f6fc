"""nginx with one static answer on one core, for measuring generators: own configuration, loopback, an unprivileged process."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

BODY = '{"results":["doc-1","doc-2","doc-3"],"note":"the same answer for every generator, so that each reads as many bytes"}'
READY_S = 10.0
CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log";
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path "{folder}/body";
  proxy_temp_path "{folder}/proxy";
  fastcgi_temp_path "{folder}/fastcgi";
  uwsgi_temp_path "{folder}/uwsgi";
  scgi_temp_path "{folder}/scgi";
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{body}'; }}
  }}
}}
"""


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def pinned(core: int, *command: str) -> list[str]:
    """The command on one core."""
    return ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def nginx(folder: Path, core: int) -> Iterator[int]:
    """The port of a server that answers everything with ``BODY``; ended with the block."""
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port, body=BODY), encoding="utf-8")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = pinned(core, program, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf"))
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        for path in (folder, *folder.iterdir()):
            os.chown(path, 65534, 65534)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)
    try:
        _wait(process, port, folder)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    log = folder / "error.log"
    raise RuntimeError(f"nginx did not start: {log.read_text(encoding='utf-8', errors='replace') if log.is_file() else 'no log'}")
