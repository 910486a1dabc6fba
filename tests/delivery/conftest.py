"""Capture clients that are closed after the test, once their books have been looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_posthog import Settings
from otel_posthog.delivery import CaptureClient, Ledger
from otel_posthog.delivery.delivery import Shrink
from tests.support.captured import KEY, Delivery


@pytest.fixture
def deliver_to() -> Iterator[Callable[..., Delivery]]:
    """Makes a client for a host; at the end nothing may be pending: every event is delivered or has a reason.

    With ``may_leave`` some may stay in the spool.
    """
    made: list[Delivery] = []
    leaving: list[Delivery] = []

    def make(host: str, shrink: Shrink | None = None, may_leave: bool = False, **options: Any) -> Delivery:
        ledger = Ledger()
        settings = Settings.load({}, **{"api_key": KEY, "host": host, **options})
        made.append(Delivery(CaptureClient(settings, ledger, shrink), ledger))
        if may_leave:
            leaving.append(made[-1])
        return made[-1]

    yield make
    for delivery in made:
        delivery.client.close()
        stats = delivery.stats
        assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending
        assert delivery in leaving or stats.pending == 0
