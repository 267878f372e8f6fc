"""The driver ``retrieval_oracle``: the exact answers of a pool of questions, computed beforehand over everything that is indexed.

Independent of the code that is judged: chunk texts, sparse postings and dense vectors are read from the index, word statistics are
counted anew from the texts, every chunk is scored for every question by every retriever, nothing is skipped or approximated. Only the
question's own vectors come from the model servers. The rules (BM25F, min-max, weights, candidates) are those the platform documents.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import httpx
import msgspec
import numpy as np
import numpy.typing as npt
import psycopg
import Stemmer

from harness.core.errors import Blocked, HarnessError
from harness.journal.events import Note
from harness.load.recall import TIE, Exact, Oracle, request_key
from harness.load.requests import bodies, request_kind
from harness.run.context import store_evidence
from harness.run.protocols import MetricSpec, StepContext

K1, B, TITLE_BOOST = 0.9, 0.35, 2.0
WEIGHTS = {"bm25": 0.3, "dense": 0.4, "sparse": 0.3}
CANDIDATES = 500
DEPTH = 20
SCALE = 1e9
BATCH = 32
_STOPPED = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with"
)
STOP_WORDS = frozenset(_STOPPED.split())
_STEMMER = Stemmer.Stemmer("english")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_IDENTIFIER = re.compile(r"\bNCT\d{8}\b|\bPMC\d{3,9}\b|\bPMID\b", re.IGNORECASE)
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
T = TypeVar("T")


class RetrievalOracle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``requests``: the request kind of ``harness.toml`` whose pool is answered."""

    requests: str


class RetrievalOracleDriver:
    """Evidence ``oracle``."""

    name: ClassVar[str] = "retrieval_oracle"
    parameters: ClassVar[type[msgspec.Struct]] = RetrievalOracle
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})

    def run(self, context: StepContext, parameters: RetrievalOracle) -> None:
        """Raises ``Blocked`` without a stack of ours: the index itself is read."""
        if context.stack is None:
            raise Blocked("an exact oracle is made from the index of a stack of this run")
        environment = context.stack.environment("gateway")
        pool = bodies(request_kind(context.configuration, parameters.requests), context.project)
        asked = [json.loads(body) for body in pool]
        questions = [" ".join(one["query"].split()) for one in asked]
        if any(_IDENTIFIER.search(question) for question in questions) or any(set(one) - {"query", "top_k"} for one in asked):
            raise HarnessError("the oracle knows plain questions only: no identifiers, no filters")
        index = read_index(environment["EH_SEARCH_URL"], context.stack.secret("search_password"))
        dense = list(_dense(environment["EH_EMBED_URL"], questions))
        sparse = list(_sparse(environment["EH_SPLADE_URL"], questions))
        answers = []
        for body, question, vector, weights in zip(pool, questions, dense, sparse, strict=True):
            ids, scores = index.answer(question, vector, weights)
            answers.append(Exact(request_key(body.decode()), ids, scores))
        made = Oracle(items=len(index.ids), made_by="exhaustive scoring of every indexed chunk", answers=tuple(answers))
        store_evidence(context, self.name, "oracle", msgspec.json.encode(made))
        context.journal.emit(Note(trial=context.trial, text=f"exact oracle: {len(answers)} questions over {len(index.ids)} chunks"))


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One text field of all chunks: how often each word stands in which of them, and how long each is."""

    lengths: Floats
    postings: Mapping[str, tuple[Places, Floats]]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Field:
        counted = [terms(text) for text in texts]
        found: dict[str, list[tuple[int, float]]] = {}
        for place, words in enumerate(counted):
            for word, times in words.items():
                found.setdefault(word, []).append((place, times))
        return cls(np.array([words.total() for words in counted], dtype=float), _columns(found))

    def counts(self, word: str) -> Floats:
        """Of this word in every chunk."""
        counts = np.zeros(len(self.lengths))
        if word in self.postings:
            places, times = self.postings[word]
            counts[places] = times
        return counts

    @property
    def norm(self) -> Floats:
        """What a count is divided by: long fields say a word more often."""
        normed: Floats = 1 - B + B * self.lengths / (self.lengths.mean() or 1.0)
        return normed


@dataclasses.dataclass(frozen=True, slots=True)
class Index:
    """Everything that is indexed, as columns in the order of ``ids``, which ascend."""

    ids: Sequence[str]
    title: Field
    text: Field
    dense: Floats
    sparse: Mapping[int, tuple[Places, Floats]]  # term -> chunks, weights

    def answer(self, question: str, vector: Floats, weights: Mapping[int, float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Ids and fused scores of the best ``DEPTH``, and of all that tie with the last of them."""
        lists = {"bm25": self._bm25(terms(question)), "sparse": self._sparse(weights), "dense": self._dense(vector)}
        fused, touched = np.zeros(len(self.ids)), np.zeros(len(self.ids), dtype=bool)
        for name, scores in lists.items():
            chosen = _best(scores)[:CANDIDATES]
            if not len(chosen):
                continue
            low, high = scores[chosen].min(), scores[chosen].max()
            fused[chosen] += WEIGHTS[name] * ((scores[chosen] - low) / (high - low) if high > low else 1.0)
            touched[chosen] = True
        order = _best(np.where(touched, fused, np.nan))
        least = fused[order[DEPTH - 1]] * (1 - 2 * TIE) if len(order) >= DEPTH else -1.0
        kept = order[: max(DEPTH, int((fused[order] >= least).sum()))]
        return tuple(self.ids[place] for place in kept), tuple(fused[kept].tolist())

    def _bm25(self, asked: Counter[str]) -> Floats:
        count, title_norm, text_norm = len(self.ids), self.title.norm, self.text.norm
        scores = np.full(count, np.nan)
        for word, times in asked.items():
            title, text = self.title.counts(word), self.text.counts(word)
            holds = (title + text) > 0
            found = int(holds.sum())
            if found:
                weight = times * np.log(1 + (count - found + 0.5) / (found + 0.5))
                frequency = TITLE_BOOST * title / title_norm + text / text_norm
                part = np.rint(weight * (1 - K1 / (K1 + frequency)) * SCALE)
                scores[holds] = np.nan_to_num(scores[holds]) + part[holds]
        return scores / SCALE

    def _sparse(self, weights: Mapping[int, float]) -> Floats:
        scores = np.full(len(self.ids), np.nan)
        for term, weight in weights.items():
            if term in self.sparse:
                places, stored = self.sparse[term]
                scores[places] = np.nan_to_num(scores[places]) + np.rint(stored * weight * SCALE)
        return scores / SCALE

    def _dense(self, vector: Floats) -> Floats:
        product: Floats = self.dense @ vector
        return product


