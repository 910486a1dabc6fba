"""What the capture endpoints accept and answer, one rule of the contract a test."""

from __future__ import annotations

import gzip
import importlib.util
import json
import zlib
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.local.contract import (
    AI_EVENT_LIMIT,
    BODY_LIMIT,
    EVENT_LIMIT,
    Verdict,
    endpoint_of,
    judge,
)
from otel_posthog.local.faults import Fault

BATCH, AI_BATCH = "/batch/", "/i/v0/ai/batch/"
V1, V1_AI = "/i/v1/analytics/events", "/i/v1/ai/events"
UUID = "0190a6e2-5b3c-7d11-8000-00000000000"


def event(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "event": "$ai_generation",
        "distinct_id": "user-1",
        "uuid": str(uuid4()),
        "timestamp": "2026-01-02T03:04:05.678Z",
        "properties": {"$ai_trace_id": "trace-1"},
    }
    made.update(changes)
    return {name: value for name, value in made.items() if value is not ...}


def sized(size: int, **changes: Any) -> dict[str, Any]:
    """An event of exactly ``size`` bytes as compact JSON."""
    made = event(properties={"x": ""}, **changes)
    made["properties"]["x"] = "x" * (size - len(json.dumps(made, separators=(",", ":"))))
    return made


def v0(path: str, *events: dict[str, Any], **body: Any) -> Verdict:
    return send(path, {"api_key": "phc_test", "batch": list(events), **body})


def send(
    path: str,
    document: Any,
    headers: dict[str, str] | None = None,
    api_keys: frozenset[str] | None = None,
) -> Verdict:
    endpoint = endpoint_of(path)
    assert endpoint is not None
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return judge(endpoint, headers or {}, body, api_keys)


def v1_headers(**changes: str | None) -> dict[str, str]:
    made: dict[str, str | None] = {
        "authorization": "Bearer phc_test",
        "posthog-sdk-info": "otel-posthog/1.2.3",
        "posthog-attempt": "1",
        "posthog-request-id": str(uuid4()),
        "posthog-request-timestamp": "2026-01-02T03:04:06Z",
        "content-type": "application/json",
        "user-agent": "otel-posthog/1.2.3",
    }
    made.update({name.replace("_", "-"): value for name, value in changes.items()})
    return {name: value for name, value in made.items() if value is not None}


def v1(path: str, *events: dict[str, Any], **body: Any) -> Verdict:
    document = {"created_at": "2026-01-02T03:04:06Z", "batch": list(events), **body}
    return send(path, document, v1_headers())


# Paths


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/batch", "/batch"),
        ("/batch/", "/batch"),
        ("/e/", "/e"),
        ("/capture/", "/capture"),
        ("/i/v0/e/", "/i/v0/e"),
        ("/i/v0/ai/batch/", "/i/v0/ai/batch"),
        ("/ingest/i/v0/ai/batch/", "/i/v0/ai/batch"),
        ("/a/b/batch/", "/batch"),
        ("/ph/i/v1/ai/events/", "/i/v1/ai/events"),
        ("/i/v1/analytics/events", "/i/v1/analytics/events"),
    ],
)
def test_a_path_is_found_with_and_without_slash_and_below_a_prefix(path: str, meant: str) -> None:
    endpoint = endpoint_of(path)
    assert endpoint is not None
    assert endpoint.path == meant


@pytest.mark.parametrize("path", ["/", "/flags/", "/i/v0/ai/otel", "/i/v0/other/batch/", "/mybatch", "/batch/x"])
def test_other_paths_are_not_served(path: str) -> None:
    assert endpoint_of(path) is None


# v0: shapes, keys, encodings


@pytest.mark.parametrize("path", [BATCH, "/i/v0/e/", "/e/", "/capture/"])
def test_v0_takes_one_event_a_list_or_a_batch(path: str) -> None:
    key = {"api_key": "phc_test"}
    for document in (event(**key), [event(**key)], {**key, "batch": [event()]}):
        verdict = send(path, document)
        assert verdict.status == 200
        assert [stored.name for stored in verdict.events] == ["$ai_generation"]
        assert verdict.answer() == (b'{"status":"Ok"}', "application/json")


