"""Tokenise and run one model with onnxruntime; a text's vector depends on the text alone.

The rule that makes a cached vector equal to a recomputed one, bit for bit on one machine: a text is always run at the same
padded length, chosen from its own token count. Up to 64 tokens it is padded to the next multiple of 16 and may share an
inference with texts of the same padded length (rows do not influence each other, measured: difference 0.0). A longer text runs
alone and unpadded: sharing gains nothing there, as one text already fills the matrix products. Padding to the longest of a
mixed batch would change the last bits (1.5e-8) and be slower.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from system.models.catalog import ModelSpec
from system.models.weights import GRAPH_FILE, is_prepared
from system.platform.errors import BadInput

TokenIds = tuple[int, ...]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.uint32]

SHARED_TOKENS = 64  # texts up to this length share inferences
BUCKET_TOKENS = 16
SHARED_TEXTS = 16  # texts in one inference, at most
_ENCODER_VERSION = 1  # raise when tokenising, padding or the stored form changes
_SPARSE_DTYPE = np.dtype([("index", "<u4"), ("value", "<f4")])


def padded_length(tokens: int) -> int:
    """The length a text of ``tokens`` tokens is always run at."""
    return -(-tokens // BUCKET_TOKENS) * BUCKET_TOKENS if tokens <= SHARED_TOKENS else tokens


def batches(texts: Sequence[TokenIds]) -> Iterator[list[int]]:
    """Positions grouped into inferences: one padded length each, at most ``SHARED_TEXTS``, long texts alone."""
    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    batch: list[int] = []
    for position in order:
        if batch and not can_share(texts[batch[0]], texts[position], len(batch)):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def can_share(first: TokenIds, other: TokenIds, size: int) -> bool:
    """Whether ``other`` may join a batch of ``size`` texts begun by ``first``."""
    return len(first) <= SHARED_TOKENS and padded_length(len(first)) == padded_length(len(other)) and size < SHARED_TEXTS


class Encoder:
    """One loaded model. Thread-safe: inferences may run in several threads, each with ``threads`` threads of its own."""

    def __init__(self, spec: ModelSpec, models_dir: Path, *, threads: int = 1) -> None:
        if not is_prepared(spec, models_dir):
            raise BadInput(f"model {spec.name} is not prepared", str(models_dir), "run `python -m system.models.weights`")
        folder = spec.folder(models_dir)
        self.spec = spec
        self.fingerprint = _fingerprint(spec)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._end = _token(self._tokenizer, "[SEP]")
        self._session = _session(folder / GRAPH_FILE, threads)

    def tokenise(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids with [CLS] and [SEP], not truncated; raises ``ValueError`` for text that is not valid Unicode."""
        return [tuple(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]

    def truncated(self, ids: TokenIds) -> TokenIds:
        """At most ``max_tokens`` ids, the end mark kept."""
        limit = self.spec.max_tokens
        return ids if len(ids) <= limit else (*ids[: limit - 1], self._end)

    def infer(self, batch: Sequence[TokenIds]) -> list[bytes]:
        """Vectors in their stored form (see ``dense_vector``, ``sparse_vector``) for texts of one padded length."""
        width = padded_length(len(batch[0]))
        ids = np.zeros((len(batch), width), dtype=np.int64)
        mask = np.zeros((len(batch), width), dtype=np.int64)
        for row, text in enumerate(batch):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        vectors = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return [row.astype("<f4").tobytes() if self.spec.kind == "dense" else _sparse_bytes(row) for row in vectors]

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """Vectors of ``texts`` in order, over-long ones truncated."""
        tokens = [self.truncated(ids) for ids in self.tokenise(texts)]
        vectors = [b""] * len(tokens)
        for batch in batches(tokens):
            for position, vector in zip(batch, self.infer([tokens[position] for position in batch]), strict=True):
                vectors[position] = vector
        return vectors


def dense_vector(stored: bytes) -> Floats:
    """float32 (width,), unit length."""
    return np.frombuffer(stored, dtype="<f4")


def sparse_vector(stored: bytes) -> tuple[Indices, Floats]:
    """Ascending vocabulary indices and their positive weights, equally long."""
    pairs = np.frombuffer(stored, dtype=_SPARSE_DTYPE)
    return np.ascontiguousarray(pairs["index"]), np.ascontiguousarray(pairs["value"])


def _sparse_bytes(row: Floats) -> bytes:
    indices = np.flatnonzero(row > 0)
    pairs = np.empty(len(indices), dtype=_SPARSE_DTYPE)
    pairs["index"], pairs["value"] = indices, row[indices]
    return pairs.tobytes()


def _session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning gains microseconds alone and costs whole cores where other processes share them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _token(tokenizer: Tokenizer, text: str) -> int:
    found: int | None = tokenizer.token_to_id(text)
    if found is None:
        raise BadInput(f"the tokenizer lacks {text}", "tokenizer.json", "run `python -m system.models.weights` again")
    return found


def _fingerprint(spec: ModelSpec) -> str:
    # Another runtime or processor family may differ in the last bits: it gets vectors of its own.
    parts = (spec.digest, str(_ENCODER_VERSION), onnxruntime.__version__, platform.machine())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
