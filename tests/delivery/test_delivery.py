"""Every event arrives or is dropped with its reason, over whatever PostHog answers. Fake transport, fake clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from otel_posthog.delivery import EncodedEvent, Response, TransportError, encode
from tests.support.captured import (
    CONTENT,
    KEY,
    FakeClock,
    Post,
    Sent,
    always,
    encoded,
    encoded_of_size,
    first,
    made_event,
    ok,
    results,
    status,
    uuids,
)

MakePost = Callable[..., Post]

EVENT_LIMIT = 983_040  # bytes
AI_LIMIT = 8 * 1024 * 1024
LIMITS = [("batch", EVENT_LIMIT), ("event", EVENT_LIMIT - 1024), ("ai", AI_LIMIT)]
NO_CONNECTION = TransportError("retry", "connection", "could not be reached")
TIMEOUT = TransportError("retry", "timeout", "did not answer in time")


def refusing(bad: set[str], refusal: Response) -> Callable[[Sent], Response]:
    """Refuses every request with one of these uuids."""
    return lambda sent: refusal if bad & set(sent.uuids) else ok(sent)


# --- the ordinary way


def test_events_are_delivered_as_they_were_encoded(post: MakePost) -> None:
    one = post()
    events = encoded(3)
    assert one.send(events) is True
    (sent,) = one.transport.sent
    assert sent.request.url == "https://posthog.example/i/v0/ai/batch/"
    assert sent.body.endswith(b'"batch":[' + b",".join(event.body for event in events) + b"]}")
    assert sent.document["sent_at"] == "2026-11-24T03:00:00.000Z"


def test_delivered_events_are_counted(post: MakePost) -> None:
    one = post()
    one.send(encoded(3))
    stats = one.stats
    assert (stats.accepted, stats.delivered, stats.pending, stats.dropped) == (3, 3, 0, {})
    assert (stats.requests, stats.retries) == ({"200": 1}, 0)
    assert stats.bytes_sent == len(one.transport.sent[0].request.body)


def test_no_events_are_no_request(post: MakePost) -> None:
    one = post()
    assert one.send([]) is True
    assert one.delivery.flush(1) is True
    assert one.transport.sent == []


def test_put_sends_nothing_itself(post: MakePost) -> None:
    one = post()
    receipt = one.delivery.put(encoded(3))
    assert one.transport.sent == []
    assert (receipt.pending, receipt.dropped, one.delivery.pending) == (3, 0, 3)
    assert receipt.wait(1) is True
    assert (receipt.pending, receipt.dropped, one.delivery.pending) == (0, 0, 0)


def test_a_receipt_calls_back_once_its_events_are_delivered_or_dropped(post: MakePost) -> None:
    one = post()
    calls: list[str] = []
    receipt = one.delivery.put(encoded(3))
    receipt.on_done(lambda: calls.append("first"))
    assert calls == []
    receipt.wait(1)
    receipt.on_done(lambda: calls.append("at once"))
    assert calls == ["first", "at once"]


def test_what_is_dropped_calls_back_too(post: MakePost) -> None:
    one = post(always(status(400)))
    calls: list[int] = []
    receipt = one.delivery.put(encoded(1))
    receipt.on_done(lambda: calls.append(receipt.dropped))
    receipt.wait(60)
    assert calls == [1]


def test_events_in_memory_are_not_stored(post: MakePost) -> None:
    assert post().delivery.put(encoded(1)).is_stored is False


def test_each_receipt_is_about_its_own_events(post: MakePost) -> None:
    bad = encoded(1)
    one = post(refusing(set(uuids(bad)), status(400)))
    good, refused = one.delivery.put(encoded(2)), one.delivery.put(bad)
    assert good.wait(60) is True
    assert refused.wait(60) is False
    assert (refused.pending, refused.dropped) == (0, 1)


def test_events_of_several_puts_share_a_request(post: MakePost) -> None:
    one = post()
    for _ in range(5):
        one.delivery.put(encoded(100))
    assert one.delivery.flush(1) is True
    assert [len(sent.uuids) for sent in one.transport.sent] == [500]


def test_512_small_events_are_one_request(post: MakePost) -> None:
    one = post()
    one.send(encoded(512))
    assert len(one.transport.sent) == 1


def test_order_is_kept_over_requests(post: MakePost) -> None:
    one, events = post(max_batch_events=4), encoded(25)
    one.send(events)
    assert one.transport.taken == uuids(events)


def test_a_request_holds_at_most_max_batch_events(post: MakePost) -> None:
    one = post(max_batch_events=4)
    one.send(encoded(10))
    assert [len(sent.uuids) for sent in one.transport.sent] == [4, 4, 2]


def test_a_request_holds_at_most_max_batch_bytes(post: MakePost) -> None:
    one = post(max_batch_bytes=20_000)
    one.send([encoded_of_size(3000) for _ in range(20)])
    assert [len(sent.uuids) for sent in one.transport.sent] == [6, 6, 6, 2]
    assert all(len(sent.body) <= 20_000 for sent in one.transport.sent)


def test_no_request_is_larger_than_posthog_takes(post: MakePost) -> None:
    one = post(max_batch_bytes=20 * 1024 * 1024)
    one.send([encoded_of_size(EVENT_LIMIT) for _ in range(23)])
    assert [len(sent.body) <= 20 * 1024 * 1024 for sent in one.transport.sent] == [True, True]


def test_the_event_endpoint_takes_one_event_a_request(post: MakePost) -> None:
    one, events = post(endpoint="event"), encoded(3)
    assert one.send(events) is True
    assert one.transport.paths == ["/i/v0/e/"] * 3
    assert one.transport.taken == uuids(events)


@pytest.mark.parametrize(("endpoint", "path"), [("batch", "/ingest/ph/batch/"), ("event", "/ingest/ph/i/v0/e/")])
def test_a_path_prefix_is_kept(post: MakePost, endpoint: str, path: str) -> None:
    one = post(host="https://proxy.example/ingest/ph/", endpoint=endpoint)
    one.send(encoded())
    assert one.transport.sent[0].request.url == "https://proxy.example" + path


def test_bodies_are_gzipped(post: MakePost) -> None:
    one = post()
    one.send(encoded(50))
    (sent,) = one.transport.sent
    assert sent.headers["Content-Encoding"] == "gzip"
    assert len(sent.request.body) < len(sent.body) / 2


def test_bodies_are_plain_without_compression(post: MakePost) -> None:
    one = post(compression="none")
    one.send(encoded(50))
    (sent,) = one.transport.sent
    assert "Content-Encoding" not in sent.headers
    assert sent.document["api_key"] == KEY


def test_the_key_is_in_no_header_and_no_path(post: MakePost) -> None:
    one = post()
    one.send(encoded())
    (sent,) = one.transport.sent
    assert KEY not in f"{sent.request.url} {sent.headers}"


def test_an_event_may_be_encoded_long_before_it_is_sent(post: MakePost) -> None:
    one, event = post(), made_event(number=1)
    encoded_before = one.delivery.encode(event)
    event.properties["number"] = 2
    one.send([encoded_before])
    assert one.transport.sent[0].document["batch"][0]["properties"]["number"] == 1


def test_version_1_is_encoded_for_version_1(post: MakePost) -> None:
    one = post(endpoint="v1")
    one.send([one.delivery.encode(made_event(**{"$session_id": "s"}))])
    assert one.transport.sent[0].document["batch"][0]["session_id"] == "s"


def test_events_of_two_deliveries_do_not_mix(post: MakePost) -> None:
    one, other, events = post(), post(), encoded(5)
    one.delivery.put(events[:2])
    other.delivery.put(events[2:])
    one.delivery.flush(1)
    other.delivery.flush(1)
    assert (one.transport.taken, other.transport.taken) == (uuids(events[:2]), uuids(events[2:]))


# --- trying again


@pytest.mark.parametrize(
    "failure",
    [
        *(pytest.param(status(code), id=str(code)) for code in (401, 403, 408, 425, 429, 500, 502, 503, 504, 520)),
        pytest.param(Response(200, {}, b"<html>a login page"), id="html"),
        pytest.param(Response(204, {}, b""), id="204"),
        pytest.param(status(103), id="103"),
        pytest.param(NO_CONNECTION, id="connection"),
        pytest.param(TIMEOUT, id="timeout"),
        pytest.param(OSError(24, "Too many open files"), id="EMFILE"),
        pytest.param(MemoryError(), id="ENOMEM"),
        pytest.param(SystemExit(3), id="SystemExit"),
    ],
)
@pytest.mark.parametrize("endpoint", ["ai", "v1"])
@pytest.mark.parametrize("spool", [False, True], ids=["memory", "disk"])
def test_a_passing_failure_costs_no_event(
    post: MakePost, tmp_path: Any, failure: Any, endpoint: str, spool: bool
) -> None:
    if endpoint == "v1" and failure == status(429):
        pytest.skip("final in version 1")
    events = encoded(30)
    one = post(
        first(2, failure), endpoint=endpoint, max_batch_events=10, spool_dir=tmp_path / "spool" if spool else None
    )
    assert one.send(events) is True
    assert sorted(one.transport.taken[-30:]) == sorted(uuids(events))
    assert (one.stats.delivered, one.stats.dropped) == (30, {})


@pytest.mark.parametrize("code", [400, 402, 404, 413, 415, 501, 301])
def test_a_final_answer_is_not_tried_again(post: MakePost, code: int) -> None:
    one = post(always(status(code)), endpoint="batch")
    assert one.send(encoded(1)) is False
    assert len(one.transport.sent) == 1
    assert sum(one.stats.dropped.values()) == 1


def test_event_bytes_stay_the_same_over_retries(post: MakePost) -> None:
    one = post(first(2, status(503)))
    one.send(encoded(3))
    assert len({sent.body.partition(b'"batch":')[2] for sent in one.transport.sent}) == 1
    assert len(one.transport.sent) == 3


def test_sent_at_is_refreshed_on_retries(post: MakePost) -> None:
    one = post(first(2, status(503, Retry_After="1")))
    one.send(encoded())
    sent_at = [sent.document["sent_at"] for sent in one.transport.sent]
    assert len(set(sent_at)) == 3
    assert sent_at == sorted(sent_at)


@pytest.mark.parametrize("header", ["20", formatdate(1_795_489_220.0, usegmt=True)], ids=["seconds", "date"])
def test_retry_after_is_waited(post: MakePost, header: str) -> None:
    one = post(first(1, status(429, Retry_After=header)))
    assert one.send(encoded()) is True
    before, after = one.transport.sent
    assert 20 <= after.moment - before.moment <= 21


def test_other_events_wait_too_when_the_host_asks_for_it(post: MakePost) -> None:
    one = post(first(1, status(429, Retry_After="20")), max_batch_events=1)
    assert one.send(encoded(3)) is True
    assert [sent.moment - 1000 >= 20 for sent in one.transport.sent] == [False, True, True, True]


def test_a_retry_after_that_nobody_can_read_is_a_retry(post: MakePost) -> None:
    one = post(first(1, status(503, Retry_After="Tue, 24 Nov 99999999999999999999 03:00:00 GMT")))
    assert one.send(encoded()) is True


def test_a_wait_that_would_end_after_the_time_is_not_begun(post: MakePost) -> None:
    one = post(always(status(503, Retry_After="60")))
    receipt = one.delivery.put(encoded(2))
    assert receipt.wait(30) is False
    assert (receipt.pending, one.clock.now) == (2, 1000.0)


def test_what_fails_for_retry_for_seconds_is_dropped_with_its_reason(post: MakePost) -> None:
    one = post(always(status(503)), retry_for=30)
    assert one.send(encoded(2), timeout=300) is False
    assert one.stats.dropped == {"http_503": 2}
    assert 1030 <= one.clock.now <= 1061
    assert one.stats.retries == len(one.transport.sent) - 1 >= 3


def test_no_more_retries_than_allowed(post: MakePost) -> None:
    one = post(always(status(503)), max_retries=2)
    assert one.send(encoded()) is False
    assert len(one.transport.sent) == 3


def test_while_the_host_fails_it_is_asked_seldom(post: MakePost) -> None:
    one = post(always(status(503)), max_batch_events=1)
    one.delivery.put(encoded(1000)).wait(600)
    assert len(one.transport.sent) < 150


def test_one_failure_holds_no_other_request_back(post: MakePost) -> None:
    one = post(first(1, status(503)), max_batch_events=1)
    one.send(encoded(3))
    assert [sent.moment == 1000.0 for sent in one.transport.sent] == [True, True, True, False]


@pytest.mark.parametrize("endpoint", ["ai", "v1"])
@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_waited_for_as_long_as_it_takes(post: MakePost, endpoint: str, code: int) -> None:
    one = post(always(status(code)), endpoint=endpoint, retry_for=10, max_retries=1)
    assert one.send(encoded(3), timeout=3600) is False
    assert (one.stats.pending, one.stats.dropped) == (3, {})
    assert len(one.transport.sent) < 600
    one.transport.answer = ok
    assert one.delivery.flush(60) is True


def test_a_refused_key_is_asked_for_with_one_request_at_a_time(post: MakePost) -> None:
    one = post(always(status(401)), max_batch_events=1)
    one.delivery.put(encoded(100)).wait(60)
    assert len(one.transport.sent) < 30


def test_a_flush_does_not_ask_again_for_a_key_that_was_just_refused(post: MakePost) -> None:
    one = post(always(status(401)))
    one.delivery.put(encoded())
    assert one.delivery.flush(5) is False
    assert one.delivery.flush(5) is False
    assert len(one.transport.sent) == 1


def test_a_shutdown_asks_once_more_for_a_refused_key(post: MakePost) -> None:
    one = post(first(1, status(401)))
    one.delivery.put(encoded())
    assert one.delivery.flush(5) is False
    assert one.delivery.shutdown(5) is True


def test_a_refused_key_is_final_at_shutdown(post: MakePost) -> None:
    one = post(always(status(401)))
    one.delivery.put(encoded(3))
    assert one.delivery.shutdown(5) is False
    assert one.stats.dropped == {"shutdown": 3}


# --- flush and shutdown


def test_flush_does_not_wait_out_our_own_backoff(post: MakePost) -> None:
    one = post(first(8, status(503)))
    assert one.send(encoded(), timeout=20) is False
    one.transport.answer = ok
    before = one.clock.now
    assert one.delivery.flush(5) is True
    assert one.clock.now == before


def test_flush_waits_for_a_retry_after_that_ends_in_time(post: MakePost) -> None:
    one = post(first(1, status(429, Retry_After="20")))
    one.delivery.put(encoded()).wait(1)
    assert one.delivery.flush(60) is True
    assert 1020 <= one.clock.now <= 1021


def test_flush_tries_once_what_a_retry_after_would_hold_for_longer(post: MakePost) -> None:
    one = post(always(status(429, Retry_After="200")))
    one.delivery.put(encoded()).wait(1)
    assert one.delivery.flush(10) is False
    assert [sent.moment for sent in one.transport.sent] == [1000.0, 1000.0]


def test_flush_says_no_if_an_event_is_dropped_meanwhile_only(post: MakePost) -> None:
    one = post(first(1, status(402)))
    one.delivery.put(encoded())
    assert one.delivery.flush(10) is False
    one.delivery.put(encoded())
    assert one.delivery.flush(10) is True


def test_flush_ends_in_time(post: MakePost) -> None:
    one = post(always(status(503)))
    one.delivery.put(encoded())
    assert one.delivery.flush(10) is False
    assert one.clock.now <= 1010
    assert one.stats.pending == 1


def test_a_request_may_take_no_longer_than_the_flush_of_its_own_thread(post: MakePost) -> None:
    one = post(always(TIMEOUT))
    one.delivery.put(encoded())
    one.delivery.flush(3)
    assert one.transport.sent[0].request.total == 3.0


def test_shutdown_delivers_what_it_can(post: MakePost) -> None:
    one = post(first(2, status(503)))
    one.delivery.put(encoded(3))
    assert one.delivery.shutdown(10) is True
    assert one.stats.delivered == 3


def test_what_shutdown_cannot_deliver_is_dropped_as_shutdown(post: MakePost, caplog: pytest.LogCaptureFixture) -> None:
    one = post(always(status(503)))
    receipt = one.delivery.put(encoded(3))
    assert one.delivery.shutdown(10) is False
    assert one.clock.now <= 1010
    assert (one.stats.pending, one.stats.dropped, receipt.dropped) == (0, {"shutdown": 3}, 3)
    assert caplog.messages[-1] == (
        "3 events not sent to PostHog: there was no time left at shutdown to send them to https://posthog.example"
    )


def test_shutdown_twice_and_without_any_event(post: MakePost) -> None:
    one = post()
    assert one.delivery.shutdown(1) is True
    assert one.delivery.shutdown(1) is True


def test_events_after_shutdown_are_dropped(post: MakePost) -> None:
    one = post()
    one.delivery.shutdown(1)
    assert one.send(encoded(2)) is False
    assert one.stats.dropped == {"shutdown": 2}


def test_a_hundred_thousand_events_leave_in_five_seconds_of_latency(post: MakePost) -> None:
    """One thread here, with 200 ms for each answer: what fits in 25 requests."""
    one = post(max_queue_size=100_000, max_memory_bytes=2**30)
    one.transport.seconds = 0.2
    body = encode(made_event()).body
    one.delivery.put([EncodedEvent("e", str(number), body) for number in range(100_000)])
    assert one.delivery.shutdown(5) is True


# --- events that are too large or invalid


@pytest.mark.parametrize(("endpoint", "limit"), LIMITS)
def test_an_event_of_just_the_limit_is_sent(post: MakePost, endpoint: str, limit: int) -> None:
    assert post(endpoint=endpoint).send([encoded_of_size(limit)]) is True


@pytest.mark.parametrize(("endpoint", "limit"), LIMITS)
def test_an_event_over_the_limit_is_dropped_alone(
    post: MakePost, caplog: pytest.LogCaptureFixture, endpoint: str, limit: int
) -> None:
    large, others = encoded_of_size(limit + 1), encoded(4)
    one = post(endpoint=endpoint)
    assert one.send([*others[:2], large, *others[2:]]) is False
    assert one.transport.taken == uuids(others)
    assert one.stats.dropped == {"event_too_large": 1}
    (message,) = caplog.messages
    assert large.uuid in message


def test_an_event_over_the_limit_is_shrunk_to_it(post: MakePost) -> None:
    one = post(endpoint="batch", shrink=lambda body, limit: encoded_of_size(limit).body)
    assert one.send([*encoded(2), encoded_of_size(EVENT_LIMIT + 1)]) is True
    assert one.stats.delivered == 3


def test_a_shrink_that_raises_costs_its_own_event(post: MakePost) -> None:
    def shrink(body: bytes, limit: int) -> bytes | None:
        raise ValueError(CONTENT)

    one = post(endpoint="batch", shrink=shrink)
    assert one.send([*encoded(2), encoded_of_size(EVENT_LIMIT + 1), *encoded(2)]) is False
    assert (one.stats.delivered, one.stats.dropped) == (4, {"internal_error": 1})


@pytest.mark.parametrize("places", [[0], [49], [17], [17, 18], [0, 25, 49]])
def test_invalid_events_are_found_and_all_others_arrive_once(post: MakePost, places: list[int]) -> None:
    events = encoded(50)
    bad = {events[place].uuid for place in places}
    one = post(refusing(bad, status(400)))
    assert one.send(events) is False
    assert sorted(one.transport.taken) == sorted(event.uuid for event in events if event.uuid not in bad)
    assert one.stats.dropped == {"invalid": len(places)}


def test_finding_invalid_events_costs_a_bounded_number_of_requests(post: MakePost) -> None:
    one = post(always(status(400)))
    assert one.send(encoded(500)) is False
    assert one.stats.dropped == {"invalid": 500}
    assert len(one.transport.sent) <= 257


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twelve_invalid_events_of_five_hundred_cost_twelve(post: MakePost, seed: int) -> None:
    events = encoded(500)
    bad = set(uuids(random.Random(seed).sample(events, 12)))
    one = post(refusing(bad, status(400)))
    one.send(events)
    assert (one.stats.delivered, one.stats.dropped) == (488, {"invalid": 12})


def test_each_batch_has_its_own_search_for_invalid_events(post: MakePost) -> None:
    events = encoded(400)
    one = post(refusing(set(uuids(events[::10])), status(400)), max_batch_events=50)
    one.send(events)
    assert (one.stats.delivered, one.stats.dropped) == (360, {"invalid": 40})


@pytest.mark.parametrize("place", [0, 17, 49])
def test_an_event_that_a_proxy_calls_too_large_is_found(post: MakePost, place: int) -> None:
    events = encoded(50)
    events[place] = encoded_of_size(100_000)
    one = post(lambda sent: status(413) if len(sent.body) > 90_000 else ok(sent))
    assert one.send(events) is False
    assert sorted(one.transport.taken) == sorted(event.uuid for event in events if event is not events[place])
    assert one.stats.dropped == {"too_large": 1}


def test_a_proxy_that_takes_less_than_posthog_costs_no_event_and_few_requests(post: MakePost) -> None:
    one = post(lambda sent: status(413) if len(sent.body) > 1_000_000 else ok(sent))
    events = [encoded_of_size(20_000) for _ in range(600)]
    assert one.send(events) is True
    assert sorted(one.transport.taken) == sorted(uuids(events))
    assert one.stats.requests["413"] == 3  # 5 MB, half of it, a quarter
    assert one.send([encoded_of_size(20_000) for _ in range(100)]) is True
    assert one.stats.requests["413"] == 3


def test_an_event_that_is_too_large_for_a_proxy_is_shrunk(post: MakePost) -> None:
    one = post(
        lambda sent: status(413) if len(sent.body) > 300_000 else ok(sent),
        shrink=lambda body, limit: encoded_of_size(limit).body,
    )
    assert one.send([encoded_of_size(1_000_000)]) is True


# --- events at which a host or a firewall fails


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("code", [500, 403])
@pytest.mark.parametrize("number", [11, 500])
def test_an_event_at_which_the_host_fails_is_isolated_and_the_rest_flows(
    post: MakePost, tmp_path: Any, spool: bool, code: int, number: int
) -> None:
    events = encoded(number)
    bad = events[number // 3].uuid
    one = post(refusing({bad}, status(code)), spool_dir=tmp_path / "spool" if spool else None)
    assert one.send(events, timeout=300) is False
    assert sorted(one.transport.taken) == sorted({*uuids(events)} - {bad})
    assert one.stats.dropped == {f"http_{code}": 1}
    assert len(one.transport.sent) < 40


def test_events_behind_one_at_which_the_host_fails_are_sent_soon(post: MakePost) -> None:
    bad = encoded(10)
    one = post(refusing({bad[3].uuid}, status(500)))
    one.delivery.put(bad)
    behind = one.delivery.put(encoded_large(20))
    assert behind.wait(10) is True  # the host is left alone for some seconds after the first answers


def encoded_large(number: int) -> list[Any]:
    """Events of which no two share a request with many others."""
    return [encoded_of_size(1024 * 1024) for _ in range(number)]


def test_an_event_at_which_the_connection_is_reset_is_isolated(post: MakePost) -> None:
    events = encoded(20)

    def answer(sent: Sent) -> Response:
        if events[7].uuid in sent.uuids:
            raise NO_CONNECTION
        return ok(sent)

    one = post(answer)
    one.delivery.put(events)
    others = 0  # by which one sees that the host is well
    while not one.stats.dropped and others < 200:
        one.clock.sleep(5)
        one.delivery.put(encoded(1))
        one.delivery.flush(5)
        others += 1
    assert one.stats.dropped == {"connection": 1}
    assert one.delivery.flush(60) is True
    assert one.stats.delivered == 19 + others


def test_an_outage_of_500_divides_no_batch_into_single_events(post: MakePost) -> None:
    one = post(always(status(500)), retry_for=10_000)
    events = encoded(500)
    assert one.send(events, timeout=3000) is False
    assert min(len(sent.uuids) for sent in one.transport.sent) >= 500 // 16
    one.transport.answer = ok
    assert one.delivery.flush(60) is True
    assert sorted(one.transport.taken) == sorted(uuids(events))


# --- answers that are final for all


def test_events_over_quota_are_dropped_not_delivered(post: MakePost) -> None:
    one = post(always(Response(200, {}, b'{"status":"Ok","quota_limited":["llm_events"]}')))
    assert one.send(encoded(3)) is False
    assert (one.stats.delivered, one.stats.dropped) == (0, {"quota_limited": 3})
    assert len(one.transport.sent) == 1


def test_an_empty_answer_is_a_delivery_if_the_setting_says_so(post: MakePost) -> None:
    assert post(always(Response(204, {}, b"")), accept_empty_answers=True).send(encoded(3)) is True


def test_a_host_that_is_no_url_is_given_up_at_once(post: MakePost) -> None:
    one = post(always(TransportError("refused", "invalid_url", "is not a URL that can be requested")))
    assert one.send(encoded(3)) is False
    assert one.stats.dropped == {"invalid_url": 3}


# --- the endpoint that the host serves


@pytest.mark.parametrize("code", [404, 405])
def test_an_installation_without_the_ai_endpoint_gets_batch(post: MakePost, code: int) -> None:
    one = post(lambda sent: status(code) if sent.path == "/i/v0/ai/batch/" else ok(sent), max_batch_events=10)
    events = encoded(30)
    assert one.send(events) is True
    assert one.send(encoded()) is True
    assert one.transport.paths == ["/i/v0/ai/batch/", *["/batch/"] * 4]
    assert one.transport.taken[:30] == uuids(events)


def test_an_endpoint_that_goes_in_mid_stream_loses_nothing(post: MakePost) -> None:
    left = iter(range(100))
    one = post(
        lambda sent: status(404) if sent.path == "/i/v0/ai/batch/" and next(left) > 1 else ok(sent),
        max_batch_events=10,
    )
    events = encoded(50)
    assert one.send(events) is True
    assert one.transport.paths == [*["/i/v0/ai/batch/"] * 3, *["/batch/"] * 3]
    assert one.transport.taken == uuids(events)


def test_the_ai_endpoint_is_asked_for_again_after_an_hour(post: MakePost) -> None:
    one = post(first(1, status(404)))
    one.send(encoded())
    one.clock.sleep(3599)
    one.send(encoded())
    one.clock.sleep(2)
    one.send(encoded())
    assert one.transport.paths == ["/i/v0/ai/batch/", "/batch/", "/batch/", "/i/v0/ai/batch/"]


def test_an_event_for_which_only_the_ai_endpoint_has_room_is_shrunk_on_the_other(post: MakePost) -> None:
    one = post(
        lambda sent: status(404) if sent.path == "/i/v0/ai/batch/" else ok(sent),
        shrink=lambda body, limit: encoded_of_size(limit).body,
    )
    assert one.send([*encoded(2), encoded_of_size(2 * 1024 * 1024), *encoded(2)]) is True
    assert len(one.transport.taken) == 5


@pytest.mark.parametrize(("endpoint", "paths"), [("ai", 1), ("batch", 1), ("event", 1), ("auto", 2), ("v1", 2)])
def test_a_host_without_capture_drops_the_events(post: MakePost, endpoint: str, paths: int) -> None:
    one = post(always(status(404)), endpoint=endpoint)
    assert one.send(encoded()) is False
    assert len(one.transport.sent) == paths
    assert one.stats.dropped == {"http_404": 1}


def test_version_1_falls_back_to_its_analytics_endpoint(post: MakePost) -> None:
    one = post(lambda sent: status(404) if sent.path == "/i/v1/ai/events" else results(sent), endpoint="v1")
    assert one.send(encoded()) is True
    assert one.transport.paths == ["/i/v1/ai/events", "/i/v1/analytics/events"]


# --- version 1: results for each event


def test_only_what_version_1_asks_for_again_is_sent_again(post: MakePost) -> None:
    events = encoded(4)
    again, left = events[1].uuid, iter(range(10))
    one = post(lambda sent: results(sent, **({again: "retry"} if next(left) < 2 else {})), endpoint="v1")
    assert one.send(events) is True
    assert [sent.uuids for sent in one.transport.sent] == [uuids(events), [again], [again]]
    assert [sent.headers["PostHog-Attempt"] for sent in one.transport.sent] == ["1", "2", "3"]
    assert len({sent.headers["PostHog-Request-Id"] for sent in one.transport.sent}) == 1
    assert len({sent.document["created_at"] for sent in one.transport.sent}) == 1
    assert (one.stats.delivered, one.stats.retries) == (4, 2)


def test_two_batches_have_two_request_ids(post: MakePost) -> None:
    one = post(endpoint="v1", max_batch_events=1)
    one.send(encoded(2))
    assert len({sent.headers["PostHog-Request-Id"] for sent in one.transport.sent}) == 2


def test_events_that_version_1_does_not_mention_are_dropped(post: MakePost) -> None:
    events = encoded(2)
    answer = f'{{"results":{{"{events[0].uuid}":{{"result":"ok"}}}}}}'.encode()
    one = post(always(Response(200, {}, answer)), endpoint="v1")
    assert one.send(events) is False
    assert (one.stats.delivered, one.stats.dropped) == (1, {"not_answered": 1})


def test_events_that_version_1_drops_are_dropped_by_its_reason(post: MakePost) -> None:
    events = encoded(3)
    drop = {events[1].uuid: {"result": "drop", "details": "billing_limit_exceeded"}}

    def answer(sent: Sent) -> Response:
        import orjson

        told = {uuid: drop.get(uuid, {"result": "ok"}) for uuid in sent.uuids}
        return Response(200, {}, orjson.dumps({"results": told}))

    one = post(answer, endpoint="v1")
    assert one.send(events) is False
    assert (one.stats.delivered, one.stats.dropped) == (2, {"billing_limit_exceeded": 1})


# --- the bounds of memory


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", slice(2, 5)), ("drop_newest", slice(0, 3))])
def test_the_queue_is_bounded_in_events(post: MakePost, policy: str, kept: slice) -> None:
    lost: list[tuple[str, str, str]] = []
    one = post(max_queue_size=3, when_full=policy, on_drop=lambda *about: lost.append(about))
    events = encoded(5)
    receipts = [one.delivery.put([event]) for event in events]
    one.delivery.flush(1)
    assert one.transport.taken == uuids(events[kept])
    assert one.stats.dropped == {"queue_full": 2}
    assert sum(receipt.dropped for receipt in receipts) == 2
    assert {reason for _, _, reason in lost} == {"queue_full"}


def test_the_queue_is_bounded_in_bytes_and_says_how_much_that_is(
    post: MakePost, caplog: pytest.LogCaptureFixture
) -> None:
    one = post(max_memory_bytes=2 * 1024 * 1024)  # half of it is the collector's
    one.delivery.put([encoded_of_size(300_000) for _ in range(5)])
    assert one.stats.dropped == {"queue_full": 2}
    assert "it holds about 3 events of this size (max_queue_size, max_memory_bytes)" in caplog.text


def test_delivered_events_leave_room(post: MakePost) -> None:
    one = post(max_queue_size=3)
    for _ in range(5):
        one.delivery.put(encoded(3))
        one.delivery.flush(1)
    assert (one.stats.delivered, one.stats.dropped) == (15, {})


# --- slow links


def test_bodies_that_time_out_become_smaller_until_they_arrive(post: MakePost) -> None:
    """A link that carries 100 kB in the time of a request."""

    def answer(sent: Sent) -> Response:
        if len(sent.body) > 100_000:
            raise TIMEOUT
        return ok(sent)

    one = post(answer)
    events = [encoded_of_size(16_000) for _ in range(500)]
    assert one.send(events, timeout=600) is True
    assert sorted(one.transport.taken) == sorted(uuids(events))
    assert one.stats.requests["timeout"] < 30


def test_the_answer_to_a_large_body_may_take_longer(post: MakePost) -> None:
    one = post(compression="none", timeout=10)
    one.send([encoded_of_size(1024 * 1024)])
    assert one.transport.sent[0].request.timeout > 40


def test_six_seconds_of_latency_deliver_once(post: MakePost) -> None:
    one = post()
    one.transport.seconds = 6.0
    assert one.send(encoded(100)) is True
    assert len(one.transport.sent) == 1
    assert one.transport.sent[0].request.timeout >= 10


# --- the clock


@pytest.mark.parametrize("unix", [0.0, -1.0, 1e18])
def test_a_wall_clock_that_is_wrong_costs_nothing(post: MakePost, unix: float) -> None:
    clock = FakeClock()
    clock.unix = unix
    one = post(first(2, status(503)), clock=clock)
    assert one.send(encoded(3)) is True


# --- what is logged

FAILURES = [status(code) for code in (400, 401, 402, 403, 404, 413, 429, 500, 503, 301)]


@pytest.mark.parametrize(
    "failure",
    [*FAILURES, NO_CONNECTION, Response(200, {}, CONTENT.encode())],
    ids=lambda f: str(getattr(f, "status", f)),
)
def test_a_failure_is_logged_with_host_and_path_and_without_content_or_key(
    post: MakePost, caplog: pytest.LogCaptureFixture, failure: Any
) -> None:
    one = post(always(failure), host="https://user:hunter2@posthog.example/ph", endpoint="batch", retry_for=5)
    caplog.set_level("DEBUG", logger="otel_posthog")
    assert one.send(encoded(), timeout=60) is False
    warnings = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert warnings
    assert all("https://posthog.example/ph/batch/" in message for message in warnings)
    for secret in (CONTENT, KEY, "hunter2"):
        assert secret not in caplog.text


def test_an_outage_is_logged_once_a_minute_and_its_end_once(post: MakePost, caplog: pytest.LogCaptureFixture) -> None:
    one = post(always(status(503)))
    one.send(encoded(2), timeout=50)
    one.transport.answer = ok
    one.send(encoded(1))
    one.send(encoded(1))
    assert caplog.messages == [
        "https://posthog.example/i/v0/ai/batch/ answered 503. 2 events wait for another attempt",
        "https://posthog.example/i/v0/ai/batch/ accepts events again",
    ]


def test_a_key_that_is_refused_for_a_while_is_logged_once_and_costs_no_event(
    post: MakePost, caplog: pytest.LogCaptureFixture
) -> None:
    one = post(always(status(401)))
    assert one.send(encoded(2), timeout=50) is False
    one.transport.answer = ok
    assert one.send(encoded(1)) is True
    assert (one.stats.delivered, one.stats.dropped) == (3, {})
    refused, recovered = caplog.records
    assert refused.levelname == "ERROR"
    assert "does not accept this project API key" in refused.getMessage()
    assert recovered.getMessage() == "https://posthog.example/i/v0/ai/batch/ accepts events again"
    assert KEY not in caplog.text


def test_a_single_failure_is_not_logged(post: MakePost, caplog: pytest.LogCaptureFixture) -> None:
    post(first(1, status(503))).send(encoded())
    assert caplog.messages == []


@pytest.mark.parametrize("host", ["http://posthog.internal", "http://10.0.0.7:8000"])
def test_unencrypted_content_to_another_machine_is_logged_once(
    post: MakePost, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    one = post(host=host)
    one.send(encoded())
    one.send(encoded())
    assert caplog.messages == [f"prompts and answers go to {host[7:].partition(':')[0]} unencrypted: host is http://"]


@pytest.mark.parametrize(
    "host", ["https://posthog.example", "http://localhost:9", "http://127.0.0.1:9", "http://[::1]:9"]
)
def test_other_hosts_are_not_logged(post: MakePost, caplog: pytest.LogCaptureFixture, host: str) -> None:
    post(host=host)
    assert caplog.messages == []


# --- callbacks


@pytest.mark.parametrize("error", [ValueError(CONTENT), SystemExit(3)])
def test_an_on_drop_that_raises_costs_nothing(
    post: MakePost, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def on_drop(name: str, uuid: str, reason: str) -> None:
        raise error

    one = post(first(1, status(402)), on_drop=on_drop)
    assert one.send(encoded(2)) is False
    assert one.send(encoded(2)) is True
    assert f"on_drop raised {type(error).__name__}" in caplog.text
    assert CONTENT not in caplog.text


def test_on_drop_has_been_called_when_the_wait_ends(post: MakePost) -> None:
    lost: list[tuple[str, str, str]] = []
    one = post(always(status(402)), on_drop=lambda *about: lost.append(about))
    (event,) = encoded()
    one.send([event])
    assert lost == [("$ai_generation", event.uuid, "http_402")]
