"""Interpolation, merge keys and values of a compose file: as the compose specification gives them, or refused with file and line."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.topology import Service, TopologyError, load_topology
from harness.topology.variables import resolve

SET = {"PYTHON": "/usr/bin/python3", "STACK_ID": "5f", "STACK_DIR": "/tmp/a b", "WEB_PORT": "20123", "ADMIN_PORT": "20124"}
EMPTY, UNSET = "OBJECTS_DIR", "SECRETS_DIR"
VALUES = {**SET, EMPTY: ""}
FILES = 220


def written(folder: Path, environment: str, *, top: str = "", more: str = "") -> Path:
    """A file of one service whose profile has this environment (YAML)."""
    file = folder / "docker-compose.yml"
    text = (
        f'{top}services:\n  web:\n    ports: ["127.0.0.1:${{WEB_PORT:-80}}:80", "127.0.0.1:${{ADMIN_PORT:-81}}:81"]\n{more}'
        f'    x-profiles:\n      embedded:\n        command: ["$${{PYTHON}}", "-V"]\n        environment: {environment}\n'
    )
    file.write_text(text, encoding="utf-8")
    return file


def loaded(file: Path) -> Service:
    return load_topology(file, "embedded", file.parent).services[0]


def filled(folder: Path, text: str, values: Mapping[str, str] = VALUES) -> str:
    """What a value of the environment becomes."""
    return resolve(loaded(written(folder, json.dumps({"X": text}))), values, {}).environment["X"]


INTERPOLATED = [
    ("$STACK_ID", "5f"),
    ("$STACK_ID-a/$WEB_PORT", "5f-a/20123"),
    ("${STACK_ID}${STACK_ID}", "5f5f"),
    ("${WEB_PORT-1}", "20123"),
    ("${OBJECTS_DIR-1}", ""),
    ("${OBJECTS_DIR:-1}", "1"),
    ("${SECRETS_DIR-1}", "1"),
    ("${SECRETS_DIR:-}", ""),
    ("${SECRETS_DIR}", ""),
    ("${WEB_PORT:+up}", "up"),
    ("${OBJECTS_DIR:+up}", ""),
    ("${OBJECTS_DIR+up}", "up"),
    ("${SECRETS_DIR+up}", ""),
    ("${WEB_PORT:?no port}", "20123"),
    ("${OBJECTS_DIR?never said}", ""),
    ("${SECRETS_DIR:-${WEB_PORT}}", "20123"),
    ("${SECRETS_DIR-$WEB_PORT}", "20123"),
    ("${SECRETS_DIR:-${OBJECTS_DIR:-${STACK_ID}}/x}y", "5f/xy"),
    ("$${SECRETS_DIR:-$${STACK_ID}}", "5f"),
    ("$${SECRETS_DIR:-a${STACK_ID}b}c", "a5fbc"),
    ("${SECRETS_DIR:-$$}", "$"),
    ("${SECRETS_DIR:-a-b:?c+d}", "a-b:?c+d"),
    ("${SECRETS_DIR:-/{x}}", "/{x}"),
    ("$$STACK_ID", "$STACK_ID"),
    ("$$$STACK_ID", "$5f"),
    ("$$$$", "$$"),
    ("$(date) $5 5$", "$(date) $5 5$"),
    ("}{", "}{"),
]


@pytest.mark.parametrize(("text", "expected"), INTERPOLATED)
def test_every_form_of_the_grammar_is_substituted(tmp_path: Path, text: str, expected: str) -> None:
    """Direct, default, required, alternative, nested and escaped references give what the specification says."""
    assert filled(tmp_path, text) == expected


@pytest.mark.parametrize("text", ["${SECRETS_DIR:?not $STACK_ID}", "${SECRETS_DIR?not ${STACK_ID}}", "${OBJECTS_DIR:?not 5f}"])
def test_a_required_variable_without_a_value_is_an_error_with_its_own_words(tmp_path: Path, text: str) -> None:
    """The words behind the question mark are interpolated, and the variable is named."""
    with pytest.raises(TopologyError, match=r"service 'web'.*(SECRETS|OBJECTS)_DIR has no value: not 5f"):
        filled(tmp_path, text)


BROKEN = [
    "${ STACK_ID }",
    "${STACK_ID }",
    "$${ STACK_ID }",
    "${}",
    "$${}",
    "${",
    "a ${STACK_ID",
    "${STACK_ID:-",
    "${STACK_ID:-${WEB_PORT}",
    "${STACK_ID/a/b}",
    "${STACK_ID:1}",
    "${STACK_ID!}",
    "${#STACK_ID}",
    "${1}",
    "${STACK-ID",
    "${STACK_ID:=x}",
    "${SECRETS_DIR:-${ STACK_ID }}",
    "${STACK_ID:?${}}",
]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_reference_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    """Nothing that begins like a reference is passed on as text."""
    with pytest.raises(TopologyError) as raised:
        filled(tmp_path, text)
    assert raised.value.place == f"{tmp_path / 'docker-compose.yml'}:7"
    assert "write ${NAME}" in raised.value.remedy


@pytest.mark.parametrize("text", ["$NOBODY", "${NOBODY:-x}", "${STACK_ID:-${NOBODY}}", "${STACK_ID:+$NOBODY}", "$${WEB_PROT}"])
def test_a_variable_that_no_stack_has_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """A stack fills in its own variables only, also in a word that is not used: a misspelt one must not become its default."""
    with pytest.raises(TopologyError, match=r"docker-compose.yml:7: unknown variable '(NOBODY|WEB_PROT)'"):
        filled(tmp_path, text)


def test_a_broken_reference_anywhere_in_the_file_is_refused(tmp_path: Path) -> None:
    """What only a container engine reads is checked as well: Compose would refuse the file."""
    with pytest.raises(TopologyError, match=r"docker-compose.yml:4: '\$\{TAG \}' is no|is not supported"):
        loaded(written(tmp_path, "{}", more='    image: "a:${TAG }"\n'))


NULLS = ["{A: null, B: x}", "{A: ~, B: x}", "{A: , B: x}", "{A: Null, B: x}", "{A: NULL, B: x}", "[A, B=x]", "{<<: {A: kept}, A: , B: x}"]


@pytest.mark.parametrize("environment", NULLS)
def test_a_variable_without_a_value_is_inherited_or_unset(tmp_path: Path, environment: str) -> None:
    """Null is no text: the name is taken from where the stack is started, and never arrives as the word null."""
    service = loaded(written(tmp_path, environment))
    assert (service.environment, service.inherited) == ({"B": "x"}, ("A",))


KEPT = [
    "8080",
    "0",
    "-3",
    "true",
    "false",
    "1.5",
    "yes",
    "off",
    "12:30",
    "1e",
    "a",
    "'010'",
    '"null"',
    "''",
    "1.2.3",
    "-",
    "=",
    "'1.10'",
    "0.25",
]


@pytest.mark.parametrize("value", KEPT)
def test_values_that_read_as_they_are_written_are_passed_on(tmp_path: Path, value: str) -> None:
    """Numbers in their shortest form, true and false, words, and whatever stands in quotes."""
    assert loaded(written(tmp_path, f"{{A: {value}}}")).environment == {"A": value.strip("'\"")}


CHANGED = {
    "010": "8",
    "0x1F": "31",
    "0o17": "15",
    "0b11": "3",
    "1_000": "1000",
    "+7": "7",
    "1.10": "1.1",
    "1.0": "1",
    "1e3": "1000",
    ".5": "0.5",
    "089": "89",
    "True": "true",
    "FALSE": "false",
    ".inf": "+Inf",
    ".NaN": "NaN",
    "1e21": "1e+21",
    "0.00001": "1e-05",
    "2026-01-02": "date",
    "36893488147419103232": "36893488147419103000",
}


@pytest.mark.parametrize("value", CHANGED)
def test_a_value_that_compose_changes_is_refused_with_both_readings(tmp_path: Path, value: str) -> None:
    """Nobody knows whether the text or the number is meant: quotes say so."""
    with pytest.raises(TopologyError, match=r"docker-compose.yml:7: .*is read as .*quotes") as raised:
        loaded(written(tmp_path, f"{{A: {value}}}"))
    assert CHANGED[value] in str(raised.value)
    assert value in str(raised.value)


@pytest.mark.parametrize("wrong", ["null", "~", ""])
def test_a_command_has_no_empty_words(tmp_path: Path, wrong: str) -> None:
    """An argument without a value would reach the process as a word."""
    file = written(tmp_path, "{}")
    file.write_text(file.read_text().replace('"-V"]', f"-c, {wrong or '~'}]"))
    with pytest.raises(TopologyError, match=r"docker-compose.yml:6: a value is needed"):
        loaded(file)


@pytest.mark.parametrize("tag", ["!reset null", "!override x", "!!binary aGk=", "!!int '7'", "!mine x"])
def test_a_tag_is_refused_by_name(tmp_path: Path, tag: str) -> None:
    """A tag changes what a value means; none is passed over."""
    with pytest.raises(TopologyError, match=r"docker-compose.yml:7: the tag '!.*' is not supported"):
        loaded(written(tmp_path, f"{{A: {tag}}}"))


BASE = "x-a: &a {A: a, B: a}\nx-b: &b {B: b, C: b}\nx-c: &c {<<: *a, C: c}\nx-d: &d\n  <<: [*b, *a]\n  D: d\n"
MERGED = [
    ("{<<: *a}", {"A": "a", "B": "a"}),
    ("{<<: *c}", {"A": "a", "B": "a", "C": "c"}),
    ("{<<: *d}", {"A": "a", "B": "b", "C": "b", "D": "d"}),
    ("{<<: [*a, *b]}", {"A": "a", "B": "a", "C": "b"}),
    ("{<<: [*b, *a], B: own}", {"A": "a", "B": "own", "C": "b"}),
    ("{B: own, <<: *b}", {"B": "own", "C": "b"}),
    ("{<<: [{A: x}, *a]}", {"A": "x", "B": "a"}),
    ("{<<: []}", {}),
    ("*d", {"A": "a", "B": "b", "C": "b", "D": "d"}),
]


@pytest.mark.parametrize(("environment", "expected"), MERGED)
def test_merge_keys_follow_the_yaml_merge_type(tmp_path: Path, environment: str, expected: dict[str, str]) -> None:
    """Own keys win wherever they stand, then the earlier mapping of a list; a mapping with merge keys may be merged and used again."""
    file = written(tmp_path, environment, top=BASE)
    assert loaded(file).environment == expected


def test_a_merged_mapping_serves_as_often_as_it_is_used(tmp_path: Path) -> None:
    """An alias to a mapping that has merge keys itself, three times, also merged once more: the same values every time."""
    top = "x-slow: &slow {interval: 20s, timeout: 4s}\nx-quick: &quick\n  <<: *slow\n  interval: 3s\n"
    checks = {"one": "*quick", "two": "*quick", "three": "{<<: *quick, retries: 7}", "four": "{<<: [*quick, *slow]}"}
    body = "".join(
        f'  {name}:\n    healthcheck: {check}\n    x-profiles: {{embedded: {{command: ["$${{PYTHON}}"]}}}}\n'
        for name, check in checks.items()
    )
    file = tmp_path / "docker-compose.yml"
    file.write_text(f"{top}services:\n{body}", encoding="utf-8")
    services = load_topology(file, "embedded", tmp_path).services
    assert {service.name: (service.health.interval_s, service.health.timeout_s, service.health.retries) for service in services} == {
        **dict.fromkeys(("one", "two", "four"), (3.0, 4.0, 3)),
        "three": (3.0, 4.0, 7),
    }


@pytest.mark.parametrize(
    "environment", ["{<<: x}", "{<<: [*a, x]}", "{<<: }", "{<<: *a, <<: *b}", "{A: 1, A: 2}", "{<<: [[*a]]}", "{'<<': *a, [x]: y}"]
)
def test_what_cannot_be_merged_is_refused_with_its_line(tmp_path: Path, environment: str) -> None:
    """Only mappings are merged, once a mapping; a key stands once."""
    with pytest.raises(TopologyError, match=rf"docker-compose.yml:{7 + BASE.count(chr(10))}: .*(merges mappings only|repeated)"):
        loaded(written(tmp_path, environment, top=BASE))


def test_merging_cannot_grow_without_bound(tmp_path: Path) -> None:
    """Merge keys of merge keys, doubled 60 times, and a mapping that merges itself, are refused in time."""
    levels = "".join(f"x-{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}\n" for i in range(1, 60))
    for top in (f"x-0: &m0 {{A: a}}\n{levels}", "x-m59: &m59\n  <<: *m59\n"):
        with pytest.raises(TopologyError, match="too many values"):
            loaded(written(tmp_path, "{<<: *m59}", top=top))


# --- generated files against an oracle ---------------------------------------------------------------------------------
# The oracle never parses: a value is made as a tree, and the tree gives both its text and what it must become.


@dataclasses.dataclass(frozen=True)
class Ref:
    name: str
    operator: str
    word: tuple[object, ...]
    opening: str

    def text(self) -> str:
        if self.opening == "$":
            return f"${self.name}"
        return f"{self.opening}{self.name}{self.operator}{render(self.word)}}}"

    def value(self, values: Mapping[str, str]) -> str:
        """As the specification's list of formats says it, one line each; ``LookupError`` where it says "exit with error"."""
        is_set, is_empty = self.name in values, values.get(self.name, "") == ""
        word = functools.partial(becomes, self.word, values)
        table = {
            "": lambda: values[self.name] if is_set else "",
            ":-": lambda: word() if is_empty else values[self.name],
            "-": lambda: values[self.name] if is_set else word(),
            ":+": lambda: "" if is_empty else word(),
            "+": lambda: word() if is_set else "",
            ":?": lambda: missing(self.name) if is_empty else values[self.name],
            "?": lambda: values[self.name] if is_set else missing(self.name),
        }
        return table[self.operator]()


