"""What must hold between a source, its document and what was made of it: pure functions that return every problem as a sentence.

The layered suite and the reduced runs of the detection score judge by the same functions, so that a seeded defect found there is
found here. ``Judged`` counts what was looked at: nothing looked at proves nothing.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from suites.e2e import independent

Row = Mapping[str, Any]
SHOWN = 8
NOT_EVIDENCE = frozenset({"summary", "coverage", "questions"})  # sections of a dossier that hold no items of their own
KEY = ("outcome", "type", "intervention", "comparator", "time_point", "dose", "population", "adjustment")  # a key's unit may be empty
NO_TEXT = frozenset({"48780-1"})  # product data elements: a coded section without a text of its own


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """How many things were examined and what was wrong with them."""

    examined: int
    problems: tuple[str, ...] = ()

    def __add__(self, other: Judged) -> Judged:
        return Judged(self.examined + other.examined, (*self.problems, *other.problems))


NOTHING = Judged(0)


def total(parts: Iterable[Judged]) -> Judged:
    """Everything together."""
    return sum(parts, NOTHING)


def documents_complete(rows: Sequence[Row], expected: Mapping[str, int], native_ids: Iterable[str]) -> Judged:
    """Each document of each payload stands completed in the ledger, under the id its source gives it."""
    completed = Counter(row["source"] for row in rows if row["state"] == "completed")
    problems = [
        f"{completed[source]} of {count} {source} documents are completed"
        for source, count in expected.items()
        if completed[source] != count
    ]
    if problems:
        problems += [f"{row['doc_id']} is {row['state']}: {row['reason']}" for row in rows if row["state"] != "completed"][:SHOWN]
    missing = sorted(set(native_ids) - {row["native_id"] for row in rows})
    problems += [f"{name} is not in the ledger" for name in missing[:SHOWN]]
    return Judged(sum(expected.values()), tuple(problems))


def adverse_events_agree(name: str, records: Sequence[Row], registry: Iterable[Sequence[Any]]) -> Judged:
    """Every event of every arm has exactly the counts of the registry record."""
    expected: Counter[tuple[Any, ...]] = Counter(tuple(row) for row in registry)
    found = Counter((r["term"], r["serious"], r["arm_id"], r.get("count"), r.get("denominator")) for r in records)
    problems = [f"{name}: {row} is missing" for row in (expected - found)][:SHOWN]
    problems += [f"{name}: {row} is not in the registry" for row in (found - expected)][:SHOWN]
    return Judged(sum(expected.values()), tuple(problems))


def effects_stated(name: str, records: Sequence[Row], stated: Iterable[str]) -> Judged:
    """No effect is invented: each has the value of an analysis of its study."""
    possible = Counter(float(value) for value in stated if is_number(value))
    found = Counter(float(record["value"]) for record in records)
    return Judged(sum(found.values()), tuple(f"{name}: nobody states the effect {value:g}" for value in (found - possible)))


def tables_whole(cells: Iterable[int], expected: Iterable[int]) -> Judged:
    """The articles' IR have exactly the cells that their XML has."""
    given, wanted = sorted(cells), sorted(expected)
    return Judged(sum(wanted), () if given == wanted else (f"articles have {given} cells, their XML has {wanted}",))


def digits_printed(name: str, text: str, printed: set[str]) -> Judged:
    """No run of digits stands in an article's text that its page does not show: 10 to the 5th is not 105."""
    runs = re.findall(r"\d+", text)
    made_up = sorted({run for run in runs if run not in printed})
    return Judged(len(runs), tuple(f"{name}: no page shows {run}" for run in made_up[:SHOWN]))


def label_sections_kept(found: Sequence[set[str]], name: str, codes: set[str]) -> Judged:
    """Nearly every LOINC code of a label's sections that holds text is a section of its IR."""
    expected = codes - NO_TEXT
    best = max((len(have & expected) for have in found), default=0)
    missing = () if best >= 0.9 * len(expected) else (f"{name}: {best} of {len(expected)} coded sections",)
    return Judged(len(expected), missing)


def quotes_equal_slices(text: str, records: Iterable[Row]) -> Judged:
    """All spans of records equal the text they point to; a record without any is a problem."""
    return total(_record(text, record) for record in records)


def _record(text: str, record: Row) -> Judged:
    if not record["spans"]:
        return Judged(1, (f"{record['record_id']} has no span",))
    wrong = [f"{record['record_id']}: {place(span)}" for span in record["spans"] if text[span["start"] : span["end"]] != span["quote"]]
    return Judged(len(record["spans"]), tuple(f"{text} is not what it quotes" for text in wrong))


def chunks_equal_slices(text: str, chunks: Iterable[Row]) -> Judged:
    """A chunk, stored or answered, is its document's text between its offsets."""
    given = list(chunks)
    wrong = [chunk["chunk_id"] for chunk in given if text[chunk["start"] : chunk["end"]] != chunk["text"]]
    return Judged(len(given), tuple(f"{name} is not its slice" for name in wrong))


def chunks_in_order(chunks: Sequence[Row]) -> Judged:
    """The chunks of a document are numbered from 0 in the order of its text."""
    problems = [
        f"{chunk['chunk_id']} stands at {at} with index {chunk['index']}" for at, chunk in enumerate(chunks) if chunk["index"] != at
    ]
    starts = [chunk["start"] for chunk in chunks]
    problems += ["chunks do not follow the text"] if starts != sorted(starts) else []
    return Judged(len(chunks), tuple(problems[:SHOWN]))


