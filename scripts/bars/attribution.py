"""The bar ``attribution``: > 80 % of the slowest requests get a cause, and those under a planted cause get that one.

A run of ``scenarios/load_attribution.yaml``: the gateway is stopped for 800 ms (three times), every processor is hogged for 2 s, the store
of one retriever takes 1.5 s longer for 1.5 s. None of it is journaled as a fault: the attribution has spans of the gateway, samples of the
host, the canary and the generator, and has to tell. This script knows when each was planted. Then, in the same run,
``scenarios/load_tail.yaml``: 10,800 requests and nothing planted, of whose slowest 0.1 % as many need a cause.

    python -m scripts.bars.attribution [--keep]

Exit 0: all hold, 1: not.
"""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence

from harness.core.verdict import Verdict
from harness.journal.events import Window
from harness.load.attribution.causes import Attributed, Finding, attribute
from harness.load.attribution.check import Attribution, judged, table
from harness.load.attribution.slowest import TAIL
from harness.run.view import FolderView
from scripts.bars.seeded import seeded_session
from scripts.bars.support import OUTPUT, listed, result, say
from suites.wing.plants import PLANTED

PLANTED_SCENARIO, TAIL_SCENARIO = "scenarios/load_attribution.yaml", "scenarios/load_tail.yaml"
# Load step -> what was planted in it -> the beginnings of the causes that name it. A hog of the processors is named by whatever of it
# is measured: the pressure on the host, a service that waited for a processor, or a generator that was held up itself.
HOGGED = ("CPU pressure", "CPU time stolen", "generator or machine", "generator lag")
PLANTS = {
    "stopped": ("plant_stop", ("gateway was stopped", "late event loop of gateway")),
    "hogged": ("plant_hog", HOGGED),
    "slow": ("plant_slow", ("bm25 (gateway)", "bm25_wait (gateway)")),  # its store, or the queue before it
}
WAITED = "waited for a processor"
NEEDED = 0.8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.attribution")
    parser.add_argument("--keep", action="store_true", help="keep the run folder as reports/bars/attribution")
    options = parser.parse_args()
    with seeded_session(("bars", "attribution")) as session:
        planted, tail = (session.scenario(name).result for name in (PLANTED_SCENARIO, TAIL_SCENARIO))
        folder = session.run.folder
    if options.keep:
        shutil.rmtree(OUTPUT / "attribution", ignore_errors=True)
        shutil.copytree(folder, OUTPUT / "attribution")
    say(f"run folder {folder}")
    for ran in (planted, tail):
        if ran.outcome != "completed":
            return result("a trial was not completed", passed=False, detail=f"{ran.trial}: {ran.outcome} {ran.detail}")
    view = FolderView(folder)
    parts = (of_planted(view, planted.trial), of_tail(view, tail.trial))
    problems = [problem for part in parts for problem in part[1]]
    return result("; ".join(part[0] for part in parts), passed=all(part[2] for part in parts), detail=listed(problems))


def of_tail(view: FolderView, trial: str) -> tuple[str, list[str], bool]:
    """(figure, problems, whether it holds) of the load in which nothing was planted."""
    found = attribute(view, trial, "", Attribution().unanswered.ns)
    show("tail", found)
    verdict, value, _ = judged(found, NEEDED)
    enough = found.tail.share == TAIL
    problems = [f"tail: {one.request.request_id} has no cause ({one.place})" for one in found.requests if not one.cause]
    problems += [] if enough else [f"{found.tail.requests} requests are too few for {TAIL:.1%}"]
    return f"nothing planted: {value}", problems, verdict is Verdict.PASS and enough


def of_planted(view: FolderView, trial: str) -> tuple[str, list[str], bool]:
    """(figure, problems, whether it holds): a table a load step, all of them judged together."""
    attributed = slow = named = under = 0
    problems: list[str] = []
    for step, (plant, wanted) in PLANTS.items():
        found = attribute(view, trial, step, Attribution().unanswered.ns)
        show(step, found)
        mine = [one for one in found.requests if is_under(one, windows(view, trial, plant))]
        right = [one for one in mine if one.cause.startswith(wanted) or (plant == "plant_hog" and one.cause.endswith(WAITED))]
        say(f"    under {plant}: {len(right)} of {len(mine)} slow requests name it")
        attributed, slow = attributed + found.attributed, slow + len(found.requests)
        named, under = named + len(right), under + len(mine)
        problems += [] if mine else [f"no slow request under {plant}"]
        others = Counter(one.cause or f"none ({one.place})" for one in mine if one not in right)
        problems += [f"{plant}: {count} named {cause}" for cause, count in others.most_common()]
    figure = f"{attributed} of {slow} slow requests attributed; {named} of {under} under a planted cause name it"
    passed = slow > 0 and attributed > NEEDED * slow and named > NEEDED * under and not any(item.startswith("no slow") for item in problems)
    return figure, problems, passed


def windows(view: FolderView, trial: str, plant: str) -> Sequence[Window]:
    found = [item.event for item in view.events(Window.NAME, trial=trial)]
    return [event for event in found if isinstance(event, Window) and (event.kind, event.name) == (PLANTED, plant)]


def is_under(one: Attributed, planted: Sequence[Window]) -> bool:
    """Whether the request was under way for most of its excess while the cause was planted.

    Of a delay that is served to requests which came while it was armed, the time goes on after its end: they count by their beginning.
    """
    request = one.request
    overlap = sum(max(0, min(request.end_ns, w.end_ns) - max(request.intended_ns, w.start_ns)) for w in planted)
    return 2 * overlap >= min(request.excess_ns, max((w.end_ns - w.start_ns for w in planted), default=0))


def show(step: str, found: Finding) -> None:
    verdict, value, reason = judged(found, NEEDED)
    say(f"{step}: {verdict.name} {value} {reason}".rstrip())
    for cause, count, share, _explained, examples, where in table("", found).rows:
        say(f"    {count:>3}  {share:>6}  {cause}  [{examples}] {where}".rstrip())


if __name__ == "__main__":
    raise SystemExit(main())