def missing(name: str) -> str:
    raise LookupError(name)


def render(parts: tuple[object, ...]) -> str:
    return "".join(part.text() if isinstance(part, Ref) else {"$": "$$"}.get(str(part), str(part)) for part in parts)


def becomes(parts: tuple[object, ...], values: Mapping[str, str]) -> str:
    return "".join(part.value(values) if isinstance(part, Ref) else str(part) for part in parts)


LITERALS = ("a", "-", ":", "?", "+", " ", "/x", "{", "ü", "$", "12", "'", "#", ",", "\\")
NAMES = (*VALUES, UNSET)


def tree(source: random.Random, depth: int, openings: tuple[str, ...]) -> tuple[object, ...]:
    parts: list[object] = []
    for _ in range(source.randint(0, 4)):
        if source.random() < 0.5 and depth < 3:
            opening = source.choice(openings)
            operator = "" if opening == "$" else source.choice(("", ":-", "-", ":+", "+", ":?", "?"))
            word = tree(source, depth + 1, openings) if operator else ()
            if opening == "$" and parts and parts[-1] == "$":
                parts.append(" ")
            parts.append(Ref(source.choice(NAMES), operator, word, opening))
        else:
            parts.append(source.choice(LITERALS))
    return tuple(separated(parts))


def separated(parts: list[object]) -> Iterator[object]:
    """No name grows into the text behind it, and no dollar into what follows."""
    for part, after in itertools.zip_longest(parts, parts[1:], fillvalue=""):
        yield part
        text = after.text() if isinstance(after, Ref) else str(after)
        if isinstance(part, Ref) and part.opening == "$" and re.match(r"[A-Za-z0-9_]", text):
            yield "."
        if part == "$" and text[:1] in {"{", "$", *"abcdefghijklmnopqrstuvwxyz"}:
            yield "."


