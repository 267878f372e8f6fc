"""What must hold between two views of the platform that differ in one known way: pure functions over a story that was told.

Each returns how many things it compared and every problem as a sentence; who compared nothing proved nothing. The layered suite and
the bar ``metamorphic`` (which plants defects under the same story) judge by these same functions.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from suites.e2e import agreement, reading
from suites.e2e.agreement import SHOWN, Judged
from suites.e2e.story import BARE, KINDS, SCALED, Criteria, Story

Row = Mapping[str, Any]
IN_MG: Final = {"g": 1000.0, "mg": 1.0, "ug": 0.001, "ng": 0.000001}  # by UCUM code
COUNTED: Final = ("documents", "documents.completed", "extractions")  # one of each document that stands


def older_is_gone(story: Story) -> Judged:
    """After a newer version came the older is in no answer, its value nowhere; it is readable by its id and names the newer."""
    everywhere = {name: json.dumps(seen, ensure_ascii=False).casefold() for name, seen in _places(story)}
    return agreement.total([*(_one_gone(story, key, everywhere) for key in story.plan.older()), _counted(story)])


def _one_gone(story: Story, key: str, everywhere: Mapping[str, str]) -> Judged:
    old, new = story.ids[key], story.ids[_newer(key)]
    marks = {sent.key: sent.mark for sent in (*story.plan.first, *story.plan.second)}
    mark, later = marks[key].casefold(), marks[_newer(key)].casefold()
    problems = []
    places = {**everywhere, "answer to a question about the older value": json.dumps(story.second.hits[key]).casefold()}
    for name, text in places.items():
        problems += [f"{name} still holds {old}"] if old.casefold() in text else []
        problems += [f"{name} still holds the older value of {key}"] if mark in text else []
        problems += [f"{name} does not hold {new}"] if new.casefold() not in text else []
    kept, stands = story.kept[key], story.kept[_newer(key)]
    problems += [f"{old} is superseded by {kept.row['superseded_by']}, not by {new}"] if kept.row["superseded_by"] != new else []
    problems += [f"{new} is superseded by {stands.row['superseded_by']}"] if stands.row["superseded_by"] else []
    problems += [f"{old} is not readable by its id"] if mark not in kept.text.casefold() or not any(kept.records.values()) else []
    problems += [f"{new} has not the newer value"] if later not in stands.text.casefold() else []
    return Judged(len(places) + 4, tuple(problems))


def _places(story: Story) -> Iterator[tuple[str, Any]]:
    """Everything that answers."""
    look = story.second
    yield "dossier", look.dossiers["versions"]
    yield "graph", look.graph
    yield "extractions", [look.extractions[kind] for kind in KINDS]
    yield "readings", look.readings
    yield "list of documents", look.rows


def _newer(key: str) -> str:
    return f"{key.removesuffix(':1')}:2"


def _counted(story: Story) -> Judged:
    """The counts are those before the story and one for each document of it that stands; chunks of older versions are counted nowhere."""
    older = set(story.plan.older())
    standing = [key for key in story.kept if key not in older]
    chunks = sum(story.kept[key].chunks for key in standing)
    more = {**dict.fromkeys(COUNTED, len(standing)), "superseded": len(older), "chunks": chunks, "index_rows": chunks}
    seen = story.second.counts
    wanted = {name: story.before.get(name, 0) + count for name, count in more.items()}
    return Judged(
        len(wanted), tuple(f"{name}: {seen.get(name, 0)}, expected {count}" for name, count in wanted.items() if seen.get(name, 0) != count)
    )


def study_counts_once(story: Story) -> Judged:
    """Further forms of a study change neither how many studies there are nor what is pooled: nothing is pooled with itself."""
    before, after = story.first.dossiers["studies"], story.second.dossiers["studies"]
    numbers = [len(look["studies"]) for look in (before, after)]
    documents = [sum(len(study["documents"]) for study in look["studies"]) for look in (before, after)]
    problems = [] if numbers[0] == numbers[1] else [f"{numbers[0]} studies became {numbers[1]} by further forms of two of them"]
    problems += [] if documents[1] == documents[0] + 3 else [f"{documents[0]} documents became {documents[1]}, 3 came"]
    pools = [sorted(map(_pool_of, look["pooled"])) for look in (before, after)]
    problems += [] if pools[0] == pools[1] else [f"what is pooled changed: {pools[0]} became {pools[1]}"[:600]]
    problems += [] if pools[0] else ["three studies of one question are not pooled"]
    judged = Judged(sum(documents) + len(pools[0]), tuple(problems))
    effects = {record["record_id"]: record for one in story.second.extractions["effects"] for record in one["records"]}
    studies = {document["doc_id"]: study["key"] for study in after["studies"] for document in study["documents"]}
    return judged + agreement.studies_counted(after) + agreement.pooled_as_computed(after, effects, studies) + _forms_joined(story, studies)


def _forms_joined(story: Story, studies: Mapping[str, str]) -> Judged:
    """Each form stands in the study it is a form of."""
    pairs = {
        "studies:form:citation": "studies:trial:0",
        "studies:form:article": "studies:trial:0",
        "studies:form:report": "studies:citation:0",
    }
    wrong = [
        f"{form} is not of the study of {of}"
        for form, of in pairs.items()
        if studies.get(story.ids[form]) != studies.get(story.ids[of], "")
    ]
    return Judged(len(pairs), tuple(wrong))


def _pool_of(group: Row) -> tuple[Any, ...]:
    figures = tuple(round(group[name], 9) for name in ("value", "ci_low", "ci_high", "i2"))
    return group["outcome"], group["type"], group["studies"], *figures, json.dumps(group["key"], sort_keys=True)


def only_that_line_changes(story: Story) -> Judged:
    """A line negated, or moved to the other side: that line is changed or moved, every other stands where it stood."""
    return agreement.total(_lines(key, wanted, story.kept[key].records["eligibility"]) for key, wanted in story.plan.criteria.items())


def _lines(key: str, wanted: Criteria, records: Sequence[Row]) -> Judged:
    found = [(record["kind"], _plain(record["text"])) for record in records if record["age_min_years"] is None]
    expected = [(side, _plain(line)) for side, line in wanted.lines]
    problems = [f"{key}: {side} {line!r} is missing" for side, line in (Counter(expected) - Counter(found))]
    problems += [f"{key}: {side} {line!r} is stated by nobody" for side, line in (Counter(found) - Counter(expected))]
    problems += [f"{key}: the lines stand in another order"] if not problems and found != expected else []
    return Judged(len(expected), tuple(problems))


def order_does_not_matter(story: Story) -> Judged:
    """The same documents taken out and sent again, the last first: the dossiers and the graph are the same to the last character."""
    problems, examined = [], 0
    for name, again in story.third.dossiers.items():
        before = story.second.dossiers[name]
        examined += sum(len(section["items"]) for section in again["sections"]) + len(again["bibliography"])
        differing = [member for member in again if again[member] != before.get(member)]
        problems += [f"the dossier on {name} differs: {', '.join(differing)}: {_first_difference(before, again)}"] if differing else []
    for what, before, again in zip(("nodes", "edges"), story.second.graph, story.third.graph, strict=True):
        examined += len(again)
        missing, added = _difference(before, again)
        problems += (
            [f"{len(missing) + len(added)} {what} of the graph differ: {', '.join([*missing, *added])[:300]}"] if missing or added else []
        )
    return Judged(examined, tuple(problems))


def _difference(before: Sequence[Row], again: Sequence[Row]) -> tuple[list[str], list[str]]:
    one, other = (Counter(json.dumps(item, sort_keys=True) for item in items) for items in (before, again))
    return list(one - other)[:SHOWN], list(other - one)[:SHOWN]


def _first_difference(before: Any, again: Any, place: str = "") -> str:
    """Where two answers part."""
    if isinstance(before, dict) and isinstance(again, dict):
        name = next((name for name in again if again[name] != before.get(name)), "")
        return _first_difference(before.get(name), again.get(name), f"{place}/{name}")
    if isinstance(before, list) and isinstance(again, list) and len(before) == len(again):
        at = next((at for at, item in enumerate(again) if item != before[at]), 0)
        return _first_difference(before[at], again[at], f"{place}/{at}") if again else place
    return f"{place}: {str(before)[:120]!r}, then {str(again)[:120]!r}"


def unrelated_changes_nothing(story: Story) -> Judged:
    """Documents about other topics came: the dossiers on these topics state what they stated, each word of it."""
    problems, examined = [], 0
    for name in ("doses", "eligibility"):
        before, after = (Counter(_statements(look.dossiers[name])) for look in (story.first, story.second))
        examined += before.total()
        problems += [f"{name}: no longer stated: {text[:200]}" for text in list(before - after)[:SHOWN]]
        problems += [f"{name}: newly stated: {text[:200]}" for text in list(after - before)[:SHOWN]]
    return Judged(examined, tuple(problems))


def _statements(dossier: Row) -> Iterator[str]:
    """Every statement of a dossier with what it rests on; not the order, which follows the relevance, nor the numbers of citations."""
    for section in dossier["sections"]:
        for item in section["items"]:
            yield json.dumps([section["id"], item["text"], item["group"], item["flags"], *map(_quoted, item["citations"])])
        yield from (json.dumps([section["id"], note]) for note in section["notes"])
    for member in ("pooled", "not_pooled", "conflicts", "gaps"):
        yield from (f"{member} {json.dumps(_unnumbered(entry), sort_keys=True)}" for entry in dossier[member])
    yield from (json.dumps([study["key"], sorted(document["doc_id"] for document in study["documents"])]) for study in dossier["studies"])


def _unnumbered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unnumbered(item) for name, item in value.items() if name != "number"}
    return sorted((_unnumbered(item) for item in value), key=json.dumps) if isinstance(value, list) else value


def _quoted(citation: Row) -> list[Any]:
    return [citation["doc_id"], citation["start"], citation["end"], citation["quote"]]


def doses_scale_with_units(story: Story) -> Judged:
    """A dose whose number and unit are scaled together is the same amount, and is compared as such; the bare number is another."""
    wanted = sorted(_amount(low, high) for low, high in story.plan.amounts_mg)
    parts = [_label_doses(story, unit, wanted, 1000.0 if unit == BARE else 1.0) for unit in (*SCALED, BARE)]
    return agreement.total((*parts, _pooled_by_dose(story)))


def _label_doses(story: Story, unit: str, wanted: list[tuple[float, ...]], factor: float) -> Judged:
    key = f"doses:label:{unit}"
    records = story.kept[key].records["dose"]
    unknown = [record["unit"] for record in records if record["unit"] not in IN_MG]
    found = sorted(_amount(*(_mg(record[name], record["unit"]) for name in ("amount", "amount_high"))) for record in records if not unknown)
    expected = [tuple(number * factor for number in amounts) for amounts in wanted]
    same = len(found) == len(expected) and all(_near(one, other) for one, other in zip(found, expected, strict=True))
    problems = (
        [f"{key}: no UCUM mass: {', '.join(unknown)}"] if unknown else [] if same else [f"{key}: {found} mg, stated are {expected} mg"]
    )
    frequencies = sorted(record["frequency_per_day"] or 0 for record in records)
    problems += [] if frequencies == [1, 2] else [f"{key}: given {frequencies} times a day, not 1 and 2"]
    return Judged(len(wanted) + len(frequencies), tuple(problems))


def _pooled_by_dose(story: Story) -> Judged:
    """The trials that give one dose in three units are comparable; the one that gives another dose is not."""
    trials = {key: doc_id for key, doc_id in story.ids.items() if key.startswith("doses:trial:")}
    dossier = story.second.dossiers["doses"]
    effects = {record["record_id"]: record["doc_id"] for one in story.second.extractions["effects"] for record in one["records"]}
    groups = [{effects.get(record, "") for record in group["record_ids"]} for group in dossier["pooled"]]
    expected = {doc_id for key, doc_id in trials.items() if not key.endswith(BARE)}
    problems = [] if groups == [expected] else [f"pooled are {sorted(map(sorted, groups))}, of one dose are {sorted(expected)}"]
    once = story.plan.amounts_mg[0][0]
    problems += [
        f"the key says {group['key']['dose']}, not {once:g} mg"
        for group in dossier["pooled"]
        if not group["key"]["dose"].startswith(f"{once:g} mg")
    ]
    return Judged(len(trials), tuple(problems))


def _mg(amount: float | None, unit: str) -> float | None:
    return None if amount is None else amount * IN_MG[unit]


def _amount(low: float | None, high: float | None) -> tuple[float, ...]:
    return tuple(number for number in (low, high) if number is not None)


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(one, other, strict=True))


def _plain(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


def reading_is_counted(story: Story) -> Judged:
    """Of each document: the records counted are those answered, each candidate is read or refused with a reason, no text is lost."""
    told = {row["doc_id"]: row for row in story.second.readings}
    stored: dict[str, dict[str, int]] = {}
    for kind in KINDS:
        for one in story.second.extractions[kind]:
            stored.setdefault(one["doc_id"], {})[kind] = len(one["records"])
    parts = []
    for sent in (*story.plan.first, *story.plan.second):
        doc_id = story.ids[sent.key]
        if sent.key not in story.plan.older() and doc_id in told:
            found = reading.read(told[doc_id], sent.source, sent.content, story.kept[sent.key].text)
            lost = Judged(found.pieces, tuple(f"{doc_id}: {piece!r} stands in no text" for piece in found.lost[:SHOWN]))
            parts += [reading.counted(found, stored.get(doc_id, {})), reading.accounted_for(found), lost]
    missing = [sent.key for sent in story.plan.second if story.ids[sent.key] not in told]
    return agreement.total([*parts, Judged(len(story.plan.second), tuple(f"nothing is said of {key}" for key in missing))])


def nothing_is_left(story: Story) -> Judged:
    """After everything was taken out the platform counts what it counted before: of documents, chunks, records, graph and index."""
    names = sorted({*story.before, *story.after})
    wrong = [
        f"{name}: {story.before.get(name, 0)} before, {story.after.get(name, 0)} after"
        for name in names
        if story.before.get(name, 0) != story.after.get(name, 0)
    ]
    return Judged(len(names), tuple(wrong))


RELATIONS: Final = {
    "older is gone": older_is_gone,
    "study counts once": study_counts_once,
    "only that line changes": only_that_line_changes,
    "order does not matter": order_does_not_matter,
    "unrelated changes nothing": unrelated_changes_nothing,
    "doses scale with units": doses_scale_with_units,
    "reading is counted": reading_is_counted,
    "nothing is left": nothing_is_left,
}
