"""The model ports over HTTP: our own servers and every server with OpenAI's embeddings API, vLLM included.

One client may be used from many threads. Long lists are sent in requests of at most 64 texts. A connection that the server closed
between two requests is tried once more (embedding is idempotent); every other absence is ``Unavailable`` at once, so that the
caller's own retry policy decides.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec
import numpy as np
import numpy.typing as npt

from system.platform.errors import BadInput, Unavailable
from system.platform.ports import SparseVector

TEXTS_PER_REQUEST = 64
_RETRIED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
_IDLE_S = 30.0
_UNIT_TOLERANCE = 1e-3
_DETAIL_CHARACTERS = 300

Json = Mapping[str, str | int | bool | Sequence[str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Overlong:
    """What to ask of the server for a text above its limit: extra fields of the request."""

    fields: Mapping[str, int | bool]


REFUSE = Overlong({})  # the server answers 400
TRUNCATE = Overlong({"truncate": True})  # our servers


def vllm_truncate(tokens: int) -> Overlong:
    """The field that vLLM knows: keep the first ``tokens`` tokens."""
    return Overlong({"truncate_prompt_tokens": tokens})


class _Dense(msgspec.Struct):
    index: int
    embedding: list[float] | str


class _Sparse(msgspec.Struct):
    index: int
    indices: list[int] | str
    values: list[float] | str


_Datum = TypeVar("_Datum", _Dense, _Sparse)


class _DenseAnswer(msgspec.Struct):
    data: list[_Dense]


class _SparseAnswer(msgspec.Struct):
    data: list[_Sparse]


class _Endpoint:
    """One route of one server: posts texts, turns whatever goes wrong into the platform's errors."""

    def __init__(self, service: str, url: str, route: str, model: str, timeout_s: float, overlong: Overlong) -> None:
        self._service = service
        self._route = route
        self._fields: Json = {"model": model, "encoding_format": "base64", **overlong.fields}
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=_IDLE_S)
        # trust_env off: a proxy of the machine must never stand between the parts of one stack.
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=timeout_s, limits=limits, trust_env=False)

    def post(self, texts: Sequence[str]) -> bytes:
        try:
            body = msgspec.json.encode({**self._fields, "input": list(texts)})
        except UnicodeEncodeError as error:
            raise BadInput(f"a text is not valid Unicode: {error}", "input", "remove lone surrogates from the text") from error
        response = self._send(body)
        if response.status_code == httpx.codes.OK:
            return response.content
        raise self._refusal(response)

    def ping(self) -> None:
        """The server's own health check, which runs an inference; raises ``Unavailable``."""
        try:
            status = self._client.get("/health").status_code
        except httpx.HTTPError as error:
            raise Unavailable(self._service, f"{type(error).__name__}: {error}") from error
        if status != httpx.codes.OK:
            raise Unavailable(self._service, f"health answers {status}")

    def strange(self, detail: str) -> Unavailable:
        """An answer that is not what the API promises: the server, not the caller, is at fault."""
        return Unavailable(self._service, f"its answer cannot be used: {detail}")

    def close(self) -> None:
        self._client.close()

    def _send(self, body: bytes) -> httpx.Response:
        headers = {"content-type": "application/json"}
        try:
            try:
                return self._client.post(self._route, content=body, headers=headers)
            except _RETRIED:
                return self._client.post(self._route, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(self._service, f"{type(error).__name__}: {error}") from error

    def _refusal(self, response: httpx.Response) -> Exception:
        status, detail = response.status_code, _error_message(response)
        if status >= 500 or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS):
            return Unavailable(self._service, f"status {status}: {detail}")
        remedy = "check the model's name and address" if status == httpx.codes.NOT_FOUND else "send texts the model can take"
        return BadInput(f"{self._service} refused the request with {status}: {detail}", self._route, remedy)


