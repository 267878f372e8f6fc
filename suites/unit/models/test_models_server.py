"""The model server as its clients meet it: a real process, OpenAI's shapes, refusals, overload, restarts."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from suites.unit.waiting import wait_for
from system.models.catalog import PROJECT, SPECS, Kind
from system.models.client import HttpDenseModel, HttpSparseModel
from system.models.encoder import Encoder, dense_vector, sparse_vector

if TYPE_CHECKING:
    from suites.unit.models.conftest import Server

ROUTES = {"dense": "/v1/embeddings", "sparse": "/v1/sparse_embeddings"}


def ask(server: Server, kind: Kind, **fields: object) -> httpx.Response:
    return server.http.post(ROUTES[kind], json={"model": server.model, **fields})


def test_dense_answers_have_the_shape_of_openai(servers: dict[Kind, Server]) -> None:
    """The answer is a list of embeddings in order, with the model and the tokens used."""
    answer = ask(servers["dense"], "dense", input=["aspirin", "a stroke"]).json()
    assert (answer["object"], answer["model"]) == ("list", "all-minilm-l6-v2")
    assert [(d["object"], d["index"], len(d["embedding"])) for d in answer["data"]] == [("embedding", 0, 384), ("embedding", 1, 384)]
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 4


def test_numbers_and_base64_are_the_same_vector(servers: dict[Kind, Server], encoders: dict[Kind, Encoder]) -> None:
    """Both encodings of both models carry exactly the vector that the encoder computes."""
    text = "Ibuprofen and renal function"
    dense = [ask(servers["dense"], "dense", input=text, encoding_format=f).json()["data"][0]["embedding"] for f in ("float", "base64")]
    expected = dense_vector(encoders["dense"].encode([text])[0])
    assert np.array_equal(np.array(dense[0], dtype=np.float32), expected)
    assert base64.b64decode(dense[1]) == expected.tobytes()
    plain, packed = (ask(servers["sparse"], "sparse", input=text, encoding_format=f).json()["data"][0] for f in ("float", "base64"))
    indices, values = sparse_vector(encoders["sparse"].encode([text])[0])
    assert plain["indices"] == indices.tolist()
    assert np.array_equal(np.array(plain["values"], dtype=np.float32), values)
    assert (base64.b64decode(packed["indices"]), base64.b64decode(packed["values"])) == (indices.tobytes(), values.tobytes())


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not an embeddings request"),
        (b"{", 400, "not an embeddings request"),
        (b"\xff\xfe", 400, "not an embeddings request"),
        (b'["all-minilm-l6-v2"]', 400, "not an embeddings request"),
        (b'{"model": "all-minilm-l6-v2"}', 400, "input"),
        (b'{"model": "all-minilm-l6-v2", "input": 5}', 400, "input"),
        (b'{"model": "all-minilm-l6-v2", "input": [[1, 2]]}', 400, "input"),
        (b'{"model": "all-minilm-l6-v2", "input": []}', 400, "input has 0 texts"),
        (b'{"model": "all-minilm-l6-v2", "input": ["a", ""]}', 400, "input[1] is empty"),
        (b'{"model": "all-minilm-l6-v2", "input": "a", "encoding_format": "hex"}', 400, "hex"),
        (b'{"model": "all-minilm-l6-v2", "input": "a", "dimensions": 12}', 400, "384"),
        (b'{"model": "all-minilm-l6-v2", "input": "a", "truncat": true}', 400, "truncat"),
        (b'{"model": "all-minilm-l6-v2", "input": "\\ud800"}', 400, ""),
        (json.dumps({"model": "all-minilm-l6-v2", "input": ["a"] * 257}).encode(), 400, "1 to 256"),
        (json.dumps({"model": "all-minilm-l6-v2", "input": ["a", "risk " * 255]}).encode(), 400, "input[1] has 257 tokens"),
        (b'{"model": "gpt-9", "input": "a"}', 404, "gpt-9"),
        (b'{"model": "all-minilm-l6-v2", "input": "' + b"a" * 9_000_000 + b'"}', 413, "larger"),
    ],
)
def test_bad_requests_are_refused_in_the_envelope(body: bytes, status: int, said: str, servers: dict[Kind, Server]) -> None:
    """Every malformed request gets its code and a message that names the field, and the server stays well."""
    response = servers["dense"].http.post("/v1/embeddings", content=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert said in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert servers["dense"].http.get("/health").status_code == 200


def test_other_routes_and_methods_say_what_there_is(servers: dict[Kind, Server]) -> None:
    """A wrong route is 404 and lists the right ones, a wrong method is 405 with Allow."""
    lost = servers["sparse"].http.post("/v1/embeddings", json={})
    assert lost.status_code == 404
    assert "/v1/sparse_embeddings" in lost.json()["error"]["message"]
    wrong = servers["dense"].http.get("/v1/embeddings")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_overlong_text_is_cut_only_on_request(servers: dict[Kind, Server], encoders: dict[Kind, Encoder]) -> None:
    """With truncate the first tokens count; the cached vector is still refused to who does not ask for it."""
    text = "risk of bleeding " * 200
    cut = ask(servers["dense"], "dense", input=text, truncate=True, encoding_format="base64").json()
    assert base64.b64decode(cut["data"][0]["embedding"]) == encoders["dense"].encode([text])[0]
    assert cut["usage"]["prompt_tokens"] == 256
    servers["dense"].wait_for_metric("eh_model_cache_written", 1)
    refused = ask(servers["dense"], "dense", input=text)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_models_health_and_metrics(servers: dict[Kind, Server]) -> None:
    """The card names the model and its limit, health ran an inference, metrics count requests and batches."""
    for kind, server in servers.items():
        card = server.http.get("/v1/models").json()["data"][0]
        assert (card["id"], card["max_model_len"]) == (SPECS[kind].name, SPECS[kind].max_tokens)
        health = server.http.get("/health").json()
        assert health["status"] == "ok"
        assert health["inference_ms"] > 0
        metrics = server.http.get("/metrics").text
        assert 'eh_model_requests_total{route="/v1/models",status="200"}' in metrics
        assert "eh_model_batch_texts_bucket" in metrics


def test_the_second_time_is_a_cache_hit_with_the_same_bytes(start_server: Callable[..., Server]) -> None:
    """Repeated texts are answered from the cache: same bytes, hits counted, no inference."""
    server = start_server("sparse")
    first = ask(server, "sparse", input=["one text", "another text", "one text"])
    server.wait_for_metric("eh_model_cache_written", 2)
    batches = server.metric("eh_model_batch_texts_count")
    assert ask(server, "sparse", input=["one text", "another text", "one text"]).content == first.content
    assert server.metric("eh_model_batch_texts_count") == batches
    assert (server.metric("eh_model_cache_misses_total"), server.metric("eh_model_cache_hits_total")) == (2, 4)


def test_vectors_survive_kill_9_and_equal_recomputed_ones(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """After kill -9 the next server, of another stack, answers from the cache what a server without it computes."""
    texts = [f"finding number {number} of the trial" for number in range(12)]
    first = start_server("sparse", cache_dir=tmp_path / "shared")
    answer = ask(first, "sparse", input=texts)
    first.wait_for_metric("eh_model_cache_written", 12)
    first.process.kill()
    assert first.process.wait(10) == -signal.SIGKILL
    second = start_server("sparse", cache_dir=tmp_path / "shared")
    assert ask(second, "sparse", input=texts).content == answer.content
    assert second.metric("eh_model_cache_hits_total") == 12
    third = start_server("sparse", cache_dir=tmp_path / "empty")
    one_by_one = [ask(third, "sparse", input=text).json()["data"][0] for text in texts]
    assert [{**datum, "index": index} for index, datum in enumerate(one_by_one)] == answer.json()["data"]


def test_an_unusable_cache_folder_is_said_once_and_nothing_else_changes(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """The server works without its cache and prints one warning that names the folder."""
    blocked = tmp_path / "a file"
    blocked.write_text("")
    server = start_server("sparse", cache_dir=blocked)
    for _ in range(3):
        assert ask(server, "sparse", input="x").status_code == 200
    said = server.end()
    assert said.count("cannot be used") == 1
    assert str(blocked) in said
    assert server.process.returncode == 0


def test_overload_is_503_with_retry_after_and_health_stays_true(start_server: Callable[..., Server]) -> None:
    """With a small queue some of many big requests are refused with a time to wait; the rest are answered; health is ok."""
    server = start_server("dense", "--waiting-texts", "8", "--workers", "1")
    statuses: list[tuple[int, str | None]] = []

    def flood(number: int) -> None:
        texts = [f"document {number} {part} " + "long " * 200 for part in range(8)]
        response = httpx.post(f"{server.url}/v1/embeddings", json={"model": server.model, "input": texts}, timeout=60, trust_env=False)
        statuses.append((response.status_code, response.headers.get("retry-after")))

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    health = server.http.get("/health").status_code
    for thread in threads:
        thread.join()
    assert health == 200
    assert (200, None) in statuses
    refused = [retry for status, retry in statuses if status == 503]
    assert refused
    assert all(retry and 1 <= int(retry) <= 30 for retry in refused)


def test_work_of_a_client_that_went_away_is_dropped(start_server: Callable[..., Server]) -> None:
    """A closed connection takes its waiting texts out of the queue."""
    server = start_server("dense", "--workers", "1")
    body = json.dumps({"model": server.model, "input": [f"{n} " + "long " * 240 for n in range(200)]}).encode()
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        server.wait_for_metric("eh_model_waiting_texts", 100)
    wait_for(lambda: server.metric("eh_model_waiting_texts") == 0, 20)
    assert server.metric("eh_model_batch_texts_count") < 195


def test_the_port_clients_get_what_the_encoder_computes(servers: dict[Kind, Server], encoders: dict[Kind, Encoder]) -> None:
    """Both adapters give vectors in order over several requests, from several threads at once."""
    texts = [f"arm {number} received placebo" for number in range(150)]
    expected_dense = [dense_vector(stored).tolist() for stored in encoders["dense"].encode(texts)]
    expected_sparse = [sparse_vector(stored) for stored in encoders["sparse"].encode(texts)]
    with (
        HttpDenseModel(servers["dense"].url, "all-minilm-l6-v2", 30) as dense,
        HttpSparseModel(servers["sparse"].url, "splade-tiny-msmarco", 30) as sparse,
    ):
        results: list[object] = []
        threads = [threading.Thread(target=lambda: results.append(dense.embed(texts))) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert [(v.indices, v.values) for v in sparse.encode(texts)] == [(tuple(i.tolist()), tuple(v.tolist())) for i, v in expected_sparse]
        for thread in threads:
            thread.join()
        assert results == [expected_dense] * 3
        assert (dense.embed([]), sparse.encode([])) == ([], [])


def test_a_model_that_is_not_prepared_ends_the_start_with_a_remedy(tmp_path: Path) -> None:
    """Without weights the process exits 2 and names the command that prepares them."""
    command = [sys.executable, "-m", "system.models.server", "--model", "dense", "--port", "1", "--models-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "python -m system.models.weights" in done.stderr
