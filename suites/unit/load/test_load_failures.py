"""Failed requests: told by status and cause, one reason for all of them once and first, and no secret anywhere in the run's folder."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.secrets import redacted
from harness.core.units import Duration, Rate
from harness.core.verdict import Verdict
from harness.journal.events import LoadFailure, Table
from harness.load.failures import Failures, FailuresChecker, failure_table, reasons
from harness.load.open_loop import OpenLoop, OpenLoopDriver

KIND = {"op": "fetch", "path": "/fetch?token=abcdefgh", "key": "reader", "pool": "pool.jsonl"}
KEY = "top-secret-key"
Make = Callable[..., Any]


@pytest.fixture
def away() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def drive(place: Any, port: int, **kind: Any) -> Any:
    (place.project / "pool.jsonl").write_text('{"q": 1}\n')
    given = {"rate": Rate.parse("50 /s"), "duration": Duration.parse("1 s"), "requests": "ask", "timeout": Duration.parse("500 ms")}
    context = place.context(f"http://127.0.0.1:{port}", {**KIND, **kind})
    OpenLoopDriver().run(context, OpenLoop(**given))
    return place.view()


def explained(view: Any) -> Any:
    return FailuresChecker().explain(view, "t", "load")


def tables(view: Any) -> list[Table]:
    return [item.event for item in view.events("table") if isinstance(item.event, Table)]


def failures(view: Any) -> list[LoadFailure]:
    return [item.event for item in view.events("load.failure") if isinstance(item.event, LoadFailure)]


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("action", "kind", "words"),
    [
        ("401", {}, ("all 50 requests of step load were answered 401 Unauthorized", "the key of role reader is refused", "[target] keys")),
        ("403", {}, ("403 Forbidden", "role reader")),
        ("401", {"key": ""}, ("no key was sent",)),
        ("500", {}, ("500 Internal Server Error", "the service itself fails")),
        ("429", {}, ("429 Too Many Requests", "limits the rate")),
        ("never", {}, ("brought no answer in time", "stands still")),
        ("reset", {}, ("connection was closed under the request", "service is away")),
        ("not json", {"expect_nonempty": "results"}, ("not what `expect` asks for",)),
    ],
)
def test_one_reason_of_all_requests_is_one_row_with_its_remedy(
    place: Any, server: Make, action: str, kind: dict[str, Any], words: tuple[str, ...]
) -> None:
    view = drive(place, server(dict.fromkeys(range(50), action)).port, **kind)
    found = explained(view)
    assert [(row.check, row.verdict) for row in found.rows] == [("t.one_reason", Verdict.FAIL)]
    assert [word for word in words if word not in found.rows[0].reason] == []
    assert found.whole == {"load"}


def test_a_service_that_is_away_is_said_with_the_reason_of_the_system(place: Any, away: int) -> None:
    (row,) = explained(drive(place, away)).rows
    assert "all 50 requests of step load found no connection (Connection refused): the service is away" in row.reason


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (dict.fromkeys(range(0, 50, 10), "503"), "5 × 503 Service Unavailable"),
        ({3: "503", 4: "503", 9: "401", 20: "never"}, "2 × 503 Service Unavailable, 1 × 401 Unauthorized, 1 × timeout"),
        ({number: "401" if number % 2 else "503" for number in range(50)}, "25 × 401 Unauthorized, 25 × 503 Service Unavailable"),
        (dict.fromkeys(range(49), "500"), "49 × 500 Internal Server Error"),
    ],
)
def test_failures_of_several_causes_are_counted_and_have_no_one_reason(place: Any, server: Make, script: dict[int, str], said: str) -> None:
    found = explained(drive(place, server(script).port))
    assert found.rows == ()
    assert found.met == {"load": said}


def test_the_table_and_the_examples_hold_each_kind_once(place: Any, server: Make) -> None:
    view = drive(place, server({**dict.fromkeys(range(10), "503"), **dict.fromkeys(range(20, 25), "401")}).port)
    (table,) = tables(view)
    assert [row[1:] for row in table.rows] == [
        ("http_error", "503", "503 Service Unavailable", "10", "20.00 %"),
        ("http_error", "401", "401 Unauthorized", "5", "10.00 %"),
    ]
    assert sum(int(row[4]) for row in table.rows) == sum(reasons(view.samples("requests", "t")).values())
    assert sorted((one.op, one.status, one.role) for one in failures(view)) == [("fetch", 401, "reader"), ("fetch", 503, "reader")]
    shown = failures(view)[0]
    assert shown.request.startswith("POST /fetch?token=[redacted] HTTP/1.1\nAccept: application/json")
    assert shown.response.startswith("HTTP/1.1 ")


def test_a_run_without_failures_has_no_table_and_the_checker_passes(place: Any, server: Make) -> None:
    view = drive(place, server({}).port)
    assert (tables(view), failures(view), explained(view).rows) == ([], [], ())
    assert [row.verdict for row in FailuresChecker().check(view, "t", "load", Failures())] == [Verdict.PASS]


def test_no_key_and_no_cookie_is_in_any_file_of_the_run_folder(place: Any, server: Make) -> None:
    drive(place, server(dict.fromkeys(range(50), "echo")).port)
    written = everything_written(place.run_folder)
    assert b"echoed" in written
    assert [word for word in (KEY, "crumbs-of-a-session") if word.encode() in written] == []
    assert all(
        len(part) <= 500 for one in failures(place.view()) for part in (one.request.split("\n\n")[-1], one.response.split("\n\n")[-1])
    )


@pytest.mark.parametrize(
    "text",
    [
        "key s3cr3t-of-reader refused",
        "Authorization: Bearer s3cr3t-of-reader",
        '{"detail": {"api_key": "other-one"}}',
        "cut off: s3cr3t-of-rea",
        "czNjcjN0LW9mLXJlYWRlcg==",
        "https://host/x?access_token=s3cr3t-of-reader&y=1",
        "Cookie: session=abc",
        "password = 'hunter 22'",
    ],
)
def test_what_is_secret_or_named_like_a_secret_is_not_shown(text: str) -> None:
    shown = redacted(text, ("s3cr3t-of-reader",))
    assert "[redacted]" in shown
    assert [word for word in ("s3cr3t", "other-one", "czNj", "abc", "hunter") if word in shown] == []


@pytest.mark.parametrize("text", ["the monkey is fine", '{"results": [1], "count": 3}', "HTTP/1.1 503 Service Unavailable", ""])
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert redacted(text, ("s3cr3t-of-reader", "")) == text


KINDS = st.tuples(
    st.sampled_from(["a", "b", "a<b>"]), st.sampled_from(["http_error", "timeout", "bad_body"]), st.sampled_from([0, 401, 503, 799])
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(KINDS, max_size=80), st.integers(0, 50))
def test_the_sums_over_the_table_are_the_failed_requests(failed: list[tuple[str, str, int]], good: int) -> None:
    table = failure_table("t", "s", len(failed) + good, Counter(failed))
    assert sum(int(row[4]) for row in table.rows) == len(failed)
    assert table.note == f"{len(failed)} of {len(failed) + good} requests failed."
