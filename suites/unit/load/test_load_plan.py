"""What is planned before the first request: arrivals, bodies, request kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import UsageError
from harness.load.arrivals import NS, choices, offsets
from harness.load.requests import ID_PLACEHOLDER, RequestKind, bodies, prepared, request_kind

RATES = st.floats(0.5, 5_000)
SEEDS = st.integers(0, 2**63 - 1)


@given(rate=RATES, duration=st.floats(0.1, 3.0))
def test_constant_arrivals_are_evenly_spaced_and_inside(rate: float, duration: float) -> None:
    """The constant shape plans rate × duration arrivals, one gap apart to the nanosecond, none at or after the end."""
    due = offsets("constant", rate, duration, seed=1)
    assert len(due) == round(rate * duration)
    assert np.all(np.abs(np.diff(due) - NS / rate) <= 1)
    assert len(due) == 0 or (due[0] == 0 and due[-1] < duration * NS + NS / rate / 2)


@given(rate=RATES, duration=st.floats(0.1, 3.0), seed=SEEDS)
def test_poisson_arrivals_are_sorted_inside_and_repeatable(rate: float, duration: float, seed: int) -> None:
    """Poisson arrivals are sorted, lie inside the duration, and the same seed gives the same plan to the byte."""
    due = offsets("poisson", rate, duration, seed)
    assert np.all(np.diff(due) >= 0)
    assert np.all((due >= 0) & (due < int(duration * NS)))
    assert due.tobytes() == offsets("poisson", rate, duration, seed).tobytes()


def test_poisson_gaps_have_the_law_of_their_name() -> None:
    """Over 20,000 arrivals mean and deviation of the gaps are 1/rate, the count is that of a Poisson process, another seed differs."""
    due = offsets("poisson", 1_000, 20.0, seed=3)
    gaps = np.diff(due) / NS * 1_000
    assert abs(len(due) - 20_000) < 5 * 20_000**0.5
    assert gaps.mean() == pytest.approx(1.0, abs=0.03)
    assert gaps.std() == pytest.approx(1.0, abs=0.05)
    assert np.mean(gaps > 1.0) == pytest.approx(np.exp(-1), abs=0.02)
    assert due.tobytes() != offsets("poisson", 1_000, 20.0, seed=4).tobytes()


@given(count=st.integers(0, 500), pool=st.integers(1, 60), seed=SEEDS)
def test_every_body_gets_its_turn(count: int, pool: int, seed: int) -> None:
    """Bodies are dealt in whole shuffled passes: their numbers of uses differ by at most one; a seed repeats the deal."""
    dealt = choices(count, pool, seed)
    assert len(dealt) == count
    uses = np.bincount(dealt, minlength=pool)
    assert len(uses) == pool
    assert uses.max() - uses.min() <= 1
    assert dealt.tobytes() == choices(count, pool, seed).tobytes()


@pytest.mark.parametrize(("rate", "duration"), [(0, 1), (-1, 1), (1, 0)])
def test_a_rate_or_duration_that_is_not_positive_is_refused(rate: float, duration: float) -> None:
    """Nothing can be planned without a rate and a duration."""
    with pytest.raises(ValueError, match="above zero"):
        offsets("constant", rate, duration, seed=1)


POOLS = {
    "bad line": (b'{"a": 1}\n\n{"a": }\n', r"pool\.jsonl:3: this line is not JSON"),
    "cut line": (b'{"a": 1}\n{"a": "x', r"pool\.jsonl:2: this line is not JSON"),
    "not UTF-8": (b'{"a": "\xff"}\n', r"pool\.jsonl:1: this line is not JSON"),
    "empty": (b"\n\n", r"pool\.jsonl: the pool has 0 bodies; give 1 to 100000 lines"),
    "missing": (None, r"pool\.jsonl: the request pool cannot be read: No such file"),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_broken_pool_names_file_line_and_remedy(name: str, tmp_path: Path) -> None:
    """A pool that cannot be used is an error with file, line and what to do, before anything is sent."""
    content, message = POOLS[name]
    if content is not None:
        (tmp_path / "pool.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        bodies(RequestKind(op="ask", path="/", pool="pool.jsonl"), tmp_path)


def test_a_pool_gives_its_lines_as_they_are(tmp_path: Path) -> None:
    """Bodies are the bytes of the lines; blank lines are none; a kind without a pool has one empty body."""
    (tmp_path / "pool.jsonl").write_bytes(b'{"a": 1}\n\n  {"b": "\xc3\xa9"}\n')
    assert bodies(RequestKind(op="ask", path="/", pool="pool.jsonl"), tmp_path) == [b'{"a": 1}', '  {"b": "é"}'.encode()]
    assert bodies(RequestKind(op="ask", path="/"), tmp_path) == [b""]


def test_an_unknown_request_kind_names_the_nearest_and_a_wrong_key_its_table() -> None:
    """Mistakes in [requests] are errors with the table and the nearest right word."""
    tables = {"requests": {"retrieve": {"op": "retrieve", "path": "/"}, "odd": {"op": "x", "pth": "/"}}}
    assert request_kind(tables, "retrieve").method == "POST"
    with pytest.raises(UsageError, match=r"did you mean 'retrieve'\?.*\[requests\.retreive\]"):
        request_kind(tables, "retreive")
    with pytest.raises(UsageError, match=r"harness\.toml: \[requests\.odd\]: .*unknown field `pth`"):
        request_kind(tables, "odd")


def test_a_prepared_request_is_http_with_the_key_and_a_place_for_its_id() -> None:
    """The bytes are one whole HTTP/1.1 request: length of the body, the key in its header, 24 characters for the id."""
    payload = prepared(RequestKind(op="ask", path="/ask"), b'{"q": 1}', "127.0.0.1:80", "k", "X-API-Key")
    head, _, body = payload.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1:80\r\n")
    assert b"X-API-Key: k" in head
    assert b"Content-Length: 8" in head
    assert (body, payload.count(ID_PLACEHOLDER)) == (b'{"q": 1}', 1)
    assert b"Content-Length" not in prepared(RequestKind(op="ask", path="/", method="GET"), b"", "h", "", "X-API-Key")
