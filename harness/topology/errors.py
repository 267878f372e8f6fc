"""What can go wrong with a topology or a stack; every message names the place and the remedy."""

from __future__ import annotations


class TopologyError(Exception):
    """Base of the package. ``place`` is file:line, a folder, a service or a port."""

    def __init__(self, error: str, place: str, remedy: str) -> None:
        super().__init__(f"{place}: {error}; {remedy}")
        self.error = error
        self.place = place
        self.remedy = remedy


class ProfileUnavailable(TopologyError):
    """The topology says nothing about the profile asked for: a missing capability, to be reported as BLOCKED."""


class StartFailed(TopologyError):
    """A service did not come up; the message carries the last lines of its log and where the log is."""


class MachineLacks(StartFailed):
    """The system cannot be started for want of something of this machine (a program, a package, a port): to be reported as BLOCKED."""


class StackGone(TopologyError):
    """The supervisor of this stack does not answer any more."""
