"""The trace window: what comes in pieces and out of order gives the same tree as in the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from otel_posthog._spans import EventView, view_of
from otel_posthog.bridge._intake import Intake, Request
from otel_posthog.bridge._project import Project, Window
from otel_posthog.bridge._ticket import Signal, Ticket
from otel_posthog.bridge._window import TraceWindow
from otel_posthog.local import LocalPostHog
from otel_posthog.settings import Settings
from tests.support.bridges import wait_until
from tests.support.made import START, TRACE_ID, made_span
from tests.support.otlp import logs_request, traces_request
from tests.support.spans import CHAT, QUESTION

AGENT_ID, CHAT_ID, HTTP_ID, CALLER_ID = "a" * 16, "b" * 16, "c" * 16, "d" * 16
AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "researcher",
    "gen_ai.input.messages": CHAT["gen_ai.input.messages"],
    "user.id": "ada",
}
NO_CONTENT = {name: value for name, value in CHAT.items() if "messages" not in name}


class Stream:
    """Requests to a bridge, without a server: nothing waits for its answer."""

    def __init__(self, posthog: LocalPostHog, window: Window, **options: Any) -> None:
        self.posthog = posthog
        self.project = Project(Settings(api_key="phc_test", host=posthog.url, **options), window)
        self.intake = Intake([self.project])
        self.intake.start()

    def send(self, *spans: ReadableSpan) -> Ticket:
        return self.send_request("traces", traces_request(spans))

    def send_request(self, signal: Signal, request: Any) -> Ticket:
        body = request.SerializeToString()
        self.intake.admit(len(body))
        return self.intake.submit(Request(self.project, signal, False, body))

    def send_log(self, span_id: str, text: str = QUESTION) -> Ticket:
        record = EventView("gen_ai.user.message", {}, {"content": text})
        return self.send_request("logs", logs_request(TRACE_ID, {span_id: [record]}))

    def events(self, count: int) -> dict[str, dict[str, Any]]:
        """The events by span id, once there are so many."""
        found = self.posthog.wait_for(count)
        assert len(found) == count
        return {event["properties"]["$ai_span_id"]: {**event["properties"], "user": event["distinct_id"]}
                for event in found}  # fmt: skip


MakeStream = Callable[..., Stream]


@pytest.fixture
def stream(posthog: LocalPostHog) -> Iterator[MakeStream]:
    """Makes a stream whose trace window has so many seconds."""
    with ExitStack() as stack:

        def make(seconds: float, max_bytes: int = 2**26, **options: Any) -> Stream:
            made = Stream(posthog, Window(seconds, max_bytes), **options)
            stack.callback(made.intake.close, 5)
            return made

        yield make


def agent(**span: Any) -> ReadableSpan:
    return made_span("invoke_agent researcher", AGENT, span_id=AGENT_ID, **span)


def chat(parent: str | None = AGENT_ID, attributes: dict[str, Any] = CHAT, **span: Any) -> ReadableSpan:
    return made_span("chat gpt-5-mini", attributes, span_id=CHAT_ID, parent_id=parent, **span)


def http(**span: Any) -> ReadableSpan:
    return made_span("GET", {"http.route": "/"}, span_id=HTTP_ID, **span)


def test_a_parent_that_comes_within_the_window_gives_its_user(stream: MakeStream) -> None:
    bridge = stream(30)
    bridge.send(chat())
    bridge.send(agent())
    found = bridge.events(2)
    assert (found[CHAT_ID]["$ai_parent_id"], found[CHAT_ID]["user"]) == (AGENT_ID, "ada")


def test_a_span_without_event_between_two_is_passed_over_whenever_it_comes(stream: MakeStream) -> None:
    bridge = stream(30)
    bridge.send(chat(HTTP_ID))
    bridge.send(agent())
    bridge.send(http(parent_id=AGENT_ID))
    assert bridge.events(2)[CHAT_ID]["$ai_parent_id"] == AGENT_ID


def test_a_parent_that_comes_after_the_window_keeps_its_children(stream: MakeStream) -> None:
    bridge = stream(0)
    bridge.send(chat()).future.result(10)
    bridge.send(agent())
    assert bridge.events(2)[CHAT_ID]["$ai_parent_id"] == AGENT_ID


def test_a_child_that_comes_after_the_window_finds_its_user_and_place(stream: MakeStream) -> None:
    bridge = stream(0)
    bridge.send(agent(), http(parent_id=AGENT_ID)).future.result(10)
    bridge.send(chat(HTTP_ID))
    found = bridge.events(2)
    assert (found[CHAT_ID]["$ai_parent_id"], found[CHAT_ID]["user"]) == (AGENT_ID, "ada")


def test_log_records_before_their_span(stream: MakeStream) -> None:
    bridge = stream(30)
    bridge.send_log(CHAT_ID)
    bridge.send(chat(None, NO_CONTENT))
    assert bridge.events(1)[CHAT_ID]["$ai_input"] == [{"role": "user", "content": QUESTION}]


def test_log_records_after_their_span(stream: MakeStream) -> None:
    bridge = stream(30)
    bridge.send(chat(None, NO_CONTENT))
    bridge.send_log(CHAT_ID)
    assert bridge.events(1)[CHAT_ID]["$ai_input"] == [{"role": "user", "content": QUESTION}]


def test_log_records_whose_span_never_comes_are_counted(stream: MakeStream) -> None:
    bridge = stream(0)
    bridge.send_log(CHAT_ID)
    wait_until(lambda: bridge.project.counts.unclaimed_log_records == 1)


def test_log_records_are_not_awaited_where_none_come() -> None:
    window = TraceWindow(600, 2**26, most_in_vain=50)

    def is_awaited(number: int) -> bool:
        window.add_span(view_of(chat(None, NO_CONTENT, trace_id=f"{number:032x}")), 1, None, now=0)
        is_ready = len(window.take_ready(now=0)) == 1
        window.take_ready(now=0, everything=True)
        return not is_ready

    assert [number for number in range(1, 53) if not is_awaited(number)] == [51, 52]
    window.add_log((f"{1:032x}", CHAT_ID), EventView("gen_ai.choice", {}), 1, None, now=0)
    assert is_awaited(53)


def test_two_records_of_one_call_in_two_requests_are_counted_once(stream: MakeStream) -> None:
    bridge = stream(0)
    inner = made_span("openai.chat", CHAT, span_id=CHAT_ID, parent_id=AGENT_ID, scope="inner", start=START + 1000)
    outer = made_span("chat", CHAT, span_id=AGENT_ID, scope="outer", duration=2)
    bridge.send(inner).future.result(10)
    bridge.send(outer).future.result(10)
    assert [event.get("$ai_input_tokens") for event in bridge.events(2).values()] == [12, None]


def test_a_span_that_is_sent_again_is_one_event(stream: MakeStream) -> None:
    bridge = stream(0)
    for _ in range(2):
        bridge.send(chat(None)).future.result(10)
    assert len(bridge.events(1)) == 1


def test_beyond_its_bytes_the_window_gives_up_the_oldest_trace(stream: MakeStream) -> None:
    bridge = stream(600, max_bytes=2_000)
    bridge.send(chat(trace_id="1" * 32))
    (event,) = bridge.posthog.wait_for(1)
    assert event["properties"]["$ai_trace_id"] == "1" * 32


def unmarked(*spans: ReadableSpan) -> ExportTraceServiceRequest:
    """As SDKs send them that say nothing of remote parents."""
    request = traces_request(spans)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.flags = 0
    return request


# What another service's client, browser or gateway has called, as `remote_parents` of the exporter.


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param(lambda: traces_request([chat(CALLER_ID, parent_is_remote=True)]), id="call"),
        pytest.param(
            lambda: traces_request([chat(HTTP_ID), http(parent_id=CALLER_ID, parent_is_remote=True)]), id="request"
        ),
        pytest.param(lambda: unmarked(chat(HTTP_ID), http(parent_id=CALLER_ID, kind=SpanKind.SERVER)), id="older SDK"),
    ],
)
@pytest.mark.parametrize(("remote_parents", "parent"), [(False, TRACE_ID), (True, CALLER_ID)])
def test_a_caller_in_another_service_that_never_comes(
    stream: MakeStream,
    request_of: Callable[[], ExportTraceServiceRequest],
    remote_parents: bool,
    parent: str,
) -> None:
    bridge = stream(0, remote_parents=remote_parents)
    bridge.send_request("traces", request_of())
    assert bridge.events(1)[CHAT_ID]["$ai_parent_id"] == parent


def test_an_agent_in_another_service_that_sends_to_the_same_bridge_is_the_parent(stream: MakeStream) -> None:
    bridge = stream(30)
    bridge.send(chat(HTTP_ID, resource={"service.name": "tools"}),
                http(parent_id=AGENT_ID, parent_is_remote=True, resource={"service.name": "tools"}))  # fmt: skip
    bridge.send(agent(resource={"service.name": "agents"}))
    found = bridge.events(2)
    assert (found[CHAT_ID]["$ai_parent_id"], found[CHAT_ID]["user"]) == (AGENT_ID, "ada")
