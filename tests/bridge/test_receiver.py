"""The OTLP/HTTP receiver, over real HTTP, in front of a local PostHog."""

from __future__ import annotations

import gzip
import socket
import threading
from pathlib import Path

import orjson
import pytest
import requests
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_posthog.bridge import _server
from otel_posthog.local import LocalPostHog
from tests.support.bridges import JSON, BridgeInThread
from tests.support.made import SPAN_ID, made_span
from tests.support.otlp import as_json, traces_request
from tests.support.spans import ANSWER, CHAT, QUESTION

CHILD_ID, OTHER_ID = "1111111111111111", "2222222222222222"


def chat_request(**span: object) -> bytes:
    body: bytes = traces_request([made_span(attributes=CHAT, **span)]).SerializeToString()  # type: ignore[arg-type]
    return body


def status_of(answer: requests.Response) -> tuple[int, str]:
    """Status and message of an error, which is a ``google.rpc.Status``."""
    assert answer.headers["Content-Type"] == "application/x-protobuf"
    return answer.status_code, Status.FromString(answer.content).message


def test_protobuf_becomes_events_and_the_answer_is_empty(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    answer = bridge.post("traces", chat_request())
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "application/x-protobuf"
    (event,) = posthog.events()
    assert event["event"] == "$ai_generation"
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": QUESTION}]


def test_json_becomes_events_and_the_answer_is_json(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    answer = bridge.post("traces", as_json(traces_request([made_span(attributes=CHAT)])), JSON)
    assert (answer.status_code, answer.content) == (200, b"{}")
    (event,) = posthog.events()
    assert event["properties"]["$ai_output_choices"] == [{"role": "assistant", "content": ANSWER}]


def test_a_gzipped_request(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    answer = bridge.post("traces", gzip.compress(chat_request()), {"Content-Encoding": "gzip"})
    assert answer.status_code == 200
    assert len(posthog.events()) == 1


def test_an_empty_request_is_answered_200(bridge: BridgeInThread) -> None:
    assert bridge.post("traces", b"").status_code == 200


def test_metrics_are_accepted_and_discarded(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    assert bridge.post("metrics", b"").status_code == 200
    assert posthog.events() == []


def test_a_span_without_ids_costs_itself_alone(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    request = traces_request([made_span(attributes=CHAT), made_span(attributes=CHAT, span_id=CHILD_ID)])
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b""
    answer = bridge.post("traces", request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans) == (200, 1)
    assert partial.error_message == "1 span has no valid trace_id or span_id"
    assert len(posthog.events()) == 1


def test_a_span_with_an_invalid_string_costs_itself_alone(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    request = traces_request([made_span("bad", CHAT), made_span(attributes=CHAT, span_id=CHILD_ID)])
    answer = bridge.post("traces", request.SerializeToString().replace(b"\x03bad", b"\x03b\xffd"))
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (partial.rejected_spans, partial.error_message) == (1, "1 span is not valid protobuf")
    assert len(posthog.events()) == 1


def test_an_invalid_span_in_json_costs_itself_alone(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    request = orjson.loads(as_json(traces_request([made_span(attributes=CHAT)])))
    request["resourceSpans"][0]["scopeSpans"][0]["spans"].append({"traceId": "x", "spanId": 3, "kind": "SERVER"})
    answer = bridge.post("traces", orjson.dumps(request), JSON)
    assert answer.json() == {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "1 span is not valid OTLP JSON"}}
    assert len(posthog.events()) == 1


def test_a_lone_surrogate_in_json_costs_its_character(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    request = as_json(traces_request([made_span(attributes=CHAT | {"gen_ai.agent.name": "MARK"})]))
    assert bridge.post("traces", request.replace(b"MARK", rb"a\ud800b"), JSON).status_code == 200
    assert len(posthog.events()) == 1


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"resourceSpans": []}', gzip.compress(b"x", mtime=0), b"\x0a\xff", b"\x0a\x05cut"]
)
def test_what_is_no_protobuf_is_answered_400(bridge: BridgeInThread, body: bytes) -> None:
    status, message = status_of(bridge.post("traces", body))
    assert status == 400
    assert message in ("not protobuf", "truncated protobuf")


@pytest.mark.parametrize("body", [b"", b"{", b'"text"', b'{"resourceSpans": {}}', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_answered_400_in_json(bridge: BridgeInThread, body: bytes) -> None:
    answer = bridge.post("traces", body, JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] == 3


def test_a_truncated_gzip_is_answered_400(bridge: BridgeInThread) -> None:
    answer = bridge.post("traces", gzip.compress(chat_request())[:-9], {"Content-Encoding": "gzip"})
    assert status_of(answer) == (400, "truncated gzip")


def test_a_body_beyond_the_limit_is_answered_413(posthog: LocalPostHog) -> None:
    with BridgeInThread(posthog.url, max_body_bytes=1000) as bridge:
        assert status_of(bridge.post("traces", bytes(1001))) == (413, "the body exceeds 1,000 bytes")


def test_a_chunked_body_beyond_the_limit_is_answered_413(posthog: LocalPostHog) -> None:
    with BridgeInThread(posthog.url, max_body_bytes=1000) as bridge:
        answer = requests.post(
            f"{bridge.url}/v1/traces", (bytes(100) for _ in range(11)),
            headers={"Content-Type": "application/x-protobuf"}, timeout=15,
        )  # fmt: skip
        assert answer.status_code == 413


def test_a_decompression_bomb_is_answered_413(posthog: LocalPostHog) -> None:
    with BridgeInThread(posthog.url, max_body_bytes=1_000_000) as bridge:
        answer = bridge.post("traces", gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"})
        assert status_of(answer) == (413, "more than 1,000,000 bytes after decompression")


def test_an_unknown_content_type_is_answered_415(bridge: BridgeInThread) -> None:
    assert bridge.post("traces", b"", {"Content-Type": "text/plain"}).status_code == 415


def test_an_unknown_content_encoding_is_answered_415(bridge: BridgeInThread) -> None:
    assert bridge.post("traces", b"", {"Content-Encoding": "br"}).status_code == 415


def test_a_bearer_key_chooses_the_project(posthog: LocalPostHog) -> None:
    with (
        LocalPostHog(api_keys=["phc_other"]) as other,
        BridgeInThread(posthog.url, keys={"phc_other": other.url}) as bridge,
    ):
        assert bridge.post("traces", chat_request(), {"Authorization": "Bearer phc_other"}).content == b""
        assert (len(other.events()), len(posthog.events())) == (1, 0)


def test_a_key_that_is_not_allowed_is_answered_401(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    answer = bridge.post("traces", chat_request(), {"Authorization": "Bearer phc_stranger"})
    assert answer.status_code == 401
    assert posthog.events() == []


def test_an_outage_is_answered_503_with_a_short_retry_after() -> None:
    with LocalPostHog(faults=["503"]) as posthog, BridgeInThread(posthog.url, answer_within=0.5) as bridge:
        answer = bridge.post("traces", chat_request())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        posthog.faults.clear()  # or the end would wait for it


def test_a_spool_that_is_on_a_full_disk_is_no_reason_to_answer_200(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        LocalPostHog(faults=["503"]) as posthog,
        BridgeInThread(posthog.url, answer_within=0.5, spool_dir=str(tmp_path)) as bridge,
    ):
        assert bridge.post("traces", chat_request(span_id=CHILD_ID)).status_code == 200
        with monkeypatch.context() as disk:
            disk.setattr("otel_posthog.delivery.journal._write", full_disk)
            assert bridge.post("traces", chat_request()).status_code == 503


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_memory_for_requests_is_bounded(posthog: LocalPostHog) -> None:
    with BridgeInThread(posthog.url, max_held_bytes=100) as bridge:
        assert bridge.intake.admit(60)
        answer = bridge.post("traces", chat_request())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_events_that_posthog_refuses_are_a_partial_success() -> None:
    with LocalPostHog(faults=["400"]) as posthog, BridgeInThread(posthog.url) as bridge:
        partial = ExportTraceServiceResponse.FromString(bridge.post("traces", chat_request()).content).partial_success
        assert (partial.rejected_spans, partial.error_message) == (1, "1 not accepted by PostHog")


def test_a_client_that_sends_half_a_header_is_disconnected(
    posthog: LocalPostHog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "_READ_WITHIN", 0.2)
    with BridgeInThread(posthog.url) as bridge:
        host, port = bridge.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n")
            assert connection.recv(100) == b""


def test_a_client_that_sends_half_a_body_is_answered_408(
    posthog: LocalPostHog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "_READ_WITHIN", 0.2)
    with BridgeInThread(posthog.url) as bridge:
        host, port = bridge.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                b"Content-Length: 100\r\n\r\nhalf"
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_probes_and_metrics(bridge: BridgeInThread) -> None:
    bridge.post("traces", chat_request())
    assert requests.get(f"{bridge.url}/healthz", timeout=5).text == "ok\n"
    assert requests.get(f"{bridge.url}/readyz", timeout=5).status_code == 200
    metrics = requests.get(f"{bridge.url}/metrics", timeout=5).text
    assert 'otel_posthog_bridge_requests_total{signal="traces",status="200"} 1.0' in metrics
    assert "otel_posthog_bridge_events_delivered_total{" in metrics
    assert "phc_test" not in metrics


def test_children_that_come_before_their_parent_find_it(bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "user.id": "ada"}
    http = made_span("GET", {"http.request.method": "GET"}, span_id=OTHER_ID, parent_id=SPAN_ID)
    chat = made_span(attributes=CHAT, span_id=CHILD_ID, parent_id=OTHER_ID)
    body = traces_request([chat]).SerializeToString()
    early = threading.Thread(target=bridge.post, args=("traces", body))
    early.start()
    bridge.post("traces", traces_request([http, made_span("invoke_agent a", agent)]).SerializeToString())
    early.join()
    events = {event["event"]: event for event in posthog.events()}
    generation = events["$ai_generation"]
    assert generation["properties"]["$ai_parent_id"] == SPAN_ID
    assert generation["distinct_id"] == "ada"
