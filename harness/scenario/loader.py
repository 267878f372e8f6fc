"""Loads a scenario file: every wrong key, unit and reference with file, line, column, the nearest right word, the remedy."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import jsonschema

from harness.core.errors import UsageError, UsageErrors, listing, nearest_word
from harness.core.units import Duration
from harness.scenario.catalogue import Catalogue, Reference, Stretch
from harness.scenario.draws import draw_all, draw_duration_ns
from harness.scenario.implied import with_implied
from harness.scenario.model import CheckUse, Phase, ProbeUse, Scenario, Step, ThresholdUse
from harness.scenario.parameters import ParameterError, decode_parameters
from harness.scenario.plan import find_cycle
from harness.scenario.schema import SCENARIO_SCHEMA
from harness.scenario.yaml_tree import MAX_BYTES, MAX_PROBLEMS, Path, Tree, read_tree

DEFAULT_DEADLINE = "10 min"
_VALIDATOR = jsonschema.Draft202012Validator(SCENARIO_SCHEMA)


def load_scenario(path: FilePath, catalogue: Catalogue) -> Scenario:
    """Read, validate and resolve one file; raises ``UsageError`` (``UsageErrors`` lists them all)."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        near = nearest_word(path.name, [p.name for p in path.parent.glob("*.yaml")]) if path.parent.is_dir() else ""
        raise UsageError(f"cannot be read: {error.strerror}", file=str(path), nearest=near, remedy="give the path of a scenario") from None
    return parse_scenario(content, str(path), catalogue)


def parse_scenario(content: bytes, file: str, catalogue: Catalogue) -> Scenario:
    """As ``load_scenario`` for content at hand; ``file`` stands in the errors."""
    tree = read_tree(content, file)
    _raise_all(_schema_problems(tree))
    data: dict[str, Any] = tree.data
    _raise_all(_reference_problems(tree, data, catalogue))
    _raise_all(_unprovable(tree, data, catalogue))
    scenario = _scenario(data, file, content.decode("utf-8-sig"))
    return with_implied(scenario, catalogue, uncertified=data.get("uncertified", False))


def _raise_all(problems: Iterable[UsageError]) -> None:
    found = list(problems)[:MAX_PROBLEMS]
    if len(found) == 1:
        raise found[0]
    if found:
        raise UsageErrors(found)


# --- form ---------------------------------------------------------------------------------------------------------


def _schema_problems(tree: Tree) -> Iterator[UsageError]:
    for error in _VALIDATOR.iter_errors(tree.data):
        yield from _translated(tree, error)


def _translated(tree: Tree, error: jsonschema.ValidationError) -> Iterator[UsageError]:
    path: Path = tuple(error.absolute_path)
    instance: Any = error.instance
    schema: Any = error.schema
    wanted: Any = error.validator_value
    if error.validator == "additionalProperties":
        known = schema["properties"]
        for key in [key for key in instance if key not in known]:
            near = nearest_word(key, known)
            yield tree.error((*path, key, "#key"), f"unknown key {key!r}", nearest=near, remedy=f"known keys: {listing(known)}")
    elif error.validator == "required":
        key = error.message.split("'")[1]
        yield tree.error(path, f"{key!r} is missing", remedy=f"add `{key}: …` ({_hint(schema['properties'][key])})")
    elif error.validator == "enum":
        near = nearest_word(str(error.instance), wanted)
        yield tree.error(path, f"{error.instance!r} is not known here", nearest=near, remedy=f"one of: {listing(wanted)}")
    else:
        yield tree.error(path, _short(error), remedy=f"wanted: {_hint(schema)}")


def _short(error: jsonschema.ValidationError) -> str:
    if error.validator in {"type", "anyOf"}:
        return f"a {_type_name(error.instance)} stands here"
    return error.message[:200]


def _hint(schema: Mapping[str, Any]) -> str:
    plural = {"array": "a list", "object": "keys with values", "string": "a text"}
    return str(schema.get("description") or plural.get(str(schema.get("type"))) or "see docs/scenario.schema.json")


def _type_name(value: object) -> str:
    names = {dict: "mapping", list: "list", str: "text", int: "number", float: "number", bool: "true/false", type(None): "blank"}
    return names.get(type(value), type(value).__name__)


# --- references ---------------------------------------------------------------------------------------------------


