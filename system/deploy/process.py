"""What every engine launcher shares: its arguments, its secret, and turning into the engine it launches.

A launcher prepares a data folder and then *becomes* the engine (exec), so the pid the supervisor watches, kills and
restarts is the engine itself and never a Python parent that would hide its death.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from system.platform.errors import BadInput, PlatformError

UNAVAILABLE = 69  # EX_UNAVAILABLE: how a service tells whoever starts it that the machine lacks what it needs
_PR_SET_PDEATHSIG = 1
_KEPT_VARIABLES = ("PATH", "TMPDIR", "EH_STACK_ID", "EH_SERVICE")


class NotInstalled(BadInput):
    """An engine that this machine does not have."""


def parser(engine: str) -> argparse.ArgumentParser:
    """Arguments common to all launchers: ``--data DIR --port N --secret FILE``."""
    made = argparse.ArgumentParser(prog=f"python -m system.deploy.{engine}", description=f"Become the {engine} server on 127.0.0.1.")
    made.add_argument("--data", type=Path, required=True, help="folder of this service; created if absent")
    made.add_argument("--port", type=int, required=True, help="loopback port")
    made.add_argument("--secret", type=Path, required=True, help="file that holds the password (0600)")
    return made


def read_secret(path: Path) -> str:
    """The password in ``path``; raises ``BadInput`` where it is missing or empty."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadInput(
            f"secret cannot be read: {error.strerror}", str(path), "start the stack with `harness up`, which writes it"
        ) from error
    if not secret:
        raise BadInput("secret is empty", str(path), "write a password into it, mode 0600")
    return secret


def package_folder(package: str, wheel: str) -> Path:
    """Where ``package`` is installed, found without importing it (imports cost start-up time)."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise NotInstalled(f"the package {package} is not installed", wheel, f"pip install {wheel}")
    return Path(next(iter(found.submodule_search_locations)))


def private_folder(path: Path) -> Path:
    """``path`` made absolute and created with mode 0700 (parents are left as they are)."""
    path = path.absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, readable by the owner only at every moment."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    aside.replace(path)


def engine_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The few variables an engine needs; the stack's id stays so that nothing of a stack can be overlooked."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", **kept, **(extra or {})}


def become(argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], uid: int | None = None) -> NoReturn:
    """Exec ``argv`` in ``folder``, as ``uid`` where one is given, bound to die with the supervisor."""
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    os.chdir(folder)
    _die_with_supervisor()  # after the change of uid: the kernel forgets the request when credentials change
    os.execve(argv[0], list(argv), dict(environment))  # noqa: S606  # no shell is wanted


def run_launcher(main: Callable[[Sequence[str]], NoReturn]) -> NoReturn:
    """Call ``main`` with the arguments; an expected error is one line on stderr and exit code 2, or 69 for an engine that is absent."""
    try:
        main(sys.argv[1:])
    except NotInstalled as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(UNAVAILABLE) from None
    except (PlatformError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None


def _die_with_supervisor() -> None:
    supervisor = os.environ.get("EH_SUPERVISOR_PID")
    if sys.platform != "linux" or supervisor is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(supervisor):  # it died before the request was in place
        raise SystemExit(1)
