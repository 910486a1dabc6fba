"""Retry-After in all its forms, and backoff."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.delivery.retry import backoff, parse_retry_after

NOW = datetime(2026, 11, 24, 3, 0, 0, tzinfo=timezone.utc)


def parsed(value: str, **headers: str) -> float | None:
    return parse_retry_after({"Retry-After": value, **headers}, NOW.timestamp())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("nan", None),
        ("0", 0.0),
        ("2", 2.0),
        ("1.5", 1.5),
        (" 3 ", 3.0),
        ("-5", 0.0),
        ("86400", 300.0),
        ("inf", 300.0),
        ("Tue, 24 Nov 2026 03:00:10 GMT", 10.0),
        ("Tue, 24 Nov 2026 04:00:10 +0100", 10.0),
        ("Tuesday, 24-Nov-26 03:00:10 GMT", 10.0),
        ("Tue, 24 Nov 2026 03:00:10 -0000", 10.0),
        ("Tue, 24 Nov 2026 02:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2026 03:00:00 GMT", 300.0),
        ("Tue, 99 Nov 2026 03:00:00 GMT", None),
        ("Tue, 24 Nov 99999999999999999999 03:00:00 GMT", None),
        ("Tue, 24 Nov 2026 03:00:00 +99999999999999", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert parsed(header) == seconds


def test_no_retry_after() -> None:
    assert parse_retry_after({}, 0.0) is None


def test_a_date_is_read_by_the_clock_of_the_server() -> None:
    headers = {"Retry-After": "Tue, 24 Nov 2026 03:00:10 GMT", "Date": "Tue, 24 Nov 2026 03:00:00 GMT"}
    assert parse_retry_after(headers, now=0.0) == 10.0  # this machine's clock says 1970


@given(st.timedeltas(timedelta(0), timedelta(seconds=299)))
def test_the_date_that_servers_write_is_read(wait: timedelta) -> None:
    until = (NOW + wait).replace(microsecond=0)
    assert parsed(format_datetime(until, usegmt=True)) == (until - NOW).total_seconds()


@given(st.text())
def test_any_text_is_a_bearable_wait_or_nothing(header: str) -> None:
    seconds = parsed(header)
    assert seconds is None or 0 <= seconds <= 300


@given(st.integers(1, 10_000))
def test_backoff_is_short_at_first_and_bounded_at_last(failures: int) -> None:
    assert 0.1 <= backoff(failures) <= max(0.1, min(30, 0.5 * 2 ** min(failures - 1, 10)))
