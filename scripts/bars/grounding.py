"""Are all quotes true? An independent reading with the standard library only: it imports neither ``harness`` nor ``system``.

    python3 grounding.py --url http://127.0.0.1:8000 --key-file KEY [--topic "non-small cell lung cancer"]…

Without --url it asks ``harness status --json`` for the user's stack. It reads every completed document's text, and compares with
its slice: every chunk, every span of every stored record, every answer of 50 queries and every citation of the dossiers.
Offsets are Unicode code points, half-open, into the text of the IR. Exit 0 when all agree and something was read, else 1.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

KINDS = ("pico", "effects", "ae", "dose", "eligibility")
TOPICS = ("non-small cell lung cancer", "major depressive disorder", "type 2 diabetes", "insomnia")
QUERIES = 50
TIMEOUT_S = 60.0


class Platform:
    """Reads the API. Raises OSError for anything but a 2xx answer."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url.rstrip("/"), key
        self.texts: dict[str, str] = {}

    def ask(self, path: str, body: object = None) -> Any:
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer)

    def pages(self, path: str, member: str, cursor: str = "after", following: str = "next_after") -> Iterator[Any]:
        after: str | None = ""
        joint = "&" if "?" in path else "?"
        while after is not None:
            page = self.ask(f"{path}{joint}{cursor}={urllib.parse.quote(after, safe='')}&limit=100")
            yield from page[member]
            after = page[following]

    def text(self, doc_id: str) -> str:
        if doc_id not in self.texts:
            self.texts[doc_id] = self.ask(f"/v1/documents/{urllib.parse.quote(doc_id, safe='')}/ir")["text"]
        return self.texts[doc_id]


class Tally:
    """Counts by kind, and the first words of what was wrong."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.seen: dict[str, int] = {}
        self.wrong: list[str] = []

    def check(self, what: str, doc_id: str, span: Any, quote: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1
        start, end = span["start"], span["end"]
        text = self.platform.text(doc_id)
        if not (0 <= start < end <= len(text) and text[start:end] == quote):
            self.wrong.append(f"{what} {doc_id} {start}:{end} {quote[:60]!r} is not {text[start:end][:60]!r}")


def check_all(platform: Platform, topics: "list[str]") -> Tally:
    tally = Tally(platform)
    documents = [row["doc_id"] for row in platform.pages("/v1/documents?state=completed", "documents")]
    chunks = list(check_chunks(platform, tally, documents))
    check_records(platform, tally)
    check_answers(platform, tally, queries(chunks))
    for topic in topics:
        dossier = platform.ask("/v1/briefing/dossier", {"topic": {"condition": topic}, "format": "json"})
        for citation in citations(dossier):
            tally.check("dossier", citation["doc_id"], citation, citation["quote"])
    return tally


def check_chunks(platform: Platform, tally: Tally, documents: "list[str]") -> Iterator[str]:
    """Compares every chunk; gives their texts, from which the queries are made."""
    for doc_id in documents:
        for chunk in platform.ask(f"/v1/documents/{urllib.parse.quote(doc_id, safe='')}/chunks")["chunks"]:
            tally.check("chunk", doc_id, chunk, chunk["text"])
            yield chunk["text"]


def check_records(platform: Platform, tally: Tally) -> None:
    for kind in KINDS:
        for extraction in platform.pages(f"/v1/extractions?kind={kind}", "extractions"):
            for record in extraction["records"]:
                spans = [*record["spans"], *nested_spans(record)]
                if not spans:
                    tally.wrong.append(f"{kind} {extraction['doc_id']}: the record {record.get('record_id')} has no span")
                for span in spans:
                    tally.check(kind, extraction["doc_id"], span, span["quote"])


def nested_spans(record: Any) -> Iterator[Any]:
    """Spans anywhere below a record but in its own list."""
    pending = [value for name, value in record.items() if name != "spans"]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if {"start", "end", "quote"} <= value.keys():
                yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def queries(chunks: "list[str]") -> "list[str]":
    """50 queries of three to eight words that stand in the documents, drawn with a fixed seed."""
    source = random.Random(7)
    found = []
    for text in source.sample(chunks, min(QUERIES, len(chunks))) if chunks else []:
        words = [word for word in text.split() if word.isalpha()] or ["evidence"]
        begin = source.randrange(max(1, len(words) - 8))
        found.append(" ".join(words[begin : begin + source.randint(3, 8)]))
    while chunks and len(found) < QUERIES:
        found.append(f"{source.choice(found)} {source.choice(found)}"[:200])
    return found


def check_answers(platform: Platform, tally: Tally, asked: "list[str]") -> None:
    for query in asked:
        for hit in platform.ask("/v1/retrieve", {"query": query, "top_k": 20})["results"]:
            tally.check("answer", hit["doc_id"], hit, hit["text"])


def citations(value: Any) -> Iterator[Any]:
    """Everything in a dossier that is a quote of a document."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if {"doc_id", "start", "end", "quote"} <= item.keys():
                yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def users_stack() -> "tuple[str, str]":
    """(address, key) of the newest stack started with ``harness up``: its id from ``harness status``, its place from the state folder."""
    command = pathlib.Path(sys.executable).parent / "harness"
    program = str(command) if command.exists() else "harness"
    said = subprocess.run([program, "status", "--json"], capture_output=True, text=True, check=False, timeout=60)
    if not said.stdout.strip():
        raise SystemExit("grounding: no stack of yours is running: start one with `harness up`, or give --url and --key-file")
    stack = json.loads(said.stdout)["stack"]
    home = pathlib.Path(os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local" / "state") / "evidence-harness"
    fallback = pathlib.Path(tempfile.gettempdir()) / f"eh-state-{os.getuid()}"
    facts = next(path for path in (home / "stacks" / f"{stack}.json", fallback / "stacks" / f"{stack}.json") if path.exists())
    info = json.loads(facts.read_bytes())
    url = f"http://127.0.0.1:{info['ports']['gateway']}"
    return url, (pathlib.Path(info["secrets_dir"]) / "api_key_admin").read_text(encoding="utf-8").strip()


def main() -> int:
    parser = argparse.ArgumentParser(description="compare every quote of a running platform with the text it points to")
    parser.add_argument("--url")
    parser.add_argument("--key-file")
    parser.add_argument("--topic", action="append", default=[])
    options = parser.parse_args()
    if bool(options.url) != bool(options.key_file):
        parser.error("give --url and --key-file together")
    url, key = (options.url, pathlib.Path(options.key_file).read_text(encoding="utf-8").strip()) if options.url else users_stack()
    tally = check_all(Platform(url, key), options.topic or list(TOPICS))
    total = sum(tally.seen.values())
    needed = {"chunk", "answer", "dossier"} - tally.seen.keys()
    share = 100.0 * (total - len(tally.wrong)) / total if total else 0.0
    counts = ", ".join(f"{name} {count}" for name, count in sorted(tally.seen.items()))
    print("\n".join(tally.wrong[:20]), file=sys.stderr)
    passed = not tally.wrong and not needed and total > 0
    detail = f"{counts}; documents {len(tally.platform.texts)}" + (f"; nothing of: {', '.join(sorted(needed))}" if needed else "")
    figure = f"{share:.6g} % of {total} quotes equal their slice"
    print(json.dumps({"figure": figure, "passed": passed, "detail": detail}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
