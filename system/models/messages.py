"""What the model server's requests and answers look like: OpenAI's embeddings API and its sparse sibling."""

from __future__ import annotations

import base64
from typing import Literal

import msgspec

from system.models.catalog import Kind
from system.models.encoder import dense_vector, sparse_vector

INPUTS_LIMIT = 256
Encoding = Literal["float", "base64"]


class EmbeddingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of both routes. ``truncate`` (ours) cuts over-long texts instead of refusing them."""

    model: str
    input: str | list[str]
    encoding_format: Encoding = "float"
    dimensions: int | None = None
    user: str | None = None
    truncate: bool = False

    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class DenseDatum(msgspec.Struct, frozen=True):
    """One vector: numbers, or base64 of little-endian float32."""

    index: int
    embedding: list[float] | str
    object: str = "embedding"


class SparseDatum(msgspec.Struct, frozen=True):
    """One sparse vector: numbers, or base64 of little-endian uint32 indices and float32 values."""

    index: int
    indices: list[int] | str
    values: list[float] | str
    object: str = "sparse_embedding"


class Usage(msgspec.Struct, frozen=True):
    """Tokens that were run."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(msgspec.Struct, frozen=True):
    """The answer of both routes."""

    data: list[DenseDatum] | list[SparseDatum]
    model: str
    usage: Usage
    object: str = "list"


class RequestError(Exception):
    """A request that is answered with OpenAI's error envelope."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    def body(self) -> bytes:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return msgspec.json.encode({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})


def decode_request(body: bytes, model: str, width: int) -> EmbeddingRequest:
    """The request; raises ``RequestError`` 400 naming the field, 404 for a model that is not served here."""
    try:
        request = msgspec.json.decode(body, type=EmbeddingRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(400, f"the body is not an embeddings request: {error}", code="invalid_body") from error
    if request.model != model:
        message = f"The model `{request.model}` does not exist; this server serves `{model}`."
        raise RequestError(404, message, param="model", code="model_not_found")
    if request.dimensions not in (None, width):
        raise RequestError(400, f"this model gives {width} dimensions only", param="dimensions")
    _check_texts(request)
    return request


def _check_texts(request: EmbeddingRequest) -> None:
    texts = request.texts()
    if not 1 <= len(texts) <= INPUTS_LIMIT:
        raise RequestError(400, f"input has {len(texts)} texts; give 1 to {INPUTS_LIMIT}", param="input")
    for position, text in enumerate(texts):
        if not text:
            raise RequestError(400, f"input[{position}] is empty", param="input")


def encode_response(kind: Kind, model: str, vectors: list[bytes], tokens: int, encoding: Encoding) -> bytes:
    """The JSON answer for vectors in their stored form."""
    data = [_datum(kind, index, vector, encoding) for index, vector in enumerate(vectors)]
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": Usage(tokens, tokens)})


def _datum(kind: Kind, index: int, stored: bytes, encoding: Encoding) -> DenseDatum | SparseDatum:
    if kind == "dense":
        return DenseDatum(index, _base64(stored) if encoding == "base64" else dense_vector(stored).tolist())
    indices, values = sparse_vector(stored)
    if encoding == "base64":
        return SparseDatum(index, _base64(indices.tobytes()), _base64(values.tobytes()))
    return SparseDatum(index, indices.tolist(), values.tolist())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
