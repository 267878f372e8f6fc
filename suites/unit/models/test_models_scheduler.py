"""Batching: who shares an inference, who overtakes, who is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from suites.unit.waiting import until
from system.models.encoder import TokenIds
from system.models.scheduler import Limits, Overloaded, Scheduler

SHORT, LONG = 10, 200


class Model:
    """A model whose inferences wait for ``gate`` and are written down."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: list[list[TokenIds]] = []

    def infer(self, batch: Sequence[TokenIds]) -> list[bytes]:
        self.seen.append(list(batch))
        assert self.gate.wait(5)
        if any(ids[0] == 666 for ids in batch):
            raise RuntimeError("this text breaks the model")
        return [bytes(str(ids[0]), "ascii") for ids in batch]


def ids(number: int, length: int = SHORT) -> TokenIds:
    return (number, *[1] * (length - 1))


def scheduled(check: Callable[[Scheduler, Model], Awaitable[None]], **limits: float) -> Model:
    """Run ``check`` beside a scheduler with one worker."""
    model = Model()

    async def main() -> None:
        scheduler = Scheduler(model.infer, Limits(workers=1, **limits))  # type: ignore[arg-type]
        running = asyncio.create_task(scheduler.run())
        try:
            async with asyncio.timeout(10):
                await check(scheduler, model)
        finally:
            model.gate.set()
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(main())
    return model


def test_requests_that_arrive_during_an_inference_share_the_next() -> None:
    """Ten queries behind a running inference need one more inference, not ten."""

    async def check(scheduler: Scheduler, model: Model) -> None:
        first = scheduler.submit([ids(0)])
        await until(lambda: len(model.seen) == 1)
        others = [scheduler.submit([ids(n)])[0] for n in range(1, 11)]
        model.gate.set()
        assert await first[0] == b"0"
        assert await asyncio.gather(*others) == [b"%d" % n for n in range(1, 11)]

    assert [len(batch) for batch in scheduled(check).seen] == [1, 10]


def test_a_query_overtakes_a_batch_of_documents() -> None:
    """A short request that arrives while 64 documents wait is served after the part that is running."""

    async def check(scheduler: Scheduler, model: Model) -> None:
        documents = scheduler.submit([ids(n, LONG) for n in range(64)])
        await until(lambda: len(model.seen) == 1)
        query = scheduler.submit([ids(777)])
        model.gate.set()
        await asyncio.gather(*documents, *query)

    seen = scheduled(check).seen
    assert seen[1] == [ids(777)]
    assert len(seen) == 65


def test_two_big_requests_take_turns() -> None:
    """A later request of documents does not wait for the whole of an earlier one."""

    async def check(scheduler: Scheduler, model: Model) -> None:
        early = scheduler.submit([ids(1, LONG)] * 8)
        late = scheduler.submit([ids(2, LONG)] * 2)
        model.gate.set()
        await asyncio.gather(*early, *late)

    order = [batch[0][0] for batch in scheduled(check).seen]
    assert order[:4] == [1, 2, 1, 2]


def test_a_stream_of_queries_does_not_starve_documents() -> None:
    """With queries always waiting, a document is served after at most eight inferences of queries."""

    async def check(scheduler: Scheduler, model: Model) -> None:
        model.gate.set()
        document = scheduler.submit([ids(5, LONG)])[0]
        waiting = [scheduler.submit([ids(n, 16 * (n % 4) + 10)])[0] for n in range(300)]
        await document
        await asyncio.gather(*waiting)

    order = [len(batch[0]) for batch in scheduled(check).seen]
    assert order.index(LONG) <= 8


def test_a_full_queue_refuses_and_says_when_to_return() -> None:
    """Beyond the bound a request is refused with a time to wait; what was accepted is still served."""

    async def check(scheduler: Scheduler, model: Model) -> None:
        accepted = scheduler.submit([ids(0)])
        await until(lambda: len(model.seen) == 1)
        accepted += scheduler.submit([ids(n, LONG) for n in range(8)])
        with pytest.raises(Overloaded) as refusal:
            scheduler.submit([ids(9)])
        assert refusal.value.retry_after_s >= 1
        model.gate.set()
        await asyncio.gather(*accepted)

    scheduled(check, waiting_texts=8)


def test_work_nobody_waits_for_is_not_done() -> None:
    """Texts of a client that went away leave the queue without an inference."""

    async def check(scheduler: Scheduler, model: Model) -> None:
        first = scheduler.submit([ids(0)])
        await until(lambda: len(model.seen) == 1)
        for result in scheduler.submit([ids(n, LONG) for n in range(1, 20)]):
            result.cancel()
        last = scheduler.submit([ids(20, LONG)])
        model.gate.set()
        await asyncio.gather(*first, *last)

    assert [batch[0][0] for batch in scheduled(check).seen] == [0, 20]


def test_a_failing_inference_fails_its_texts_only() -> None:
    """An exception reaches those who shared the inference; the next one works."""

    async def check(scheduler: Scheduler, model: Model) -> None:
        model.gate.set()
        with pytest.raises(RuntimeError, match="breaks the model"):
            await scheduler.submit([ids(666)])[0]
        assert await scheduler.submit([ids(3)])[0] == b"3"

    scheduled(check)
