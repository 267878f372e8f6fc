"""Loading scenarios: good ones become plans, broken ones become errors that name place and remedy."""

from __future__ import annotations

import collections
import itertools
import random
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import harness
from harness.core import jsonio
from harness.core.errors import UsageError, UsageErrors
from harness.run.registry import Registry
from harness.scenario.draws import draw, draw_duration_ns
from harness.scenario.loader import load_scenario, parse_scenario
from harness.scenario.model import decode_plan
from harness.scenario.plan import find_cycle, make_plan
from harness.scenario.schema import SCENARIO_SCHEMA
from harness.scenario.yaml_tree import MAX_BYTES

PROJECT = Path(harness.__file__).parents[1]
BROKEN = PROJECT / "suites" / "fixtures" / "scenarios_broken"
GOOD = """
name: shop
title: A shop
layer: load
requirements: [SHOP-1]
timeline:
  - step: buy
    driver: shop
    with: {rate: 10 /s, customers: "integer(5, 500)", latency: "uniform(1 ms, 20 ms)"}
    at: uniform(1 s, 3 s)
  - {step: trouble, driver: trouble, after: [buy]}
thresholds:
  - {id: p95, expr: "response_time{op=buy}: p(95) < 800 ms every 60 s"}
checks:
  - checker: picture
"""


def expectations() -> dict[str, list[tuple[int, str, str]]]:
    table: dict[str, list[tuple[int, str, str]]] = collections.defaultdict(list)
    for row in (BROKEN / "expected.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        file, line, message, remedy = row.split("\t")
        table[file].append((int(line), message, remedy))
    return table


EXPECTED = expectations()


@pytest.mark.parametrize("file", sorted(path.name for path in BROKEN.glob("*.yaml")))
def test_a_broken_scenario_says_line_and_remedy(file: str, catalogue: Registry) -> None:
    """Each broken file gives exactly its expected errors: the line, what is wrong, and the remedy or nearest right word."""
    with pytest.raises(UsageError) as caught:
        load_scenario(BROKEN / file, catalogue)
    errors = caught.value.errors if isinstance(caught.value, UsageErrors) else (caught.value,)
    assert [error.line for error in errors] == [line for line, _, _ in EXPECTED[file]]
    for error, (_, message, remedy) in zip(errors, EXPECTED[file], strict=True):
        assert message in error.message
        assert remedy.removeprefix("did you mean ").removesuffix("?").strip("'") in (error.message + error.nearest + error.remedy)
        assert error.file.endswith(file)


def test_there_are_enough_broken_scenarios() -> None:
    """At least twenty broken files, each with an expectation."""
    files = {path.name for path in BROKEN.glob("*.yaml")}
    assert len(files) >= 20
    assert files == EXPECTED.keys()


@pytest.mark.parametrize("path", sorted((PROJECT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_scenarios_have_the_published_form(path: Path) -> None:
    """Every scenario of the project is valid by the published schema, and YAML of the safe kind."""
    from harness.scenario.yaml_tree import read_tree

    jsonschema.validate(read_tree(path.read_bytes(), path.name).data, SCENARIO_SCHEMA)


def test_the_published_schema_is_current() -> None:
    """docs/scenario.schema.json is what the code validates by."""
    assert (PROJECT / "docs" / "scenario.schema.json").read_bytes() == jsonio.pretty(SCENARIO_SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCENARIO_SCHEMA)


def test_a_missing_file_names_the_nearest(tmp_path: Path, catalogue: Registry) -> None:
    """A mistyped path is answered with the file that was probably meant."""
    (tmp_path / "shop.yaml").write_text(GOOD)
    with pytest.raises(UsageError, match=r"did you mean 'shop.yaml'"):
        load_scenario(tmp_path / "shopp.yaml", catalogue)


def test_a_file_over_the_bound_is_refused(tmp_path: Path, catalogue: Registry) -> None:
    """More than 256 KiB are never parsed."""
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 10))
    with pytest.raises(UsageError, match="at most"):
        load_scenario(tmp_path / "big.yaml", catalogue)


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_a_seed_gives_one_plan_byte_for_byte(seed: int, catalogue: Registry) -> None:
    """The same seed gives the same bytes, they read back to the same plan, and what was drawn lies in its range."""
    scenario = parse_scenario(GOOD.encode(), "shop.yaml", catalogue)
    plan = make_plan(scenario, seed)
    assert plan.encoded() == make_plan(parse_scenario(GOOD.encode(), "shop.yaml", catalogue), seed).encoded()
    assert decode_plan(plan.encoded()) == plan
    assert 1_000_000_000 <= plan.acts[0].offset_ns <= 3_000_000_000
    assert 5 <= plan.acts[0].parameters["customers"] <= 500


def test_another_seed_gives_another_plan_and_editing_a_step_leaves_the_others(catalogue: Registry) -> None:
    """Draws belong to their step: a step more changes no other step's draw."""
    before = make_plan(parse_scenario(GOOD.encode(), "shop.yaml", catalogue), 1)
    more = GOOD.replace("timeline:", "timeline:\n  - {step: early, driver: shop, with: {rate: 1 /s}, at: 'uniform(0 s, 9 s)'}")
    after = make_plan(parse_scenario(more.encode(), "shop.yaml", catalogue), 1)
    assert before.acts[0] == after.acts[1]
    assert before.acts[0].offset_ns != make_plan(parse_scenario(GOOD.encode(), "s", catalogue), 2).acts[0].offset_ns


def test_draws_keep_their_unit_and_their_bounds() -> None:
    """Uniform keeps the first unit, integer gives numbers, choice gives one of its words."""
    stream = random.Random(3)
    assert str(draw("uniform(50 ms, 1 s)", stream)).endswith(" ms")
    assert draw("choice(a, b)", stream) in {"a", "b"}
    assert draw("integer(4, 4)", stream) == 4
    assert draw_duration_ns("2 s", stream) == 2_000_000_000


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), max_size=6))
def test_a_circle_is_found_exactly_when_there_is_one(after: dict[str, list[str]]) -> None:
    """Removing leaves until none is left over agrees with the search, and a found circle is one."""
    left = {name: set(befores) & after.keys() for name, befores in after.items()}
    while free := {name for name, befores in left.items() if not befores & left.keys()}:
        left = {name: befores for name, befores in left.items() if name not in free}
    cycle = find_cycle(after)
    assert bool(cycle) == bool(left)
    assert all(following in after[name] for name, following in itertools.pairwise(cycle))


@given(content=st.binary(max_size=300))
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_any_bytes_load_or_give_a_usage_error(content: bytes, catalogue: Registry) -> None:
    """Whatever stands in a file, the loader answers with a usage error that names the file."""
    with pytest.raises(UsageError, match=r"noise\.yaml"):
        parse_scenario(content, "noise.yaml", catalogue)


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_a_mutated_scenario_loads_or_gives_a_usage_error(data: st.DataObject, catalogue: Registry) -> None:
    """Cutting, doubling or changing pieces of a good file never crashes the loader."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 40)))
    piece = data.draw(
        st.sampled_from(["", "[", "{", ":", "- ", "9e999", "~", "\t", "'", "&a", "!!python/name:os.system", GOOD[start:end] * 2])
    )
    try:
        parse_scenario((GOOD[:start] + piece + GOOD[end:]).encode(), "mutated.yaml", catalogue)
    except UsageError as error:
        assert "mutated.yaml" in str(error)
