"""The validating process: ``python -m harness.shacl.validate OUT LIMIT_BYTES USE DATA SHAPES…`` judges and writes a ``ShaclReport``.

A process of its own, so that a graph that blows up memory or time ends here, and rdflib's switches are set for nobody else. Exit 3: an
input cannot be used (message on stderr).
"""

from __future__ import annotations

import contextlib
import logging
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import msgspec

from harness.core.errors import UsageError
from harness.shacl.judging import Use, judge
from harness.shacl.reading import read_file
from harness.shacl.shapes import ShapesGraph

UNUSABLE: Final = 3


def main(arguments: Sequence[str]) -> int:
    out, limit, use, data, *shapes = arguments
    with contextlib.suppress(ValueError, OSError):  # a lower hard limit, or a platform without it: the time bound remains
        resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    logging.disable()  # rdflib tells of every literal that is none of its type: here they are judged
    try:
        report = judge(ShapesGraph([read_file(Path(path)) for path in shapes]), read_file(Path(data)), cast("Use", use))
    except UsageError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    Path(out).write_bytes(msgspec.json.encode(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