def _best(scores: Floats) -> Places:
    """Places of all that matched (NaN: no match), best first; ties in the order of the ids."""
    matched = np.flatnonzero(~np.isnan(scores))
    best: Places = matched[np.argsort(-scores[matched], kind="stable")]
    return best


def terms(text: str) -> Counter[str]:
    """Lower case, words, no stop words, Snowball stems."""
    words = [word.replace("’", "'")[:64] for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower())]
    return Counter(_STEMMER.stemWords([word for word in words if word not in STOP_WORDS]))


def read_index(url: str, password: str) -> Index:
    """All chunks with their vectors; raises ``HarnessError`` when there is none."""
    with psycopg.connect(url, password=password, connect_timeout=10) as connection:
        chunks = connection.execute("SELECT chunk, chunk_id, title_path, body FROM chunks ORDER BY chunk_id").fetchall()
        vectors: dict[int, str] = dict(connection.execute("SELECT chunk, embedding::text FROM dense_vectors").fetchall())
        postings = connection.execute("SELECT term, chunk, weight FROM sparse_postings ORDER BY term, chunk").fetchall()
    if not chunks:
        raise HarnessError("nothing is indexed: an oracle over nothing answers nothing")
    places = {chunk: place for place, (chunk, *_) in enumerate(chunks)}
    stored: dict[int, list[tuple[int, float]]] = {}
    for term, chunk, weight in postings:
        stored.setdefault(term, []).append((places[chunk], float(np.float32(weight))))
    return Index(
        ids=[row[1] for row in chunks],
        title=Field.of([row[2] for row in chunks]),
        text=Field.of([row[3] for row in chunks]),
        dense=np.array([json.loads(vectors[row[0]]) for row in chunks], dtype=np.float32).astype(np.float64),
        sparse=_columns(stored),
    )


def _columns(found: Mapping[T, Sequence[tuple[int, float]]]) -> Mapping[T, tuple[Places, Floats]]:
    return {
        name: (np.array([place for place, _ in pairs], dtype=np.int64), np.array([value for _, value in pairs], dtype=float))
        for name, pairs in found.items()
    }


def _dense(url: str, questions: Sequence[str]) -> Iterator[Floats]:
    for datum in _asked(url, "/v1/embeddings", questions):
        yield np.frombuffer(base64.b64decode(datum["embedding"]), dtype="<f4").astype(np.float64)


def _sparse(url: str, questions: Sequence[str]) -> Iterator[Mapping[int, float]]:
    for datum in _asked(url, "/v1/sparse_embeddings", questions):
        indices = np.frombuffer(base64.b64decode(datum["indices"]), dtype="<u4")
        values = np.frombuffer(base64.b64decode(datum["values"]), dtype="<f4")
        yield dict(zip(indices.tolist(), values.astype(np.float64).tolist(), strict=True))


def _asked(url: str, route: str, questions: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    with httpx.Client(base_url=url, timeout=120.0, trust_env=False) as http:
        model = http.get("/v1/models").raise_for_status().json()["data"][0]["id"]
        for start in range(0, len(questions), BATCH):
            body = {"model": model, "input": list(questions[start : start + BATCH]), "encoding_format": "base64", "truncate": True}
            data = http.post(route, json=body).raise_for_status().json()["data"]
            yield from sorted(data, key=lambda datum: int(datum["index"]))
