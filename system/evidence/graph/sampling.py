"""What the gate let pass, judged once more by its second engine: a share of the batches, behind the answer.

The queue is bounded and nothing waits for it: a batch that finds no place is counted as dropped, not checked late.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Final

from system.platform.errors import Unavailable
from system.platform.ports import GraphBatch, NodeRef

LOG = logging.getLogger("system.gate")
QUEUE_MAX: Final = 64
PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0

Judge = Callable[[GraphBatch, Sequence[NodeRef]], None]


class Count:
    """A counter that threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    def add(self) -> None:
        with self._lock:
            self._value += 1

    @property
    def value(self) -> int:
        with self._lock:
            return self._value


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """What the differential did in this process."""

    confirmed: Count = dataclasses.field(default_factory=Count)  # refusals that the second engine was asked about
    refusals_differ: Count = dataclasses.field(default_factory=Count)
    sampled: Count = dataclasses.field(default_factory=Count)  # accepted batches that the second engine judged
    samples_differ: Count = dataclasses.field(default_factory=Count)
    dropped: Count = dataclasses.field(default_factory=Count)  # due for the sample, but the queue was full


class Sample:
    """Takes a ``share`` (0 to 1) of what is offered; ``judge`` runs in a thread of its own, made when the first batch is taken.

    ``judge`` files what it finds. While it raises ``Unavailable`` it is asked again, after growing pauses, and the queue waits.
    """

    def __init__(self, share: float, judge: Judge, tally: Tally, choose: Callable[[], float] = random.random) -> None:
        self._share, self._judge, self._tally, self._choose = share, judge, tally, choose
        self._due: collections.deque[tuple[GraphBatch, tuple[NodeRef, ...]]] = collections.deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def offer(self, batch: GraphBatch, known: Sequence[NodeRef]) -> None:
        """Returns at once, whatever the second engine does."""
        if self._choose() >= self._share:
            return
        with self._changed:
            if len(self._due) >= QUEUE_MAX or self._stopped:
                self._tally.dropped.add()
                return
            self._due.append((batch, tuple(known)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gate-sample", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Judge no more; what waits is dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._stopped)
                if self._stopped:
                    return
                batch, known = self._due[0]
            self._settle(batch, known)
            with self._changed:
                self._due.popleft()

    def _settle(self, batch: GraphBatch, known: Sequence[NodeRef]) -> None:
        pause_s = PAUSE_FIRST_S
        while not self._stopped and not self._judged(batch, known):
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, timeout=pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _judged(self, batch: GraphBatch, known: Sequence[NodeRef]) -> bool:
        """False when it has to be tried again."""
        try:
            self._judge(batch, known)
        except Unavailable as error:
            LOG.warning("SHACL gate: the sample of %s waits: %s", batch.supporter, error)
            return False
        except Exception:
            LOG.exception("SHACL gate: the sample of %s could not be judged or filed", batch.supporter)
            self._tally.dropped.add()
        return True
