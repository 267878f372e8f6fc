"""``python -m system.models.server --model dense|sparse --port N``: one small model behind HTTP on the loopback.

Reads ``EH_MODELS_DIR`` (where the models are) and ``EH_MODEL_CACHE_DIR`` (vectors; without it nothing is cached). Exit status:
0 after SIGTERM, 2 when the model is not prepared.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from system.models.app import ModelApp
from system.models.catalog import SPECS, default_models_dir
from system.models.encoder import Encoder
from system.models.scheduler import Limits
from system.models.service import EmbeddingService
from system.models.vector_cache import DEFAULT_LIMIT_BYTES, VectorCache
from system.platform.errors import PlatformError

_STOP_LIMIT_S = 2
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so they never meet one that is just closing


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        encoder = Encoder(SPECS[given.model], given.models_dir, threads=given.threads)
    except PlatformError as error:
        print(f"{given.model} model server: {error}", file=sys.stderr)
        return 2
    cache_dir = os.environ.get("EH_MODEL_CACHE_DIR")
    cache = VectorCache(Path(cache_dir) if cache_dir else None, given.cache_bytes)
    limits = Limits(workers=given.workers, waiting_texts=given.waiting_texts)
    _serve(ModelApp(EmbeddingService(encoder, cache, limits)), given.port)
    return 0


def _serve(app: ModelApp, port: int) -> None:
    # Once it has stopped cleanly, uvicorn raises the signal again: this handler makes that an exit with status 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_LIMIT_S,
    )


def _parser() -> argparse.ArgumentParser:
    limits = Limits()
    parser = argparse.ArgumentParser(prog="python -m system.models.server", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", choices=sorted(SPECS), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--models-dir", type=Path, default=default_models_dir(), help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads of one inference (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=limits.workers, help="inferences at a time (default: %(default)s)")
    parser.add_argument("--waiting-texts", type=int, default=limits.waiting_texts, help="queue bound (default: %(default)s)")
    parser.add_argument("--cache-bytes", type=int, default=DEFAULT_LIMIT_BYTES, help="cache bound (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
