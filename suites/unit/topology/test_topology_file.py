from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.topology import ProfileUnavailable, TopologyError, load_topology
from harness.topology.document import read_document
from harness.topology.variables import substitute

ROOT = Path(__file__).resolve().parents[3]

MISTAKES = [
    ("    restart: always", "    restat: always", 5, "restart"),
    ("    restart: always", "    restart: allways", 5, "always"),
    ("    restart: always", "    deploy: {replicas: 2}", 5, "known"),
    ("services:", "servces:", 2, "services"),
    ("interval: 200ms,", "interval: 200,", 6, "200ms"),
    ("start_interval: 50ms", "start_intervall: 50ms", 6, "start_interval"),
    ("retries: 2", "retries: many", 6, "whole number"),
    ("127.0.0.1:${WEB_PORT:-8000}:8000", "${WEB_PORT:-8000}:8000", 9, "127.0.0.1"),
    ("[token]", "[tokn]", 8, "token"),
    ('"$${WEB_PORT}"]', '"$${WEB_PROT}"]', 12, "WEB_PORT"),
    ("health: {http:", "health: {htpp:", 13, "http"),
    ("{web: {condition: service_healthy}}", "{web: {condition: service_started}}", 18, "service_healthy"),
    ("{web: {condition: service_healthy}}", "{wbe: {condition: service_healthy}}", 15, "web"),
    ("stop_grace_period: 1s", "stop_grace_period: 1s\n    restart: always", 5, "keep one"),
    ('        command: ["$${PYTHON}", -c,', '        comand: ["$${PYTHON}", -c,', 21, "command"),
    ("name: toy", "name: [toy", 2, "correct"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "hint"), MISTAKES)
def test_a_mistake_is_refused_with_file_line_and_remedy(
    tmp_path: Path, toy_text: str, right: str, wrong: str, line: int, hint: str
) -> None:
    """Every unsupported key, value or reference is an error that names file, line and the nearest right word."""
    assert right in toy_text
    file = tmp_path / "docker-compose.yml"
    file.write_text(toy_text.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(TopologyError) as raised:
        load_topology(file, "embedded", tmp_path)
    found = re.fullmatch(re.escape(str(file)) + r":(\d+)", raised.value.place)
    assert found, raised.value
    assert abs(int(found[1]) - line) <= 1, raised.value  # YAML's own errors point at the token after
    assert hint in str(raised.value)


def test_a_profile_that_is_not_described_is_unavailable(toy_file: Path) -> None:
    """Asking for a profile that a service lacks names the service and the profiles there are."""
    with pytest.raises(ProfileUnavailable, match=r"'web' has no profile 'local'.*embedded"):
        load_topology(toy_file, "local", toy_file.parent)


def test_dependencies_in_a_circle_are_refused(toy_file: Path, toy_text: str) -> None:
    """Services that wait for each other would wait for ever: the circle is shown."""
    file = toy_file
    file.write_text(
        toy_text.replace("    restart: always", "    restart: always\n    depends_on: {job: {condition: service_healthy}}"),
        encoding="utf-8",
    )
    with pytest.raises(TopologyError, match=r"circle: .*web"):
        load_topology(file, "embedded", file.parent)


def test_a_small_file_cannot_describe_a_huge_tree(tmp_path: Path) -> None:
    """Aliases of aliases are bounded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    file = tmp_path / "bomb.yml"
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(TopologyError, match="too many values"):
        read_document(file)


def test_variables_are_filled_in_with_and_without_the_compose_escape() -> None:
    """``$${A}`` and ``${A:-x}`` are both variables of the stack; any other ``$$`` is a dollar."""
    assert substitute("$${A}/${A:-x}/$$(pwd)", {"A": "1"}) == "1/1/$(pwd)"


def test_a_subset_takes_its_dependencies_along(toy_file: Path) -> None:
    """Starting one service starts everything it needs, dependencies first."""
    topology = load_topology(toy_file, "embedded", toy_file.parent)
    assert [service.name for service in topology.subset(["job"]).services] == ["web", "job"]
    assert [service.name for service in topology.subset(["web"]).services] == ["web"]


def test_the_projects_own_topology_is_understood() -> None:
    """docker-compose.yml describes all nine services, each with restart policy and loopback ports."""
    topology = load_topology(ROOT / "docker-compose.yml", "embedded", ROOT)
    assert {service.name for service in topology.services} == {
        *("records", "search", "graph", "cache", "events", "embed", "splade", "gateway", "worker"),
    }
    assert all(service.restart.kind == "always" for service in topology.services)
    assert all(service.health.command or service.health.http for service in topology.services)


def test_no_engine_is_named_in_the_topology_package() -> None:
    """harness.topology knows commands and health checks, not engines."""
    engines = re.compile("neo4j|kafka|postgres|valkey|arcadedb|redis|opensearch|pgvector|psycopg|uvicorn", re.IGNORECASE)
    sources = sorted((ROOT / "harness" / "topology").glob("*.py"))
    assert len(sources) > 5
    assert [path.name for path in sources if engines.search(path.read_text(encoding="utf-8"))] == []
