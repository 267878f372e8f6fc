"""The bar ``grounding``: ``harness up``, ingest the corpus over the API, run the stand-alone script, ``harness down``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from harness.run.protocols import Target
from scripts.bars.support import PROJECT, call, corpus, ingest, result, say
from suites.wing.api import Api

SAMPLE_TOPICS = ("cardiac failure", "insomnia", "hypertension", "migraine")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", action="store_true", help="the sample corpus, also where there is real data")
    options = parser.parse_args()
    started = call("up", "--json")
    if started.returncode != 0:
        return result("the system did not start", passed=False, detail=started.stderr[-2000:])
    stack = json.loads(started.stdout)
    try:
        return _check(stack["url"], Path(stack["secrets"]) / "api_key_admin", sample=options.sample)
    finally:
        stopped = call("down", stack["stack"])
        say(stopped.stdout.strip() or stopped.stderr.strip())


def _check(url: str, key_file: Path, *, sample: bool) -> int:
    chosen = corpus(sample=sample)
    began = time.monotonic()
    target = Target(url, {"admin": key_file.read_text(encoding="utf-8").strip()}, "X-API-Key")
    with Api(target) as api:
        documents = ingest(api, chosen)
        topics = _conditions(api) if chosen.sample else []
    failed = [f"{item['doc_id']}: {item['reason']}" for item in documents if item["state"] != "completed"]
    say(f"{len(documents)} documents of the {chosen.name} ingested in {time.monotonic() - began:.1f} s, {len(failed)} failed")
    if failed:
        return result(f"{len(failed)} documents were not ingested", passed=False, detail="\n".join(failed[:5]))
    script = Path(__file__).with_name("grounding.py")
    named = [argument for topic in topics for argument in ("--topic", topic)]
    # -I: the script cannot see the project, so it cannot lean on it.
    command = [sys.executable, "-I", str(script), "--url", url, "--key-file", str(key_file), *named]
    return subprocess.run(command, cwd=PROJECT, check=False, timeout=600).returncode


def _conditions(api: Api) -> list[str]:
    """Topics of the sample corpus: the conditions that its trials name."""
    texts = {item for row in api.documents(source="ctgov") for item in api.ir(row["doc_id"])["metadata"]["conditions"]}
    return sorted(texts)[:4] or list(SAMPLE_TOPICS)


if __name__ == "__main__":
    raise SystemExit(main())
