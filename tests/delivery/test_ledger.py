"""The ledger: its sum, its warnings, its lock."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.delivery import Ledger, Stats, ledger

_COUNTS = st.lists(st.tuples(st.sampled_from(["delivered", "full", "invalid", "timeout"]), st.integers(1, 50)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The ledger's clock, which goes when the test says so."""
    hand = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(ledger, "time", SimpleNamespace(monotonic=lambda: hand.now))
    return hand


def test_a_new_ledger_is_empty() -> None:
    assert Ledger().stats() == Stats()


def test_what_is_neither_delivered_nor_dropped_is_pending() -> None:
    books = Ledger()
    books.accepted(10)
    books.delivered(4)
    books.dropped(1, "invalid", "refused")
    assert books.stats() == Stats(accepted=10, delivered=4, pending=5, dropped={"invalid": 1})


@given(_COUNTS, st.integers(0, 100))
def test_accepted_is_delivered_and_dropped_and_pending(outcomes: list[tuple[str, int]], still: int) -> None:
    books = Ledger()
    for outcome, count in outcomes:
        books.accepted(count)
        if outcome == "delivered":
            books.delivered(count)
        else:
            books.dropped(count, outcome, "lost")
    books.accepted(still)
    stats = books.stats()
    assert stats.pending == still
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending


def test_requests_are_counted_by_answer_with_their_bytes_and_retries() -> None:
    books = Ledger()
    books.request("503", 100, retry=False)
    books.request("503", 100, retry=True)
    books.request("200", 100, retry=True)
    stats = books.stats()
    assert (stats.requests, stats.bytes_sent, stats.retries) == ({"503": 2, "200": 1}, 300, 2)


def test_stats_are_a_snapshot() -> None:
    books = Ledger()
    before = books.stats()
    books.accepted(1)
    books.dropped(1, "invalid", "refused")
    assert before == Stats()


def test_a_drop_is_a_warning_with_its_number_and_detail(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().dropped(3, "invalid", "PostHog answered 400")
    assert caplog.record_tuples == [
        ("otel_posthog", logging.WARNING, "3 events not sent to PostHog: PostHog answered 400")
    ]


def test_one_event_is_not_called_events(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().dropped(1, "invalid", "why")
    assert caplog.messages == ["1 event not sent to PostHog: why"]


def test_a_reason_is_warned_of_once_a_minute(clock: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    books = Ledger()
    for moment in (0, 1, 59.9, 60, 61):
        clock.now = 1000.0 + moment
        books.dropped(1, "invalid", f"at {moment}")
    assert caplog.messages == [f"1 event not sent to PostHog: at {moment}" for moment in (0, 60)]


@pytest.mark.usefixtures("clock")
def test_each_reason_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    books = Ledger()
    for reason in ("invalid", "timeout", "invalid", "timeout"):
        books.dropped(1, reason, reason)
    assert len(caplog.messages) == 2


@pytest.mark.usefixtures("clock")
def test_two_ledgers_do_not_silence_each_other(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().dropped(1, "invalid", "one")
    Ledger().dropped(1, "invalid", "other")
    assert len(caplog.messages) == 2


def test_a_percent_sign_in_a_detail_is_text(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().dropped(1, "invalid", "100%s")
    assert caplog.messages == ["1 event not sent to PostHog: 100%s"]


def test_threads_lose_no_count() -> None:
    books = Ledger()
    together = threading.Barrier(20)

    def work() -> None:
        together.wait()
        for _ in range(200):
            books.accepted(3)
            books.delivered(1)
            books.dropped(1, "invalid", "refused")
            books.request("200", 7, retry=True)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert books.stats() == Stats(12000, 4000, 4000, {"invalid": 4000}, {"200": 4000}, 4000, 28000)
