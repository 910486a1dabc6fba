"""The endpoints: falling back where one is not served, and the newer contract that answers for each event."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import orjson
import pytest

from otel_posthog.delivery import Encoded, encode, endpoints
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.captured import KEY, Delivery, encoded, encoded_of_size, made_event, uuids
from tests.support.scripted import Answer, Request, ScriptedServer

DeliverTo = Callable[..., Delivery]

AI, BATCH = "/i/v0/ai/batch/", "/batch/"
V1_AI, V1 = "/i/v1/ai/events", "/i/v1/analytics/events"
MIB = 1024 * 1024


def paths(posthog: LocalPostHog) -> list[tuple[str, int | None]]:
    return [(request.path, request.status) for request in posthog.requests()]


def arrived(posthog: LocalPostHog) -> list[str]:
    return [event["uuid"] for event in posthog.events()]


# --- auto


def test_the_ai_endpoint_comes_first(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    assert deliver_to(posthog.url).send([encoded_of_size(2 * MIB)]) is True
    assert paths(posthog) == [(AI, 200)]


@pytest.mark.parametrize("status", [404, 405])
def test_an_install_without_it_gets_batch_and_nothing_is_lost(
    posthog: LocalPostHog, deliver_to: DeliverTo, status: int
) -> None:
    posthog.faults = [Fault.parse(f"{status}:path={AI}")]
    events = encoded(30)
    delivery = deliver_to(posthog.url, max_batch_events=10)
    assert delivery.send(events) is True
    assert delivery.send(encoded()) is True
    assert paths(posthog) == [(AI, status)] + [(BATCH, 200)] * 4
    assert arrived(posthog)[:30] == uuids(events)
    assert delivery.stats.dropped == {}


def test_an_endpoint_that_goes_in_mid_stream_loses_nothing(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse(f"404:path={AI},after=2")]
    events = encoded(50)
    assert deliver_to(posthog.url, max_batch_events=10).send(events) is True
    assert [path for path, _ in paths(posthog)] == [AI, AI, AI, BATCH, BATCH, BATCH]
    assert arrived(posthog) == uuids(events)


def test_it_is_asked_for_again_after_a_while(
    posthog: LocalPostHog, deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    posthog.faults = [Fault.parse(f"404:path={AI},times=1")]
    delivery = deliver_to(posthog.url)
    delivery.send(encoded())
    delivery.send(encoded())
    monkeypatch.setattr(endpoints, "RECHECK", -1.0)
    delivery.send(encoded())
    assert [path for path, _ in paths(posthog)] == [AI, BATCH, BATCH, AI]


def test_an_event_for_which_only_the_ai_endpoint_has_room_is_shrunk_on_the_other(
    posthog: LocalPostHog, deliver_to: DeliverTo
) -> None:
    posthog.faults = [Fault.parse(f"404:path={AI}")]
    large, before, after = encoded_of_size(2 * MIB), encoded(2), encoded(2)
    delivery = deliver_to(posthog.url, shrink=lambda body, limit: encoded_of_size(limit).body)
    assert delivery.send([*before, large, *after]) is True
    assert len(posthog.events()) == 5


@pytest.mark.parametrize(("endpoint", "path"), [("ai", AI), ("batch", BATCH), ("event", "/i/v0/e/")])
def test_a_single_endpoint_has_nothing_to_fall_back_to(
    posthog: LocalPostHog, deliver_to: DeliverTo, endpoint: str, path: str
) -> None:
    posthog.faults = [Fault.parse("404")]
    delivery = deliver_to(posthog.url, endpoint=endpoint)
    assert delivery.send(encoded()) is False
    assert paths(posthog) == [(path, 404)]
    assert delivery.stats.dropped == {"http_404": 1}


def test_many_threads_fall_back_once_each_at_most(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse(f"404:path={AI}")]
    delivery = deliver_to(posthog.url, timeout=30)
    threads = [Thread(target=lambda: [delivery.send(encoded(3)) for _ in range(5)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(posthog.events()) == 120
    assert sum(path == AI for path, _ in paths(posthog)) <= 8


# --- version 1: accepted and refused event by event


def v1(**properties: Any) -> Encoded:
    return encode(made_event(**properties), version=1)


def results(request: Request, result: str = "ok", **others: str) -> Answer:
    told = {uuid: {"result": others.get(uuid, result)} for uuid in request.uuids}
    return Answer(200, orjson.dumps({"results": told}))


def test_version_1_takes_events(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    events = [v1(number=number) for number in range(20)]
    delivery = deliver_to(posthog.url, endpoint="v1", max_batch_events=7)
    assert delivery.send(events) is True
    assert paths(posthog) == [(V1_AI, 200)] * 3
    assert arrived(posthog) == uuids(events)


def test_version_1_falls_back_to_its_analytics_endpoint(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse(f"404:path={V1_AI}")]
    delivery = deliver_to(posthog.url, endpoint="v1")
    assert delivery.send([v1()]) is True
    assert paths(posthog) == [(V1_AI, 404), (V1, 200)]


def test_headers_and_body_of_version_1(deliver_to: DeliverTo) -> None:
    event = v1(**{"$session_id": "s", "$process_person_profile": False})
    with ScriptedServer(lambda request, before: results(request)) as server:
        assert deliver_to(server.url, endpoint="v1").send([event]) is True
    (request,) = server.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["PostHog-Sdk-Info"].startswith("otel-posthog/")
    assert request.headers["PostHog-Attempt"] == "1"
    assert request.headers["PostHog-Request-Timestamp"].endswith("Z")
    assert request.document.keys() == {"created_at", "batch"}
    (sent,) = request.document["batch"]
    assert (sent["session_id"], sent["options"]) == ("s", {"process_person_profile": False})
    assert sent["properties"].keys() == {"text"}


@pytest.mark.parametrize("endpoint", ["ai", "batch", "v1"])
def test_a_migration_of_old_events_says_so(deliver_to: DeliverTo, endpoint: str) -> None:
    with ScriptedServer(lambda request, before: results(request)) as server:
        deliver_to(server.url, endpoint=endpoint, historical_migration=True).send([v1()])
    assert server.requests[0].document["historical_migration"] is True


def test_only_what_it_asks_for_again_is_sent_again(deliver_to: DeliverTo) -> None:
    events = [v1(number=number) for number in range(4)]
    again = events[1].uuid

    def answer(request: Request, before: int) -> Answer:
        return results(request, **({again: "retry"} if before < 2 else {}))

    with ScriptedServer(answer) as server:
        delivery = deliver_to(server.url, endpoint="v1", timeout=30)
        assert delivery.send(events) is True
    assert [request.uuids for request in server.requests] == [uuids(events), [again], [again]]
    assert [request.headers["PostHog-Attempt"] for request in server.requests] == ["1", "2", "3"]
    assert len({request.headers["PostHog-Request-Id"] for request in server.requests}) == 1
    assert len({request.document["created_at"] for request in server.requests}) == 1
    assert (delivery.stats.delivered, delivery.stats.retries) == (4, 2)


def test_two_batches_have_two_request_ids(deliver_to: DeliverTo) -> None:
    with ScriptedServer(lambda request, before: results(request)) as server:
        deliver_to(server.url, endpoint="v1", max_batch_events=1).send([v1(), v1()])
    assert len({request.headers["PostHog-Request-Id"] for request in server.requests}) == 2


def test_events_of_which_nothing_is_said_are_not_delivered(deliver_to: DeliverTo) -> None:
    said, unsaid = v1(), v1()

    def answer(request: Request, before: int) -> Answer:
        return Answer(200, orjson.dumps({"results": {said.uuid: {"result": "ok"}}}))

    with ScriptedServer(answer) as server:
        delivery = deliver_to(server.url, endpoint="v1")
        assert delivery.send([said, unsaid]) is False
    assert (delivery.stats.delivered, delivery.stats.dropped) == (1, {"not_answered": 1})


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"result": "drop", "details": "billing_limit_exceeded"}, "billing_limit_exceeded"),
        ({"result": "drop"}, "dropped_by_posthog"),
        ({"result": "drop", "details": "a text with content"}, "dropped_by_posthog"),
        ({"result": "something new"}, "dropped_by_posthog"),
        ({"result": 7}, "dropped_by_posthog"),
        (None, "dropped_by_posthog"),
    ],
)
def test_other_results_are_final(deliver_to: DeliverTo, result: Any, reason: str) -> None:
    event = v1()
    with ScriptedServer(lambda r, n: Answer(200, orjson.dumps({"results": {event.uuid: result}}))) as server:
        delivery = deliver_to(server.url, endpoint="v1")
        assert delivery.send([event]) is False
    assert len(server.requests) == 1
    assert delivery.stats.dropped == {reason: 1}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"results": []}', b'{"results": null}', b"", b'{"resul'])
def test_an_answer_that_cannot_be_read_is_no_answer(deliver_to: DeliverTo, body: bytes) -> None:
    with ScriptedServer(lambda request, before: Answer(200, body) if before == 0 else results(request)) as server:
        delivery = deliver_to(server.url, endpoint="v1", timeout=30)
        assert delivery.send([v1()]) is True
    assert len(server.requests) == 2
    assert delivery.stats.delivered == 1


def test_version_1_does_not_want_429_tried_again(deliver_to: DeliverTo) -> None:
    with ScriptedServer(lambda request, before: Answer(429)) as server:
        delivery = deliver_to(server.url, endpoint="v1", timeout=30)
        assert delivery.send([v1()]) is False
    assert len(server.requests) == 1
    assert delivery.stats.dropped == {"http_429": 1}


def test_the_uuid_of_a_result_may_be_written_in_capitals(deliver_to: DeliverTo) -> None:
    event = v1()
    told = orjson.dumps({"results": {event.uuid.upper(): {"result": "ok"}}})
    with ScriptedServer(lambda request, before: Answer(200, told)) as server:
        assert deliver_to(server.url, endpoint="v1").send([event]) is True


@pytest.mark.parametrize("fault", ["503:times=2", "reset:times=2", "reset-after:times=1", "truncate:times=1",
                                   "retry:times=2,share=0.5", "warning"])  # fmt: skip
def test_version_1_loses_nothing_over_passing_failures(
    posthog: LocalPostHog, deliver_to: DeliverTo, fault: str
) -> None:
    posthog.faults = [Fault.parse(fault)]
    events = [v1(number=number) for number in range(10)]
    delivery = deliver_to(posthog.url, endpoint="v1", timeout=30)
    assert delivery.send(events) is True
    assert sorted(arrived(posthog)) == sorted(uuids(events))
