"""Which payloads are ingested: the real data sets where there are any, the sample corpus shipped with the project otherwise."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.core.errors import Blocked
from harness.journal.events import DataSet

SOURCES = ("ctgov", "jats", "spl", "pubmed")
TRIALS = 10
# Trials of the topics that the dossiers are about come first; the rest fills up in the order of the file.
ABSTRACTS = (
    *(f"biopython_pubmed{number}.xml" for number in (1, 2, 4, 5, 6, 7)),
    *(f"ncbiutils_{name}.xml.gz" for name in ("double", "markup", "orcid")),
    "pubmed_29768149.xml",
)
WANTED_TRIALS = ("NCT01367860", "NCT04770285", "NCT02856893")


@dataclasses.dataclass(frozen=True, slots=True)
class Payload:
    """What is sent to ``POST /v1/ingest/{source}``: one document, or several for PubMed."""

    source: str
    name: str
    content: bytes
    documents: int


@dataclasses.dataclass(frozen=True, slots=True)
class Corpus:
    """Payloads and where they come from."""

    name: str
    payloads: tuple[Payload, ...]
    sample: bool

    @property
    def documents(self) -> int:
        return sum(payload.documents for payload in self.payloads)

    def data_set(self) -> DataSet:
        """What the journal says of it."""
        digest = hashlib.sha256(b"".join(hashlib.sha256(payload.content).digest() for payload in self.payloads)).hexdigest()
        return DataSet(name=self.name, version=digest, items=self.documents, sample=self.sample)


def load_corpus(data: Path | None, sample: Path) -> Corpus:
    """The verify corpus: 10 trials, 10 articles, 6 labels, all PubMed records of the selected files."""
    return real_corpus(data) if data is not None else sample_corpus(sample)


def sample_corpus(folder: Path) -> Corpus:
    """Every file of the sample corpus; ``Blocked`` when the folder is not there."""
    payloads = tuple(
        Payload(source, path.name, path.read_bytes(), _count(source, path.read_bytes()))
        for source in SOURCES
        for path in sorted((folder / source).glob("*"))
        if path.is_file()
    )
    if not payloads:
        raise Blocked("there is no sample corpus: the checkout is incomplete")
    return Corpus("sample corpus", payloads, sample=True)


def real_corpus(data: Path) -> Corpus:
    """From the collected data sets; ``Blocked`` naming what is missing."""
    payloads = (*_trials(data), *_articles(data), *_labels(data), *_abstracts(data))
    return Corpus("trials, articles, labels, abstracts", payloads, sample=False)


def _trials(data: Path) -> Iterator[Payload]:
    studies = [json.loads(line) for line in gzip.decompress(_read(data / "clinicaltrials_gov" / "studies.v2.jsonl.gz")).splitlines()]
    ids = [str(study["protocolSection"]["identificationModule"]["nctId"]) for study in studies]
    by_id = dict(zip(ids, studies, strict=True))
    matching = [nct for nct in ids if _about(by_id[nct])]
    chosen = list(dict.fromkeys([*(nct for nct in WANTED_TRIALS if nct in by_id), *matching, *ids]))[:TRIALS]
    for nct in chosen:
        yield Payload("ctgov", f"{nct}.json", json.dumps(by_id[nct]).encode(), 1)


def _about(study: dict[str, object]) -> bool:
    text = json.dumps(study["protocolSection"]).lower()
    return "resultsSection" in study and ("lung cancer" in text or "depressi" in text or "diabet" in text)


def _articles(data: Path) -> Iterator[Payload]:
    for path in sorted((data / "jats").glob("*ml.gz")):
        yield Payload("jats", path.name.removesuffix(".gz"), gzip.decompress(_read(path)), 1)


def _labels(data: Path) -> Iterator[Payload]:
    for path in sorted((data / "dailymed_spl").glob("*.xml.gz")):
        yield Payload("spl", path.name.removesuffix(".gz"), gzip.decompress(_read(path)), 1)


def _abstracts(data: Path) -> Iterator[Payload]:
    folder = data / "pubmed_xml"
    named = [name for name in ABSTRACTS if (folder / name).is_file()]  # the collected files; else whatever was fetched
    for name in named or sorted(path.name for path in folder.glob("*.xml*")):
        content = _read(data / "pubmed_xml" / name)
        content = gzip.decompress(content) if name.endswith(".gz") else content
        yield Payload("pubmed", name.removesuffix(".gz"), content, _count("pubmed", content))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Blocked(f"{path.parent.name}/{path.name} cannot be read from the data sets: {error.strerror}") from None


def _count(source: str, content: bytes) -> int:
    """Documents in a payload, counted without parsing: an opening tag is an article."""
    if source == "pubmed":
        return len(re.findall(rb"<Pubmed(?:Book)?Article[ >]", content))
    return 1


def crash_payloads(sample: Path) -> tuple[Payload, ...]:
    """Three small documents of three sources, for crash tests."""
    chosen = {"ctgov": 1, "spl": 1, "pubmed": 1}
    found: list[Payload] = []
    for payload in sample_corpus(sample).payloads:
        if chosen.get(payload.source, 0) and payload.documents == 1:
            chosen[payload.source] -= 1
            found.append(payload)
    return tuple(found)


def variants(sample: Path, seed: int, count: int) -> tuple[Payload, ...]:
    """``count`` PubMed records nobody has seen: a sample record under new, seeded ids."""
    template = next(payload for payload in sample_corpus(sample).payloads if payload.source == "pubmed" and payload.documents == 1)
    made = []
    for number in range(count):
        pmid = str(30_000_000 + (seed + number * 7919) % 9_000_000)
        content = re.sub(rb"(<PMID[^>]*>)\d+(</PMID>)", rb"\g<1>" + pmid.encode() + rb"\g<2>", template.content, count=1)
        content = re.sub(rb'(<ArticleId IdType="pubmed">)\d+', rb"\g<1>" + pmid.encode(), content)
        made.append(Payload("pubmed", f"variant-{pmid}.xml", content, 1))
    return tuple(made)


def total(payloads: Iterable[Payload]) -> int:
    """Documents in several payloads."""
    return sum(payload.documents for payload in payloads)