def scalar(source: random.Random, openings: tuple[str, ...]) -> tuple[str, object]:
    """A value as YAML, and what it must become: a tree, a text, or None."""
    match source.randint(0, 5):
        case 0:
            return source.choice(("null", "~", "")), None
        case 1:
            number = source.choice((str(source.randint(-99, 99_999)), "true", "false", "0.5", "no"))
            return number, (number,)
        case _:
            parts = tree(source, 0, openings)
            return json.dumps(render(parts), ensure_ascii=False), parts


@dataclasses.dataclass
class Case:
    """A generated file: its anchors with what each holds, and the environment of its service."""

    top: str
    environment: str
    expected: dict[str, object]


def generate(seed: int, openings: tuple[str, ...] = ("$", "${", "$${")) -> Case:
    source = random.Random(seed)
    anchors: dict[str, dict[str, object]] = {}
    lines = []
    for number in range(source.randint(1, 5)):
        text, held = mapping(source, anchors, openings)
        anchors[f"m{number}"] = held
        lines.append(f"x-{number}: &m{number} {text}\n")
    text, held = mapping(source, anchors, openings)
    return Case("".join(lines), text, held)


def mapping(source: random.Random, anchors: Mapping[str, dict[str, object]], openings: tuple[str, ...]) -> tuple[str, dict[str, object]]:
    """A flow mapping with keys of its own and, mostly, a merge key over anchors that were written before; some of them twice."""
    own: dict[str, object] = {}
    parts = []
    for key in source.sample("ABCDEFG", source.randint(0, 3)):
        written_as, own[key] = scalar(source, openings)
        parts.append(f"{key}: {written_as}")
    merged: dict[str, object] = {}
    if anchors and source.random() < 0.8:
        names = source.choices(list(anchors), k=source.randint(1, 3))
        for name in reversed(names):  # what is written earlier wins: it is laid over last
            merged |= anchors[name]
        alias = f"*{names[0]}" if len(names) == 1 else "[" + ", ".join(f"*{name}" for name in names) + "]"
        parts.insert(source.randint(0, len(parts)), f"<<: {alias} ")
    return "{" + ", ".join(parts) + "}", merged | own