@pytest.mark.parametrize(
    "document",
    [
        {"api_key": "phc_test", "batch": [event()]},
        {"token": "phc_test", "batch": [event()]},
        event(token="phc_test"),
        event(properties={"token": "phc_test"}),
        [event(properties={"token": "phc_test"}), event(api_key="phc_test")],
    ],
)
def test_v0_finds_the_key_wherever_it_may_stand(document: Any) -> None:
    assert send(BATCH, document).status == 200


@pytest.mark.parametrize(
    ("document", "api_keys"),
    [
        ({"batch": [event()]}, None),
        ({"api_key": "", "batch": [event()]}, None),
        ({"api_key": "phx_personal", "batch": [event()]}, None),
        ({"api_key": "phc_other", "batch": [event()]}, frozenset({"phc_mine"})),
        ([event(api_key="phc_one"), event(api_key="phc_two")], None),
    ],
)
def test_v0_answers_401_to_a_missing_or_unknown_key(document: Any, api_keys: Any) -> None:
    verdict = send(BATCH, document, api_keys=api_keys)
    assert verdict.status == 401
    assert verdict.events == []


def test_a_configured_key_needs_no_prefix() -> None:
    document = {"api_key": "mine", "batch": [event()]}
    assert send(BATCH, document, api_keys=frozenset({"mine"})).status == 200


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}])
def test_v0_knows_gzip_by_header_or_by_its_first_bytes(headers: dict[str, str]) -> None:
    body = json.dumps({"api_key": "phc_test", "batch": [event()]}).encode()
    verdict = send(BATCH, gzip.compress(body), headers)
    assert verdict.status == 200
    assert verdict.decompressed_bytes == len(body)


def test_v0_answers_415_to_other_encodings() -> None:
    assert send(BATCH, b"x", {"content-encoding": "br"}).status == 415


def test_broken_gzip_is_answered_400() -> None:
    whole = gzip.compress(json.dumps({"api_key": "phc_test", "batch": [event()]}).encode())
    for broken in (b"\x1f\x8bgarbage", whole[:-4]):  # the second lacks only its checksum
        assert send(BATCH, broken).status == 400


def test_the_body_limit_counts_decompressed_bytes() -> None:
    bomb = gzip.compress(b" " * (BODY_LIMIT + 1), 1)
    assert len(bomb) < 100_000
    assert send(BATCH, bomb).status == 413
    assert send(BATCH, b" " * (BODY_LIMIT + 1)).status == 413
    assert send(BATCH, gzip.compress(b" " * BODY_LIMIT, 1)).status == 400  # read, and no JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"api_key": "phc_x", "batch": [NaN]}',
        b'{"api_key": "phc_x", "batch": [{"properties": {"a": Infinity}}]}',
        b'{"api_key": "phc_x", "batch": [{"properties": {"a": "\\ud800"}}]}',
        b'{"api_key": "phc_x", "batch": ["\xff"]}',
        b'{"api_key": "phc_x", "batch": []}',
        b'{"api_key": "phc_x", "batch": ["text"]}',
        b"[]",
        b"3",
    ],
)
def test_what_is_not_strict_json_of_events_is_answered_400(body: bytes) -> None:
    assert send(BATCH, body).status == 400


def test_nesting_that_cannot_be_written_again_is_answered_400() -> None:
    nested: Any = {}
    for _ in range(300):
        nested = {"x": nested}
    assert v0(BATCH, event(properties=nested)).status == 400


# v0: events


@pytest.mark.parametrize(
    "changes",
    [
        {"event": ""},
        {"event": ...},
        {"event": 7},
        {"distinct_id": ""},
        {"distinct_id": None},
        {"distinct_id": ...},
        {"uuid": "not-a-uuid"},
        {"uuid": UUID},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-02-30T00:00:00Z"},
        {"timestamp": "2026-01-02T03:04:05"},
        {"timestamp": 1767323045},
        {"properties": []},
    ],
)
def test_v0_refuses_a_request_with_one_invalid_event(changes: dict[str, Any]) -> None:
    verdict = v0(BATCH, event(), event(**changes))
    assert verdict.status == 400
    assert verdict.events == []
    assert verdict.sent == 2