def dossier_sections(dossier: Row, wanted: Iterable[str]) -> Judged:
    """The topic's sections hold evidence, and a section without any says so."""
    sections = {section["id"]: section for section in dossier["sections"]}
    problems = [f"section {name} has no items" for name in wanted if not sections.get(name, {}).get("items")]
    empty = [name for name, section in sections.items() if not section["items"] and name not in NOT_EVIDENCE and not section["notes"]]
    return Judged(len(sections), (*problems, *(f"section {name} is empty and does not say so" for name in empty)))


def citations_verbatim(dossier: Row, texts: Mapping[str, str]) -> Judged:
    """Each item has a citation; each citation's quote is its document's text at its offsets, its number leads to that document."""
    numbered = {entry["number"]: entry["doc_id"] for entry in dossier["bibliography"]}
    return total(_cited(item, texts, numbered) for item in items(dossier))


def _cited(item: Row, texts: Mapping[str, str], numbered: Mapping[int, str]) -> Judged:
    if not item["citations"]:
        return Judged(1, (f"an item has no citation: {str(item)[:200]}",))
    wrong = [c for c in item["citations"] if texts.get(c["doc_id"], "")[c["start"] : c["end"]] != c["quote"]]
    problems = [f"{c['doc_id']} {place(c)} is not what it quotes" for c in wrong]
    problems += [
        f"[{c['number']}] is another document than it cites" for c in item["citations"] if numbered.get(c["number"]) != c["doc_id"]
    ]
    return Judged(len(item["citations"]), tuple(problems[:SHOWN]))


def sample_findings(dossier: Row) -> Judged:
    """On the sample corpus: three homogeneous studies are pooled, the heterogeneous set is not, the conflict and the gap are found."""
    pooled = [group["outcome"].lower() for group in dossier["pooled"]]
    problems = []
    if not any("monthly migraine days" in outcome for outcome in pooled):
        problems.append("the three homogeneous studies are not pooled")
    if any("headache impact" in outcome for outcome in pooled):
        problems.append("the heterogeneous set is pooled")
    if len(dossier["conflicts"]) != 1:
        problems.append(f"{len(dossier['conflicts'])} conflicts instead of 1")
    if not any("quality of life" in str(gap).lower() for gap in dossier["gaps"]):
        problems.append("the gap is not named")
    return Judged(4, tuple(problems))


def pooled_as_computed(dossier: Row, effects: Mapping[str, Row], studies: Mapping[str, str]) -> Judged:
    """Each pooled result and each I² is that of its own effects, computed here; no study is in it twice; its key is complete.

    ``effects`` by record id, ``studies`` by document id.
    """
    groups = [*dossier["pooled"], *(group for group in dossier["not_pooled"] if group["i2"] is not None)]
    return total(_group_as_computed(group, [effects[name] for name in group["record_ids"]], studies) for group in groups)


def _group_as_computed(group: Row, members: Sequence[Row], studies: Mapping[str, str]) -> Judged:
    name = f"{group['type']} for {group['outcome']}"
    value, low, high, i2 = independent.random_effects(group["type"], members)
    wanted = {"value": value, "ci_low": low, "ci_high": high, "i2": i2}
    problems = [
        f"{name}: {field} is {group[field]:g}, computed {number:g}"
        for field, number in wanted.items()
        if field in group and not math.isclose(group[field], number, rel_tol=1e-6, abs_tol=1e-6)
    ]
    seen = Counter(studies.get(member["doc_id"], member["doc_id"]) for member in members)
    problems += [f"{name}: study {study} is pooled with itself" for study, count in seen.items() if count > 1]
    problems += [f"{name}: the key does not say its {field}" for field in KEY if not group["key"].get(field)]
    return Judged(len(members) + len(wanted), tuple(problems))


def studies_counted(dossier: Row) -> Judged:
    """The number of studies is that of the list; each document stands in one study; no identifier stands in two."""
    listed = dossier["studies"]
    documents = Counter(document["doc_id"] for study in listed for document in study["documents"])
    problems = [f"{doc_id} stands in {count} studies" for doc_id, count in documents.items() if count > 1]
    holders: dict[tuple[str, ...], set[str]] = {}
    for study in listed:
        for document in study["documents"]:
            for identifier in document["identifiers"]:
                holders.setdefault(tuple(identifier), set()).add(study["key"])
    problems += [f"{' '.join(identifier)} stands in {len(keys)} studies" for identifier, keys in holders.items() if len(keys) > 1]
    notes = [note for section in dossier["sections"] if section["id"] == "coverage" for note in section["notes"]]
    said = next((note for note in notes if note.startswith("Studies (")), "")
    if dossier["bibliography"] and not said.endswith(f": {len(listed)}."):
        problems.append(f"{len(listed)} studies are listed, the coverage says {said!r}")
    return Judged(len(documents) + 1, tuple(problems))


def items(dossier: Row) -> Iterator[Row]:
    """The items of the sections that hold evidence."""
    for section in dossier["sections"]:
        if section["id"] not in NOT_EVIDENCE:
            yield from section["items"]


def place(span: Row) -> str:
    return f"{span['start']}:{span['end']}"


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
