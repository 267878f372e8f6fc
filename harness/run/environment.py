"""Facts about the machine that a verdict may depend on: no host name, no user, no path."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import psutil

_LIBRARIES = ("evidence-harness", "numpy", "pyarrow", "msgspec", "pytest")


def environment_facts() -> dict[str, str]:
    """Names and values as text, for ``run.started``."""
    facts = {
        "platform": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or "unknown",
        "python": platform.python_version(),
        "cpus": str(_cpus()),
        "memory_mib": str(psutil.virtual_memory().total // 2**20),
        "privileged": str(getattr(os, "geteuid", lambda: 1)() == 0).lower(),
    }
    return facts | {name: version for name in _LIBRARIES if (version := _version(name))}


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
