"""The terminal."""

from __future__ import annotations

import gc
import os
import warnings

import pytest

from harness.cli.console import Console


def test_a_console_that_is_gone_leaves_no_descriptor_and_no_warning() -> None:
    """Commands that run one after the other in a process do not collect descriptors."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        console = Console(quiet=True)
        console.say("a line")
        descriptor = console.err.file.fileno()
        del console
        gc.collect()
    assert not [item for item in caught if item.category is ResourceWarning]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
