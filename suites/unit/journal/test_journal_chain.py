"""The journal's chain: what was written reads back, what was changed is found, what was torn is readable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness.core.clock import FakeClock
from harness.core.errors import DamagedRun
from harness.core.secrets import Secret
from harness.journal.events import EVENT_TYPES, Measured, Note
from harness.journal.events_doc import events_page
from harness.journal.hub import JournalClient, JournalHub
from harness.journal.reader import read_journal
from harness.journal.segments import REQUESTS, SegmentWriter, read_segment, read_stream
from harness.journal.writer import JournalError, JournalWriter

PROJECT = Path(harness.__file__).parents[1]


def write(path: Path, texts: list[str]) -> None:
    writer = JournalWriter(path, FakeClock())
    for line in texts:
        writer.append(Note(trial="t", text=line))
    writer.close()


@pytest.fixture(scope="module")
def journal_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, ["one", "zwei ✓", "three"])
    return path.read_bytes()


def test_events_read_back_as_they_were_written(tmp_path: Path) -> None:
    """Every event comes back equal, in order, with its times, and the last hash agrees with the writer's."""
    writer = JournalWriter(tmp_path / "j", FakeClock(5))
    events = [Note(trial="t", text="one"), Measured(trial="t", metric="rto", unit="s", value=0.1, tags={"fault": "kill"})]
    for event in events:
        writer.append(event, sync=True)
    writer.close()
    journal = read_journal(tmp_path / "j")
    assert [line.event for line in journal.lines] == events
    assert (journal.last_hash, journal.open_tail) == (writer.last_hash, False)
    assert journal.lines[0].mono_ns == 5


