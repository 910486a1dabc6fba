"""What each protocol sends, and what each answer means."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from otel_posthog.delivery import EncodedEvent, Response, encode
from otel_posthog.delivery.protocols import CaptureProtocol, Envelope, Outcome, protocols
from tests.support.captured import encoded, made_event

NOW = 1_795_489_200.0
ENVELOPE = Envelope("phc_key", "2026-11-24T03:00:00.000Z", "2026-11-24T03:00:01.000Z", 2, "request-1")
AI, BATCH = protocols("auto", accept_empty=False)
(EVENT,) = protocols("event", accept_empty=False)
V1_AI, V1 = protocols("v1", accept_empty=False)


def outcome(status: int, body: bytes = b"", protocol: CaptureProtocol = AI, **headers: str) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return protocol.outcome(Response(status, named, body), NOW)


# --- what is sent


@pytest.mark.parametrize(
    ("endpoint", "paths"),
    [
        ("auto", ["/i/v0/ai/batch/", "/batch/"]),
        ("ai", ["/i/v0/ai/batch/"]),
        ("batch", ["/batch/"]),
        ("v1", ["/i/v1/ai/events", "/i/v1/analytics/events"]),
        ("event", ["/i/v0/e/"]),
    ],
)
def test_the_protocols_of_a_setting(endpoint: str, paths: list[str]) -> None:
    assert [protocol.path for protocol in protocols(endpoint, accept_empty=False)] == paths


@pytest.mark.parametrize("protocol", [AI, BATCH], ids=["ai", "batch"])
def test_version_0_has_the_key_in_the_body(protocol: CaptureProtocol) -> None:
    events = encoded(2)
    body = protocol.body(events, ENVELOPE)
    document = orjson.loads(body)
    assert document.keys() == {"api_key", "sent_at", "batch"}
    assert (document["api_key"], document["sent_at"]) == ("phc_key", "2026-11-24T03:00:01.000Z")
    assert body.endswith(b'"batch":[' + b",".join(event.body for event in events) + b"]}")
    assert "phc_key" not in str(protocol.headers(ENVELOPE))


def test_a_single_event_has_the_key_beside_its_fields() -> None:
    (event,) = encoded()
    document = orjson.loads(EVENT.body([event], ENVELOPE))
    assert document == {
        **orjson.loads(event.body),
        "api_key": "phc_key",
        "sent_at": "2026-11-24T03:00:01.000Z",
    }


@pytest.mark.parametrize("protocol", [V1_AI, V1], ids=["ai", "analytics"])
def test_version_1_has_the_key_in_a_header(protocol: CaptureProtocol) -> None:
    event = encode(made_event(**{"$session_id": "s", "$process_person_profile": False}), version=1)
    headers = protocol.headers(ENVELOPE)
    assert headers["Authorization"] == "Bearer phc_key"
    assert headers["PostHog-Sdk-Info"].startswith("otel-posthog/")
    assert headers["PostHog-Attempt"] == "2"
    assert headers["PostHog-Request-Id"] == "request-1"
    assert headers["PostHog-Request-Timestamp"] == "2026-11-24T03:00:01.000Z"
    document = orjson.loads(protocol.body([event], ENVELOPE))
    assert document.keys() == {"created_at", "batch"}
    (sent,) = document["batch"]
    assert (sent["session_id"], sent["options"]) == ("s", {"process_person_profile": False})
    assert sent["properties"].keys() == {"text"}


@pytest.mark.parametrize("protocol", [AI, BATCH, V1_AI], ids=["ai", "batch", "v1"])
def test_a_migration_of_old_events_says_so(protocol: CaptureProtocol) -> None:
    envelope = Envelope("phc_key", "", "", 1, "", historical=True)
    assert orjson.loads(protocol.body(encoded(), envelope))["historical_migration"] is True


def test_a_key_with_any_letters_stays_what_it_is() -> None:
    envelope = Envelope('phc_"ä\\', "", "", 1, "")
    assert orjson.loads(AI.body(encoded(), envelope))["api_key"] == 'phc_"ä\\'


def test_the_sender_is_named() -> None:
    assert AI.headers(ENVELOPE)["User-Agent"].startswith("otel-posthog/")


# --- what an answer means

STATUSES = [
    (102, "retry", "http_102"),
    (103, "retry", "http_103"),
    (301, "refused", "redirect"),
    (302, "refused", "redirect"),
    (307, "refused", "redirect"),
    (308, "refused", "redirect"),
    (400, "invalid", "invalid"),
    (401, "paused", "unauthorized"),
    (402, "refused", "http_402"),
    (403, "paused", "http_403"),
    (404, "not_served", "http_404"),
    (405, "not_served", "http_405"),
    (408, "retry", "http_408"),
    (410, "refused", "http_410"),
    (413, "too_large", "too_large"),
    (415, "refused", "http_415"),
    (425, "retry", "http_425"),
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
    (999, "refused", "http_999"),
]


@pytest.mark.parametrize("protocol", [AI, EVENT, V1_AI], ids=["v0", "event", "v1"])
@pytest.mark.parametrize(("status", "kind", "reason"), STATUSES)
def test_status(protocol: CaptureProtocol, status: int, kind: str, reason: str) -> None:
    got = outcome(status, b"your prompt was: secret", protocol)
    assert (got.kind, got.reason) == (kind, reason)
    assert str(status) in got.detail
    assert "secret" not in got.detail


def test_429_is_temporary_in_version_0_and_final_in_version_1() -> None:
    assert outcome(429).kind == "retry"
    assert outcome(429, protocol=V1_AI).kind == "refused"


@pytest.mark.parametrize("body", [b'{"status":"Ok"}', b'{"status":1}', b"1", b'{"status":"Ok","quota_limited":[]}'])
def test_posthogs_answer_is_a_delivery(body: bytes) -> None:
    assert outcome(200, body).kind == "delivered"


def test_an_answer_over_quota_is_no_delivery() -> None:
    got = outcome(200, b'{"status":"Ok","quota_limited":["llm_events"]}')
    assert (got.kind, got.reason) == ("refused", "quota_limited")


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"sta', b'{"status":"down"}', b"null", b'{"login":true}', b""])
@pytest.mark.parametrize("protocol", [AI, V1_AI], ids=["v0", "v1"])
def test_an_answer_that_is_not_posthogs_is_not_a_delivery(protocol: CaptureProtocol, body: bytes, status: int) -> None:
    got = outcome(status, body, protocol)
    assert (got.kind, got.reason) == ("retry", "bad_answer")


@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_answer_is_a_delivery_if_the_setting_says_so(status: int) -> None:
    (protocol,) = protocols("batch", accept_empty=True)
    assert outcome(status, b"", protocol).kind == "delivered"
    assert outcome(status, b"<html>", protocol).kind == "retry"


@pytest.mark.parametrize(
    ("result", "kind", "reason"),
    [
        ({"result": "ok"}, "delivered", "delivered"),
        ({"result": "warning", "details": "x"}, "delivered", "delivered"),
        ({"result": "retry", "details": "not_persisted"}, "retry", "retry"),
        ({"result": "drop", "details": "billing_limit_exceeded"}, "refused", "billing_limit_exceeded"),
        ({"result": "drop"}, "refused", "dropped_by_posthog"),
        ({"result": "drop", "details": "a text with content"}, "refused", "dropped_by_posthog"),
        ({"result": "something new"}, "refused", "dropped_by_posthog"),
        ({"result": 7}, "refused", "dropped_by_posthog"),
        (None, "refused", "dropped_by_posthog"),
    ],
)
def test_results_of_version_1(result: Any, kind: str, reason: str) -> None:
    got = outcome(200, orjson.dumps({"results": {"ABC": result}}), V1)
    assert got.kind == "results"
    assert (got.results["abc"].kind, got.results["abc"].reason) == (kind, reason)


@pytest.mark.parametrize("body", [b'{"results": []}', b'{"results": null}', b"[]", b'{"resul'])
def test_results_that_cannot_be_read_are_no_answer(body: bytes) -> None:
    assert outcome(200, body, V1).kind == "retry"


def test_retry_after_is_kept() -> None:
    assert outcome(503, Retry_After="7").retry_after == 7.0
    assert outcome(403, Retry_After="7").retry_after == 7.0
    assert outcome(200, b'{"results":{}}', V1, Retry_After="7").retry_after == 7.0


def test_limits() -> None:
    assert [p.max_event_bytes for p in (AI, BATCH, EVENT, V1_AI, V1)] == [
        8 * 1024 * 1024,
        983_040,
        982_016,
        8 * 1024 * 1024,
        983_040,
    ]
    assert [p.max_events for p in (AI, BATCH, EVENT, V1_AI, V1)] == [None, None, 1, None, None]


def test_a_single_event_of_just_the_limit_fits() -> None:
    event = EncodedEvent("e", "u", b"{" + b" " * (EVENT.max_event_bytes - 1))
    assert len(EVENT.body([event], ENVELOPE)) <= 983_040
