"""The reports of a run: publishers for ``Run(publishers=…)``, called after the summary and before the manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.journal.summary import Summary
from harness.report.allure import publish_allure
from harness.report.html import publish_html
from harness.report.junit import publish_junit

Publisher = Callable[[Path, Summary], None]


def publishers() -> tuple[Publisher, ...]:
    """report.html, junit.xml and allure-results/, each independent of the others."""
    return publish_html, publish_junit, publish_allure