def test_the_same_clock_gives_the_same_bytes(tmp_path: Path) -> None:
    """A journal is a function of its events and its clock."""
    write(tmp_path / "a", ["one", "two"])
    write(tmp_path / "b", ["one", "two"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_found(journal_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Flipping any bit breaks the chain at a named line (in the last newline: leaves an open tail and a shorter chain)."""
    place = data.draw(st.integers(0, len(journal_bytes) - 1))
    changed = bytearray(journal_bytes)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / "flipped.jsonl"
    path.write_bytes(changed)
    if place == len(journal_bytes) - 1:
        assert read_journal(path).open_tail
        return
    with pytest.raises(DamagedRun, match=r"flipped.jsonl:[123]: "):
        read_journal(path)


@pytest.mark.parametrize("kept", [[1, 2], [0, 2], [1, 0, 2]])
def test_removed_and_reordered_lines_are_found(journal_bytes: bytes, tmp_path: Path, kept: list[int]) -> None:
    """A line that is missing or out of place breaks the chain."""
    lines = journal_bytes.splitlines()
    (tmp_path / "j").write_bytes(b"".join(lines[index] + b"\n" for index in kept))
    with pytest.raises(DamagedRun, match="chain is broken"):
        read_journal(tmp_path / "j")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_prefix_of_a_journal_is_readable(journal_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut anywhere, the whole lines before the cut read back and the rest is an open tail."""
    cut = data.draw(st.integers(0, len(journal_bytes)))
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    path.write_bytes(journal_bytes[:cut])
    journal = read_journal(path)
    assert len(journal.lines) == journal_bytes[:cut].count(b"\n")
    assert journal.open_tail == (cut > 0 and not journal_bytes[:cut].endswith(b"\n"))


def test_text_from_outside_is_cleaned_and_bounded(tmp_path: Path) -> None:
    """Control characters never reach the file and a long text is cut with its length said."""
    write(tmp_path / "j", ["\x1b[31mred\x00\u202e", "x" * 10_000])
    first, second = (line.data["text"] for line in read_journal(tmp_path / "j").lines)
    assert first == "red"
    assert len(second) == 4_000
    assert second.endswith("(10000 characters)")


def test_an_event_without_one_byte_form_is_refused_and_the_chain_goes_on(tmp_path: Path) -> None:
    """Infinity and secrets are errors of the caller; the journal stays good."""
    writer = JournalWriter(tmp_path / "j")
    with pytest.raises(JournalError, match="measured"):
        writer.append(Measured(trial="t", metric="m", unit="s", value=float("inf")))
    with pytest.raises(JournalError):
        writer.append(Note(trial="t", text=Secret("hidden")))  # type: ignore[arg-type]
    writer.append(Note(trial="t", text="fine"))
    writer.close()
    assert len(read_journal(tmp_path / "j").lines) == 1
    assert b"hidden" not in (tmp_path / "j").read_bytes()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that breaks within a line takes back its half; when there is room again the chain goes on."""
    writer = JournalWriter(tmp_path / "j")
    writer.append(Note(trial="t", text="one"))
    real = os.write

    room = [20]

    def full(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[: room.pop()])

    with monkeypatch.context() as patched:
        patched.setattr("harness.journal.writer.os.write", full)
        with pytest.raises(JournalError, match="No space left"):
            writer.append(Note(trial="t", text="lost"))
    writer.append(Note(trial="t", text="two"))
    writer.close()
    journal = read_journal(tmp_path / "j")
    assert [line.data["text"] for line in journal.lines] == ["one", "two"]
    assert not journal.open_tail


def test_a_closed_or_existing_journal_is_never_written(tmp_path: Path) -> None:
    """A journal is written once, from its start to its close."""
    writer = JournalWriter(tmp_path / "j")
    writer.close()
    with pytest.raises(JournalError, match="closed"):
        writer.append(Note(trial="", text="late"))
    with pytest.raises(FileExistsError):
        JournalWriter(tmp_path / "j")


def test_processes_and_threads_share_one_chain(tmp_path: Path) -> None:
    """Events from clients and from the owner's threads are all in one unbroken chain, each acknowledged after it was written."""
    hub = JournalHub(tmp_path / "journal.jsonl")
    seen: list[str] = []
    hub.observe(lambda event: seen.append(type(event).NAME))

    def send() -> None:
        with JournalClient(hub.address) as client:
            for number in range(20):
                client.emit(Note(trial="t", text=str(number)), sync=number % 10 == 0)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        hub.emit(Note(trial="t", text="own"))
    for thread in threads:
        thread.join(20.0)
    hub.close()
    assert len(read_journal(tmp_path / "journal.jsonl").lines) == len(seen) == 80
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]


def test_a_long_folder_falls_back_to_loopback(tmp_path: Path) -> None:
    """Where the path of a socket is too long, the address is loopback TCP and works the same; a wrong token writes nothing."""
    folder = tmp_path / ("long" * 20) / ("path" * 20)
    folder.mkdir(parents=True)
    hub = JournalHub(folder / "journal.jsonl")
    assert hub.address.startswith("tcp:127.0.0.1:")
    with JournalClient(hub.address) as client:
        client.emit(Note(trial="t", text="here"))
    with JournalClient(hub.address.rpartition("#")[0] + "#wrong") as stranger, pytest.raises(JournalError):
        stranger.emit(Note(trial="t", text="forged"))
    hub.close()
    assert len(read_journal(folder / "journal.jsonl").lines) == 1


def test_a_client_learns_why_its_event_was_refused(tmp_path: Path) -> None:
    """An event with a wrong field is answered with the reason and the connection goes on."""
    hub = JournalHub(tmp_path / "journal.jsonl")
    with JournalClient(hub.address) as client:
        with pytest.raises(JournalError, match="Expected `str`"):
            client.emit(Note(trial="t", text=5))  # type: ignore[arg-type]
        client.emit(Note(trial="t", text="fine"))
    hub.close()


def test_a_client_without_an_owner_says_so(tmp_path: Path) -> None:
    """Connecting where nobody listens is an error that names the place."""
    with pytest.raises(JournalError, match="no journal at"):
        JournalClient(f"unix:{tmp_path / 'nothing'}#token")


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from harness.core.clock import NS_PER_S
from harness.journal.events import Note
from harness.journal.segments import REQUESTS, SegmentWriter
from harness.journal.writer import JournalWriter

class Emit:
    def __init__(self, writer): self.writer = writer
    def emit(self, event, *, sync=False): self.writer.append(event, sync=sync)

folder = Path(sys.argv[1])
journal = JournalWriter(folder / "journal.jsonl")
samples = SegmentWriter("requests", REQUESTS, folder, Emit(journal), trial="t")
number = 0
while True:
    samples.append(op="retrieve", intended_ns=number, sent_ns=number, outcome="ok")
    samples.flush()
    journal.append(Note(trial="t", text=str(number)))
    number += 1
    print(number, flush=True)
"""


@pytest.mark.parametrize("tail", [b"", b'{"seq":2,"na'])
def test_a_journal_is_gone_on_with_behind_its_last_whole_line(tmp_path: Path, tail: bytes) -> None:
    """A second writer, the first being done, keeps the chain whole and cuts off an open tail; without a line it begins at the first."""
    path = tmp_path / "journal.jsonl"
    for lines in ([], ["one", "two"], ["three"]):
        writer = JournalWriter(path, resume=path.exists())
        for text in lines:
            writer.append(Note(trial="", text=text))
        writer.close()
        path.write_bytes(path.read_bytes() + (tail if lines else b""))
    journal = read_journal(path)
    assert [line.event.text for line in journal.lines if isinstance(line.event, Note)] == ["one", "two", "three"]
    assert journal.open_tail is bool(tail)


def test_a_killed_process_leaves_a_readable_prefix(tmp_path: Path) -> None:
    """After SIGKILL every acknowledged journal line and every flushed sample reads back, in order, without a gap."""
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    assert process.stdout is not None
    acknowledged = 0
    deadline = time.monotonic() + 60
    while acknowledged < 300 and time.monotonic() < deadline:
        acknowledged = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.communicate(timeout=10)[0].splitlines()
    acknowledged = int(rest[-1]) if rest and rest[-1].isdigit() else acknowledged
    notes = [line.event.text for line in read_journal(tmp_path / "journal.jsonl").lines if isinstance(line.event, Note)]
    assert len(notes) >= acknowledged >= 300
    assert notes == [str(number) for number in range(len(notes))]
    closed = [line.event for line in read_journal(tmp_path / "journal.jsonl").lines if not isinstance(line.event, Note)]
    table = read_stream(tmp_path, "requests", "t", closed)  # type: ignore[arg-type]
    assert table.num_rows >= len(notes)
    assert table.column("intended_ns").to_pylist() == list(range(table.num_rows))


class Kept:
    def __init__(self) -> None:
        self.events: list[object] = []

    def emit(self, event: object, *, sync: bool = False) -> None:
        self.events.append(event)


def test_segments_close_each_second_and_are_hashed(tmp_path: Path) -> None:
    """With the fake clock, samples over 2.5 s give three segments; each event tells rows and the hash of the whole file."""
    clock, kept = FakeClock(), Kept()
    with SegmentWriter("requests", REQUESTS, tmp_path, kept, trial="t", clock=clock) as samples:  # type: ignore[arg-type]
        for number in range(25):
            samples.append(op=f"op{number % 3}", intended_ns=number, outcome="ok", status=200)
            clock.advance(0.1)
    assert [event.rows for event in kept.events] == [10, 10, 5]  # type: ignore[attr-defined]
    table = read_stream(tmp_path, "requests", "t", kept.events)  # type: ignore[arg-type]
    assert table.column("op").to_pylist() == [f"op{number % 3}" for number in range(25)]
    assert read_segment(tmp_path / kept.events[0].path)[1] is False  # type: ignore[attr-defined]


def test_an_unknown_column_is_an_error(tmp_path: Path) -> None:
    """A row may leave columns out and may not bring its own."""
    samples = SegmentWriter("requests", REQUESTS, tmp_path, Kept(), trial="t")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no column"):
        samples.append(operation="retrieve")


def test_a_value_that_does_not_fit_is_an_error_of_the_writer(tmp_path: Path) -> None:
    """What the writing thread cannot encode is raised to who appends, and later rows are written."""
    kept = Kept()
    samples = SegmentWriter("requests", REQUESTS, tmp_path, kept, trial="t")  # type: ignore[arg-type]
    samples.append(op="a", status="not a number")
    with pytest.raises((TypeError, ValueError)):
        samples.close()
    with samples:
        samples.append(op="b", intended_ns=1, outcome="ok")
    assert read_stream(tmp_path, "requests", "t", kept.events).column("op").to_pylist() == ["b"]  # type: ignore[arg-type]


def test_a_slow_journal_delays_no_sample(tmp_path: Path) -> None:
    """Closing a segment waits for disk and journal in a thread of its own: append returns while they hang."""
    hanging, clock = threading.Event(), FakeClock()

    class Slow(Kept):
        def emit(self, event: object, *, sync: bool = False) -> None:
            assert hanging.wait(30)
            super().emit(event)

    slow = Slow()
    samples = SegmentWriter("requests", REQUESTS, tmp_path, slow, trial="t", clock=clock)  # type: ignore[arg-type]
    for _ in range(30):
        samples.append(op="a", intended_ns=1)
        clock.advance(0.5)
    assert slow.events == []
    hanging.set()
    samples.close()
    assert sum(event.rows for event in slow.events) == 30  # type: ignore[attr-defined]


def test_a_stream_nobody_wrote_is_a_table_without_rows(tmp_path: Path) -> None:
    """A known stream has its columns even when it is empty."""
    table = read_stream(tmp_path, "requests", "t", [])
    assert table.num_rows == 0
    assert "intended_ns" in table.column_names


def test_the_committed_page_of_events_is_current() -> None:
    """docs/events.md is what the types say; run `python -m harness.journal.events_doc` after a change."""
    assert (PROJECT / "docs" / "events.md").read_text(encoding="utf-8") == events_page()
    assert all(kind.__doc__ for kind in EVENT_TYPES.values())
