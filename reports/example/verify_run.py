"""Verify a run folder of the Evidence Harness with the standard library only.

    python3 verify_run.py [FOLDER] [SHA-256 of manifest.json, as it was printed]

Checks: the manifest against the given hash, every file against the manifest, the hash chain of journal.jsonl, the
segments and evidence named in it, and the last hash in summary.json. Exit 0 when all agree, 1 naming the first wrong file.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

REFERRING = {"samples.segment": "sha256", "evidence.captured": "sha256", "trial.started": "plan_sha256"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def check_manifest(folder: Path, expected: str) -> int:
    content = (folder / "manifest.json").read_bytes()
    if expected and sha256(content) != expected.strip().lower():
        raise ValueError("manifest.json: its SHA-256 is not the one given")
    wanted = json.loads(content)["files"]
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() or p.is_symlink()}
    found.pop("manifest.json")
    for name in sorted(set(wanted) | set(found)):
        if name not in found:
            raise ValueError(f"{name}: missing")
        if name not in wanted:
            raise ValueError(f"{name}: not in the manifest")
        if found[name].is_symlink() or sha256(found[name].read_bytes()) != wanted[name]:
            raise ValueError(f"{name}: changed")
    return len(wanted)


def check_journal(folder: Path) -> "tuple[str, dict[str, str]]":
    """Follow the chain; returns the last hash and the files that events vouch for."""
    prev = "0" * 64
    files: dict[str, str] = {}
    lines = (folder / "journal.jsonl").read_bytes().split(b"\n")[:-1]  # an open tail is no line
    for number, raw in enumerate(lines, start=1):
        line = json.loads(raw)
        wanted, before = line.pop("hash"), line.pop("prev")
        if before != prev or line["seq"] != number - 1 or sha256(prev.encode() + canonical(line)) != wanted:
            raise ValueError(f"journal.jsonl: line {number} was changed")
        prev = wanted
        field = REFERRING.get(line["name"])
        if field:
            files[line["data"]["plan_path" if field == "plan_sha256" else "path"]] = line["data"][field]
    return prev, files


def verify(folder: Path, expected: str) -> str:
    count = check_manifest(folder, expected)
    last, files = check_journal(folder)
    for name, digest in sorted(files.items()):
        if ".." in Path(name).parts or Path(name).is_absolute() or sha256((folder / name).read_bytes()) != digest:
            raise ValueError(f"{name}: not what the journal vouches for")
    summary = json.loads((folder / "summary.json").read_bytes())
    if summary["journal_last_hash"] != last:
        raise ValueError("summary.json: its last hash is not the journal's")
    return f"{summary['verdict']}: {count} files, {len(files)} vouched for by the journal, last hash {last}"


def main(arguments: "list[str]") -> int:
    folder = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    try:
        print("verified", verify(folder, arguments[1] if len(arguments) > 1 else ""))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"NOT VERIFIED {error}", file=sys.stderr)
        return 1
    if len(arguments) < 2:
        print("note: without the printed hash of manifest.json only the folder's agreement with itself is shown")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
