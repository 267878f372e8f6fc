"""What wings raise: ``Blocked`` when this machine or target cannot, anything else is an ERROR of the trial."""

from __future__ import annotations

from harness.core.errors import Aborted, Blocked, DamagedRun, HarnessError, UsageError, UsageErrors

__all__ = ["Aborted", "Blocked", "DamagedRun", "HarnessError", "UsageError", "UsageErrors"]
