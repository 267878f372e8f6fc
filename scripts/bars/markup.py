"""The bar ``markup``: every number of every article, label and abstract beside the XML that it was read from, and generated markup.

The sample corpus always; the real data sets where they are. ``suites.wing.markup`` judges; it shares no code with the parsers.
"""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.bars.support import listed, project, result, say
from suites.wing.markup import judge, stated
from system.evidence.extraction.assemble import extract
from system.evidence.ir import Document, Source
from system.evidence.sources import parse
from system.evidence.sources.split import SplitItem, split

SEED = 20261201
GENERATED = 10_000
FOLDERS = {Source.JATS: "jats", Source.SPL: "spl", Source.PUBMED: "pubmed"}
REAL = {Source.JATS: "jats/*.gz", Source.SPL: "dailymed_spl/*.gz", Source.PUBMED: "pubmed_xml/*.xml*"}
WRAPPERS = ("italic", "bold", "underline", "named-content", "sup", "sub", "xref", "ext-link", "fraction")
FORMULAE = ("msup", "msub", "mfrac", "mover", "munder", "mroot", "mrow")
FRAME = (
    '<article><front><article-meta><article-id pub-id-type="pmc">80001</article-id></article-meta></front>'
    "<body><sec><title>Results</title><p>{}</p></sec></body></article>"
)


def main() -> int:
    data = project().data_dir()
    documents = numbers = values = 0
    problems: list[str] = []
    began = time.monotonic()
    for source, name, raw in (*sample(project().sample_dir()), *(real(data) if data is not None else ())):
        for item in split(source, raw):
            if isinstance(item, SplitItem):
                document = parse(source, item.doc_id, item.raw)
                found = judge(document, item.raw)
                documents, numbers = documents + 1, numbers + found.numbers
                problems += [f"{name}: {text}" for text in found.problems]
                problems += [f"{name}: cannot be laid beside its source: {text}" for text in found.unaligned]
                problems += [f"{name}: lost: {text}" for text in found.lost]
                checked, wrong = extracted(document, item.raw)
                values += checked
                problems += [f"{name}: {text}" for text in wrong]
    say(f"{documents} documents in {time.monotonic() - began:.1f} s")
    generated = list(made_up(GENERATED))
    problems += generated
    figure = (
        f"{numbers} numbers of {documents} documents, {values} extracted values, {GENERATED} generated paragraphs; {len(problems)} problems"
    )
    if not numbers or not documents:
        return result("no document was read", passed=False)
    where = "" if data is not None else " (sample corpus alone: no real data sets here)"
    return result(figure + where, passed=not problems, detail=listed(problems))


def sample(folder: Path) -> Iterator[tuple[Source, str, bytes]]:
    for source, name in FOLDERS.items():
        yield from ((source, path.name, path.read_bytes()) for path in sorted((folder / name).glob("*.xml")))


def real(data: Path) -> Iterator[tuple[Source, str, bytes]]:
    for source, pattern in REAL.items():
        for path in sorted(data.glob(pattern)):
            yield source, path.name, gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    archive = data / "evidence_inference" / "nxml.tar.gz"
    if archive.is_file():
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.read_bytes()))) as members:
            for member in members:
                content = members.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield Source.JATS, member.name, content.read()


def extracted(document: Document, raw: bytes) -> tuple[int, list[str]]:
    """How many values were looked at, and those that no quote of their record prints whole."""
    extraction = extract(document, raw)
    values = [(r.record_id, r.spans, v) for r in extraction.effects for v in (r.value, r.ci_low, r.ci_high, r.p_value) if v is not None]
    values += [(dose.record_id, dose.spans, dose.amount) for dose in extraction.doses]
    wrong = [f"{name} claims {v:g}, which no quote prints" for name, spans, v in values if not stated([s.quote for s in spans], v)]
    return len(values), wrong


def made_up(count: int) -> Iterator[str]:
    """Problems of ``count`` generated paragraphs of nested markup with digits; the seed and the paragraph are named."""
    rng = random.Random(SEED)
    for _ in range(count):
        inner = "".join(piece(rng, 3) for _ in range(rng.randint(1, 4)))
        raw = FRAME.format(f"n {inner} m").encode()
        found = judge(parse(Source.JATS, "", raw), raw)
        yield from (f"{inner}: {text}" for text in (*found.problems, *found.unaligned, *found.lost))


def piece(rng: random.Random, depth: int) -> str:
    kind = rng.random()
    if depth == 0 or kind < 0.4:
        return "".join(rng.choice("0123456789.,") for _ in range(rng.randint(1, 4)))
    if kind < 0.8:
        name = rng.choice(WRAPPERS)
        return f"<{name}>{''.join(piece(rng, depth - 1) for _ in range(rng.randint(1, 2)))}</{name}>"
    return f"<inline-formula><math>{formula(rng, 2)}</math></inline-formula>"


def formula(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.4:
        return f"<mn>{rng.randint(0, 99)}</mn>"
    name = rng.choice(FORMULAE)
    return f"<{name}>{formula(rng, depth - 1)}{formula(rng, depth - 1)}</{name}>"


if __name__ == "__main__":
    raise SystemExit(main())
