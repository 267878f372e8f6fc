"""Fetching data sets: resumed, checked, unpacked by known names only."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from harness.cli.fetching import DataFile, convert, download, read_manifest, write_sums
from harness.core.errors import HarnessError, UsageError

CONTENT = b"0123456789" * 1000


class _Handler(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges."""

    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).seen.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_part_is_continued_and_the_whole_is_checked(address: str, tmp_path: Path) -> None:
    """What is there already is not asked for again, and the sum is that of the whole file."""
    (tmp_path / "s-f.part").write_bytes(CONTENT[:4000])
    file = DataFile("s", "f", address, "gzip", sha256=hashlib.sha256(CONTENT).hexdigest())
    assert download(file, tmp_path, lambda _text: None).read_bytes() == CONTENT
    assert _Handler.seen[-1] == "bytes=4000-"


def test_a_wrong_sum_is_thrown_away(address: str, tmp_path: Path) -> None:
    """A file that is not the one of the manifest is refused and does not stay."""
    with pytest.raises(HarnessError, match="sha256"):
        download(DataFile("s", "f", address, "gzip", sha256="0" * 64), tmp_path, lambda _text: None)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_source_names_the_remedy(tmp_path: Path) -> None:
    """No network is one line with what to do."""
    with pytest.raises(HarnessError, match="run it again"):
        download(DataFile("s", "f", "http://127.0.0.1:9/none", "gzip"), tmp_path, lambda _text: None)


def test_an_archive_cannot_choose_a_path(tmp_path: Path) -> None:
    """Members of other names are left where they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil", "x")
        for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "qrels/train.tsv"):
            archive.writestr(f"set/{name}", f"content of {name}")
    path = tmp_path / "a.zip"
    path.write_bytes(buffer.getvalue())
    convert(DataFile("set", "a.zip", "", "beir-zip"), path, tmp_path / "out")
    found = sorted(item.relative_to(tmp_path).as_posix() for item in tmp_path.rglob("*") if item.is_file())
    assert found == ["a.zip", *(f"out/set/{name}" for name in ("corpus.jsonl.gz", "qrels/test.tsv", "qrels/train.tsv", "queries.jsonl.gz"))]


def test_a_registry_page_becomes_lines(tmp_path: Path) -> None:
    """Each study of a page is a line, and the sums name every file."""
    path = tmp_path / "page"
    path.write_text(json.dumps({"studies": [{"a": 1}, {"b": 2}]}))
    convert(DataFile("ct", "studies.jsonl.gz", "", "ctgov-page"), path, tmp_path / "out")
    assert gzip.decompress((tmp_path / "out/ct/studies.jsonl.gz").read_bytes()) == b'{"a": 1}\n{"b": 2}\n'
    write_sums(tmp_path / "out")
    assert (tmp_path / "out/SHA256SUMS").read_text().endswith("ct/studies.jsonl.gz\n")


def test_the_shipped_manifest_is_usable_and_a_broken_one_names_its_file(tmp_path: Path) -> None:
    """The manifest of the project loads; a wrong key is an error with the file's name."""
    shipped = read_manifest(Path(__file__).parents[3] / "samples" / "datasets.toml")
    assert {file.set for file in shipped} >= {"scifact", "clinicaltrials_gov", "jats", "dailymed_spl", "pubmed_xml"}
    (tmp_path / "m.toml").write_text('[[file]]\nset = "x"\nadress = "y"\n')
    with pytest.raises(UsageError, match=r"m\.toml"):
        read_manifest(tmp_path / "m.toml")