def _reference_problems(tree: Tree, data: dict[str, Any], catalogue: Catalogue) -> Iterator[UsageError]:
    yield from _uses(tree, data, catalogue)
    yield from _unique(tree, data)
    yield from _order(tree, data)
    yield from _times(tree, data)
    yield from _thresholds(tree, data, catalogue)
    yield from _requirements(tree, data, catalogue)


def _items(data: dict[str, Any], key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, item in enumerate(data.get(key, ())):
        yield (key, index), item


def _act_name(item: dict[str, Any]) -> str:
    return str(item.get("step") or item.get("name") or item["probe"])


def _acts(data: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    yield from _items(data, "timeline")
    yield from _items(data, "probes")


def _unknown(tree: Tree, path: Path, kind: str, word: str, known: Iterable[str]) -> UsageError:
    words = list(known)
    return tree.error(path, f"unknown {kind} {word!r}", nearest=nearest_word(word, words), remedy=f"known: {listing(words)}")


def _uses(tree: Tree, data: dict[str, Any], catalogue: Catalogue) -> Iterator[UsageError]:
    for section, kind in (("timeline", "driver"), ("probes", "probe"), ("checks", "checker")):
        known = catalogue.names(kind)
        for path, item in _items(data, section):
            if item[kind] not in known:
                yield _unknown(tree, (*path, kind), kind, item[kind], known)
            else:
                yield from _parameters(tree, path, Reference(kind, item[kind]), item.get("with", {}), catalogue)


def _parameters(tree: Tree, path: Path, reference: Reference, given: Any, catalogue: Catalogue) -> Iterator[UsageError]:
    try:
        decode_parameters(catalogue.parameters(reference), draw_all(given, random.Random(0)))
    except ParameterError as error:
        yield tree.error((*path, "with", *error.path), error.message, nearest=error.nearest, remedy=error.remedy)
    except UsageError as error:
        yield tree.error((*path, "with"), error.message, nearest=error.nearest, remedy=error.remedy)


def _unique(tree: Tree, data: dict[str, Any]) -> Iterator[UsageError]:
    acts = [((*path, "step" if "step" in item else "name"), _act_name(item)) for path, item in _acts(data)]
    thresholds = [((*path, "id"), item["id"]) for path, item in _items(data, "thresholds")]
    checks = [((*path, "id"), item.get("id", item["checker"])) for path, item in _items(data, "checks")]
    for named, remedy in ((acts, "rename one of them"), ([*thresholds, *checks], "give one of them an `id` of its own")):
        counts = Counter(name for _, name in named)
        seen: set[str] = set()
        for path, name in named:
            if counts[name] > 1 and name in seen:
                yield tree.error(path, f"{name!r} is used twice", remedy=remedy)
            seen.add(name)


def _after(item: dict[str, Any]) -> tuple[str, ...]:
    after = item.get("after", ())
    return (after,) if isinstance(after, str) else tuple(after)


def _order(tree: Tree, data: dict[str, Any]) -> Iterator[UsageError]:
    names = [_act_name(item) for _, item in _acts(data)]
    for path, item in _acts(data):
        for index, word in enumerate(_after(item)):
            if word not in names:
                inner = (*path, "after") if isinstance(item["after"], str) else (*path, "after", index)
                yield _unknown(tree, inner, "step or probe", word, names)
    if len(set(names)) == len(names) and (cycle := find_cycle({_act_name(item): _after(item) for _, item in _acts(data)})):
        where = next(path for path, item in _acts(data) if _act_name(item) == cycle[0])
        yield tree.error((*where, "after"), f"`after` goes in a circle: {' → '.join(cycle)}", remedy="remove one of them")


def _times(tree: Tree, data: dict[str, Any]) -> Iterator[UsageError]:
    texts = [((*path, "at"), item["at"]) for path, item in _acts(data) if "at" in item]
    texts += [(("deadline",), data["deadline"])] if "deadline" in data else []
    phases = data.get("phases", {})
    texts += [(("phases", name, end), phase[end]) for name, phase in phases.items() for end in ("from", "to")]
    wrong: set[Path] = set()
    for path, text in texts:
        try:
            draw_duration_ns(text, random.Random(0)) if path[-1] == "at" else Duration.parse(text)
        except UsageError as error:
            wrong.add(path)
            yield tree.error(path, error.message, nearest=error.nearest, remedy=error.remedy)
    steps = [item["step"] for _, item in _items(data, "timeline")]
    for name, phase in phases.items():
        if phase["step"] not in steps:
            yield _unknown(tree, ("phases", name, "step"), "step", phase["step"], steps)
        ends = [("phases", name, "from"), ("phases", name, "to")]
        if wrong.isdisjoint(ends) and Duration.parse(phase["from"]).base >= Duration.parse(phase["to"]).base:
            yield tree.error(ends[1], f"phase {name!r} ends before it begins", remedy="`to` must be later than `from`")


def _thresholds(tree: Tree, data: dict[str, Any], catalogue: Catalogue) -> Iterator[UsageError]:
    drivers = [item["driver"] for _, item in _items(data, "timeline")]
    if not set(drivers) <= set(catalogue.names("driver")):
        return  # the unknown driver is the error; which metrics it would have declared nobody knows
    for path, item in _items(data, "thresholds"):
        try:
            catalogue.check_threshold(item["expr"], drivers, list(data.get("phases", {})))
        except UsageError as error:
            yield tree.error((*path, "expr"), error.message, nearest=error.nearest, remedy=error.remedy, shift=error.column)


def _unprovable(tree: Tree, data: dict[str, Any], catalogue: Catalogue) -> Iterator[UsageError]:
    """Limits that no run of this plan could ever pass: for a file whose references are good."""
    stretches = [_stretch(step, data.get("phases", {}), catalogue) for _, step in _items(data, "timeline")]
    for path, item in _items(data, "thresholds"):
        try:
            catalogue.check_provable(item["expr"], stretches)
        except UsageError as error:
            yield tree.error((*path, "expr"), error.message, nearest=error.nearest, remedy=error.remedy)


def _stretch(step: dict[str, Any], phases: dict[str, Any], catalogue: Catalogue) -> Stretch:
    kind = catalogue.parameters(Reference("driver", step["driver"]))
    mine = {name: phase for name, phase in phases.items() if phase["step"] == step["step"]}
    spans = {name: (Duration.parse(phase["from"]).seconds, Duration.parse(phase["to"]).seconds) for name, phase in mine.items()}
    return Stretch(step["step"], step["driver"], decode_parameters(kind, draw_all(step.get("with", {}), random.Random(0))), spans)


def _requirements(tree: Tree, data: dict[str, Any], catalogue: Catalogue) -> Iterator[UsageError]:
    known = catalogue.requirement_ids()
    if known is None:
        return
    sections: list[tuple[Path, dict[str, Any]]] = [((), data), *_items(data, "thresholds"), *_items(data, "checks")]
    for path, item in sections:
        for index, word in enumerate(item.get("requirements", ())):
            if word not in known:
                near = nearest_word(word, known)
                yield tree.error(
                    (*path, "requirements", index), f"unknown requirement {word!r}", nearest=near, remedy="see `harness requirements`"
                )


# --- the model ------------------------------------------------------------------------------------------------------


def _scenario(data: dict[str, Any], file: str, text: str) -> Scenario:
    return Scenario(
        name=data["name"],
        title=data["title"],
        layer=data["layer"],
        profile=data.get("profile", "any"),
        deadline_ns=Duration.parse(data.get("deadline", DEFAULT_DEADLINE)).ns,
        requires=tuple(data.get("requires", ())),
        requirements=tuple(data.get("requirements", ())),
        timeline=tuple(Step(driver=item["driver"], **_act(item)) for _, item in _items(data, "timeline")),
        probes=tuple(ProbeUse(probe=item["probe"], **_act(item)) for _, item in _items(data, "probes")),
        phases=tuple(_phase(name, phase) for name, phase in data.get("phases", {}).items()),
        thresholds=tuple(
            ThresholdUse(id=item["id"], expression=item["expr"], requirements=tuple(item.get("requirements", ())))
            for _, item in _items(data, "thresholds")
        ),
        checks=tuple(_check(item) for _, item in _items(data, "checks")),
        file=file,
        text=text,
    )


def _act(item: dict[str, Any]) -> dict[str, Any]:
    return {"name": _act_name(item), "parameters": item.get("with", {}), "at": item.get("at", "0 s"), "after": _after(item)}


def _phase(name: str, item: dict[str, Any]) -> Phase:
    return Phase(name=name, step=item["step"], from_ns=Duration.parse(item["from"]).ns, to_ns=Duration.parse(item["to"]).ns)


def _check(item: dict[str, Any]) -> CheckUse:
    return CheckUse(
        id=item.get("id", item["checker"]),
        checker=item["checker"],
        parameters=item.get("with", {}),
        requirements=tuple(item.get("requirements", ())),
    )
