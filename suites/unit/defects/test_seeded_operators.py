"""The operators and the switch of the seeded defects."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from system.seeded import Seeded, defects, patches
from system.seeded_catalogue import CATALOGUE, DEFECTS, HARMLESS, LAYERS, OPERATORS, PORTS, Defect
from system.seeded_lens import drop, duplicate, reorder, rewrite, truncate


class Item(msgspec.Struct, frozen=True):
    name: str
    start: int


class Shelf(msgspec.Struct, frozen=True):
    items: tuple[Item, ...]
    notes: dict[str, int]


class Port:
    """Remembers its calls; ``lost`` raises."""

    size = 3

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def put(self, *given: object) -> str:
        self.calls.append(given)
        return "stored"

    def get(self) -> Shelf:
        return Shelf((Item("a", 1), Item("b", 5), Item("c", 9)), {"x": 1, "y": 2})

    def lost(self) -> None:
        raise OSError("away")


def broken(tmp_path: Path, call: str, operator: str, focus: str = "", **more: int) -> tuple[Port, object, Seeded]:
    """A port with one defect armed."""
    defect = Defect("d", "objects", call, operator, "", ("e2e",), focus, **more)
    file = tmp_path / "active.json"
    file.write_text(json.dumps({"defect": "d"}))
    seeded = Seeded(file, "gateway", {"d": defect}, {})
    seeded.look()
    port = Port()
    return port, seeded.wrap("objects", port), seeded


def hits(tmp_path: Path) -> int:
    file = tmp_path / "active.json.hits"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_dropped_call_is_not_made_and_says_that_it_was(tmp_path):
    """The store never sees the call; the caller gets the answer of a success."""
    port, wrapped, _ = broken(tmp_path, "put", "drop")
    assert wrapped.put("name", b"data") is None
    assert port.calls == []
    assert hits(tmp_path) == 1


def test_a_duplicated_call_is_made_twice(tmp_path):
    """Both with the same arguments."""
    port, wrapped, _ = broken(tmp_path, "put", "duplicate")
    assert wrapped.put("name") == "stored"
    assert port.calls == [("name",), ("name",)]


def test_a_swallowed_error_becomes_a_success_and_no_error_is_no_effect(tmp_path):
    """Only a call that raised counts as changed."""
    _, wrapped, _ = broken(tmp_path, "lost|get", "swallow")
    assert wrapped.get().notes == {"x": 1, "y": 2}
    assert hits(tmp_path) == 0
    assert wrapped.lost() is None
    assert hits(tmp_path) == 1


def test_only_every_nth_call_is_hit_counted_from_arming(tmp_path):
    """The third and the sixth of six."""
    port, wrapped, _ = broken(tmp_path, "put", "drop", every=3)
    assert [wrapped.put(number) for number in range(6)] == ["stored", "stored", None, "stored", "stored", None]
    assert len(port.calls) == 4


def test_numbers_deep_in_a_result_are_shifted(tmp_path):
    """Fields of structs in tuples, values of mappings; text is left alone."""
    _, wrapped, _ = broken(tmp_path, "get", "off_by_one", "result.items.*.start|result.notes.x")
    assert [item.start for item in wrapped.get().items] == [2, 6, 10]
    assert wrapped.get().notes == {"x": 2, "y": 2}


def test_arguments_are_truncated_before_the_call(tmp_path):
    """The last third of lists, bytes and text; what is not there is left alone."""
    port, wrapped, _ = broken(tmp_path, "put", "truncate", "0|1|2|7")
    wrapped.put([1, 2, 3], b"abcdef", "x")
    assert port.calls == [([1, 2], b"abcd", "x")]


def test_a_change_that_changes_nothing_is_no_effect(tmp_path):
    """An empty result truncated is the same result: nothing was proved."""
    _, wrapped, _ = broken(tmp_path, "put", "truncate", "0")
    wrapped.put([])
    assert hits(tmp_path) == 0


def test_defects_are_switched_by_the_file_and_answered(tmp_path):
    """Another file content arms another defect; an unknown one is named as such and breaks nothing."""
    port, wrapped, seeded = broken(tmp_path, "put", "drop")
    file = tmp_path / "active.json"
    assert (tmp_path / "active.json.gateway").read_text() == "d"
    for content, answer in (("{}", ""), ('{"defect": "nobody"}', "unknown: nobody")):
        file.unlink()
        file.write_text(content)
        seeded.look()
        assert (tmp_path / "active.json.gateway").read_text() == answer
        assert wrapped.put("name") == "stored"
    assert len(port.calls) == 2


def test_processes_that_answer_at_the_same_moment_do_not_lose_an_answer(tmp_path):
    """The gateway and the worker see a new file in the same instant; each has an answer of its own."""
    file = tmp_path / "active.json"
    file.write_text("{}")
    for number in range(200):
        both = [Seeded(file, process, {}, {}) for process in ("gateway", "worker")]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Seeded.look, both))
        answers = [file.with_name(f"active.json.{process}") for process in ("gateway", "worker")]
        assert [answer.read_text() for answer in answers] == ["", ""], number
        for answer in answers:
            answer.unlink()


def test_attributes_that_are_no_calls_go_through(tmp_path):
    """A port is still a port."""
    _, wrapped, _ = broken(tmp_path, "put", "drop")
    assert wrapped.size == 3


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (reorder, (1, 2, 3), (3, 2, 1)),
        (duplicate, [1, 2], [1, 2, 1, 2]),
        (truncate, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}),
        (truncate, (1,), (1,)),
        (drop, ("a",), ()),
        (drop, "text", ""),
        (drop, Item("a", 1), None),
    ],
)
def test_each_operator_on_one_value(change, before, after):
    """Lists are reversed, doubled, cut, emptied; one item cannot lose a third."""
    assert rewrite(before, (), change)[0] == after


def test_a_column_is_reordered_between_items():
    """Several places of one path exchange their values, the items stay where they are."""
    changed, differs = rewrite(Port().get(), ("items", "*", "start"), reorder)
    assert differs
    assert [(item.name, item.start) for item in changed.items] == [("a", 9), ("b", 5), ("c", 1)]


def test_the_catalogue_is_sound():
    """At least 44 defects over all ports and operators, each once, each with a layer and a sentence; harmless ones have no layer."""
    assert len(DEFECTS) >= 44
    assert {item.port for item in DEFECTS} == set(PORTS)
    assert {item.operator for item in DEFECTS} == set(OPERATORS)
    assert len(defects()) == len(CATALOGUE)
    assert all(item.layers and set(item.layers) <= set(LAYERS) and item.breaks for item in DEFECTS)
    assert not any(item.layers for item in HARMLESS)


def test_blind_patches_are_found_by_id():
    """Those who wrote them gave each an id of its own, apart from ours."""
    assert len(patches()) >= 12
    assert not patches().keys() & defects().keys()