def test_v0_cuts_a_distinct_id_after_200_characters() -> None:
    verdict = v0(BATCH, event(distinct_id="ü" * 201))
    assert [stored.distinct_id for stored in verdict.events] == ["ü" * 200]


def test_v0_takes_the_distinct_id_from_properties_and_numbers_as_text() -> None:
    verdict = v0(BATCH, event(distinct_id=..., properties={"distinct_id": "p"}), event(distinct_id=12))
    assert [stored.distinct_id for stored in verdict.events] == ["p", "12"]


def test_v0_accepts_a_distinct_id_that_v1_refuses() -> None:
    assert v0(BATCH, event(distinct_id="anonymous")).status == 200


def test_a_uuid_is_stored_in_canonical_form() -> None:
    verdict = v0(BATCH, event(uuid=UUID.replace("-", "").upper() + "A"))
    assert [stored.uuid for stored in verdict.events] == [UUID + "a"]


@pytest.mark.parametrize(("path", "limit"), [(BATCH, EVENT_LIMIT), (AI_BATCH, AI_EVENT_LIMIT)])
def test_v0_answers_413_for_all_when_one_event_is_a_byte_too_large(path: str, limit: int) -> None:
    assert v0(path, event(), sized(limit)).status == 200
    assert v0(path, event(), sized(limit + 1)).status == 413


def test_the_ai_lane_refuses_the_batch_for_one_other_event() -> None:
    assert v0(AI_BATCH, event(), event(event="$pageview")).status == 400
    assert v0(BATCH, event(), event(event="$pageview")).status == 200


# v1


def test_v1_answers_each_event_by_its_uuid() -> None:
    first, second = event(), event(distinct_id="")
    verdict = v1(V1, first, second)
    assert json.loads(verdict.answer()[0]) == {
        "results": {
            first["uuid"]: {"result": "ok"},
            second["uuid"]: {"result": "drop", "details": "missing_distinct_id"},
        }
    }
    assert [stored.uuid for stored in verdict.events] == [first["uuid"]]


@pytest.mark.parametrize(
    ("changes", "details"),
    [
        ({"event": ""}, "missing_event_name"),
        ({"event": "$ai_" + "x" * 197}, "event_name_too_long"),
        ({"distinct_id": " "}, "missing_distinct_id"),
        ({"distinct_id": "x" * 201}, "distinct_id_too_large"),
        ({"distinct_id": "Anonymous"}, "malformed_distinct_id"),
        ({"distinct_id": "0"}, "malformed_distinct_id"),
        ({"timestamp": "yesterday"}, "invalid_event_timestamp"),
        ({"properties": [1]}, "malformed_event_properties"),
        ({"event": "$pageview"}, "misrouted_event"),
    ],
)
def test_v1_drops_an_invalid_event_and_keeps_the_others(changes: dict[str, Any], details: str) -> None:
    bad = event(**changes)
    verdict = v1(V1_AI, bad, event())
    assert verdict.status == 200
    assert verdict.results[bad["uuid"]] == {"result": "drop", "details": details}
    assert len(verdict.events) == 1


@pytest.mark.parametrize(
    ("path", "limit", "details"),
    [(V1, EVENT_LIMIT, "event_too_big"), (V1_AI, AI_EVENT_LIMIT, "ai_event_too_big")],
)
def test_v1_drops_an_event_a_byte_too_large(path: str, limit: int, details: str) -> None:
    fits, over = sized(limit), sized(limit + 1)
    results = v1(path, fits, over).results
    assert results[fits["uuid"]] == {"result": "ok"}
    assert results[over["uuid"]] == {"result": "drop", "details": details}


@pytest.mark.parametrize(
    "changes",
    [
        {"event": 7},
        {"uuid": ...},
        {"uuid": "not-a-uuid"},
        {"distinct_id": 7},
        {"timestamp": None},
        {"session_id": 7},
        {"window_id": False},
        {"options": []},
        {"options": {"process_person_profile": "false"}},
        {"options": {"cookieless_mode": 1}},
        {"options": {"product_tour_id": 1}},
    ],
)
def test_v1_refuses_the_batch_for_one_wrong_type(changes: dict[str, Any]) -> None:
    assert v1(V1, event(), event(**changes)).status == 400


