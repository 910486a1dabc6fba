"""Deliveries whose books are checked after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_posthog import Settings
from otel_posthog.delivery import Delivery, Ledger
from otel_posthog.delivery.attempts import Shrink
from tests.support.captured import KEY, Answer, CountedDelivery, Post, make_post, ok


def assert_balanced(delivery: Delivery) -> None:
    stats = delivery.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending
    assert stats.pending == stats.spooled


@pytest.fixture
def post() -> Iterator[Callable[..., Post]]:
    """Makes a Delivery over a fake transport and clock; at the end nothing may be pending, but for what is on disk."""
    made: list[Post] = []

    def make(answer: Answer = ok, **options: Any) -> Post:
        made.append(make_post(answer, **options))
        return made[-1]

    yield make
    for one in made:
        one.delivery.shutdown(1)
        assert_balanced(one.delivery)


@pytest.fixture
def deliver_to() -> Iterator[Callable[..., Delivery]]:
    """Makes a Delivery to a host over real HTTP, with real threads."""
    made: list[Delivery] = []

    def make(host: str, shrink: Shrink | None = None, **options: Any) -> Delivery:
        settings = Settings.load({}, **{"api_key": KEY, "host": host, **options})
        made.append(CountedDelivery(settings, Ledger(settings.on_drop), shrink))
        return made[-1]

    yield make
    for delivery in made:
        delivery.shutdown(1)
        assert_balanced(delivery)
