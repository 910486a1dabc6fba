"""The queue against a model of it: nothing lost without a word, nothing twice, never over its bounds."""

from __future__ import annotations

import threading
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otel_posthog.batching import Batcher, Bounds
from otel_posthog.live import Released

SPANS, BYTES = 6, 100
AN_HOUR = 3600.0


def released(number: int, spans: int, size: int) -> Released:
    """The batcher looks at how many spans there are and at their size only."""
    trace: Any = number
    return Released([trace] * spans, trace, size)


class QueueModel(RuleBasedStateMachine):
    """One thread delivers, when the model lets it; what it gets, what is lost and what waits add up at every step."""

    drops_oldest = True

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.waiting: list[Released] = []  # the model of the queue
        self.given: list[Released] = []
        self.lost: list[Released] = []
        self.delivered: list[Released] = []
        self.refuse = False
        self.stopped = False
        self.batcher = Batcher(
            self.deliver, list, lambda dropped, *_: self.lost.extend(dropped),
            bounds=Bounds(SPANS, BYTES, self.drops_oldest), delay=AN_HOUR, batch_size=1000,
        )  # fmt: skip

    def deliver(self, batch: list[Released]) -> bool:
        self.delivered += batch
        return not self.refuse or not batch

    @rule(spans=st.integers(1, 4), size=st.integers(1, 60), past=st.sampled_from([False, False, True]))
    def put(self, spans: int, size: int, past: bool) -> None:
        self.number += 1
        item = released(self.number, spans, size)
        self.given.append(item)
        lost = len(self.lost)
        self.batcher.put(item, past_the_bound=past)
        if self.stopped:
            assert self.lost[lost:] == [item]
            return
        self.waiting.append(item)
        for gone in self.lost[lost:]:
            assert gone is (self.waiting[0] if self.drops_oldest and len(self.waiting) > 1 else item)
            self.waiting.remove(gone)
        if not past:
            assert sum(len(kept.spans) for kept in self.waiting) <= SPANS or item not in self.waiting
            assert sum(kept.size for kept in self.waiting) <= BYTES or item not in self.waiting

    @rule(refuse=st.booleans())
    def flush(self, refuse: bool) -> None:
        self.refuse = refuse
        expected, before = self.waiting, len(self.delivered)
        assert self.batcher.flush(10) is not (refuse and bool(expected)) or self.stopped
        assert self.delivered[before:] == expected
        self.waiting = []

    @precondition(lambda self: not self.stopped)
    @rule()
    def fork(self) -> None:
        """In a child nothing is queued."""
        self.batcher.stop(10)
        self.batcher.after_fork()
        self.waiting = []

    @precondition(lambda self: len(self.given) > 3)
    @rule()
    def stop(self) -> None:
        self.refuse = False
        self.batcher.stop(10)
        self.waiting, self.stopped = [], True

    @invariant()
    def books(self) -> None:
        assert self.batcher.queued == sum(len(item.spans) for item in self.waiting)
        numbers = sorted(item.trace for item in (*self.delivered, *self.lost, *self.waiting))  # type: ignore[type-var]
        assert numbers == [item.trace for item in self.given]

    def teardown(self) -> None:
        self.batcher.stop(10)


class NewestModel(QueueModel):
    drops_oldest = False


def run(model: type[QueueModel]) -> None:
    machine = model.TestCase()
    machine.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
    machine.runTest()


def test_a_queue_that_drops_the_oldest() -> None:
    run(QueueModel)


def test_a_queue_that_drops_the_newest() -> None:
    run(NewestModel)


def test_a_delivery_that_takes_long_holds_up_neither_put_nor_a_flush_with_little_time() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def deliver(batch: list[Released]) -> bool:
        begun.set()
        return go_on.wait(10)

    batcher = Batcher(
        deliver, list, lambda *_: None, bounds=Bounds(100, 1000, True), delay=AN_HOUR, batch_size=1
    )  # fmt: skip
    batcher.put(released(1, 1, 1))
    assert begun.wait(10)
    batcher.put(released(2, 1, 1))
    assert batcher.flush(0.05) is False
    go_on.set()
    assert batcher.flush(10) is True
    assert batcher.stop(10) is True


def test_a_trace_larger_than_the_queue_loses_what_is_too_much_and_no_more() -> None:
    got: list[Released] = []
    lost: list[Released] = []
    batcher = Batcher(
        lambda batch: got.extend(batch) is None, list, lambda dropped, *_: lost.extend(dropped),
        bounds=Bounds(100, 10_000, True), delay=AN_HOUR, batch_size=1000,
    )  # fmt: skip
    batcher.put(released(1, 50, 50))
    batcher.put(released(2, 130, 130))
    assert batcher.flush(10)
    assert sum(len(part.spans) for part in got) == 100
    assert sum(len(part.spans) for part in lost) == 80
    assert {part.trace for part in got} == {2}
    batcher.stop(10)


def test_a_flush_does_not_wait_for_what_comes_after_it() -> None:
    enough = threading.Event()

    def deliver(batch: list[Released]) -> bool:
        return not enough.wait(0.001)

    batcher = Batcher(
        deliver, list, lambda *_: None, bounds=Bounds(10**6, 10**9, True), delay=AN_HOUR, batch_size=10**6
    )  # fmt: skip

    def keep_putting() -> None:
        while not enough.is_set():
            batcher.put(released(1, 1, 1))

    thread = threading.Thread(target=keep_putting)
    thread.start()
    try:
        assert batcher.flush(10) is True
    finally:
        enough.set()
        thread.join()
    batcher.stop(10)


def test_an_error_in_a_delivery_does_not_end_the_thread() -> None:
    lost: list[Released] = []
    errors = iter([ValueError()])

    def deliver(batch: list[Released]) -> bool:
        for error in errors:
            raise error
        return True

    batcher = Batcher(
        deliver, list, lambda dropped, *_: lost.extend(dropped), bounds=Bounds(9, 99, True), delay=AN_HOUR, batch_size=9
    )
    batcher.put(released(1, 1, 1))
    assert batcher.flush(10) is False
    batcher.put(released(2, 1, 1))
    assert batcher.flush(10) is True
    assert [item.trace for item in lost] == [1]
    batcher.stop(10)
