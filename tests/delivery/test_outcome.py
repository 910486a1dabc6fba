"""What each answer means, for real answers; and Retry-After in all its forms."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.delivery.outcome import Outcome, outcome_of, outcome_of_error, retry_after
from otel_posthog.delivery.retry import delay_before
from tests.support.scripted import Answer, ScriptedServer

NOW = datetime(2026, 11, 24, 3, 0, 0, tzinfo=timezone.utc)


def outcome(answer: Answer) -> Outcome:
    """What a real answer over HTTP means."""
    with ScriptedServer(lambda request, before: answer) as server, requests.Session() as session:
        response = session.post(server.url, data=b"{}", timeout=10, allow_redirects=False)
        return outcome_of(response, response.content)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (200, "delivered", "delivered"),
        (202, "delivered", "delivered"),
        (301, "refused", "redirect"),
        (302, "refused", "redirect"),
        (307, "refused", "redirect"),
        (308, "refused", "redirect"),
        (400, "invalid", "invalid"),
        (401, "unauthorized", "unauthorized"),
        (402, "refused", "http_402"),
        (403, "refused", "http_403"),
        (404, "not_served", "http_404"),
        (405, "not_served", "http_405"),
        (408, "retry", "http_408"),
        (413, "too_large", "too_large"),
        (415, "refused", "http_415"),
        (425, "retry", "http_425"),
        (429, "retry", "http_429"),
        (500, "retry", "http_500"),
        (501, "refused", "http_501"),
        (502, "retry", "http_502"),
        (503, "retry", "http_503"),
        (504, "retry", "http_504"),
        (505, "refused", "http_505"),
        (507, "retry", "http_507"),
        (520, "retry", "http_520"),
        (529, "retry", "http_529"),
        (599, "retry", "http_599"),
    ],
)
def test_status(status: int, kind: str, reason: str) -> None:
    got = outcome(Answer(status, headers={"Location": "https://elsewhere.example"}))
    assert (got.kind, got.reason) == (kind, reason)


@pytest.mark.parametrize("body", [b'{"status":"Ok"}', b'{"status":1}', b"", b"1", b"[]", b"<html>", b'{"sta'])
def test_a_success_is_delivered_whatever_its_body(body: bytes) -> None:
    assert outcome(Answer(200, body)).kind == "delivered"


def test_a_success_over_quota_is_no_delivery() -> None:
    got = outcome(Answer(200, b'{"status":"Ok","quota_limited":["llm_events"]}'))
    assert (got.kind, got.reason) == ("refused", "quota_limited")


def test_an_empty_list_of_quotas_is_a_delivery() -> None:
    assert outcome(Answer(200, b'{"status":"Ok","quota_limited":[]}')).kind == "delivered"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 301])
def test_the_detail_says_the_status_and_nothing_of_the_body(status: int) -> None:
    got = outcome(Answer(status, b"your prompt was: secret"))
    assert str(status) in got.detail
    assert "secret" not in got.detail


def test_retry_after_of_an_answer_is_kept() -> None:
    assert outcome(Answer(503, headers={"Retry-After": "7"})).retry_after == 7.0


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (requests.ConnectTimeout(), "retry", "timeout"),
        (requests.ReadTimeout(), "retry", "timeout"),
        (requests.ConnectionError(), "retry", "connection"),
        (requests.exceptions.ChunkedEncodingError(), "retry", "connection"),
        (requests.exceptions.SSLError(), "retry", "tls"),
        (requests.exceptions.InvalidURL(), "refused", "invalid_url"),
        (requests.exceptions.InvalidSchema(), "refused", "invalid_url"),
    ],
)
def test_error(error: requests.RequestException, kind: str, reason: str) -> None:
    got = outcome_of_error(error)
    assert (got.kind, got.reason) == (kind, reason)


def test_the_text_of_an_error_is_left_out() -> None:
    assert "hunter2" not in outcome_of_error(requests.ConnectionError("https://proxy:hunter2@host")).detail


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
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
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.timedeltas(timedelta(0), timedelta(seconds=299)))
def test_retry_after_reads_the_date_that_servers_write(wait: timedelta) -> None:
    until = (NOW + wait).replace(microsecond=0)
    assert retry_after(format_datetime(until, usegmt=True), NOW) == (until - NOW).total_seconds()


@given(st.text())
def test_retry_after_of_any_text_is_a_bearable_wait_or_nothing(header: str) -> None:
    seconds = retry_after(header)
    assert seconds is None or 0 <= seconds <= 300


@given(st.integers(1, 10_000))
def test_an_unasked_delay_is_short_at_first_and_bounded_at_last(attempt: int) -> None:
    assert 0 <= delay_before(attempt, None) <= min(30, 0.5 * 2 ** min(attempt - 1, 10))


@given(st.integers(1, 10_000), st.floats(0, 300))
def test_a_delay_that_was_asked_for_is_kept_and_little_more(attempt: int, asked: float) -> None:
    assert asked <= delay_before(attempt, asked) <= asked + 1
