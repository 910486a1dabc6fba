"""Delivery over real HTTP: every event arrives or is dropped with its reason."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from otel_posthog.delivery import Encoded, encode
from otel_posthog.delivery.endpoints import ENVELOPE
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.captured import (
    CONTENT,
    KEY,
    Delivery,
    encoded,
    encoded_of_size,
    made_event,
    nameless,
    uuids,
)
from tests.support.scripted import Answer, Request, ScriptedServer

DeliverTo = Callable[..., Delivery]

# Far above what an export may take here, far below what a hang takes.
SOON = 5.0  # seconds
EVENT_LIMIT = 983_040  # bytes
# On /i/v0/e/ the event itself holds key and time too.
LIMITS = [("batch", EVENT_LIMIT), ("event", EVENT_LIMIT - ENVELOPE), ("ai", 8 * 1024 * 1024)]


def arrived(posthog: LocalPostHog) -> list[str]:
    return [event["uuid"] for event in posthog.events()]


def failing(answer: Answer, times: int) -> Callable[[Request, int], Answer]:
    """The answer for the first requests, success for the others."""
    return lambda request, before: answer if before < times else Answer()


# --- the ordinary way


def test_events_arrive_as_they_were_encoded(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery = deliver_to(posthog.url)
    event = made_event(model="gpt-5-mini")
    assert delivery.send([encode(event)]) is True
    assert posthog.events() == [
        {
            "event": "$ai_generation",
            "distinct_id": "ada",
            "uuid": event.uuid,
            "timestamp": "2026-11-24T03:00:00.123456Z",
            "properties": {"text": CONTENT, "model": "gpt-5-mini"},
            "path": "/i/v0/ai/batch/",
            "deliveries": 1,
        }
    ]


def test_delivered_events_are_counted(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery = deliver_to(posthog.url)
    delivery.send(encoded(3))
    stats = delivery.stats
    assert (stats.accepted, stats.delivered, stats.dropped) == (3, 3, {})
    assert (stats.requests, stats.retries) == ({"200": 1}, 0)
    assert stats.bytes_sent == posthog.requests()[0].compressed_bytes


def test_no_events_are_no_request(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    assert deliver_to(posthog.url).send([]) is True
    assert posthog.requests() == []


def test_order_is_kept_over_batches(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    events = encoded(25)
    deliver_to(posthog.url, max_batch_events=4).send(events)
    assert arrived(posthog) == uuids(events)


def test_a_request_holds_at_most_max_batch_events(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    deliver_to(posthog.url, max_batch_events=4).send(encoded(10))
    assert [request.events for request in posthog.requests()] == [4, 4, 2]


def test_a_request_holds_at_most_max_batch_bytes(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    events = [encoded_of_size(3000) for _ in range(20)]
    deliver_to(posthog.url, max_batch_bytes=20_000).send(events)
    assert [request.events for request in posthog.requests()] == [6, 6, 6, 2]
    assert all(request.decompressed_bytes <= 20_000 for request in posthog.requests())
    assert arrived(posthog) == uuids(events)


def test_more_than_posthog_takes_at_once_is_split(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    events = [encoded_of_size(EVENT_LIMIT) for _ in range(23)]
    delivery = deliver_to(posthog.url, max_batch_bytes=20 * 1024 * 1024, timeout=60)
    assert delivery.send(events) is True
    assert [request.status for request in posthog.requests()] == [200, 200]


def test_the_event_endpoint_takes_one_event_a_request(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    events = encoded(3)
    assert deliver_to(posthog.url, endpoint="event").send(events) is True
    assert [(request.path, request.events) for request in posthog.requests()] == [("/i/v0/e/", 1)] * 3
    assert arrived(posthog) == uuids(events)


def test_the_event_endpoint_sends_the_event_itself(deliver_to: DeliverTo) -> None:
    (event,) = encoded()
    with ScriptedServer() as server:
        deliver_to(server.url, endpoint="event").send([event])
    document = server.requests[0].document
    assert document.pop("api_key") == KEY
    assert document.pop("sent_at")
    assert document["uuid"] == event.uuid
    assert document.keys() == {"event", "uuid", "distinct_id", "timestamp", "properties"}


@pytest.mark.parametrize(("endpoint", "path"), [("batch", "/ingest/ph/batch/"), ("event", "/ingest/ph/i/v0/e/")])
def test_a_path_prefix_is_kept(posthog: LocalPostHog, deliver_to: DeliverTo, endpoint: str, path: str) -> None:
    assert deliver_to(f"{posthog.url}/ingest/ph/", endpoint=endpoint).send(encoded()) is True
    assert posthog.requests()[0].path == path


def test_bodies_are_gzipped(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    deliver_to(posthog.url).send(encoded(50))
    (request,) = posthog.requests()
    assert request.headers["content-encoding"] == "gzip"
    assert request.compressed_bytes < request.decompressed_bytes / 2


def test_bodies_are_plain_without_compression(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    deliver_to(posthog.url, compression="none").send(encoded(50))
    (request,) = posthog.requests()
    assert "content-encoding" not in request.headers
    assert request.compressed_bytes == request.decompressed_bytes


def test_the_body_is_the_envelope_and_the_encoded_bytes(deliver_to: DeliverTo) -> None:
    events = encoded(3)
    with ScriptedServer() as server:
        deliver_to(server.url).send(events)
    (request,) = server.requests
    assert request.document.keys() == {"api_key", "sent_at", "batch"}
    assert request.document["api_key"] == KEY
    assert request.body.endswith(b'"batch":[' + b",".join(event.body for event in events) + b"]}")


def test_sent_at_is_now_in_utc(deliver_to: DeliverTo) -> None:
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    with ScriptedServer() as server:
        deliver_to(server.url).send(encoded())
    sent_at = server.requests[0].document["sent_at"]
    assert sent_at.endswith("Z")
    assert before <= datetime.fromisoformat(sent_at.replace("Z", "+00:00")) <= datetime.now(timezone.utc)


def test_a_key_with_any_letters_stays_what_it_is(deliver_to: DeliverTo) -> None:
    with ScriptedServer() as server:
        deliver_to(server.url, api_key='phc_"ä\\').send(encoded())
    assert server.requests[0].document["api_key"] == 'phc_"ä\\'


def test_the_sender_is_named(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    deliver_to(posthog.url).send(encoded())
    assert posthog.requests()[0].headers["user-agent"].startswith("otel-posthog/")


def test_the_key_is_in_no_header_and_no_path(deliver_to: DeliverTo) -> None:
    with ScriptedServer() as server:
        deliver_to(server.url).send(encoded())
    (request,) = server.requests
    assert KEY not in f"{request.path} {request.headers}"


# --- trying again


@pytest.mark.parametrize("fault", ["408", "429", "500", "502", "503", "504", "reset", "reset-after", "truncate"])
def test_a_passing_failure_is_tried_again(posthog: LocalPostHog, deliver_to: DeliverTo, fault: str) -> None:
    posthog.faults = [Fault.parse(f"{fault}:times=2")]
    events = encoded(3)
    delivery = deliver_to(posthog.url, timeout=30)
    assert delivery.send(events) is True
    assert sorted(arrived(posthog)) == sorted(uuids(events))
    assert (delivery.stats.delivered, delivery.stats.retries) == (3, 2)


def test_an_answer_that_does_not_come_is_tried_again(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("hang:times=1")]
    events = encoded(3)
    assert deliver_to(posthog.url, timeout=8).send(events) is True
    assert arrived(posthog) == uuids(events)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 413, 415, 501])
def test_a_final_answer_is_not_tried_again(posthog: LocalPostHog, deliver_to: DeliverTo, status: int) -> None:
    posthog.faults = [Fault.parse(f"{status}:times=1")]
    delivery = deliver_to(posthog.url)
    assert delivery.send(encoded(1)) is False
    assert [request.status for request in posthog.requests()] == [status]
    assert (delivery.stats.delivered, sum(delivery.stats.dropped.values())) == (0, 1)


@pytest.mark.parametrize("failure", ["reset-after", "truncate"])
def test_an_event_that_was_stored_unseen_is_the_same_event_again(
    posthog: LocalPostHog, deliver_to: DeliverTo, failure: str
) -> None:
    posthog.faults = [Fault.parse(f"{failure}:times=1")]
    deliver_to(posthog.url, timeout=30).send(encoded(2))
    assert [event["deliveries"] for event in posthog.events()] == [2, 2]


def test_event_bytes_stay_the_same_over_retries(deliver_to: DeliverTo) -> None:
    with ScriptedServer(failing(Answer(503), times=2)) as server:
        deliver_to(server.url, timeout=30).send(encoded(3))
    batch_of = [request.body.partition(b'"batch":')[2] for request in server.requests]
    assert len(batch_of) == 3
    assert len(set(batch_of)) == 1


def test_sent_at_is_refreshed_on_retries(deliver_to: DeliverTo) -> None:
    with ScriptedServer(failing(Answer(503, headers={"Retry-After": "0.02"}), times=2)) as server:
        deliver_to(server.url, timeout=30).send(encoded())
    sent_at = [request.document["sent_at"] for request in server.requests]
    assert len(set(sent_at)) == 3
    assert sent_at == sorted(sent_at)


def test_retry_after_in_seconds_is_waited(deliver_to: DeliverTo) -> None:
    with ScriptedServer(failing(Answer(429, headers={"Retry-After": "1"}), times=1)) as server:
        assert deliver_to(server.url, timeout=30).send(encoded()) is True
    first, second = server.requests
    assert second.moment - first.moment >= 0.95


def test_retry_after_as_a_date_is_waited(deliver_to: DeliverTo) -> None:
    # Dates have whole seconds: two seconds from now is a wait of one to two.
    until = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=2), usegmt=True)
    with ScriptedServer(failing(Answer(503, headers={"Retry-After": until}), times=1)) as server:
        assert deliver_to(server.url, timeout=30).send(encoded()) is True
    first, second = server.requests
    assert second.moment - first.moment >= 0.7


def test_a_retry_after_that_nobody_can_read_is_a_retry(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault("503", retry_after="Tue, 24 Nov 99999999999999999999 03:00:00 GMT", times=1)]
    assert deliver_to(posthog.url, timeout=30).send(encoded()) is True


def test_a_wait_past_the_end_of_the_export_is_not_begun(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("503:retry-after=60")]
    delivery = deliver_to(posthog.url, timeout=30)
    begun = time.monotonic()
    assert delivery.send(encoded(2)) is False
    assert time.monotonic() - begun < SOON
    assert delivery.stats.dropped == {"http_503": 2}
    assert len(posthog.requests()) == 1


def test_later_events_are_tried_before_the_end_however_long_posthog_wants_to_be_left_alone(
    deliver_to: DeliverTo,
) -> None:
    with ScriptedServer(failing(Answer(429, headers={"Retry-After": "60"}), times=1)) as server:
        delivery = deliver_to(server.url, timeout=2)
        assert delivery.send(encoded(1)) is False
        begun = time.monotonic()
        assert delivery.send(encoded(2)) is True
        assert 0.8 <= time.monotonic() - begun < 2
    assert delivery.stats.dropped == {"http_429": 1}


def test_later_batches_of_an_export_are_tried_too(deliver_to: DeliverTo) -> None:
    with ScriptedServer(failing(Answer(503, headers={"Retry-After": "60"}), times=1)) as server:
        delivery = deliver_to(server.url, timeout=1.5, max_batch_events=1)
        assert delivery.send(encoded(4)) is False
    assert (delivery.stats.delivered, delivery.stats.dropped) == (3, {"http_503": 1})


def test_a_shutdown_cuts_the_wait_that_posthog_asks_for(deliver_to: DeliverTo) -> None:
    with ScriptedServer(failing(Answer(503, headers={"Retry-After": "60"}), times=1)) as server:
        delivery = deliver_to(server.url, timeout=30)
        delivery.send(encoded(1))
        sending = threading.Thread(target=delivery.send, args=(encoded(1),))
        sending.start()
        delivery.client.finish_by(time.monotonic() + 1.2)
        sending.join(SOON)
        assert not sending.is_alive()
    assert delivery.stats.delivered == 1


def test_a_failure_that_does_not_pass_is_given_up_in_time(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("503")]
    delivery = deliver_to(posthog.url, timeout=1)
    begun = time.monotonic()
    assert delivery.send(encoded(2)) is False
    assert time.monotonic() - begun < SOON
    assert delivery.stats.dropped == {"http_503": 2}
    assert delivery.stats.retries == len(posthog.requests()) - 1 >= 1


def test_the_next_export_after_a_failure_is_not_held_back(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("500")]
    delivery = deliver_to(posthog.url, timeout=0.3)
    delivery.send(encoded())
    posthog.faults = []
    assert delivery.send(encoded(2), timeout=30) is True
    assert (delivery.stats.delivered, delivery.stats.dropped) == (2, {"http_500": 1})


# --- the time that an export may take


def test_an_endpoint_that_hangs_is_left_in_time(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("hang")]
    delivery = deliver_to(posthog.url, timeout=0.5, max_batch_events=1)
    begun = time.monotonic()
    assert delivery.send(encoded(20)) is False
    assert time.monotonic() - begun < SOON
    assert delivery.stats.dropped == {"timeout": 20}


def test_an_endpoint_that_accepts_no_connection_is_left_in_time(deliver_to: DeliverTo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    delivery = deliver_to(f"http://127.0.0.1:{port}", timeout=0.5)
    begun = time.monotonic()
    assert delivery.send(encoded(2)) is False
    assert time.monotonic() - begun < SOON
    assert delivery.stats.dropped == {"connection": 2}


@pytest.mark.timeout(30)
def test_an_answer_that_never_ends_is_left_in_time(deliver_to: DeliverTo) -> None:
    with ScriptedServer(lambda request, before: Answer(trickle=True)) as server:
        delivery = deliver_to(server.url, timeout=0.5)
        done = threading.Event()

        def send() -> None:
            delivery.send(encoded())
            done.set()

        threading.Thread(target=send, daemon=True).start()
        in_time = done.wait(SOON)
    assert done.wait(SOON)  # at the latest when the server is gone
    assert in_time


def test_close_ends_the_wait_for_a_retry(deliver_to: DeliverTo) -> None:
    with ScriptedServer(lambda request, before: Answer(503, headers={"Retry-After": "50"})) as server:
        delivery = deliver_to(server.url, timeout=60)
        begun = time.monotonic()
        sending = threading.Thread(target=delivery.send, args=(encoded(),))
        sending.start()
        assert server.received.wait(SOON)
        delivery.client.close()
        sending.join(SOON)
    assert time.monotonic() - begun < 2 * SOON
    assert delivery.stats.dropped == {"http_503": 1}


def test_close_may_be_called_twice_and_without_any_request(deliver_to: DeliverTo) -> None:
    delivery = deliver_to("http://127.0.0.1:9")
    delivery.client.close()
    delivery.client.close()
    assert delivery.stats.accepted == 0


# --- events that PostHog refuses


@pytest.mark.parametrize(("endpoint", "limit"), LIMITS)
def test_an_event_of_just_the_limit_arrives(
    posthog: LocalPostHog, deliver_to: DeliverTo, endpoint: str, limit: int
) -> None:
    assert deliver_to(posthog.url, endpoint=endpoint, timeout=30).send([encoded_of_size(limit)]) is True
    assert len(posthog.events()) == 1


@pytest.mark.parametrize(("endpoint", "limit"), LIMITS)
def test_an_event_over_the_limit_is_dropped_alone(
    posthog: LocalPostHog, deliver_to: DeliverTo, endpoint: str, limit: int
) -> None:
    before, after = encoded(2), encoded(2)
    delivery = deliver_to(posthog.url, endpoint=endpoint)
    assert delivery.send([*before, encoded_of_size(limit + 1), *after]) is False
    assert arrived(posthog) == uuids(before + after)
    assert delivery.stats.dropped == {"event_too_large": 1}
    assert {request.status for request in posthog.requests()} == {200}


@pytest.mark.parametrize("places", [[0], [49], [17], [17, 18], [0, 25, 49]])
def test_events_that_posthog_calls_invalid_are_found_and_all_others_arrive(
    posthog: LocalPostHog, deliver_to: DeliverTo, places: list[int]
) -> None:
    events = encoded(50)
    good = [event for place, event in enumerate(events) if place not in places]
    for place in places:
        events[place] = nameless()
    delivery = deliver_to(posthog.url)
    assert delivery.send(events) is False
    assert arrived(posthog) == uuids(good)
    assert delivery.stats.dropped == {"invalid": len(places)}
    assert {event["deliveries"] for event in posthog.events()} == {1}


@pytest.mark.parametrize("place", [0, 17, 49])
def test_an_event_that_a_host_calls_too_large_is_found_and_all_others_arrive(deliver_to: DeliverTo, place: int) -> None:
    """A proxy in between may take less than PostHog."""
    events = encoded(50)
    events[place] = encoded_of_size(100_000)
    with ScriptedServer(lambda request, before: Answer(413 if len(request.body) > 90_000 else 200)) as server:
        delivery = deliver_to(server.url)
        assert delivery.send(events) is False
    taken = [uuid for request in server.requests if len(request.body) <= 90_000 for uuid in request.uuids]
    assert taken == [event.uuid for event in events if event is not events[place]]
    assert delivery.stats.dropped == {"too_large": 1}


def test_a_batch_that_is_too_large_as_a_whole_arrives_in_parts(deliver_to: DeliverTo) -> None:
    events = [encoded_of_size(20_000) for _ in range(40)]
    with ScriptedServer(lambda request, before: Answer(413 if len(request.body) > 90_000 else 200)) as server:
        assert deliver_to(server.url).send(events) is True
    taken = [uuid for request in server.requests if len(request.body) <= 90_000 for uuid in request.uuids]
    assert taken == uuids(events)


def test_finding_refused_events_costs_a_bounded_number_of_requests(
    posthog: LocalPostHog, deliver_to: DeliverTo
) -> None:
    posthog.faults = [Fault.parse("400")]
    delivery = deliver_to(posthog.url, timeout=60)
    assert delivery.send(encoded(500)) is False
    assert delivery.stats.dropped == {"invalid": 500}
    assert len(posthog.requests()) <= 257


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twelve_invalid_events_of_five_hundred_cost_twelve(
    posthog: LocalPostHog, deliver_to: DeliverTo, seed: int
) -> None:
    events = encoded(488) + [nameless() for _ in range(12)]
    random.Random(seed).shuffle(events)
    delivery = deliver_to(posthog.url, timeout=60)
    assert delivery.send(events) is False
    assert (delivery.stats.delivered, delivery.stats.dropped) == (488, {"invalid": 12})


def test_each_batch_has_its_own_search_for_invalid_events(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    events = encoded(400)
    for place in range(0, 400, 10):
        events[place] = nameless()
    delivery = deliver_to(posthog.url, timeout=60, max_batch_events=50)
    delivery.send(events)
    assert (delivery.stats.delivered, delivery.stats.dropped) == (360, {"invalid": 40})


def test_a_proxy_that_takes_less_than_posthog_costs_no_event_and_few_requests(deliver_to: DeliverTo) -> None:
    limit = 1_000_000
    events = [encoded_of_size(20_000) for _ in range(600)]
    with ScriptedServer(lambda request, before: Answer(413 if len(request.body) > limit else 200)) as server:
        delivery = deliver_to(server.url, timeout=60)
        assert delivery.send(events) is True
        assert [uuid for request in server.requests if len(request.body) <= limit for uuid in request.uuids] == (
            uuids(events)
        )
        assert delivery.stats.requests["413"] == 3  # 5 MB, half of it, a quarter
        assert delivery.send([encoded_of_size(20_000) for _ in range(100)]) is True
    assert delivery.stats.requests["413"] == 3


def test_a_refused_event_is_named_by_its_uuid(
    posthog: LocalPostHog, deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture
) -> None:
    bad = nameless()
    deliver_to(posthog.url).send([*encoded(3), bad])
    (message,) = caplog.messages
    assert bad.uuid in message


# --- answers that are final for all


def test_events_over_quota_are_dropped_not_delivered(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("quota")]
    delivery = deliver_to(posthog.url)
    assert delivery.send(encoded(3)) is False
    assert (delivery.stats.delivered, delivery.stats.dropped) == (0, {"quota_limited": 3})
    assert len(posthog.requests()) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_content_and_key(deliver_to: DeliverTo, status: int) -> None:
    with ScriptedServer() as elsewhere:
        moved = Answer(status, headers={"Location": elsewhere.url})
        with ScriptedServer(lambda request, before: moved) as server:
            delivery = deliver_to(server.url)
            assert delivery.send(encoded(2)) is False
    assert len(server.requests) == 1
    assert elsewhere.requests == []
    assert delivery.stats.dropped == {"redirect": 2}


def test_a_wrong_key_is_not_tried_again(deliver_to: DeliverTo) -> None:
    with LocalPostHog(api_keys=["phc_right"]) as posthog:
        delivery = deliver_to(posthog.url, api_key="phc_wrong")
        assert delivery.send(encoded(3)) is False
    assert [request.status for request in posthog.requests()] == [401]
    assert delivery.stats.dropped == {"unauthorized": 3}


def test_a_host_without_capture_drops_the_events(deliver_to: DeliverTo) -> None:
    with LocalPostHog() as posthog:
        delivery = deliver_to(f"{posthog.url}/i/v9")
        assert delivery.send(encoded(3)) is False
    assert [request.status for request in posthog.requests()] == [404, 404]  # the AI endpoint, then /batch/
    assert delivery.stats.dropped == {"http_404": 3}


@pytest.mark.parametrize("host", ["http://a..b", f"http://{'a' * 64}.example", "http://.example", "http://a\x00b"])
def test_a_host_that_no_request_can_name_drops_the_events(deliver_to: DeliverTo, host: str) -> None:
    delivery = deliver_to(host, timeout=0.5)
    assert delivery.send(encoded(3)) is False
    assert sum(delivery.stats.dropped.values()) == 3


# --- errors of our own


def a_shrink_that_raises(body: bytes, limit: int) -> bytes | None:
    raise ValueError(CONTENT)


def test_an_error_inside_leaves_nothing_pending(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery = deliver_to(posthog.url, a_shrink_that_raises, endpoint="batch")
    with pytest.raises(ValueError, match=CONTENT):
        delivery.send([*encoded(2), encoded_of_size(EVENT_LIMIT + 1), *encoded(2)])
    assert (delivery.stats.pending, delivery.stats.dropped) == (0, {"internal_error": 5})
    assert delivery.send(encoded(3)) is True


def test_an_error_inside_costs_only_what_was_not_delivered_yet(
    posthog: LocalPostHog, deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver_to(posthog.url, max_batch_events=2)
    transport = delivery.client._delivery._transport
    post, calls = transport.post, iter(range(10))

    def failing_the_second_time(*arguments: Any) -> Any:
        if next(calls) == 1:
            raise RuntimeError
        return post(*arguments)

    monkeypatch.setattr(transport, "post", failing_the_second_time)
    with pytest.raises(RuntimeError):
        delivery.send(encoded(6))
    assert (delivery.stats.delivered, delivery.stats.dropped) == (2, {"internal_error": 4})


def test_an_error_inside_does_not_block_the_events_on_disk(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    delivery = deliver_to(posthog.url, a_shrink_that_raises, endpoint="batch", spool_dir=tmp_path, max_batch_events=2)
    events = [*encoded(2), encoded_of_size(EVENT_LIMIT + 1), *encoded(2)]
    with pytest.raises(ValueError, match=CONTENT):
        delivery.send(events)
    assert delivery.send(encoded(1)) is True
    assert delivery.stats.dropped == {"internal_error": 2}  # the request that it was to be in
    assert (delivery.stats.delivered, delivery.client.stats().spooled) == (4, 0)


# --- warnings


FAULTS = ["400:times=1", "401", "403", "404", "413", "429", "500", "503", "reset", "hang", "quota", "truncate"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_warning_holds_neither_content_nor_key(
    posthog: LocalPostHog, deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    posthog.faults = [Fault.parse(fault)]
    caplog.set_level("DEBUG", logger="otel_posthog")
    assert deliver_to(posthog.url, timeout=0.4).send(encoded()) is False
    (message,) = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert "not sent to PostHog" in message or "Nothing more is sent" in message
    assert CONTENT not in caplog.text
    assert KEY not in caplog.text


def test_a_dropped_large_event_is_warned_of_without_content(
    posthog: LocalPostHog, deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture
) -> None:
    large = encode(made_event(text=CONTENT * 50_000))
    deliver_to(posthog.url, endpoint="batch").send([large])
    (message,) = caplog.messages
    assert large.uuid in message
    assert CONTENT not in message


def test_the_same_failure_is_warned_of_once(
    posthog: LocalPostHog, deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture
) -> None:
    posthog.faults = [Fault.parse("403")]
    delivery = deliver_to(posthog.url)
    for _ in range(5):
        delivery.send(encoded())
    assert len(caplog.messages) == 1
    assert delivery.stats.dropped == {"http_403": 5}


def test_two_kinds_of_failure_are_both_warned_of(
    posthog: LocalPostHog, deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture
) -> None:
    posthog.faults = [Fault.parse("403:times=1"), Fault.parse("402:times=1")]
    delivery = deliver_to(posthog.url)
    delivery.send(encoded())
    delivery.send(encoded())
    assert len(caplog.messages) == 2


def test_the_password_of_a_host_is_in_no_warning(deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture) -> None:
    deliver_to("http://proxy:hunter2@127.0.0.1:9", timeout=0.3).send(encoded())
    assert "not sent to PostHog" in caplog.text
    assert "hunter2" not in caplog.text


# --- many threads


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in threads that begin together; what one raises, this raises."""
    together = threading.Barrier(count)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            together.wait(SOON)
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_twenty_threads_deliver_every_event_once(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery = deliver_to(posthog.url, timeout=60, max_batch_events=7)
    events = [encoded(20) for _ in range(20)]
    in_threads(20, lambda number: delivery.send(events[number]) or None)
    assert sorted(arrived(posthog)) == sorted(uuids([event for part in events for event in part]))
    assert {event["deliveries"] for event in posthog.events()} == {1}
    assert delivery.stats.delivered == 400


def test_twenty_threads_lose_nothing_over_failures(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("503:rate=0.2"), Fault.parse("reset:rate=0.1")]
    delivery = deliver_to(posthog.url, timeout=60)
    results: list[Any] = []
    in_threads(20, lambda number: results.append(delivery.send(encoded(5))))
    assert results == [True] * 20
    assert len(posthog.events()) == 100


def test_a_client_that_is_closed_while_it_sends_loses_no_count(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery = deliver_to(posthog.url)

    def work(number: int) -> None:
        if number == 0:
            delivery.client.close()
        else:
            delivery.send(encoded(5))

    in_threads(8, work)
    assert delivery.stats.accepted == 35


def test_events_of_two_clients_do_not_mix(deliver_to: DeliverTo) -> None:
    with LocalPostHog() as one, LocalPostHog() as other:
        first, second = encoded(2), encoded(3)
        deliver_to(one.url).send(first)
        deliver_to(other.url).send(second)
    assert (arrived(one), arrived(other)) == (uuids(first), uuids(second))


def test_an_event_may_be_encoded_long_before_it_is_sent(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    event = made_event(number=1)
    sent: Encoded = encode(event)
    event.properties["number"] = 2
    deliver_to(posthog.url).send([sent])
    assert posthog.events()[0]["properties"]["number"] == 1
