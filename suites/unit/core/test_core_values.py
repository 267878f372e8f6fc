"""Units, seeds, clock, secrets, text, JSON: small things that everything stands on."""

from __future__ import annotations

import copy
import json
import pickle
import re
import threading
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core import jsonio, text
from harness.core.clock import FakeClock, SystemClock
from harness.core.errors import Blocked, DamagedRun, UsageError, UsageErrors, exit_code, nearest_word
from harness.core.secrets import Secret
from harness.core.seeds import Seeds
from harness.core.units import Duration, Quantity, Rate, Share, Size, known_units


@pytest.mark.parametrize(
    ("kind", "written", "base"),
    [
        (Duration, "800 ms", Fraction(4, 5)),
        (Duration, "15min", Fraction(900)),
        (Rate, "10 /s", Fraction(10)),
        (Rate, "30 /min", Fraction(1, 2)),
        (Share, "1 %", Fraction(1, 100)),
        (Share, "0.88", Fraction(22, 25)),
        (Size, "20 MiB", Fraction(20 * 2**20)),
        (Quantity, "2 %/h", Fraction(1, 180000)),
        (Quantity, "10 MB/h", Fraction(10**7, 3600)),
    ],
)
def test_quantities_are_exact(kind: type[Quantity], written: str, base: Fraction) -> None:
    """A quantity keeps the exact value of what was written, in the base unit of its dimension."""
    assert kind.parse(written).base == base


@given(st.decimals(min_value=0, max_value=9_999, places=3), st.sampled_from(known_units()))
def test_a_quantity_reads_back_what_it_prints(number: object, unit: str) -> None:
    """Printing and reading a quantity gives an equal one."""
    quantity = Quantity.parse(f"{number} {unit}")
    assert Quantity.parse(str(quantity)) == quantity


@pytest.mark.parametrize(
    ("kind", "written", "says"),
    [
        (Duration, "5", "is a number, not a time"),
        (Duration, "5 sec", "known units: "),
        (Rate, "10 s", "is a time, not a number per time"),
        (Duration, "-1 s", "is negative"),
        (Size, "many", "is not a number with a unit"),
        (Duration, "1" * 200 + " s", "is not a number with a unit"),
        (Duration, "inf s", "is not a number with a unit"),
        (Duration, "9e999 s", "is out of range"),
        (Share, "1e-300 %", "is out of range"),
    ],
)
def test_a_wrong_quantity_says_how_to_write_it(kind: type[Quantity], written: str, says: str) -> None:
    """The error names what is wrong and shows a right form or the known units."""
    with pytest.raises(UsageError, match=re.escape(says)):
        kind.parse(written)


def test_streams_of_one_seed_are_independent_and_repeatable() -> None:
    """The same seed and name give the same draws; another name gives others; drawing from one does not move another."""
    first, second = Seeds(7), Seeds(7)
    first.stream("other").random()
    assert first.stream("load").random() == second.stream("load").random()
    assert first.stream("load").random() != first.stream("chaos").random()
    assert Seeds(7).derive("load") == 601171697290404092  # pinned: a change would silently change every plan


def test_a_seed_out_of_range_is_refused() -> None:
    """A seed is a whole number of at most 63 bits."""
    with pytest.raises(ValueError, match="a seed is"):
        Seeds(2**63)


def test_the_fake_clock_moves_only_when_told() -> None:
    """A wait on the fake clock takes no real time and moves it by its length; without autojump somebody must advance it."""
    clock = FakeClock()
    assert clock.wait(3600.0) is False
    assert clock.monotonic_ns() == 3600 * 10**9
    manual, done = FakeClock(autojump=False), threading.Event()
    waiter = threading.Thread(target=lambda: (manual.wait(10.0), done.set()))
    waiter.start()
    manual.advance(9.0)
    assert not done.is_set()
    manual.advance(1.0)
    waiter.join(5.0)
    assert done.is_set()


def test_a_wait_ends_early_when_it_is_cancelled() -> None:
    """A set cancel ends a wait of any clock at once and says so."""
    cancel = threading.Event()
    cancel.set()
    assert SystemClock().wait(60.0, cancel) is True
    assert FakeClock(autojump=False).wait(60.0, cancel) is True


def test_a_secret_is_refused_by_everything_that_writes() -> None:
    """Printing hides it; formatting, JSON, msgspec, pickle and copy refuse."""
    secret = Secret("s3cr3t-value")
    assert "s3cr3t" not in f"{secret!r}" + str([secret])
    for write in (
        lambda: f"{secret}",
        lambda: json.dumps(secret),
        lambda: jsonio.canonical({"key": secret}),
        lambda: msgspec.json.encode(secret),
        lambda: msgspec.to_builtins(secret),
        lambda: pickle.dumps(secret),
        lambda: copy.deepcopy(secret),
    ):
        with pytest.raises(TypeError):
            write()
    assert secret.reveal() == "s3cr3t-value"
    assert secret == Secret("s3cr3t-value")
    assert secret != "s3cr3t-value"


@given(st.text())
def test_cleaned_text_is_harmless_and_stays_clean(given_text: str) -> None:
    """No control, bidirectional or lone surrogate character is left, and cleaning twice changes nothing more."""
    cleaned = text.clean(given_text)
    assert not [c for c in cleaned if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000]
    assert not set(cleaned) & set("\u202e\u2066\u200f\ufeff")
    assert text.clean(cleaned) == cleaned
    assert len(text.outside(given_text * 50)) <= text.OUTSIDE_TEXT_LIMIT


def test_terminal_sequences_are_removed_whole() -> None:
    """ANSI sequences leave no rest behind."""
    assert text.clean("\x1b[31mred\x1b[0m\x1b]0;title\x07!") == "red!"


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(formula: str) -> None:
    """A cell that would be a formula gets an apostrophe."""
    assert text.csv_cell(formula).startswith("'")
    assert text.csv_cell("plain") == "plain"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_canonical_json_has_one_form(value: object) -> None:
    """Encoding what was decoded gives the same bytes."""
    encoded = jsonio.canonical(value)
    assert jsonio.canonical(json.loads(encoded)) == encoded


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}])
def test_canonical_json_refuses_what_has_no_one_form(value: object) -> None:
    """NaN, infinities, bytes and sets are errors."""
    with pytest.raises((TypeError, ValueError)):
        jsonio.canonical({"value": value})


def test_an_atomic_write_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that breaks before the rename leaves the old content and no temporary file."""
    path = tmp_path / "file.json"
    jsonio.write_atomic(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.core.jsonio.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        jsonio.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_say_file_place_remedy_and_map_to_exit_codes() -> None:
    """A usage error reads file:line:column: place: message (nearest); remedy. Each kind has its exit code."""
    error = UsageError("unknown key 'layr'", file="a.yaml", line=3, column=1, place="layr", nearest="layer", remedy="rename it")
    assert str(error) == "a.yaml:3:1: layr: unknown key 'layr' (did you mean 'layer'?); rename it"
    assert str(UsageErrors([UsageError("b", file="f", line=2), UsageError("a", file="f", line=1)])) == "f:1: a\nf:2: b"
    assert [exit_code(e) for e in (error, Blocked("x"), DamagedRun("x"), KeyboardInterrupt(), ValueError())] == [2, 3, 1, 130, 5]


def test_the_nearest_word_is_found_regardless_of_case() -> None:
    """A typing mistake finds its word; a strange word finds none."""
    assert nearest_word("RESPONSE_TIM", ["response_time", "errors"]) == "response_time"
    assert nearest_word("zzz", ["response_time", "errors"]) == ""
