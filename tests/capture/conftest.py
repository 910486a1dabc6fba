"""Capture clients that are closed after the test, once their books have been looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_posthog import Settings
from otel_posthog.capture import CaptureClient, Ledger
from otel_posthog.capture.delivery import Shrink
from tests.support.captured import KEY, Delivery


@pytest.fixture
def deliver_to() -> Iterator[Callable[..., Delivery]]:
    """Makes a client for a host; at the end nothing may be pending: every event is delivered or has a reason."""
    made: list[Delivery] = []

    def make(host: str, shrink: Shrink | None = None, **options: Any) -> Delivery:
        ledger = Ledger()
        settings = Settings.load({}, **{"api_key": KEY, "host": host, **options})
        made.append(Delivery(CaptureClient(settings, ledger, shrink), ledger))
        return made[-1]

    yield make
    for delivery in made:
        delivery.client.close()
        stats = delivery.stats
        assert stats.pending == 0
        assert stats.accepted == stats.delivered + sum(stats.dropped.values())
