"""The bar ``openapi_documents``: the reader over the OpenAPI documents of real services; none crashes, none loses an operation.

Besides the shared collection it reads every document under the folders of ``HARNESS_OPENAPI_DIRS`` (``:`` between them), such as
checkouts of services that publish theirs. The operations are counted a second time here, without the reader.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.contract.fuzzing import read_document
from harness.contract.openapi import operations
from harness.core.errors import HarnessError
from harness.run.project import load_project
from scripts.bars.support import PROJECT, listed, result

ARCHIVE = "contract_diff/oasdiff_openapi.tar.gz"
FOLDERS = "HARNESS_OPENAPI_DIRS"
MAX_BYTES = 8_000_000
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def main() -> int:
    services, documents, found, problems = set(), 0, 0, []
    for name, content in _files():
        try:
            document = read_document(content)
        except ValueError:
            continue  # the collection has files that are no documents on purpose
        if not str(document.get("openapi", "")).startswith("3."):
            continue
        documents += 1
        info = document.get("info") or {}
        services.add((str(info.get("title")), str(info.get("version"))))
        try:
            read = operations(document)
        except HarnessError as error:
            problems.append(f"{name}: {error}")
            continue
        found += len(read)
        counted = _counted(document)
        if counted != len(read):
            problems.append(f"{name}: {counted} operations, {len(read)} read")
        problems += [f"{name}: {operation.url_path} has a template left" for operation in read if "{" in operation.url_path]
    figure = f"{documents} documents of {len(services)} services and versions, {found} operations, {len(problems)} problems"
    if not documents:
        return result("no document is at hand: the shared data sets, or folders in " + FOLDERS, passed=None)
    return result(figure, passed=not problems and len(services) >= 30, detail=listed(problems))


def _files() -> Iterator[tuple[str, bytes]]:
    data = load_project(PROJECT).data_dir()
    archive = data / ARCHIVE if data is not None else None
    if archive is not None and archive.is_file():
        with tarfile.open(archive) as files:
            for member in files:
                stream = files.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield member.name, stream.read(MAX_BYTES)
    for folder in filter(None, os.environ.get(FOLDERS, "").split(":")):
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in {".json", ".yaml", ".yml"} and path.is_file() and path.stat().st_size < MAX_BYTES:
                yield path.name, path.read_bytes()


def _counted(document: Mapping[str, Any]) -> int:
    """Operations by hand: the methods of each path, a ``$ref`` of the path followed once."""
    count = 0
    for path, item in (document.get("paths") or {}).items():
        if not str(path).startswith("/") or not isinstance(item, dict):
            continue
        entry = dict(item)
        target: Any = document
        for part in str(entry.get("$ref", ""))[2:].split("/") if "$ref" in entry else ():
            target = target[part.replace("~1", "/").replace("~0", "~")]
        entry = {**(target if "$ref" in entry else {}), **entry}
        count += sum(isinstance(entry.get(method), dict) for method in METHODS)
    return count


if __name__ == "__main__":
    raise SystemExit(main())