def judged(case: Case, values: Mapping[str, str]) -> tuple[dict[str, str], set[str]] | str:
    """Variables and inherited names by the oracle, or the name of the variable that is required and has no value."""
    try:
        found = {key: becomes(parts, values) for key, parts in case.expected.items() if isinstance(parts, tuple)}
    except LookupError as error:
        return str(error.args[0])
    return found, {key for key, parts in case.expected.items() if parts is None}


@pytest.mark.parametrize("first", range(0, FILES, 20))
def test_generated_files_are_read_as_the_oracle_reads_them(tmp_path: Path, first: int) -> None:
    """Merges, nulls, numbers and nested references of 220 seeded files: the same variables, or the same refusal."""
    for seed in range(first, first + 20):
        case = generate(seed)
        service = loaded(written(tmp_path, case.environment, top=case.top))
        expected = judged(case, VALUES)
        if isinstance(expected, str):
            with pytest.raises(TopologyError, match="the required variable"):
                resolve(service, VALUES, {})
        else:
            assert (resolve(service, VALUES, {}).environment, set(service.inherited)) == expected, (seed, case)


def test_the_generated_files_hold_what_they_are_for() -> None:
    """Among them: refusals, values, nulls, merges of lists, and nested references, each in twenty files at least."""
    cases = [generate(seed) for seed in range(FILES)]
    answers = [judged(case, VALUES) for case in cases]
    whole = [case.top + case.environment for case in cases]
    assert sum(isinstance(answer, str) for answer in answers) >= 20
    assert sum(not isinstance(answer, str) and bool(answer[0]) for answer in answers) >= 100
    assert sum(None in case.expected.values() for case in cases) >= 20
    assert sum("<<: [" in text for text in whole) >= 20
    assert sum(bool(re.search(r"\{[A-Z_]+:?[-+?][^}]*\$", text)) for text in whole) >= 20


@functools.cache
def compose_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False, timeout=30).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not compose_runs(), reason="docker compose is not installed here")
def test_generated_files_are_read_as_docker_compose_reads_them(tmp_path: Path) -> None:
    """``docker compose config`` (it needs no engine) over the same files, with the environment on the service itself."""
    for seed in range(FILES):
        case = generate(seed, openings=("$", "${"))
        ours = written(tmp_path, case.environment, top=case.top, more=f"    image: x\n    environment: {case.environment}\n")
        command = ["docker", "compose", "-f", str(ours), "config", "--format", "json"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **VALUES}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        expected = judged(case, VALUES)
        assert (done.returncode != 0) == isinstance(expected, str), (seed, done.stderr)
        if not isinstance(expected, str):
            theirs = json.loads(done.stdout)["services"]["web"].get("environment") or {}
            said = {name: text.replace("$$", "$") for name, text in theirs.items() if text is not None}
            assert said == expected[0], (seed, case)