def test_v1_refuses_a_batch_that_names_a_uuid_twice() -> None:
    again = event()
    verdict = v1(V1, again, {**again, "uuid": again["uuid"].upper()})
    assert verdict.status == 400
    assert json.loads(verdict.answer()[0])["error"] == "duplicate_event_uuid"


@pytest.mark.parametrize("body", [{"created_at": None}, {"created_at": "now"}, {"batch": []}, {"batch": None}])
def test_v1_refuses_a_bad_envelope(body: dict[str, Any]) -> None:
    assert v1(V1, event(), **body).status == 400


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("authorization", None, 401),
        ("authorization", "Bearer phx_personal", 401),
        ("authorization", "Basic phc_test", 400),
        ("posthog-sdk-info", None, 400),
        ("posthog-attempt", None, 400),
        ("posthog-attempt", "0", 400),
        ("posthog-request-id", "7", 400),
        ("posthog-request-timestamp", "now", 400),
        ("user-agent", None, 400),
        ("content-type", "text/plain", 415),
        ("content-encoding", "lz4", 415),
    ],
)
def test_v1_checks_its_headers(name: str, value: str | None, status: int) -> None:
    document = {"created_at": "2026-01-02T03:04:06Z", "batch": [event()]}
    assert send(V1, document, v1_headers(**{name: value})).status == status


def test_v1_writes_its_own_fields_into_the_properties() -> None:
    sent = event(
        properties={"a": 1},
        session_id="s",
        options={"process_person_profile": False, "cookieless_mode": None},
    )
    assert v1(V1, sent).events[0].properties == {
        "a": 1,
        "$session_id": "s",
        "$process_person_profile": False,
        "$lib": "otel-posthog",
        "$lib_version": "1.2.3",
    }


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)],
)
def test_v1_takes_gzip_and_both_kinds_of_deflate(encoding: str, compress: Any) -> None:
    body = json.dumps({"created_at": "2026-01-02T03:04:06Z", "batch": [event()]}).encode()
    assert send(V1, compress(body), v1_headers(content_encoding=encoding)).status == 200


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) for name in ("brotli", "brotlicffi")),
    reason="a library for br is installed",
)
def test_v1_answers_415_to_br_without_a_library() -> None:
    assert send(V1, b"x", v1_headers(content_encoding="br")).status == 415


def test_v1_does_not_guess_gzip_without_the_header() -> None:
    body = json.dumps({"created_at": "2026-01-02T03:04:06Z", "batch": [event()]}).encode()
    assert send(V1, gzip.compress(body), v1_headers()).status == 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["batch", "event", "uuid", "distinct_id", "timestamp", "properties", "api_key"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(document=json_values, path=st.sampled_from([BATCH, AI_BATCH, V1, V1_AI]))
def test_any_json_is_judged_and_never_raises(document: Any, path: str) -> None:
    verdict = send(path, document, v1_headers())
    assert verdict.status in (200, 400, 401)
    assert verdict.status == 200 or not verdict.events


# Faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("503", Fault("503")),
        ("429:retry-after=2", Fault("429", retry_after="2")),
        ("latency=0.5:rate=0.2,times=3", Fault("latency", 0.5, rate=0.2, times=3)),
        ("404:path=/i/v0/ai/batch/", Fault("404", path="/i/v0/ai/batch/")),
        ("reset-after:after=2", Fault("reset-after", after=2)),
        ("retry:share=0.5", Fault("retry", share=0.5)),
    ],
)
def test_a_fault_is_read_from_text(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rest", "unknown fault 'rest'.*reset"),
        ("200", "unknown fault '200'.*400 to 599"),
        ("503:tims=2", "unknown option 'tims'.*rate, times"),
        ("503:times=0", "times must be a whole number, at least 1"),
        ("503:rate=2", "rate must be a number over 0 and at most 1"),
        ("503:rate=nan", "rate must be a number"),
        ("latency", "latency must be a number over 0"),
        ("latency=-1", "latency must be a number over 0"),
        ("reset=1", "reset takes no value"),
        ("503:path=", "path needs a value"),
    ],
)
def test_a_bad_fault_is_refused_with_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fault.parse(text)