class _Client:
    """What both ports share."""

    def __init__(self, endpoint: _Endpoint) -> None:
        self._endpoint = endpoint

    def ping(self) -> None:
        """A real inference on the server; raises ``Unavailable``."""
        self._endpoint.ping()

    def close(self) -> None:
        self._endpoint.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class HttpDenseModel(_Client):
    """``DenseModel`` over ``/v1/embeddings``; raises ``Unavailable``, or ``BadInput`` for what the server refuses."""

    def __init__(self, url: str, model: str, timeout_s: float, *, dimensions: int = 384, overlong: Overlong = TRUNCATE) -> None:
        super().__init__(_Endpoint("the dense model", url, "/v1/embeddings", model, timeout_s, overlong))
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Unit vectors of ``dimensions`` floats, in the order of ``texts``."""
        return [vector for part in _parts(texts) for vector in self._embed_part(part)]

    def _embed_part(self, texts: Sequence[str]) -> list[list[float]]:
        try:
            answer = msgspec.json.decode(self._endpoint.post(texts), type=_DenseAnswer)
            return [self._unit(_numbers(datum.embedding, "<f4")) for datum in _ordered(answer.data, len(texts))]
        except (msgspec.DecodeError, ValueError) as error:
            raise self._endpoint.strange(str(error)) from error

    def _unit(self, row: npt.NDArray[np.generic]) -> list[float]:
        vector = row.astype(np.float64)
        norm = float(np.linalg.norm(vector))
        if len(vector) != self.dimensions or not np.isfinite(norm) or norm == 0:
            raise ValueError(f"a vector of {len(vector)} numbers and length {norm}, expected {self.dimensions} and 1")
        scaled: list[float] = (vector if abs(norm - 1) <= _UNIT_TOLERANCE else vector / norm).tolist()
        return scaled


class HttpSparseModel(_Client):
    """``SparseModel`` over ``/v1/sparse_embeddings``; raises as ``HttpDenseModel`` does."""

    def __init__(self, url: str, model: str, timeout_s: float, *, overlong: Overlong = TRUNCATE) -> None:
        super().__init__(_Endpoint("the sparse model", url, "/v1/sparse_embeddings", model, timeout_s, overlong))

    def encode(self, texts: Sequence[str]) -> Sequence[SparseVector]:
        """Sparse vectors in the order of ``texts``."""
        return [vector for part in _parts(texts) for vector in self._encode_part(part)]

    def _encode_part(self, texts: Sequence[str]) -> list[SparseVector]:
        try:
            answer = msgspec.json.decode(self._endpoint.post(texts), type=_SparseAnswer)
            return [_sparse(datum) for datum in _ordered(answer.data, len(texts))]
        except (msgspec.DecodeError, ValueError) as error:
            raise self._endpoint.strange(str(error)) from error


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), TEXTS_PER_REQUEST):
        yield texts[start : start + TEXTS_PER_REQUEST]


def _ordered(data: list[_Datum], expected: int) -> list[_Datum]:
    ordered = sorted(data, key=lambda datum: datum.index)
    if [datum.index for datum in ordered] != list(range(expected)):
        raise ValueError(f"{len(data)} vectors for {expected} texts, or wrong indices")
    return ordered


def _numbers(value: list[float] | list[int] | str, dtype: str) -> npt.NDArray[np.generic]:
    if not isinstance(value, str):
        return np.asarray(value, dtype=np.float64)
    try:
        return np.frombuffer(base64.b64decode(value, validate=True), dtype=dtype)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _sparse(datum: _Sparse) -> SparseVector:
    indices = _numbers(datum.indices, "<u4").astype(np.int64)
    values = _numbers(datum.values, "<f4").astype(np.float64)
    if len(indices) != len(values) or np.any(np.diff(indices) <= 0) or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError("indices must ascend and each have a positive weight")
    return SparseVector(tuple(indices.tolist()), tuple(values.tolist()))


def _error_message(response: httpx.Response) -> str:
    """The message of OpenAI's envelope, of vLLM's older flat one, of FastAPI's ``detail``, or the beginning of the body."""
    try:
        decoded = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return response.text[:_DETAIL_CHARACTERS] or "no body"
    error = decoded.get("error", decoded) if isinstance(decoded, dict) else decoded
    message = (error.get("message") or error.get("detail") or error) if isinstance(error, dict) else error
    return str(message)[:_DETAIL_CHARACTERS]
