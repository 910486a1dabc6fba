"""Requests are filled by bytes first, hold no uuid twice, and adapt to what the host and the link take."""

from __future__ import annotations

from collections import deque
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.delivery import EncodedEvent
from otel_posthog.delivery.batching import SMALLEST_BODY, Batch, BodySize
from otel_posthog.delivery.outbox import Item, Report, take

_numbers = count()
MIB = 1024 * 1024


def small(size: int) -> Item:
    uuid = str(next(_numbers))
    return Item("e", uuid, size, EncodedEvent("e", uuid, b"x" * size), Report(1), 0.0)


def batches(items: list[Item], max_events: int, max_bytes: int) -> list[list[Item]]:
    queue, found = deque(items), []
    while queue:
        found.append(take(queue, max_events, max_bytes))
    return found


def test_a_batch_holds_no_uuid_twice() -> None:
    one, other = small(1), small(1)
    assert batches([one, other, one, one], 10, 100) == [[one, other], [one], [one]]


def test_no_events_are_no_batch() -> None:
    assert take(deque(), 10, 100) == []


@pytest.mark.parametrize(
    ("events", "most", "sizes"), [(10, 10, [10]), (11, 10, [10, 1]), (5, 2, [2, 2, 1]), (3, 1, [1] * 3)]
)
def test_batches_by_count(events: int, most: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches([small(1) for _ in range(events)], most, 10**6)] == sizes


@pytest.mark.parametrize(
    ("bodies", "most", "sizes"),
    [
        ([9, 9], 20, [2]),  # two bodies and two commas: exactly the limit
        ([9, 10], 20, [1, 1]),
        ([9, 9, 9], 20, [2, 1]),
        ([100, 9, 9], 20, [1, 2]),  # too large by itself: alone, its neighbours go on
        ([9, 100, 9], 20, [1, 1, 1]),
    ],
)
def test_batches_by_bytes(bodies: list[int], most: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches([small(size) for size in bodies], 100, most)] == sizes


@given(st.lists(st.integers(0, 50).map(small)), st.integers(1, 8), st.integers(1, 120))
def test_batches_keep_all_events_in_order_within_the_limits(events: list[Item], most: int, size: int) -> None:
    made = batches(events, most, size)
    assert [event for batch in made for event in batch] == events
    for batch in made:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(item.size + 1 for item in batch) <= size


@given(st.lists(st.integers(0, 50).map(small)), st.integers(1, 8), st.integers(1, 120))
def test_a_batch_ends_only_where_the_next_event_would_break_a_limit(events: list[Item], most: int, size: int) -> None:
    made = batches(events, most, size)
    for batch, following in pairwise(made):
        together = sum(item.size + 1 for item in [*batch, following[0]])
        assert len(batch) == most or together > size


def test_a_refused_size_is_halved_for_good() -> None:
    size = BodySize(5 * MIB)
    assert size.refused(4 * MIB) is True
    assert size.bytes == 2 * MIB
    size.answered(2 * MIB, 0.1)
    assert size.bytes == 2 * MIB


def test_a_refused_size_is_not_halved_without_end() -> None:
    size = BodySize(5 * MIB)
    assert size.refused(1000) is False
    assert size.bytes == SMALLEST_BODY


def test_a_request_that_times_out_makes_the_next_ones_half_as_large() -> None:
    size = BodySize(5 * MIB)
    size.timed_out(4 * MIB)
    assert size.bytes == 2 * MIB


def test_a_slow_request_makes_the_next_ones_last_five_seconds() -> None:
    size = BodySize(5 * MIB)
    size.answered(4 * MIB, 20.0)
    assert size.bytes == MIB


def test_requests_grow_again_on_a_link_that_has_recovered() -> None:
    size = BodySize(5 * MIB)
    size.timed_out(4 * MIB)
    for _ in range(8):
        size.answered(2 * MIB, 1.0)
    assert size.bytes == 4 * MIB
    for _ in range(8):
        size.answered(4 * MIB, 1.0)
    assert size.bytes == 5 * MIB


def test_six_seconds_of_latency_change_nothing() -> None:
    size = BodySize(5 * MIB)
    size.answered(100, 6.0)
    assert size.bytes == 5 * MIB


def test_the_parts_of_a_batch_share_the_requests_that_may_be_spent() -> None:
    batch = Batch([small(1) for _ in range(4)], "")
    batch.search.requests_left = 5
    first, second = batch.halves()
    assert len(first.halves()) == 2
    assert second.halves() == []


def test_a_single_event_has_no_halves() -> None:
    assert Batch([small(1)], "").halves() == []
