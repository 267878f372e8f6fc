"""A limit that the plan can never prove is refused when the scenario is loaded; what comes with the product can pass."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UsageError
from harness.run.registry import Registry
from harness.scenario.loader import parse_scenario
from harness.suites.tables import kill_scenario_text, load_scenario_text

TABLES = {"requests": {"ask": {"op": "ask", "path": "/"}}, "target": {"service": "web"}}
TEXT = """name: s
title: t
layer: load
timeline:
  - {{step: load, driver: open_loop, with: {{{load}, requests: ask, warmup: 2 s}}}}
phases: {{steady: {{step: load, from: 2 s, to: 12 s}}}}
thresholds:
  - {{id: limit, expr: "{expression}"}}
"""
TEN_SECONDS = "rate: 20 /s, duration: 10 s"


def load(expression: str, with_: str = TEN_SECONDS) -> None:
    parse_scenario(TEXT.format(expression=expression, load=with_).encode(), "s.yaml", Registry.discover())


@pytest.mark.parametrize(
    ("expression", "with_"),
    [
        ("errors: rate <= 1 %", TEN_SECONDS),
        ("errors: rate <= 1 % in steady", TEN_SECONDS),
        ("response_time: p(99) < 1 s", TEN_SECONDS),
        ("errors{step=load}: rate < 5 % every 2 s", TEN_SECONDS),
        ("response_time: p(95) < 1 s in steady", "rate: 3 /s, duration: 10 s, shape: poisson"),
        ("errors: rate > 99.5 %", TEN_SECONDS),
        ("response_time: p(99.9) < 1 s", "shape: {kind: ramp, from: 1 /s, to: 30 /s}, duration: 10 s"),
    ],
)
def test_a_limit_that_needs_more_samples_than_the_plan_has_is_refused(expression: str, with_: str) -> None:
    """With file and line, and what would be enough."""
    with pytest.raises(UsageError, match=r"can never be proven: it needs \d+ samples") as caught:
        load(expression, with_)
    assert (caught.value.file, caught.value.line) == ("s.yaml", 8)
    numbers = re.findall(r"(rate|duration): (\d+ /?s)", caught.value.remedy)
    assert numbers or "times as much" in caught.value.remedy
    for name, number in numbers:  # what the remedy says would do does
        load(expression, re.sub(rf"\b{name}: [^,]+", f"{name}: {number}", with_))


@pytest.mark.parametrize(
    "expression",
    ["errors: rate <= 2 %", "response_time: p(95) < 1 s in steady", "response_time: max < 1 s", "errors: rate < 10 % every 2 s"],
)
def test_a_limit_that_the_plan_can_prove_is_taken(expression: str) -> None:
    """Just enough is enough."""
    load(expression)


@pytest.mark.parametrize("path", sorted(Path("scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_of_the_product_can_pass(path: Path) -> None:
    """None is refused for its sample size."""
    try:
        parse_scenario(path.read_bytes(), str(path), Registry.discover())
    except UsageError as error:
        assert "never be proven" not in str(error)


@pytest.mark.parametrize("written", [load_scenario_text, kill_scenario_text])
def test_the_defaults_of_the_generic_suites_can_pass(written: Callable[[Mapping[str, Any]], str]) -> None:
    """Nothing given but a request and a service."""
    text = written(TABLES)
    parse_scenario(text.encode(), "harness.toml", Registry.discover())


WRITTEN = re.compile(r"""expr: *["']([^"']+)["']""")
PAGES = (Path("README.md"), *sorted(Path("docs").glob("*.md")), *sorted(Path("examples").rglob("*.md")))


def test_no_page_shows_a_scenario_with_a_limit_that_can_never_pass() -> None:
    """Each whole scenario in a page is loaded; the settings a page names as defaults are those of the test above."""
    for page in PAGES:
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            if WRITTEN.search(text):
                parse_scenario(text.encode(), str(page), Registry.discover())


def test_the_settings_of_the_example_can_pass() -> None:
    """As they are shipped, with the defaults that the page tells for what is left out."""
    settings = tomllib.loads(Path("examples/foreign/harness.toml").read_text())
    assert "load" in settings
    for written in (load_scenario_text, kill_scenario_text):
        parse_scenario(written(settings).encode(), "harness.toml", Registry.discover())
    shown = re.search(r"`errors` \|.*\| `(.*)` \|\n\| `p95` \|.*\| `(.*)` \|", Path("docs/foreign-system.md").read_text())
    assert shown is not None
    assert all(limit in load_scenario_text(TABLES) for limit in shown.groups())
