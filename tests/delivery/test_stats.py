"""The ledger: its sum, its warnings, its lock."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.delivery import Ledger, Stats

_COUNTS = st.lists(st.tuples(st.sampled_from(["delivered", "full", "invalid", "timeout"]), st.integers(1, 50)))


def test_a_new_ledger_is_empty() -> None:
    assert Ledger().stats() == Stats()


def test_what_is_neither_delivered_nor_dropped_is_pending() -> None:
    books = Ledger()
    books.accepted(10)
    books.delivered(4)
    books.record_drop("invalid", 1, "refused")
    assert books.stats() == Stats(accepted=10, delivered=4, pending=5, dropped={"invalid": 1})


@given(_COUNTS, st.integers(0, 100))
def test_accepted_is_delivered_and_dropped_and_pending(outcomes: list[tuple[str, int]], still: int) -> None:
    books = Ledger()
    for outcome, count in outcomes:
        books.accepted(count)
        if outcome == "delivered":
            books.delivered(count)
        else:
            books.record_drop(outcome, count, "lost")
    books.accepted(still)
    stats = books.stats()
    assert stats.pending == still
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending


def test_requests_are_counted_by_answer_with_their_bytes_and_retries() -> None:
    books = Ledger()
    books.request("503", 100, retry=False, seconds=0.1)
    books.request("503", 100, retry=True, seconds=0.1)
    books.request("200", 100, retry=True, seconds=0.1)
    stats = books.stats()
    assert (stats.requests, stats.bytes_sent, stats.retries) == ({"503": 2, "200": 1}, 300, 2)


def test_stats_are_a_snapshot() -> None:
    books = Ledger()
    before = books.stats()
    books.accepted(1)
    books.record_drop("invalid", 1, "refused")
    assert before == Stats()


def test_a_drop_is_a_warning_with_its_number_and_detail(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().record_drop("invalid", 3, "PostHog answered 400")
    assert caplog.record_tuples == [
        ("otel_posthog", logging.WARNING, "3 events not sent to PostHog: PostHog answered 400")
    ]


def test_one_event_is_not_called_events(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().record_drop("invalid", 1, "why")
    assert caplog.messages == ["1 event not sent to PostHog: why"]


def test_a_reason_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = SimpleNamespace(now=0.0)
    books = Ledger(monotonic=lambda: clock.now)
    for moment in (0, 1, 59.9, 60, 61):
        clock.now = 1000.0 + moment
        books.record_drop("invalid", 1, f"at {moment}")
    assert caplog.messages == [f"1 event not sent to PostHog: at {moment}" for moment in (0, 60)]


def test_each_reason_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    books = Ledger()
    for reason in ("invalid", "timeout", "invalid", "timeout"):
        books.record_drop(reason, 1, reason)
    assert len(caplog.messages) == 2


def test_two_ledgers_do_not_silence_each_other(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().record_drop("invalid", 1, "one")
    Ledger().record_drop("invalid", 1, "other")
    assert len(caplog.messages) == 2


def test_a_percent_sign_in_a_detail_is_text(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().record_drop("invalid", 1, "100%s")
    assert caplog.messages == ["1 event not sent to PostHog: 100%s"]


def test_threads_lose_no_count() -> None:
    books = Ledger()
    together = threading.Barrier(20)

    def work() -> None:
        together.wait()
        for _ in range(200):
            books.accepted(3)
            books.delivered(1)
            books.record_drop("invalid", 1, "refused")
            books.request("200", 7, retry=True, seconds=0.1)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert books.stats() == Stats(12000, 4000, 4000, {"invalid": 4000}, {"200": 4000}, 4000, 28000)


@pytest.mark.parametrize("error", [ValueError("content"), SystemExit(3)])
def test_an_on_drop_that_raises_is_logged_and_ends_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def on_drop(name: str, uuid: str, reason: str) -> None:
        seen.append(uuid)
        raise error

    Ledger(on_drop).record_drop("invalid", 2, None, [("e", "1"), ("e", "2")])
    assert seen == ["1", "2"]
    assert caplog.messages == [f"on_drop raised {type(error).__name__}"]


@pytest.mark.parametrize("error", [ValueError("content"), SystemExit(3)])
def test_an_on_request_that_raises_is_logged(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def on_request(status: str, seconds: float) -> None:
        raise error

    Ledger(on_request=on_request).request("200", 1, retry=False, seconds=0.5)
    assert caplog.messages == [f"on_request raised {type(error).__name__}"]


def test_on_request_gets_the_answer_and_the_seconds() -> None:
    seen: list[tuple[str, float]] = []
    Ledger(on_request=lambda status, seconds: seen.append((status, seconds))).request("503", 1, retry=True, seconds=0.5)
    assert seen == [("503", 0.5)]


def test_a_drop_without_a_detail_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    Ledger().record_drop("sampled", 1)
    assert caplog.messages == []
