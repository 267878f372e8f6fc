"""The relations of the layer ``e2e`` on a story that was told in memory: green as it is, red when one thing in it is another."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from suites.e2e.relations import RELATIONS
from suites.e2e.story import Criteria, Look, Story, plan

HOLD = (
    "study counts once",
    "only that line changes",
    "unrelated changes nothing",
    "doses scale with units",
    "reading is counted",
    "nothing is left",
)


@pytest.mark.parametrize("relation", HOLD)
def test_a_relation_holds_on_the_platform_in_memory(story: Story, relation: str) -> None:
    """It compares something and finds nothing wrong."""
    judged = RELATIONS[relation](story)
    assert (judged.examined > 0, judged.problems) == (True, ())


def test_the_older_versions_are_gone_from_every_answer_in_memory(story: Story) -> None:
    """No answer holds an older id or value; only the ranking and two counters are not those of the real platform."""
    problems = RELATIONS["older is gone"](story).problems
    assert [problem for problem in problems if "still holds" in problem or "superseded" in problem or "readable" in problem] == []


def _look(story: Story, **changes: Any) -> Story:
    return dataclasses.replace(story, second=dataclasses.replace(copy.deepcopy(story.second), **changes))


def _dossier(story: Story, name: str, change: Callable[[Any], object]) -> Story:
    seen = copy.deepcopy(story.second)
    change(seen.dossiers[name])
    return dataclasses.replace(story, second=seen)


def _record(story: Story, key: str, kind: str, change: Callable[[Any], object]) -> Story:
    kept = copy.deepcopy(story.kept[key])
    change(kept.records[kind])
    return dataclasses.replace(story, kept={**story.kept, key: kept})


def _swap(records: Any) -> None:
    records[-1], records[-2] = records[-2], records[-1]


CHANGES: dict[str, tuple[str, Callable[[Story], Story]]] = {
    "an older id in a dossier": (
        "older is gone",
        lambda s: _dossier(s, "versions", lambda d: d["bibliography"][0].update(doc_id=s.ids["versions:spl:1"])),
    ),
    "an older document counted": (
        "older is gone",
        lambda s: _look(s, counts={**s.second.counts, "documents": s.second.counts["documents"] + 1}),
    ),
    "an older value in the graph": ("older is gone", lambda s: _look(s, graph=([{"name": s.plan.first[0].mark}], []))),
    "nobody supersedes": (
        "older is gone",
        lambda s: dataclasses.replace(
            s, kept={**s.kept, "versions:jats:1": dataclasses.replace(s.kept["versions:jats:1"], row={"superseded_by": None})}
        ),
    ),
    "a study more": ("study counts once", lambda s: _dossier(s, "studies", lambda d: d["studies"].append({"key": "x", "documents": []}))),
    "a pooled value moved": ("study counts once", lambda s: _dossier(s, "studies", lambda d: d["pooled"][0].update(value=0.0))),
    "nothing pooled": ("study counts once", lambda s: _dossier(s, "studies", lambda d: d["pooled"].clear())),
    "a line changes side": (
        "only that line changes",
        lambda s: _record(s, "eligibility:negated:1", "eligibility", lambda r: r[-1].update(kind="inclusion")),
    ),
    "a line is lost": ("only that line changes", lambda s: _record(s, "eligibility:base", "eligibility", lambda r: r.pop())),
    "two lines change places": ("only that line changes", lambda s: _record(s, "eligibility:moved:0", "eligibility", _swap)),
    "a statement more": (
        "unrelated changes nothing",
        lambda s: _dossier(s, "doses", lambda d: d["sections"][2]["items"].append({**d["sections"][2]["items"][0], "text": "more"})),
    ),
    "a note less": ("unrelated changes nothing", lambda s: _dossier(s, "eligibility", lambda d: d["sections"][0].update(notes=[]))),
    "a dose a thousandfold": (
        "doses scale with units",
        lambda s: _record(s, "doses:label:mcg", "dose", lambda r: r[0].update(amount=r[0]["amount"] * 1000)),
    ),
    "a unit that nobody knows": ("doses scale with units", lambda s: _record(s, "doses:label:g", "dose", lambda r: r[0].update(unit="gr"))),
    "another dose in the key": (
        "doses scale with units",
        lambda s: _dossier(s, "doses", lambda d: d["pooled"][0]["key"].update(dose="not stated")),
    ),
    "a refusal without a reason": (
        "reading is counted",
        lambda s: _look(s, readings=[{**row, "refused": [{**item, "reason": ""} for item in row["refused"]]} for row in s.second.readings]),
    ),
    "a record more than counted": (
        "reading is counted",
        lambda s: _look(
            s, readings=[{**row, "records": {**row["records"], "effects": row["records"]["effects"] + 1}} for row in s.second.readings]
        ),
    ),
    "a document nobody counts": ("reading is counted", lambda s: _look(s, readings=[])),
    "a chunk left behind": (
        "nothing is left",
        lambda s: dataclasses.replace(s, after={**s.after, "chunks": s.before.get("chunks", 0) + 1}),
    ),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_relation_is_red_when_one_thing_is_another(story: Story, change: str) -> None:
    """The very relation that the change breaks has more problems than before."""
    relation, make = CHANGES[change]
    assert set(RELATIONS[relation](make(story)).problems) - set(RELATIONS[relation](story).problems)


def test_another_order_of_arrival_may_change_no_character(story: Story) -> None:
    """What was seen before is the same; one number in a bibliography or one supporter in the graph is not."""
    topics = {name: story.second.dossiers[name] for name in ("versions", "studies")}
    same = dataclasses.replace(story, third=Look(topics, story.second.counts, story.second.graph))
    judge = RELATIONS["order does not matter"]
    assert (judge(same).examined > 0, judge(same).problems) == (True, ())
    assert len(judge(_dossier(same, "versions", lambda d: d["bibliography"][0].update(number=99))).problems) == 1
    assert len(judge(_look(same, graph=(story.second.graph[0][1:], story.second.graph[1]))).problems) == 1


def test_no_two_seeds_share_a_name() -> None:
    """Documents of one story stand in no other: neither topics nor the marks of versions nor bytes are the same."""
    stories = [plan(seed) for seed in range(20)]
    names = [name for one in stories for name in (*one.topics.values(), *(sent.mark for sent in (*one.first, *one.second) if sent.mark))]
    payloads = [sent.content for one in stories for sent in (*one.first, *one.second)]
    assert (len(set(names)), len(set(payloads))) == (len(names), len(payloads))


def test_the_same_seed_tells_the_same_story() -> None:
    """Byte for byte."""
    assert plan(3) == plan(3)


def test_moving_a_line_moves_no_other() -> None:
    """It stands last of the inclusion or first of the exclusion criteria; the others stay in their order."""
    base = Criteria((("inclusion", "A"), ("inclusion", "B"), ("exclusion", "C"), ("exclusion", "D")))
    assert base.moved(0).lines == (("inclusion", "B"), ("exclusion", "A"), ("exclusion", "C"), ("exclusion", "D"))
    assert base.moved(3).lines == (("inclusion", "A"), ("inclusion", "B"), ("inclusion", "D"), ("exclusion", "C"))
    assert base.negated(2).lines == (("inclusion", "A"), ("inclusion", "B"), ("exclusion", "Not c"), ("exclusion", "D"))
