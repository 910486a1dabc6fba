"""`otel-posthog serve` as a process: signals, kill -9, the spool, keys and --verbose."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from otel_posthog.local import LocalPostHog
from tests.support.bridges import PROTOBUF, BridgeProcess, wait_until
from tests.support.made import made_span
from tests.support.otlp import traces_request
from tests.support.spans import CHAT

ORPHAN = {"parent_id": "9" * 16}


def request_of(number: int, **span: str) -> bytes:
    body: bytes = traces_request(
        [made_span(attributes=CHAT, trace_id=f"{number + 1:032x}", span_id=f"{number + 1:016x}", **span)]  # type: ignore[arg-type]
    ).SerializeToString()
    return body


def post(bridge: BridgeProcess, body: bytes, **headers: str) -> int:
    return requests.post(f"{bridge.url}/v1/traces", body, headers=PROTOBUF | headers, timeout=15).status_code


def test_spans_arrive_and_sigterm_ends_it_cleanly(posthog: LocalPostHog) -> None:
    with BridgeProcess(posthog.url) as bridge:
        assert post(bridge, request_of(1)) == 200
        status, _ = bridge.terminate()
    assert status == 0
    assert len(posthog.events()) == 1


def test_what_was_acknowledged_survives_kill_9_while_posthog_is_down(tmp_path: Path) -> None:
    with LocalPostHog(faults=["503"]) as posthog:
        with BridgeProcess(posthog.url, POSTHOG_SPOOL_DIR=str(tmp_path)) as bridge:
            acknowledged = sum(post(bridge, request_of(number)) == 200 for number in range(20))
            bridge.kill()
        posthog.faults.clear()
        assert (acknowledged, posthog.events()) == (20, [])
        with BridgeProcess(posthog.url, POSTHOG_SPOOL_DIR=str(tmp_path)):
            assert len(posthog.wait_for(20, 20)) == 20


def test_what_was_acknowledged_in_the_trace_window_survives_kill_9(posthog: LocalPostHog, tmp_path: Path) -> None:
    with BridgeProcess(posthog.url, "--trace-window", "600", POSTHOG_SPOOL_DIR=str(tmp_path)) as bridge:
        assert [post(bridge, request_of(number, **ORPHAN)) for number in range(5)] == [200] * 5
        bridge.kill()
    assert posthog.events() == []
    with BridgeProcess(posthog.url, "--trace-window", "0", POSTHOG_SPOOL_DIR=str(tmp_path)) as bridge:
        assert len(posthog.wait_for(5, 20)) == 5
        wait_until(lambda: not list(tmp_path.glob("requests/*/*.traces.proto")))
        bridge.terminate()


def test_what_was_acknowledged_arrives_though_the_bridge_is_killed_at_any_moment(
    posthog: LocalPostHog, tmp_path: Path
) -> None:
    """Four senders that try again as SDKs do, spans that are delivered at once and spans that wait in the window."""
    bridge = BridgeProcess(posthog.url, "--trace-window", "1", POSTHOG_SPOOL_DIR=str(tmp_path))
    numbers, acknowledged, stopped = itertools.count(), set[int](), threading.Event()

    def send() -> None:
        session = requests.Session()
        while not stopped.is_set():
            number = next(numbers)
            body = request_of(number, **(ORPHAN if number % 2 else {}))
            while number not in acknowledged:
                with suppress(requests.RequestException):
                    answer = session.post(f"{bridge.url}/v1/traces", body, headers=PROTOBUF, timeout=5)
                    if answer.status_code == 200:
                        acknowledged.add(number)
                        break
                if stopped.wait(0.02):
                    break

    senders = [threading.Thread(target=send) for _ in range(4)]
    with bridge:
        for sender in senders:
            sender.start()
        for moment in (0.3, 0.05, 0.5):
            before = len(acknowledged)
            wait_until(lambda before=before: len(acknowledged) > before, 30)  # type: ignore[misc]
            time.sleep(moment)
            bridge.kill()
            bridge.start()
        stopped.set()
        for sender in senders:
            sender.join()
        bridge.terminate()
    arrived = {int(event["properties"]["$ai_trace_id"], 16) - 1 for event in posthog.events()}
    assert acknowledged - arrived == set()


def test_sigterm_closes_the_trace_window(posthog: LocalPostHog, tmp_path: Path) -> None:
    with BridgeProcess(posthog.url, "--trace-window", "600", POSTHOG_SPOOL_DIR=str(tmp_path)) as bridge:
        assert post(bridge, request_of(1, **ORPHAN)) == 200
        status, _ = bridge.terminate()
    assert (status, len(posthog.events())) == (0, 1)


def test_a_long_window_without_a_spool_is_refused() -> None:
    with pytest.raises(RuntimeError, match="--trace-window 60 needs POSTHOG_SPOOL_DIR"):
        BridgeProcess("http://127.0.0.1:9", "--trace-window", "60").start()


def test_keys_that_are_allowed_besides() -> None:
    with LocalPostHog(api_keys=["phc_a", "phc_b"]) as posthog:
        bridge = BridgeProcess(posthog.url, "--allow-key", "phc_a", POSTHOG_API_KEY="", POSTHOG_BRIDGE_KEYS="")
        with bridge:
            assert post(bridge, request_of(1)) == 401
            assert post(bridge, request_of(2), Authorization="Bearer phc_a") == 200
            assert post(bridge, request_of(3), Authorization="Bearer phc_c") == 401
        assert len(posthog.events()) == 1


def test_verbose_says_what_became_of_each_span_without_content(posthog: LocalPostHog) -> None:
    with BridgeProcess(posthog.url, "--verbose") as bridge:
        spans = [made_span("chat secret", CHAT), made_span("GET /secret", {"http.route": "/secret"}, span_id="2" * 16)]
        post(bridge, traces_request(spans).SerializeToString())
        _, output = bridge.terminate()
    assert "b7ad6b7169203331 test: $ai_generation, read as semconv" in output
    assert "2222222222222222 test: no event, no AI attribute" in output
    assert "secret" not in output
    assert "phc_test" not in output
