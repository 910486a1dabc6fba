"""Spans in, whole events out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_posthog import __version__
from tests.support.events import events_of
from tests.support.made import made_span

ALWAYS = {
    "$lib": "otel-posthog",
    "$lib_version": __version__,
    "$ai_lib": "otel-posthog",
    "$ai_lib_version": __version__,
    "$ai_ingestion_source": "otel",
    "$geoip_disable": True,
}


def event_of(options: dict[str, Any] | None = None, **span: Any) -> dict[str, Any]:
    (event,) = events_of([made_span(**span)], **(options or {}))
    return event


def test_a_chat_span_becomes_a_generation() -> None:
    event = event_of(
        name="chat gpt-4o-mini",
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.max_tokens": 64,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 31,
            "gen_ai.usage.output_tokens": 8,
            "server.address": "api.openai.com",
            "server.port": 443,
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
            "gen_ai.input.messages": json.dumps(
                [{"role": "user", "parts": [{"type": "text", "content": "Capital of France?"}]}]
            ),
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "text", "content": "Paris."}], "finish_reason": "stop"}]
            ),
        },
        resource={"service.name": "shop", "telemetry.sdk.name": "opentelemetry", "host.name": "box"},
    )
    assert event == {
        "event": "$ai_generation",
        "uuid": "b884174d-238f-5338-ba65-b2e2ae960d1a",
        "distinct_id": "0af7651916cd43dd8448eb211c80319c",
        "timestamp": "2026-11-24T03:00:00.123456Z",
        "properties": {
            **ALWAYS,
            "service.name": "shop",
            "$process_person_profile": False,
            "$ai_trace_id": "0af7651916cd43dd8448eb211c80319c",
            "$ai_span_id": "b7ad6b7169203331",
            "$ai_parent_id": "0af7651916cd43dd8448eb211c80319c",
            "$ai_span_name": "chat gpt-4o-mini",
            "$ai_latency": 1.5,
            "$ai_provider": "openai",
            "$ai_model": "gpt-4o-mini-2024-07-18",
            "$ai_response_id": "chatcmpl-1",
            "$ai_base_url": "https://api.openai.com",
            "$ai_input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Capital of France?"},
            ],
            "$ai_output_choices": [{"role": "assistant", "content": "Paris.", "finish_reason": "stop"}],
            "$ai_stop_reason": "stop",
            "$ai_temperature": 0.2,
            "$ai_max_tokens": 64,
            "$ai_model_parameters": {"temperature": 0.2, "max_tokens": 64},
            "$ai_input_tokens": 31,
            "$ai_output_tokens": 8,
        },
    }


@pytest.mark.parametrize(
    ("operation", "event"),
    [
        ("chat", "$ai_generation"),
        ("text_completion", "$ai_generation"),
        ("generate_content", "$ai_generation"),
        ("embeddings", "$ai_embedding"),
        ("execute_tool", "$ai_span"),
        ("invoke_agent", "$ai_span"),
        ("create_agent", "$ai_span"),
        ("invoke_workflow", "$ai_span"),
        ("retrieval", "$ai_span"),
        ("something_new", "$ai_span"),
    ],
)
def test_operation_names_decide_the_event(operation: str, event: str) -> None:
    found = event_of(attributes={"gen_ai.operation.name": operation}, parent_id="00f067aa0ba902b7")
    assert found["event"] == event


def test_a_root_that_is_no_call_is_the_trace() -> None:
    event = event_of(name="run", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"})
    assert event["event"] == "$ai_trace"
    assert event["properties"]["$ai_span_name"] == "planner"
    assert "$ai_parent_id" not in event["properties"]


def test_a_tool_span_has_its_arguments_and_result_as_state() -> None:
    event = event_of(
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.arguments": '{"city": "Lisbon"}',
            "gen_ai.tool.call.result": "24 C and sunny",
        },
        parent_id="00f067aa0ba902b7",
    )
    properties = event["properties"]
    assert properties["$ai_span_name"] == "get_weather"
    assert properties["$ai_input_state"] == {"city": "Lisbon"}
    assert properties["$ai_output_state"] == "24 C and sunny"


def test_usage_of_wrappers_is_left_out() -> None:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 251, "operation.cost": 0.1}
    properties = event_of(attributes=attributes)["properties"]
    assert not [name for name in properties if "tokens" in name or "cost" in name]


def test_the_same_span_is_the_same_event() -> None:
    assert event_of(attributes=CHAT)["uuid"] == event_of(attributes=CHAT)["uuid"]
    assert event_of(attributes=CHAT)["uuid"] != event_of(attributes=CHAT, span_id="00f067aa0ba902b7")["uuid"]


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


@pytest.mark.parametrize(
    ("attributes", "resource", "distinct_id"),
    [
        ({"posthog.distinct_id": "a", "user.id": "b"}, {}, "a"),
        ({"user.id": "b"}, {"user.id": "c"}, "b"),
        ({}, {"posthog.distinct_id": "r", "user.id": "c"}, "r"),
        ({}, {"user.id": "c"}, "c"),
        ({"user.id": "x" * 300}, {}, "x" * 200),
        ({"user.id": 8812}, {}, "8812"),
    ],
)
def test_the_user_is_known_by_span_then_resource(
    attributes: dict[str, Any], resource: dict[str, Any], distinct_id: str
) -> None:
    event = event_of(attributes={**CHAT, **attributes}, resource=resource)
    assert event["distinct_id"] == distinct_id
    assert "$process_person_profile" not in event["properties"]


@pytest.mark.parametrize("refused", ["anonymous", "NULL", "undefined", "0", "", " "])
def test_a_distinct_id_that_posthog_refuses_is_none(refused: str) -> None:
    event = event_of(attributes={**CHAT, "user.id": refused})
    assert event["distinct_id"] == event["properties"]["$ai_trace_id"]
    assert event["properties"]["$process_person_profile"] is False


def test_anonymous_events_of_one_session_share_an_id() -> None:
    one = event_of(attributes={**CHAT, "session.id": "s1"})
    two = event_of(attributes={**CHAT, "session.id": "s1"}, trace_id="1af7651916cd43dd8448eb211c80319c")
    assert one["distinct_id"] == two["distinct_id"] != one["properties"]["$ai_trace_id"]
    assert one["properties"]["$ai_session_id"] == "s1"
    assert one["properties"]["$process_person_profile"] is False


def test_settings_name_the_user_of_spans_that_name_none() -> None:
    options = {"distinct_id": "service"}
    assert event_of(options, attributes=CHAT)["distinct_id"] == "service"
    assert event_of(options, attributes={**CHAT, "user.id": "b"})["distinct_id"] == "b"


def test_properties_that_the_app_states_win() -> None:
    properties = event_of(
        attributes={
            **CHAT,
            "gen_ai.usage.input_tokens": 10,
            "$ai_input_tokens": 12,
            "$ai_input_token_price": 0.000002,
            "posthog.$ai_trace_name": "checkout",
            "posthog.groups": '{"company": "acme"}',
            "posthog.properties.plan": "pro",
        }
    )["properties"]
    assert properties["$ai_input_tokens"] == 12
    assert properties["$ai_input_token_price"] == 0.000002
    assert properties["$ai_trace_name"] == "checkout"
    assert properties["$groups"] == {"company": "acme"}
    assert properties["plan"] == "pro"


def test_unmapped_attributes_pass_through_and_mapped_ones_do_not() -> None:
    attributes = {**CHAT, "team": "search", "gen_ai.system": "openai", "user.id": "u"}
    properties = event_of(attributes=attributes)["properties"]
    assert properties["team"] == "search"
    assert not [name for name in properties if name.startswith(("gen_ai.", "user."))]
    assert "team" not in event_of({"capture_unmapped": False}, attributes=attributes)["properties"]


def test_a_malformed_attribute_costs_only_its_property() -> None:
    properties = event_of(
        attributes={
            **CHAT,
            "gen_ai.request.temperature": "warm",
            "gen_ai.usage.input_tokens": "many",
            "gen_ai.input.messages": "not json",
            "gen_ai.usage.output_tokens": 8,
        }
    )["properties"]
    assert "$ai_temperature" not in properties
    assert "$ai_input_tokens" not in properties
    assert properties["$ai_output_tokens"] == 8
    assert properties["$ai_input"] == [{"role": "user", "content": "not json"}]
    # What no rule understood is still visible.
    assert properties["gen_ai.request.temperature"] == "warm"
    assert properties["gen_ai.usage.input_tokens"] == "many"


def test_zero_is_a_value_and_unknown_is_absent() -> None:
    properties = event_of(attributes={**CHAT, "gen_ai.usage.output_tokens": 0})["properties"]
    assert properties["$ai_output_tokens"] == 0
    assert "$ai_input_tokens" not in properties
    assert "$ai_http_status" not in properties
    assert "$ai_total_cost_usd" not in properties


def test_static_properties_are_on_every_event() -> None:
    options = {"properties": {"team": "search"}}
    assert event_of(options, attributes=CHAT)["properties"]["team"] == "search"


def test_a_span_that_ends_before_it_starts_has_no_negative_latency() -> None:
    assert event_of(attributes=CHAT, duration=-1.0)["properties"]["$ai_latency"] == 0


def test_an_agents_answer_is_its_words_and_its_question_no_tools_answer() -> None:
    asked = [
        {"role": "user", "parts": [{"type": "text", "content": "Where?"}]},
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "1", "response": "found"}]},
    ]
    call = {"type": "tool_call", "id": "1", "name": "search", "arguments": {}}
    answered = [{"role": "assistant", "parts": [call, {"type": "text", "content": "There."}]}]
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": json.dumps(asked),
             "gen_ai.output.messages": json.dumps(answered)}  # fmt: skip
    (event,) = events_of([made_span(attributes=agent)])
    assert event["properties"]["$ai_input_state"] == [{"role": "user", "content": "Where?"}]
    assert event["properties"]["$ai_output_state"] == [{"role": "assistant", "content": "There."}]


def test_a_framework_is_no_provider() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "langgraph"}
    (event,) = events_of([made_span(attributes=agent, scope="opentelemetry.instrumentation.openai_agents")])
    assert event["properties"]["$ai_framework"] == "langgraph"
    assert "$ai_provider" not in event["properties"]


def test_a_price_of_nothing_for_tokens_that_nobody_counted_is_no_price() -> None:
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "operation.cost": 0.0}
    (event,) = events_of([made_span(attributes=call)])
    assert "$ai_total_cost_usd" not in event["properties"]
    (event,) = events_of([made_span(attributes={**call, "gen_ai.usage.input_tokens": 3})])
    assert event["properties"]["$ai_total_cost_usd"] == 0.0
