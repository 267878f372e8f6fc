"""One story on the running platform, told once and judged by several relations: what is sent, and what is seen after each part of it.

first:  trials, labels, articles and citations of four invented topics
second: newer versions of one topic's documents, second forms of another topic's studies, and a document about something else
third:  those two topics taken out and sent again, the last first
last:   everything taken out again, so that whoever comes after finds the platform as it was
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from suites.e2e.invented import Names, Trial, article, citation, label
from suites.wing.api import Api, quoted
from suites.wing.ingest import at_work

KINDS = ("pico", "effects", "ae", "dose", "eligibility")
READ = {
    "versions": ("effects", "dose"),
    "eligibility": ("eligibility",),
    "doses": ("dose",),
}  # what is read of a topic's documents by their ids
LIMIT_S = 240.0
POLL_S = 0.02
Row = Mapping[str, Any]

SCALED = ("mg", "g", "mcg", "µg")  # a dose in each of these is the same amount, number and unit scaled together
PER_MG = {"mg": 1.0, "g": 0.001, "mcg": 1000.0, "µg": 1000.0}
BARE = "g as printed"  # the number of milligrams with the unit gram: another amount


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """One payload. ``key`` names it in the story; ``mark`` is a word that stands in this version only, ``series`` in which it follows."""

    key: str
    source: str
    content: bytes
    mark: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Criteria:
    """What the lines of a trial's eligibility are expected to be: (side, line) in reading order."""

    lines: tuple[tuple[str, str], ...]

    def trial(self, nct: str, condition: str, drug: str, note: str) -> Trial:
        sides = [tuple(line for side, line in self.lines if side == wanted) for wanted in ("inclusion", "exclusion")]
        return Trial(nct, condition, drug, drug, "Pain", -1.0, inclusion=sides[0], exclusion=sides[1], note=note, unstated=2)

    def negated(self, place: int) -> Criteria:
        side, line = self.lines[place]
        return self._with(place, (side, f"Not {line[0].lower()}{line[1:]}"))

    def moved(self, place: int) -> Criteria:
        """The line on the other side: the last of the inclusion, or the first of the exclusion criteria."""
        side, line = self.lines[place]
        rest = [item for at, item in enumerate(self.lines) if at != place]
        inclusion, exclusion = ([item for item in rest if item[0] == wanted] for wanted in ("inclusion", "exclusion"))
        moved = [("exclusion" if side == "inclusion" else "inclusion", line)]
        return Criteria((*inclusion, *moved, *exclusion))

    def _with(self, place: int, line: tuple[str, str]) -> Criteria:
        return Criteria((*self.lines[:place], line, *self.lines[place + 1 :]))


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is sent when, and what the topics are called."""

    topics: Mapping[str, str]  # by the story's name for it: versions, studies, eligibility, doses
    first: tuple[Sent, ...]
    second: tuple[Sent, ...]
    criteria: Mapping[str, Criteria]  # by key of the trial
    amounts_mg: tuple[tuple[float, float | None], ...]  # the doses of each label: amount and, of a range, its upper end

    def again(self) -> tuple[Sent, ...]:
        """Versions and studies, the last first."""
        return tuple(sent for sent in reversed((*self.first, *self.second)) if sent.key.partition(":")[0] in {"versions", "studies"})

    def older(self) -> tuple[str, ...]:
        """Keys of the documents of which a newer version comes."""
        return tuple(sent.key for sent in self.first if sent.mark)


def plan(seed: int) -> Plan:
    """The story of this seed."""
    versions, studies, lines, doses = (Names.of(seed, topic) for topic in ("versions", "studies", "eligibility", "doses"))
    topics = {
        name: f"{names.word('osis')} syndrome"
        for name, names in (("versions", versions), ("studies", studies), ("eligibility", lines), ("doses", doses))
    }
    older, newer = _versions(versions, topics["versions"])
    seen, forms = _studies(studies, topics["studies"])
    criteria, trials = _eligibility(lines, topics["eligibility"])
    amounts, dosed = _doses(doses, topics["doses"])
    return Plan(topics, (*older, *seen, *trials, *dosed), (*newer, *forms, _unrelated(Names.of(seed, "unrelated"))), criteria, amounts)


def _versions(names: Names, condition: str) -> tuple[list[Sent], list[Sent]]:
    """A document of each format, and a newer version of it; both of the trial are of one year."""
    drug, nct, pmid, pmc, set_id = names.word("ine"), f"NCT8{names.number()}", f"8{names.number()}", f"PMC8{names.number()}", _set_id(names)
    sent: list[list[Sent]] = []
    for version, posted, revised in ((1, "2021-05-06", "2020-06-01"), (2, "2021-09-12", "2020-11-23")):
        marks = {source: names.word("ia") for source in ("ctgov", "spl", "pubmed", "jats")}
        trial = Trial(nct, condition, drug, drug, f"Change in {marks['ctgov']} score", names.tenths(-40, -20), posted=posted)
        payloads = {
            "ctgov": trial.payload(),
            "spl": label(
                set_id,
                drug,
                condition,
                [f"The recommended dose of {drug} for {marks['spl']} is {version}0 mg orally once daily."],
                version=version,
            ),
            "pubmed": citation(pmid, f"{drug.title()} and {condition}", _odds(marks["pubmed"], drug, names), revised=revised),
            "jats": article({"pmc": pmc}, f"{drug.title()} in {condition}", [_odds(marks["jats"], drug, names)], version=version),
        }
        sent.append([Sent(f"versions:{source}:{version}", source, content, marks[source]) for source, content in payloads.items()])
    return sent[0], sent[1]


def _odds(event: str, drug: str, names: Names) -> str:
    value = names.source.randrange(50, 70)
    return (
        f"{event.title()} was less frequent with {drug} than with placebo "
        f"(odds ratio 0.{value}; 95% CI 0.{value - 20} to 0.{value + 25}; p = 0.02)."
    )


def _studies(names: Names, condition: str) -> tuple[list[Sent], list[Sent]]:
    """Three trials of one question and two articles of another; then further forms of the first trial and of the first article."""
    drug, outcome = names.word("ine"), f"Change in {names.word('al')} score"
    numbers = [f"NCT8{names.number()}" for _ in range(3)]
    middle = names.tenths(-30, -20)
    trials = [Trial(nct, condition, drug, drug, outcome, middle + shift / 10) for shift, nct in enumerate(numbers)]
    pmids = [f"8{names.number()}" for _ in range(3)]
    doi, event = f"10.5555/{names.word()}.1", names.word("ia")
    told = [_odds(event, drug, names) for _ in range(2)]
    first = [Sent(f"studies:trial:{at}", "ctgov", trial.payload()) for at, trial in enumerate(trials)]
    first += [
        Sent(
            f"studies:citation:{at}",
            "pubmed",
            citation(pmids[at], f"{drug.title()} in {condition}, report {at + 1}", text, ids={"doi": doi} if at == 0 else {}),
        )
        for at, text in enumerate(told)
    ]
    value = trials[0].value
    stated = (
        f"The {outcome[0].lower()}{outcome[1:]} was better with {drug} than with placebo "
        f"(mean difference {value:.1f} points; 95% CI {value - 0.6:.1f} to {value + 0.6:.1f}; p = 0.01)."
    )
    second = [
        Sent(
            "studies:form:citation", "pubmed", citation(pmids[2], f"{drug.title()} for {condition}: first trial", stated, trial=numbers[0])
        ),
        Sent(
            "studies:form:article",
            "jats",
            article({"pmc": f"PMC8{names.number()}", "pmid": pmids[2]}, f"{drug.title()} for {condition}: the first trial", [stated]),
        ),
        Sent(
            "studies:form:report",
            "jats",
            article({"pmc": f"PMC8{names.number()}", "doi": doi}, f"{drug.title()} in {condition}: the first report", [told[0]]),
        ),
    ]
    return first, second


def _eligibility(names: Names, condition: str) -> tuple[dict[str, Criteria], list[Sent]]:
    """One trial, and copies of it in each of which one line is negated or stands on the other side."""
    drug = names.word("ine")
    base = Criteria(
        (
            ("inclusion", f"Treated with {names.word('ine')} for {names.source.randrange(2, 9)} weeks"),
            ("inclusion", f"Able to swallow {names.word('ol')} tablets"),
            ("inclusion", f"Willing to keep a diary of {names.word('ia')}"),
            ("exclusion", "Meeting the inclusion criteria"),
            ("exclusion", f"History of {names.word('itis')}"),
            ("exclusion", "Meeting any exclusion criteria of the parent trial"),
        )
    )
    variants = {
        "base": base,
        "negated:1": base.negated(1),
        "negated:3": base.negated(3),
        "moved:0": base.moved(0),
        "moved:4": base.moved(4),
        "moved:3": base.moved(3),
    }
    criteria = {f"eligibility:{name}": wanted for name, wanted in variants.items()}
    sent = [
        Sent(key, "ctgov", wanted.trial(f"NCT8{names.number()}", condition, drug, names.word()).payload())
        for key, wanted in criteria.items()
    ]
    return criteria, sent


def _doses(names: Names, condition: str) -> tuple[tuple[tuple[float, float | None], ...], list[Sent]]:
    """Labels and trials that state the same doses in several units; and one of each whose number alone is the same."""
    drug, outcome = names.word("ine"), f"Change in {names.word('al')} score"
    once, low = names.source.choice((10, 20, 30, 40)), names.source.choice((5, 15, 25))
    amounts: tuple[tuple[float, float | None], ...] = ((once, None), (low, 2 * low))

    def said(mg: float, unit: str) -> str:
        return f"{mg * PER_MG[unit]:.10g} {unit}" if unit in PER_MG else f"{mg:g} g"

    def dosage(unit: str) -> list[str]:
        return [
            f"The recommended dose of {drug} is {said(once, unit)} orally once daily.",
            f"In severe {condition} the dose of {drug} is {said(low, unit)} to {said(2 * low, unit)} orally twice daily.",
        ]

    sent = [Sent(f"doses:label:{unit}", "spl", label(_set_id(names), drug, condition, dosage(unit))) for unit in (*SCALED, BARE)]
    for at, unit in enumerate(("mg", "g", "µg", BARE)):
        trial = Trial(f"NCT8{names.number()}", condition, drug, f"{drug.title()} {said(once, unit)}", outcome, -2.0 - at / 10)
        sent.append(Sent(f"doses:trial:{unit}", "ctgov", trial.payload()))
    return amounts, sent


def _unrelated(names: Names) -> Sent:
    """An article on another syndrome, another drug."""
    drug, condition = names.word("ine"), f"{names.word('osis')} syndrome"
    return Sent(
        "unrelated",
        "jats",
        article({"pmc": f"PMC8{names.number()}"}, f"{drug.title()} in {condition}", [_odds(names.word("ia"), drug, names)] * 2),
    )


def _set_id(names: Names) -> str:
    return f"8{names.number()}-0000-4000-8000-{names.source.randrange(16**12):012x}"


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What the platform shows at one moment."""

    dossiers: Mapping[str, Row]  # by the story's name of the topic
    counts: Mapping[str, int]
    graph: tuple[Sequence[Row], Sequence[Row]] = ((), ())
    extractions: Mapping[str, Sequence[Row]] = dataclasses.field(default_factory=dict)  # by kind, of every document that answers
    readings: Sequence[Row] = ()  # of every document that answers: what was read of it and what was refused
    rows: Sequence[Row] = ()
    hits: Mapping[str, Sequence[Row]] = dataclasses.field(default_factory=dict)  # of a question about each older version, by key


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A document read by its id."""

    row: Row
    text: str
    chunks: int
    records: Mapping[str, Sequence[Row]]  # by kind


@dataclasses.dataclass(frozen=True, slots=True)
class Story:
    """Everything that was seen; ``ids`` are document ids by key, ``kept`` the documents of the second part by key."""

    plan: Plan
    ids: Mapping[str, str]
    before: Mapping[str, int]
    first: Look
    second: Look
    kept: Mapping[str, Kept]
    third: Look
    after: Mapping[str, int]
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)  # how long each part took


def tell(api: Api, seed: int, pause: Callable[[float], object]) -> Story:
    """Tell the story of ``seed``; its documents are taken out again, however it ends. ``TimeoutError`` when nothing settles."""
    teller = _Teller(api, plan(seed), pause)
    try:
        return teller.told()
    finally:
        with contextlib.suppress(httpx.HTTPError):  # what broke the story is told, not what it broke
            teller.take_out(tuple(teller.ids))


class _Teller:
    """Sends, waits and looks; ``ids`` are the documents that are in the platform now."""

    def __init__(self, api: Api, story: Plan, pause: Callable[[float], object]) -> None:
        self.api, self.plan = api, story
        self.ids: dict[str, str] = {}
        self._pause, self._until = pause, time.monotonic() + LIMIT_S
        self._seconds: dict[str, float] = {}

    def told(self) -> Story:
        before = self._counts()
        with self._timed("first"):
            self._send(self.plan.first)
            first = self._look(("studies", "eligibility", "doses"))
        with self._timed("second"):
            self._send(self.plan.second)
            second, kept = self._look_closely(), {sent.key: self._kept(sent.key) for sent in (*self.plan.first, *self.plan.second)}
            ids = dict(self.ids)
        with self._timed("third"):
            again = self.plan.again()
            self.take_out(tuple(sent.key for sent in again))
            self._send(again)
            third = self._look(("versions", "studies"), graph=True)
        with self._timed("taken out"):
            self.take_out(tuple(self.ids))
        return Story(self.plan, ids, before, first, second, kept, third, self._counts(), self._seconds)

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - began, 3)

    def _send(self, payloads: Sequence[Sent]) -> None:
        jobs = [(sent.key, self.api.ingest(sent.source, sent.content)) for sent in payloads]
        for key, job_id in jobs:
            job = self.api.wait_job(job_id, self._wait, self._late)
            (document,) = job["documents"]
            self.ids[key] = str(document["doc_id"])
            if document["state"] != "completed":
                raise RuntimeError(f"{key} is {document['state']}: {document['reason']}")
        self._settle()

    def take_out(self, keys: Sequence[str]) -> None:
        """Remove documents, those that stand last: nothing has to come back in between."""
        standing = {row["doc_id"] for row in self.api.documents()}
        for key in sorted((key for key in keys if key in self.ids), key=lambda key: self.ids[key] in standing):
            response = self.api.http.delete(f"/v1/documents/{quoted(self.ids[key])}")
            if response.status_code != httpx.codes.NOT_FOUND:
                response.raise_for_status()
            del self.ids[key]
        self._settle()

    def _settle(self) -> None:
        while left := at_work(self.api):
            if self._late():
                raise TimeoutError(f"the platform did not settle in {LIMIT_S:g} s: {left}")
            self._wait(POLL_S)

    def _wait(self, seconds: float) -> None:
        self._pause(seconds)

    def _late(self) -> bool:
        return time.monotonic() > self._until

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.api.get("/v1/counts")["records"]
        return {name: count for name, count in counts.items() if not name.startswith(("jobs", "outbox", "dead_letters"))}

    def _look(self, topics: Sequence[str], *, graph: bool = False) -> Look:
        asked = {name: {"topic": {"condition": self.plan.topics[name]}} for name in topics}
        dossiers = {name: self.api.post("/v1/briefing/dossier", body) for name, body in asked.items()}
        return Look(dossiers, self._counts(), self.api.graph() if graph else ((), ()))

    def _look_closely(self) -> Look:
        look = self._look(tuple(self.plan.topics), graph=True)
        asked = {sent.key: f"{self.plan.topics['versions']} {sent.mark}" for sent in self.plan.first if sent.mark}
        hits = {key: self.api.post("/v1/retrieve", {"query": query, "top_k": 50})["results"] for key, query in asked.items()}
        extractions = {kind: list(self.api.extractions(kind)) for kind in KINDS}
        return dataclasses.replace(
            look, extractions=extractions, rows=list(self.api.documents()), readings=list(self.api.readings()), hits=hits
        )

    def _kept(self, key: str) -> Kept:
        doc_id, topic = self.ids[key], key.partition(":")[0]
        records = {
            kind: [record for one in self.api.extractions(kind, doc_id) for record in one["records"]] for kind in READ.get(topic, ())
        }
        return Kept(self.api.document(doc_id), self.api.ir(doc_id)["text"], len(self.api.chunks(doc_id)), records)
