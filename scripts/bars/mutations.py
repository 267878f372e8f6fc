"""Files that are wrong in some way, made from right ones by a seed: at least twenty kinds a source."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator

Mutator = Callable[[bytes, random.Random], bytes]

DEEP = 20_000
BODY_LIMIT_BYTES = 20 << 20
HUGE = "9" * 400


def mutants(source: str, good: bytes, others: dict[str, bytes], seed: int) -> Iterator[tuple[str, bytes]]:
    """(kind of mutation, payload) for one source; ``others`` are right documents of the other sources."""
    draw = random.Random(f"{source}:{seed}")
    kinds = {**ANY, **(JSON if source == "ctgov" else XML), **OWN[source]}
    for name, mutate in kinds.items():
        yield name, mutate(good, draw)
    for other, content in sorted(others.items()):
        yield f"wrong kind: {other}", content


def _middle(content: bytes, draw: random.Random, insert: bytes) -> bytes:
    place = draw.randrange(len(content) // 4, len(content) * 3 // 4)
    return content[:place] + insert + content[place:]


def _flips(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(12):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _shuffled(content: bytes, draw: random.Random) -> bytes:
    pieces = [content[at : at + 64] for at in range(0, len(content), 64)]
    draw.shuffle(pieces)
    return b"".join(pieces)


ANY: dict[str, Mutator] = {
    "truncated in the middle": lambda good, draw: good[: draw.randrange(len(good) // 3, len(good) * 2 // 3)],
    "truncated at the end": lambda good, draw: good.rstrip()[: -draw.randrange(1, 20)],
    "without its beginning": lambda good, draw: good[draw.randrange(10, len(good) // 2) :],
    "blanks only": lambda _good, _draw: b" \n\t ",
    "NUL inside": lambda good, draw: _middle(good, draw, b"\x00"),
    "bytes that are no UTF-8": lambda good, draw: _middle(good, draw, b"\xff\xfe\xc3\x28"),
    "UTF-16 without a mark": lambda good, _draw: good.decode().encode("utf-16-le"),
    "random bytes": lambda _good, draw: draw.randbytes(4096),
    "flipped bits": _flips,
    "pieces in another order": _shuffled,
    "twice in a row": lambda good, _draw: good + good,
    "PDF": lambda _good, draw: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + draw.randbytes(600),
    "HTML page": lambda _good, _draw: b"<!doctype html><html><head><title>404</title><body><p>Not found<br></body></html>",
    "damaged gzip": lambda good, _draw: gzip.compress(good, mtime=0)[:-20],
    "gzip bomb": lambda _good, _draw: gzip.compress(b"\x20" * (80 << 20), compresslevel=9, mtime=0),
    "oversized": lambda good, _draw: good + b" " * BODY_LIMIT_BYTES,
    "a number": lambda _good, _draw: b"42",
}


def _replaced(pattern: bytes, by: bytes, count: int = 0) -> Mutator:
    return lambda good, _draw: re.sub(pattern, lambda _match: by, good, count=count)


def _entity_bomb(good: bytes, _draw: random.Random) -> bytes:
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 12))
    return _with_subset(good, b'<!ENTITY l0 "ha">' + laughs, b"&l11;")


def _with_subset(good: bytes, subset: bytes, use: bytes) -> bytes:
    """The document with an internal subset and a use of its entity in the first title or paragraph."""
    body = re.sub(rb"<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", b"", good)
    root = re.search(rb"<([A-Za-z]+)", body)
    assert root is not None
    body = re.sub(rb"(<(?:article-title|ArticleTitle|title|p|paragraph)>)", lambda found: found[1] + use, body, count=1)
    return b'<?xml version="1.0"?><!DOCTYPE ' + root[1] + b" [" + subset + b"]>" + body.strip()


XML: dict[str, Mutator] = {
    "entity bomb": _entity_bomb,
    "entity of a file": lambda good, _draw: _with_subset(good, b'<!ENTITY x SYSTEM "file:///etc/passwd">', b"&x;"),
    "entity of the network": lambda good, _draw: _with_subset(good, b'<!ENTITY x SYSTEM "http://127.0.0.1:9/x">', b"&x;"),
    "entity of parameters": lambda good, _draw: _with_subset(good, b'<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;', b""),
    "entity nobody declared": _replaced(rb"</(p|paragraph|AbstractText)>", b"&nobody;</p>", 1),
    "wrong declared encoding": _replaced(rb'encoding="UTF-8"', b'encoding="UTF-32"', 1),
    "encoding nobody knows": _replaced(rb'encoding="UTF-8"', b'encoding="x-klingon"', 1),
    "unclosed element": _replaced(rb"</(title|ArticleTitle|article-title)>", b"", 1),
    "prefix nobody declared": _replaced(rb"<(p|paragraph|Abstract)>", b"<q:p>", 1),
    "reference to character 0": _replaced(rb"</(p|paragraph|AbstractText)>", b"&#0;</p>", 1),
    "deep nesting": lambda good, _draw: _middle_of_body(good, b"<sec>" * DEEP + b"</sec>" * DEEP),
    "wrong root": lambda _good, _draw: b'<?xml version="1.0"?><inventory><item price="1"/></inventory>',
    "root alone": lambda good, _draw: b"<" + _root(good) + b"/>",
}


def _root(good: bytes) -> bytes:
    found = re.search(rb"<([A-Za-z][\w-]*)", re.sub(rb"<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", b"", good))
    assert found is not None
    return found[1]


def _middle_of_body(good: bytes, insert: bytes) -> bytes:
    end = good.rfind(b"</")
    return good[:end] + insert + good[end:]


def _study(change: Callable[[dict[str, object]], object]) -> Mutator:
    def mutate(good: bytes, _draw: random.Random) -> bytes:
        study = json.loads(good)
        change(study)
        return json.dumps(study).encode()

    return mutate


def _put(path: str, value: object) -> Mutator:
    """Set what a path of keys and indices leads to."""

    def change(study: object) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in way:
            study = study[step]  # type: ignore[index]  # JSON
        study[last] = value  # type: ignore[index]

    return _study(change)


_MEASURE = "resultsSection/outcomeMeasuresModule/outcomeMeasures/0"
JSON: dict[str, Mutator] = {
    "deep nesting": lambda _good, _draw: b"[" * DEEP + b"]" * DEEP,
    "not a number": _replaced(rb'"count": \d+', b'"count": NaN', 1),
    "number of 400 digits": _replaced(rb'"count": \d+', b'"count": ' + HUGE.encode(), 1),
    "number without a float": _replaced(rb'"count": \d+', b'"count": 1e400', 1),
    "half a surrogate pair": _replaced(rb'"briefTitle": "', b'"briefTitle": "\\ud800', 1),
    "NUL in a text": _replaced(rb'"briefTitle": "', b'"briefTitle": "a\\u0000b', 1),
    "key twice": _replaced(rb'"briefTitle":', b'"nctId": "NCT00000000", "briefTitle":', 1),
    "empty object": lambda _good, _draw: b"{}",
    "list of nothing": lambda _good, _draw: b"[]",
    "version 1 schema": lambda _good, _draw: b'{"FullStudiesResponse": {"FullStudies": [{"Study": {}}]}}',
}

OWN: dict[str, dict[str, Mutator]] = {
    "ctgov": {
        "id missing": _study(lambda study: study["protocolSection"]["identificationModule"].pop("nctId")),  # type: ignore[index]
        "id of another form": _put("protocolSection/identificationModule/nctId", "../../etc/passwd"),
        "id that is a list": _put("protocolSection/identificationModule/nctId", ["NCT90000001"]),
        "module that is a list": _put("protocolSection/statusModule", []),
        "section that is a text": _put("protocolSection", "text"),
        "measures that are a text": _put("resultsSection/outcomeMeasuresModule/outcomeMeasures", "none"),
        "measure that is null": _put(_MEASURE, None),
        "groups that are numbers": _put(f"{_MEASURE}/groups", [1, 2]),
        "estimate of 400 digits": _put(f"{_MEASURE}/analyses/0/paramValue", HUGE),
        "interval upside down": _put(f"{_MEASURE}/analyses/0/ciLowerLimit", "1e308"),
        "date of no calendar": _put("protocolSection/statusModule/lastUpdatePostDateStruct/date", "9999-99-99"),
        "more affected than at risk": _replaced(rb'"numAffected": \d+', b'"numAffected": 999999999'),
        "negative counts": _replaced(rb'"numAtRisk": \d+', b'"numAtRisk": -5'),
    },
    "jats": {
        "ids missing": _replaced(rb"<article-id[^>]*>[^<]*</article-id>", b""),
        "id with a path": _replaced(rb'(?<=pub-id-type="pmc">)[^<]*', b"../../../etc/passwd"),
        "span of nine digits": _replaced(rb'colspan="\d+"', b'colspan="999999999"'),
        "span that is no number": _replaced(rb'rowspan="\d+"', b'rowspan="many"'),
        "value of 400 digits": _replaced(rb"0\.71", HUGE.encode()),
        "body missing": _replaced(rb"(?s)<body>.*</body>", b""),
        "front missing": _replaced(rb"(?s)<front>.*</front>", b""),
    },
    "spl": {
        "set id missing": _replaced(rb"<setId[^>]*>", b""),
        "set id with a path": _replaced(rb'<setId root="[^"]*"', b'<setId root="../../../etc/passwd"'),
        "version that is no number": _replaced(rb"<versionNumber[^>]*>", b'<versionNumber value="newest"/>'),
        "body missing": _replaced(rb"(?s)<structuredBody>.*</structuredBody>", b""),
        "another name space": _replaced(rb"urn:hl7-org:v3", b"urn:example:other"),
        "dose of 400 digits": _replaced(rb"\b40 mg", HUGE.encode() + b" mg"),
        "codes missing": _replaced(rb"<code [^>]*>", b""),
    },
    "pubmed": {
        "id missing": _replaced(rb"<PMID[^>]*>[^<]*</PMID>", b""),
        "id with a path": _replaced(rb"(?<=>)99000001(?=</PMID>)", b"../../etc"),
        "id of 400 digits": _replaced(rb"(?<=>)99000001(?=</PMID>)", HUGE.encode()),
        "article missing": _replaced(rb"(?s)<Article .*</Article>", b""),
        "value of 400 digits": _replaced(rb"0\.62", HUGE.encode()),
        "year of no calendar": _replaced(rb"<Year>\d+</Year>", b"<Year>99999999999</Year>"),
        "set of nothing": lambda _good, _draw: b"<PubmedArticleSet></PubmedArticleSet>",
    },
}
