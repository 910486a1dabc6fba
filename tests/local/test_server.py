"""The local PostHog over real HTTP: storing, waiting, faults on the wire."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from otel_posthog.local.store import StoredEvent
from tests.support.ports import free_port


def event(**changes: Any) -> dict[str, Any]:
    return {
        "event": "$ai_generation",
        "distinct_id": "user-1",
        "uuid": str(uuid4()),
        "timestamp": "2026-01-02T03:04:05Z",
        "properties": {"$ai_trace_id": "trace-1", "$ai_model": "gpt-5-mini"},
        **changes,
    }


def batch(*events: dict[str, Any]) -> dict[str, Any]:
    return {"api_key": "phc_test", "batch": list(events or [event()])}


def post(posthog: LocalPostHog, document: Any = None, path: str = "/batch/", **options: Any) -> requests.Response:
    document = batch() if document is None else document
    return requests.post(posthog.url + path, json=document, timeout=10, **options)


def post_v1(posthog: LocalPostHog, *events: dict[str, Any]) -> requests.Response:
    headers = {
        "Authorization": "Bearer phc_test",
        "PostHog-Sdk-Info": "test/1",
        "PostHog-Attempt": "1",
        "PostHog-Request-Id": str(uuid4()),
        "PostHog-Request-Timestamp": "2026-01-02T03:04:06Z",
    }
    document = {"created_at": "2026-01-02T03:04:06Z", "batch": list(events)}
    return post(posthog, document, "/i/v1/analytics/events", headers=headers)


@pytest.fixture
def posthog() -> Iterator[LocalPostHog]:
    with LocalPostHog() as running:
        yield running


def test_a_posted_event_is_stored_whole(posthog: LocalPostHog) -> None:
    sent = event()
    answer = post(posthog, batch(sent), "/i/v0/ai/batch/")
    assert (answer.status_code, answer.json()) == (200, {"status": "Ok"})
    assert posthog.events() == [{**sent, "path": "/i/v0/ai/batch/", "deliveries": 1}]


def test_a_second_delivery_is_counted_and_not_a_second_event(posthog: LocalPostHog) -> None:
    sent = event()
    for path in ("/batch/", "/i/v0/ai/batch/"):
        post(posthog, batch(sent, event(uuid=sent["uuid"], distinct_id="user-2")), path)
    assert [(e["distinct_id"], e["deliveries"]) for e in posthog.events()] == [
        ("user-1", 2),
        ("user-2", 2),
    ]


def test_a_request_is_logged_without_its_secrets(posthog: LocalPostHog) -> None:
    raw = json.dumps(batch(event(), event())).encode()
    packed = gzip.compress(raw)
    requests.post(
        posthog.url + "/batch/",
        data=packed,
        headers={"Content-Encoding": "gzip", "Authorization": "Bearer secret", "X-Kind": "a"},
        timeout=10,
    )
    [record] = posthog.requests()
    assert (record.method, record.path, record.status, record.events) == ("POST", "/batch/", 200, 2)
    assert (record.compressed_bytes, record.decompressed_bytes) == (len(packed), len(raw))
    assert record.body_sha256 == hashlib.sha256(packed).hexdigest()
    assert record.headers["authorization"] == "***"
    assert record.headers["x-kind"] == "a"


def test_a_refused_request_is_logged_and_stores_nothing(posthog: LocalPostHog) -> None:
    answer = post(posthog, batch(event(), event(distinct_id="")))
    assert (answer.status_code, answer.text) == (400, "event submitted with an empty distinct_id")
    assert posthog.events() == []
    assert [(r.status, r.events) for r in posthog.requests()] == [(400, 2)]


def test_a_body_far_over_the_limit_is_answered_413(posthog: LocalPostHog) -> None:
    body = b" " * (24 * 1024 * 1024)
    answer = requests.post(posthog.url + "/batch/", data=body, timeout=30)
    assert answer.status_code == 413
    assert [r.compressed_bytes for r in posthog.requests()] == [len(body)]


def test_paths_below_a_prefix_are_served_and_unknown_ones_are_not(posthog: LocalPostHog) -> None:
    assert post(posthog, path="/ingest/batch/").status_code == 200
    assert post(posthog, path="/nothing/").status_code == 404
    assert requests.get(posthog.url + "/batch/", timeout=10).status_code == 405
    assert [r.status for r in posthog.requests()] == [200, 404, 405]


def test_an_older_installation_answers_404_on_newer_paths() -> None:
    with LocalPostHog(serve_ai_lane=False, serve_v1=False) as posthog:
        assert post(posthog, path="/i/v0/ai/batch/").status_code == 404
        assert post_v1(posthog, event()).status_code == 404
        assert post(posthog, path="/batch/").status_code == 200


def test_only_configured_keys_are_accepted() -> None:
    with LocalPostHog(api_keys=["phc_mine"]) as posthog:
        assert post(posthog).status_code == 401
        assert post(posthog, {**batch(), "api_key": "phc_mine"}).status_code == 200


def test_wait_for_returns_once_enough_events_came(posthog: LocalPostHog) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(posthog.wait_for, 3)
        post(posthog, batch(event(), event()))
        assert not waiting.done()
        post(posthog)
        assert len(waiting.result(timeout=10)) == 3


def test_wait_for_says_how_many_events_came(posthog: LocalPostHog) -> None:
    post(posthog)
    with pytest.raises(TimeoutError, match="1 of 2 events"):
        posthog.wait_for(2, timeout=0.01)


def test_clear_forgets_everything(posthog: LocalPostHog) -> None:
    post(posthog)
    posthog.clear()
    assert (posthog.events(), posthog.requests()) == ([], [])


def test_on_event_is_called_with_what_was_stored_and_may_fail() -> None:
    seen: list[StoredEvent] = []

    def watch(stored: StoredEvent) -> None:
        seen.append(stored)
        raise RuntimeError("a broken view")

    with LocalPostHog(on_event=watch) as posthog:
        sent = batch()
        assert [post(posthog, sent).status_code for _ in range(2)] == [200, 200]
    assert [stored["deliveries"] for stored in seen] == [1, 2]


def test_events_stay_readable_after_stop_and_in_the_file(tmp_path: Path) -> None:
    database = tmp_path / "new folder" / "events.db"
    with LocalPostHog(database=database) as posthog:
        post(posthog)
    with LocalPostHog(database=database) as again:
        assert posthog.events() == again.events()
        assert len(again.events()) == 1


def test_many_clients_at_once_lose_nothing(posthog: LocalPostHog) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(posthog, batch(event(), event())), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(posthog.events()) == 100


def test_url_before_start_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="start"):
        _ = LocalPostHog().url


def test_a_stopped_server_frees_its_port_and_can_start_again() -> None:
    port = free_port()
    with LocalPostHog(port) as posthog:
        posthog.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        with LocalPostHog(port) as again:
            assert again.url == f"http://127.0.0.1:{port}"
        posthog.start()
        assert post(posthog).status_code == 200


# Faults


def statuses(posthog: LocalPostHog, n: int, path: str = "/batch/") -> list[int]:
    return [post(posthog, path=path).status_code for _ in range(n)]


def test_a_status_fault_stores_nothing_and_ends_after_its_times() -> None:
    with LocalPostHog(faults=["503:times=2,after=1"]) as posthog:
        assert statuses(posthog, 4) == [200, 503, 503, 200]
        assert len(posthog.events()) == 2
        assert [r.fault for r in posthog.requests()] == [None, "503", "503", None]


def test_faults_follow_one_another_and_can_be_changed(posthog: LocalPostHog) -> None:
    posthog.faults[:] = [Fault("503", times=1), Fault("429", times=1, retry_after="2")]
    assert statuses(posthog, 1) == [503]
    limited = post(posthog)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "2")
    assert statuses(posthog, 1) == [200]
    posthog.faults.append(Fault("413"))
    assert statuses(posthog, 1) == [413]


def test_a_fault_with_a_path_leaves_other_paths_alone() -> None:
    with LocalPostHog(faults=["404:path=/i/v0/ai/batch/"]) as posthog:
        assert statuses(posthog, 1, "/i/v0/ai/batch") == [404]
        assert statuses(posthog, 1, "/proxy/i/v0/ai/batch/") == [404]
        assert statuses(posthog, 1, "/batch/") == [200]


def test_a_rate_plays_the_fault_on_a_part_of_the_requests_the_same_each_time() -> None:
    runs = []
    for _ in range(2):
        with LocalPostHog(faults=["503:rate=0.3"]) as posthog:
            runs.append(statuses(posthog, 40))
    assert runs[0] == runs[1]
    assert 4 <= runs[0].count(503) <= 24


@pytest.mark.parametrize(("kind", "stored"), [("reset", 0), ("reset-after", 1)])
def test_a_reset_breaks_the_connection_before_an_answer(kind: str, stored: int) -> None:
    with LocalPostHog(faults=[Fault(kind, times=1)]) as posthog:
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            post(posthog)
        assert len(posthog.events()) == stored
        assert statuses(posthog, 1) == [200]
        assert [r.status for r in posthog.requests()] == [None, 200]


def test_a_reset_is_a_tcp_reset_on_the_wire() -> None:
    with LocalPostHog(faults=["reset"]) as posthog:
        address = urlsplit(posthog.url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as client:
            client.sendall(b"POST /batch/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_truncated_answer_ends_before_its_length_and_the_events_are_kept() -> None:
    with LocalPostHog(faults=["truncate"]) as posthog:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            post(posthog)
        assert len(posthog.events()) == 1


def test_latency_delays_the_answer() -> None:
    with LocalPostHog(faults=["latency=0.2:times=1"]) as posthog:
        started = time.monotonic()
        assert statuses(posthog, 1) == [200]
        assert time.monotonic() - started >= 0.2


def test_a_hanging_request_is_never_answered_and_ends_with_the_server() -> None:
    with LocalPostHog(faults=["hang"]) as posthog:
        address = urlsplit(posthog.url)
        with socket.create_connection((address.hostname, address.port), timeout=0.3) as client:
            client.sendall(b"POST /batch/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            with pytest.raises(TimeoutError):
                client.recv(1)
            started = time.monotonic()
            posthog.stop()
            assert time.monotonic() - started < 2
            assert client.recv(1) == b""
        assert [(r.status, r.fault) for r in posthog.requests()] == [(None, "hang")]


def test_quota_answers_200_and_keeps_only_other_events() -> None:
    with LocalPostHog(faults=["quota"]) as posthog:
        answer = post(posthog, batch(event(), event(event="signed up")))
        assert answer.json() == {"status": "Ok", "quota_limited": ["llm_events"]}
        over = event()
        assert post_v1(posthog, over).json()["results"] == {
            over["uuid"]: {"result": "drop", "details": "billing_limit_exceeded"}
        }
        assert [e["event"] for e in posthog.events()] == ["signed up"]


def test_retry_asks_for_a_part_of_the_events_again_on_v1_only() -> None:
    with LocalPostHog(faults=["retry:share=0.5,times=1"]) as posthog:
        assert statuses(posthog, 1) == [200]
        posthog.clear()
        first, second = event(), event()
        answer = post_v1(posthog, first, second)
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["results"] == {
            first["uuid"]: {"result": "retry", "details": "not_persisted"},
            second["uuid"]: {"result": "ok"},
        }
        assert [e["uuid"] for e in posthog.events()] == [second["uuid"]]
        assert post_v1(posthog, first).json()["results"] == {first["uuid"]: {"result": "ok"}}
