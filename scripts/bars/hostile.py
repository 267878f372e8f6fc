"""The bar ``hostile``: thirty hostile documents through ingest and every output; what people open, opened in Chromium.

Nothing runs, nothing is asked for, no policy is broken, no control character reaches a page, XML, Markdown or terminal; and the
texts are seen to arrive, so that there was something to withstand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from httpx import Response
from markdown_it import MarkdownIt

from harness.cli.console import Console
from harness.cli.summary_table import print_summary
from harness.core.verdict import Verdict
from harness.journal.events import Note, TestOutcome
from harness.report.publish import publishers
from harness.run.registry import Registry
from harness.run.run import Run
from scripts.bars.browser import Browser, NoBrowserError, Served, browser
from scripts.bars.hostile_documents import TEXTS, Hostile, documents
from scripts.bars.support import HARNESS, PROJECT, listed, own_stack, project, result, say, scratch
from suites.wing.api import Api, quoted

WIDTH = 1400
JOB_LIMIT_S = 120.0
# C0 without tab and line feed, DEL, C1, bidirectional overrides and isolates: nothing of these may reach a page, XML or terminal.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
RAW_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
REFUSED = re.compile("[\x00-\x1f\x7f]")  # what the API may refuse in a question or topic
MIN_SHOWN = 24


@dataclasses.dataclass(slots=True)
class Seen:
    """What was looked at by kind of output, which hostile documents arrived there, and what was wrong."""

    looked: Counter[str] = dataclasses.field(default_factory=Counter)
    arrived: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)

    def look(self, kind: str, text: str) -> None:
        self.looked[kind] += 1
        self.arrived.setdefault(kind, set()).update(re.findall(r"HOSTILE\d\d", text))

    def control(self, kind: str, name: str, text: str) -> None:
        """Note the first control character."""
        if found := CONTROL.search(text):
            self.problems.append(f"{kind} {name}: U+{ord(found[0]):04X} after {text[max(0, found.start() - 30) : found.start()]!r}")


def main() -> int:
    seen = Seen()
    with scratch() as folder:
        try:
            with browser(folder) as chromium:
                if blind := unseen(chromium):
                    return result("the browser does not see what it must", passed=False, detail=", ".join(blind))
                with own_stack() as (_stack, target), Api(target) as api:
                    failed = send(api, documents(project().sample_dir()), seen)
                    answers(api, chromium, seen)
                reports(folder, chromium, seen)
        except NoBrowserError as error:
            return result("no Chromium", passed=None, detail=str(error))
        terminal(folder, seen)
    looked = ", ".join(f"{count} {kind}" for kind, count in sorted(seen.looked.items()))
    arrived = {kind: len(markers) for kind, markers in seen.arrived.items() if kind != "terminal"}
    for kind in ("dossier html", "dossier markdown", "dossier json", "ir", "report.html", "junit.xml"):
        if len(seen.arrived.get(kind, ())) < MIN_SHOWN:
            seen.problems.append(f"{kind}: only {len(seen.arrived.get(kind, ()))} of the {len(TEXTS)} texts arrived: nothing was at risk")
    figure = f"{len(TEXTS)} documents ({failed} refused by their parser), {looked}; {len(seen.problems)} problems"
    return result(figure, passed=not seen.problems, detail=listed(seen.problems, 30) or json.dumps({"arrived": arrived}))


def unseen(chromium: Browser) -> list[str]:
    """A page that does everything wrong, first with and then without a policy: what is not seen of it."""
    wrong = (
        b"<!doctype html><title>x</title><img src='http://127.0.0.1:9/x' onerror='window.__hit=1;alert(1)'><a href='java\tscript:x()'>x</a>"
    )
    free = chromium.inspect(Served(wrong), WIDTH)
    bound = chromium.inspect(Served(wrong, {"Content-Security-Policy": "default-src 'none'"}), WIDTH)
    seen = {
        "dialog": free.dialogs,
        "request": free.requests,
        "element": free.suspects,
        "console": bound.console,
        "policy": bound.violations,
    }
    return [kind for kind, found in seen.items() if not found]


def send(api: Api, hostile: tuple[Hostile, ...], seen: Seen) -> int:
    """Ingest all; how many documents failed (with a reason: that is an answer, too)."""
    until = time.monotonic() + JOB_LIMIT_S
    jobs = [(item, api.ingest(item.source, item.content)) for item in hostile]
    failed = 0
    for item, job in jobs:
        for document in api.wait_job(job, time.sleep, lambda: time.monotonic() > until)["documents"]:
            if document["state"] == "failed":
                failed += 1
                say(f"{item.marker} ({item.source}) failed: {json.dumps(document['reason'])[:200]}")
                if "a defect of the platform" in json.dumps(document["reason"]):
                    seen.problems.append(f"ingest {item.marker}: an unexpected error: {document['reason']}")
    say(f"{len(jobs)} hostile documents ingested, {failed} failed")
    return failed


def answers(api: Api, chromium: Browser, seen: Seen) -> None:
    """Every output of the API for every document, and for topics and queries that are hostile themselves."""
    for row in list(api.documents(state="completed")):
        doc_id = row["doc_id"]
        data(api, "GET", f"/v1/documents/{quoted(doc_id)}/ir", None, "ir", seen)
        data(api, "GET", f"/v1/documents/{quoted(doc_id)}/chunks", None, "chunks", seen)
        conditions = [name for name in api.ir(doc_id)["metadata"]["conditions"] if "HOSTILE" not in name]
        topic = {"condition": conditions[0] if conditions else "Migraine"}
        dossiers(api, chromium, {"topic": topic, "filters": {"doc_ids": [doc_id]}}, doc_id, seen)
    for number, text in enumerate(TEXTS):
        data(api, "POST", "/v1/retrieve", {"query": f"HOSTILE{number:02} {text}"[:2000], "top_k": 10}, "retrieve", seen)
        dossiers(api, chromium, {"topic": {"condition": f"migraine {text}"[:200]}}, f"topic {number}", seen)
    for path in ("../../../etc/passwd", "\x1b[31m", "<script>", "a\r\nX-Evil: 1"):
        response = api.http.get(f"/v1/documents/{quoted(path)}")
        if response.status_code not in {400, 404} or RAW_CONTROL.search(response.content) or "x-evil" in response.headers:
            seen.problems.append(f"document {path!r}: answered {response.status_code}: {response.text[:100]!r}")
    data(api, "GET", "/v1/kg/export?limit=1000", None, "graph", seen)


def data(api: Api, method: str, path: str, body: Any, kind: str, seen: Seen) -> None:
    """A JSON output: it decodes, says that it is JSON, and holds no raw control character."""
    response = api.http.request(method, path, json=body)
    if not answered(response, body, f"{kind} {path}", seen):
        return
    seen.look(kind, response.text)
    json.loads(response.content)
    if not response.headers["content-type"].startswith("application/json") or RAW_CONTROL.search(response.content):
        seen.problems.append(f"{kind} {path}: not JSON as it should be: {response.headers['content-type']}")


def answered(response: Response, body: Any, name: str, seen: Seen) -> bool:
    """Whether there is an output to look at. Only a text with control characters may be refused, and the refusal holds none of them."""
    if response.status_code == 200:
        return True
    if response.status_code == 400 and any(REFUSED.search(text) for text in strings(body)):
        seen.look("refusal", response.text)
        if RAW_CONTROL.search(response.content):
            seen.problems.append(f"{name}: the refusal repeats a control character")
    else:
        seen.problems.append(f"{name}: answered {response.status_code}: {response.text[:200]}")
    return False


def strings(body: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, dict | list):
        for item in body.values() if isinstance(body, dict) else body:
            yield from strings(item)


def dossiers(api: Api, chromium: Browser, request: dict[str, Any], name: str, seen: Seen) -> None:
    """The three forms of one dossier; HTML as served, Markdown rendered as the most permissive reader would."""
    for form in ("json", "html", "markdown"):
        response = api.http.post("/v1/briefing/dossier", json={**request, "format": form})
        kind = f"dossier {form}"
        if not answered(response, request, f"{kind} {name}", seen):
            continue
        seen.look(kind, response.text)
        if form == "json":
            json.loads(response.content)
            continue
        seen.control(kind, name, response.text)
        if form == "html":
            policy = {
                key: value
                for key, value in response.headers.items()
                if key.lower() in {"content-security-policy", "x-content-type-options"}
            }
            page = Served(response.content, policy)
        else:
            rendered = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(response.text)
            page = Served(f"<!doctype html><meta charset=utf-8><title>Markdown</title>{rendered}".encode())
        found = chromium.inspect(page, WIDTH)
        seen.problems += [f"{kind} {name}: {item}" for item in found.problems()]
        if "49 " in found.text and "{{7*7}}" in json.dumps(request):
            seen.problems.append(f"{kind} {name}: a template was evaluated")


def hostile_run(folder: Path) -> tuple[Path, str]:
    """A run whose tests, titles, details and notes are the hostile texts; and what the terminal says of it."""
    said = io.StringIO()
    run = Run(folder / "reports", registry=Registry.discover(), project=PROJECT, mode="verify", publishers=publishers(), seed=1)
    with run.layer("hostile"):
        for number, text in enumerate(TEXTS):
            spoiled = f"HOSTILE{number:02} {text}"
            verdict = (Verdict.PASS, Verdict.FAIL, Verdict.BLOCKED)[number % 3]
            outcome = TestOutcome(
                node=f"suites/x.py::test[{spoiled}]", layer="hostile", verdict=verdict, duration_s=0.1, detail=spoiled, title=spoiled
            )
            run.journal.emit(outcome)
            run.journal.emit(Note(trial="", text=spoiled))
    finished = run.finish()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        console = Console()
        print_summary(finished, console, as_json=False)
        console.say(TEXTS[17])
    return finished.folder, said.getvalue()


def reports(folder: Path, chromium: Browser, seen: Seen) -> None:
    """report.html in Chromium, junit.xml as XML, the summary on a terminal."""
    run, said = hostile_run(folder)
    page = (run / "report.html").read_bytes()
    found = chromium.inspect(Served(page), WIDTH)
    seen.look("report.html", page.decode())
    seen.control("report.html", "", page.decode())
    seen.problems += [f"report.html: {item}" for item in found.problems()]
    junit = (run / "junit.xml").read_bytes()
    ET.fromstring(junit)
    seen.look("junit.xml", junit.decode())
    seen.control(
        "junit.xml", "", "".join(text for element in ET.fromstring(junit).iter() for text in (*element.attrib.values(), element.text or ""))
    )
    seen.look("terminal", said)
    seen.control("terminal", "summary", said)
    for path in sorted((run / "allure-results").glob("*.json")):
        json.loads(path.read_bytes())
        seen.looked["allure"] += 1


def terminal(folder: Path, seen: Seen) -> None:
    """Arguments and file contents come back in messages; so do whole runs."""
    run = next(path for path in (folder / "reports").iterdir() if not path.is_symlink())
    evil = folder / "evil\x1b[31m.yaml"
    evil.write_bytes("name: \x1b[2J\nlayr: \u202egnp\n<script>: 1\n".encode())
    commands = [["run", str(evil), "--reports", str(folder / "r")], ["recheck", str(run)], ["recheck", "no\x1b]0;x\x07where"]]
    commands += [
        ["report", str(run), "--to", str(folder / "again")],
        ["down", "\x1b[31mid"],
        ["verify", "--only", "\x1b[31mlayer"],
        ["\x1b[31m"],
    ]
    for command in commands:
        done = subprocess.run([HARNESS, *command], cwd=PROJECT, capture_output=True, text=True, errors="replace", timeout=120, check=False)
        seen.look("terminal", done.stdout + done.stderr)
        seen.control("terminal", f"harness {command[0]!r}", done.stdout + done.stderr)
        if "Traceback" in done.stderr:
            seen.problems.append(f"terminal {command[0]!r}: a traceback: {done.stderr[-200:]}")


if __name__ == "__main__":
    sys.exit(main())
