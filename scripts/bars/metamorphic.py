"""The bar ``metamorphic``: the relations of the layer ``e2e`` hold on the platform as it is; each is red under every defect of its kind.

One system is started; for each defect the story of ``suites.e2e.story`` is told with a seed of its own and judged by the very functions
of the layer (``suites.e2e.relations``). Three defects and more a relation, the first of them its mend undone. Before and behind them the
story is told without any: every relation is green then. Writes the table to ``reports/bars/metamorphic.md``. Exit 0: all of it holds.

    python -m scripts.bars.metamorphic [--only ID ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core.errors import HarnessError, UsageError, nearest_word
from harness.defects.driver import ANSWER_S, FILE, POLL_S, arm
from harness.plugin.session import Session
from scripts.bars.seeded import seeded_session
from scripts.bars.support import OUTPUT, ended, listed, result, say
from suites.e2e.agreement import Judged
from suites.e2e.relations import RELATIONS
from suites.e2e.story import tell
from suites.wing.api import Api
from system.seeded import patches, relation_patches

PROCESSES = ("gateway", "worker")
UNDONE: Mapping[str, str] = {  # relation -> the defect that is its mend undone
    "older is gone": "versions: none supersedes",
    "study counts once": "studies: by registration number alone",
    "only that line changes": "eligibility: sides by the old reader",
    "order does not matter": "order: what came last stands",
    "unrelated changes nothing": "unrelated: everything is about it",
    "doses scale with units": "doses: not in the key",
    "reading is counted": "reading: refusals are not said",
}
PREFIX: Mapping[str, str] = {name.partition(":")[0]: relation for relation, name in UNDONE.items()}  # of a defect's id
OTHERS = {"dose-microgram-as-milligram": "doses scale with units"}  # of the defects written without sight of any check
LEAST = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Tried:
    """A defect, the relation that has to be red, what each said; ``broken``: the story could not be told."""

    defect: str
    relation: str
    said: Mapping[str, Judged]
    seconds: float
    broken: str = ""

    @property
    def red(self) -> list[str]:
        return [name for name, judged in self.said.items() if judged.problems]

    @property
    def right(self) -> bool:
        if self.broken:
            return False
        if not self.defect:
            return not self.red and all(judged.examined for judged in self.said.values())
        return self.relation in self.red


def candidates() -> dict[str, str]:
    """Defect → the relation that has to see it; a relation with fewer than three, or without its mend undone, is an error."""
    found = {name: PREFIX[name.partition(":")[0]] for name in relation_patches()} | OTHERS
    for relation, undone in UNDONE.items():
        assert found[undone] == relation, undone
        assert list(found.values()).count(relation) >= LEAST, relation
    assert OTHERS.keys() <= patches().keys()
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bars.metamorphic", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="try only these")
    given = parser.parse_args(arguments)
    known = candidates()
    for name in given.only:
        if name not in known:
            raise UsageError(f"unknown defect {name!r}", nearest=nearest_word(name, known), remedy=f"known: {', '.join(known)}")
    chosen = {name: relation for name, relation in known.items() if not given.only or name in given.only}
    with seeded_session(("metamorphic",)) as session, Api(session.target()) as api:
        rounds = [("", ""), *chosen.items(), ("", "")]
        tried = [_tried(session, api, number, *one) for number, one in enumerate(rounds)]
    write_table(OUTPUT / ("metamorphic.md" if not given.only else "metamorphic-only.md"), tried)
    wrong = [f"{one.defect or 'no defect'}: red are {one.red or 'none'} {one.broken}" for one in tried if not one.right]
    found = sum(one.right for one in tried if one.defect)
    green = sum(one.right for one in tried if not one.defect)
    figure = f"{found} of {len(chosen)} defects seen by their relation, {green} of 2 clean stories green"
    return result(figure, not wrong, listed(wrong))


def _tried(session: Session, api: Api, number: int, defect: str, relation: str) -> Tried:
    file = session.run.folder / FILE
    _armed(file, defect)
    began = time.monotonic()
    try:
        story = tell(api, session.run.seeds.root + number, time.sleep)
        tried = Tried(defect, relation, {name: judge(story) for name, judge in RELATIONS.items()}, time.monotonic() - began)
    except Exception as error:  # noqa: BLE001 - a story that cannot be told under a defect is a result of its own
        tried = Tried(defect, relation, {}, time.monotonic() - began, f"{type(error).__name__}: {error}"[:300])
    finally:
        _armed(file, "")
    say(f"{defect or 'no defect':46} {tried.seconds:5.1f} s  {'right' if tried.right else 'WRONG'}  red: {', '.join(tried.red) or 'none'}")
    for name in tried.red:
        say(f"{'':48} {name}: {len(tried.said[name].problems)}: {tried.said[name].problems[0][:220]}")
    if tried.broken:
        say(f"{'':48} {tried.broken}")
    return tried


def _armed(file: Path, defect: str) -> None:
    """Make it the active defect and wait until each process says so."""
    arm(file, defect)
    until = time.monotonic() + ANSWER_S
    while not all(_answer(file, process) == defect for process in PROCESSES):
        if time.monotonic() > until:
            raise HarnessError(f"the defect {defect!r} is not armed after {ANSWER_S:g} s")
        time.sleep(POLL_S)


def _answer(file: Path, process: str) -> str | None:
    answer = file.with_name(f"{file.name}.{process}")
    return answer.read_text(encoding="utf-8") if answer.is_file() else None


def write_table(path: Path, tried: Sequence[Tried]) -> None:
    """Relation × defect: red with the number of problems, and the first of them."""
    lines = ["| relation | defect | | problems | the first |", "|---|---|---|---|---|"]
    for one in sorted(tried, key=lambda one: (one.relation, UNDONE.get(one.relation) != one.defect)):
        judged = one.said.get(one.relation, Judged(0))
        first = (one.broken or next(iter(judged.problems), "")).replace("|", "\\|")[:160]
        if one.defect:
            kind = "mend undone" if UNDONE.get(one.relation) == one.defect else "planted"
            lines.append(
                f"| {one.relation} | {one.defect} | {kind}, {'red' if one.right else 'NOT RED'} | {len(judged.problems)} | {first} |"
            )
        else:
            compared = ", ".join(f"{name} {found.examined}" for name, found in one.said.items())
            lines.append(f"| all | none | {'green' if one.right else 'NOT GREEN'} | {len(one.red)} | compared: {compared} |")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(ended(main))
