"""Readers that no recording covers, readers of a user's own, and what the registry decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_posthog import PostHogSpanExporter, PostHogSpanProcessor, Reader
from otel_posthog.conventions._attributes import Attributes, text
from otel_posthog.local import LocalPostHog
from otel_posthog.operation import Operation
from otel_posthog.spans import SpanView
from tests.support.made import made_span
from tests.support.mapping import events_of


def event_of(attributes: dict[str, Any], **span: Any) -> dict[str, Any]:
    (event,) = events_of([made_span(attributes=attributes, **span)])
    return event


def test_a_genkit_model_call() -> None:
    request = {
        "messages": [
            {"role": "system", "content": [{"text": "Be brief."}]},
            {"role": "user", "content": [{"text": "Weather in Lisbon?"}]},
            {"role": "tool", "content": [{"toolResponse": {"ref": "c1", "name": "weather", "output": "24 C"}}]},
        ],
        "config": {"temperature": 0.2, "maxOutputTokens": 64},
        "tools": [{"name": "weather", "description": "d", "inputSchema": {"type": "object"}}],
    }
    call = {"toolRequest": {"ref": "c2", "name": "weather", "input": {"city": "Oslo"}}}
    response = {
        "message": {"role": "model", "content": [{"text": "24 C."}, call]},
        "finishReason": "stop",
        "usage": {"inputTokens": 18, "outputTokens": 19, "thoughtsTokens": 192, "totalTokens": 229},
    }
    event = event_of(
        {
            "genkit:name": "googleai/gemini-2.5-flash",
            "genkit:type": "action",
            "genkit:metadata:subtype": "model",
            "genkit:input": json.dumps(request),
            "genkit:output": json.dumps(response),
            "genkit:state": "success",
        }
    )
    properties = event["properties"]
    assert event["event"] == "$ai_generation"
    assert properties["$ai_model"] == "gemini-2.5-flash"
    assert properties["$ai_input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Lisbon?"},
        {"role": "tool", "content": "24 C", "tool_call_id": "c1", "name": "weather"},
    ]
    function = {"name": "weather", "arguments": {"city": "Oslo"}}
    assert properties["$ai_output_choices"] == [
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "24 C."}, {"type": "function", "id": "c2", "function": function}],
        }
    ]
    assert (properties["$ai_input_tokens"], properties["$ai_output_tokens"]) == (18, 211)
    assert (properties["$ai_temperature"], properties["$ai_max_tokens"]) == (0.2, 64)


def test_a_genkit_flow_is_a_wrapper() -> None:
    event = event_of({"genkit:name": "ask", "genkit:type": "flow", "genkit:input": '"q"', "genkit:output": '"a"'})
    assert event["event"] == "$ai_trace"
    assert (event["properties"]["$ai_input_state"], event["properties"]["$ai_output_state"]) == ("q", "a")


def test_a_haystack_generator() -> None:
    reply = {
        "role": "assistant",
        "content": [{"text": "Paris."}],
        "meta": {
            "model": "gpt-4o-mini-2024-07-18",
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 31, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 0}},
        },
    }
    event = event_of(
        {
            "haystack.component.name": "llm",
            "haystack.component.type": "OpenAIChatGenerator",
            "haystack.component.input": json.dumps({"messages": [{"role": "user", "content": [{"text": "Capital?"}]}]}),
            "haystack.component.output": json.dumps({"replies": [reply]}),
        }
    )
    properties = event["properties"]
    assert event["event"] == "$ai_generation"
    assert properties["$ai_model"] == "gpt-4o-mini-2024-07-18"
    assert properties["$ai_input"] == [{"role": "user", "content": "Capital?"}]
    assert properties["$ai_output_choices"][0]["content"] == "Paris."
    assert (properties["$ai_input_tokens"], properties["$ai_stop_reason"]) == (31, "stop")


def test_an_mcp_tool_call() -> None:
    event = event_of(
        {
            "mcp.method.name": "tools/call",
            "mcp.tool.name": "search",
            "mcp.session.id": "s1",
            "mcp.request.argument": '{"q": "x"}',
            "mcp.response.value": "found",
        },
        parent_id="00f067aa0ba902b7",
    )
    properties = event["properties"]
    assert (event["event"], properties["$ai_span_name"]) == ("$ai_span", "search")
    assert (properties["$ai_input_state"], properties["$ai_output_state"]) == ({"q": "x"}, "found")


def test_a_library_of_no_convention_is_the_best_event_it_can_be() -> None:
    event = event_of(
        {
            "llm.vendor": "acme",
            "llm.model": "acme-1",
            "llm.prompt": "Capital?",
            "llm.completion": "Paris.",
            "llm.usage.prompt_tokens": 3,
            "llm.usage.completion_tokens": 1,
        }
    )
    properties = event["properties"]
    assert event["event"] == "$ai_generation"
    assert (properties["$ai_provider"], properties["$ai_model"]) == ("acme", "acme-1")
    assert properties["$ai_input"] == [{"role": "user", "content": "Capital?"}]
    assert properties["$ai_output_choices"] == [{"role": "assistant", "content": "Paris."}]
    assert (properties["$ai_input_tokens"], properties["$ai_output_tokens"]) == (3, 1)


def test_properties_that_an_app_states_make_an_event_of_any_span() -> None:
    event = event_of({"$ai_model": "own-model", "$ai_output_tokens": 7, "$ai_input": '[{"role":"user","content":"q"}]'})
    assert event["event"] == "$ai_generation"
    assert event["properties"]["$ai_model"] == "own-model"
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "q"}]


def test_two_conventions_on_one_span_are_read_once_the_specific_one_first() -> None:
    event = event_of(
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o-2024-08-06",
            "llm.token_count.prompt": 31,
            "gen_ai.usage.input_tokens": 30,
            "gen_ai.request.temperature": 0.2,
        }
    )
    assert event["properties"]["$ai_input_tokens"] == 31
    assert event["properties"]["$ai_temperature"] == 0.2
    assert not [name for name in event["properties"] if name.startswith("gen_ai.")]


@pytest.mark.parametrize(
    "attributes",
    [{}, {"http.url": "x"}, {"user.id": "u"}, {"gen_ai.conversation.id": "c"}, {"mlflow.spanType": "null"}],
)
def test_what_is_no_ai_span_is_ignored(attributes: dict[str, Any]) -> None:
    assert events_of([made_span("GET /", attributes)]) == []


# A convention of one's own, as the README shows it.
def read_acme(span: SpanView, attributes: Attributes) -> Operation:
    return Operation(kind="generation", request_model=attributes.take(text, "acme.model"))


ACME = Reader("acme", lambda span: "acme.model" in span.attributes, read_acme)


def test_a_reader_of_ones_own_is_asked_first(posthog: LocalPostHog) -> None:
    exporter = PostHogSpanExporter("phc_test", posthog.url, readers=[ACME])
    exporter.export([made_span(attributes={"acme.model": "acme-1", "acme.other": "x", "gen_ai.system": "openai"})])
    (event,) = posthog.events()
    assert event["event"] == "$ai_generation"
    assert event["properties"]["$ai_model"] == "acme-1"
    assert event["properties"]["acme.other"] == "x"


def test_the_processor_queues_what_a_reader_of_ones_own_recognises(posthog: LocalPostHog) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(shutdown_on_exit=False)
    processor = PostHogSpanProcessor("phc_test", posthog.url, readers=[ACME])
    provider.add_span_processor(processor)
    provider.get_tracer("app").start_span("call", attributes={"acme.model": "acme-1"}).end()
    assert processor.force_flush()
    assert [event["event"] for event in posthog.events()] == ["$ai_generation"]
    processor.shutdown()


def test_a_reader_that_raises_costs_its_span_alone(posthog: LocalPostHog) -> None:
    def broken(span: SpanView, attributes: Attributes) -> Operation:
        raise ValueError("secret prompt")

    exporter = PostHogSpanExporter("phc_test", posthog.url, readers=[Reader("acme", ACME.recognises, broken)])
    chat = {"gen_ai.operation.name": "chat"}
    exporter.export([made_span(attributes={"acme.model": "m"}), made_span(attributes=chat, span_id="1" * 16)])
    assert len(posthog.events()) == 1
    assert exporter.stats().dropped == {"mapping_failed": 1}


def test_a_function_that_only_makes_the_request_is_no_call() -> None:
    made = {"messages": ["ChatMessage(…)"], "tools": [{"type": "function", "function": {"name": "weather"}}]}
    llm = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini", "output.value": json.dumps(made)}
    event = event_of(llm)
    assert event["event"] == "$ai_trace"
    assert event["properties"]["$ai_output_state"] == made
    assert event_of(llm | {"llm.token_count.completion": 3})["event"] == "$ai_generation"


def test_prompts_of_a_completion_may_be_a_list() -> None:
    asked = {
        "openinference.span.kind": "LLM",
        "llm.prompts": ["Which lake?"],
        "input.value": '{"args":["Which lake?"]}',
    }
    assert event_of(asked)["properties"]["$ai_input"] == [{"role": "user", "content": "Which lake?"}]


def test_the_only_argument_of_an_embedding_function_is_its_text() -> None:
    asked = {
        "openinference.span.kind": "EMBEDDING",
        "embedding.model_name": "m",
        "input.value": '{"query":"Which lake?"}',
    }
    assert event_of(asked)["properties"]["$ai_input"] == "Which lake?"


def test_a_stream_lasts_at_least_until_its_first_token() -> None:
    (span,) = [
        made_span(
            attributes={"openinference.span.kind": "LLM", "llm.model_name": "m"},
            events=[("First Token Stream Event", {})],
            duration=0.0005,
        )
    ]
    (event,) = events_of([span])
    assert event["properties"]["$ai_latency"] == event["properties"]["$ai_time_to_first_token"] == 0.001


def test_a_quoted_tool_answer_and_pythons_own_parameters() -> None:
    tool = {
        "openinference.span.kind": "TOOL",
        "input.value": '{"args": [], "kwargs": {"city": "Oslo"}}',
        "output.value": '"11 C"',
        "output.mime_type": "application/json",
    }
    properties = event_of(tool)["properties"]
    assert properties["$ai_input_state"] == {"city": "Oslo"}
    assert properties["$ai_output_state"] == "11 C"


def test_the_raw_answer_tells_what_the_flattened_attributes_lack() -> None:
    raw = "Completion(choices=[Choice(finish_reason='stop')], usage=Usage(prompt_tokens=9, cached_tokens=4))"
    llm = {
        "openinference.span.kind": "LLM",
        "llm.output_messages.0.message.content": "Hi",
        "llm.token_count.prompt": 9,
        "output.value": json.dumps({"role": "assistant", "content": "Hi", "raw": raw}),
    }
    properties = event_of(llm)["properties"]
    assert properties["$ai_output_choices"] == [{"role": "assistant", "content": "Hi"}]
    assert (properties["$ai_stop_reason"], properties["$ai_cache_read_input_tokens"]) == ("stop", 4)


@pytest.mark.parametrize(
    ("name", "streams"),
    [("OpenAIChat.invoke_stream", True), ("Model.astream", True), ("OpenAI.stream_chat", True),
     ("GenerateContentStream", True),
     ("OpenAIChat.invoke", False), ("Stream.invoke", False), ("Model.upstream", False)],
)  # fmt: skip
def test_the_method_that_streams_is_in_the_name(name: str, streams: bool) -> None:
    llm = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini"}
    assert (event_of(llm, name=name)["properties"].get("$ai_stream") is True) is streams


def test_a_list_of_one_whole_answer_is_that_answer() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    answer = [
        {"object": "response", "model": "gpt-4o-mini-2024-07-18", "output": [said], "usage": {"output_tokens": 3}}
    ]
    llm = {
        "openinference.span.kind": "LLM",
        "llm.invocation_parameters": '{"base_url": "http://localhost:1/v1"}',
        "output.value": json.dumps(answer),
    }
    properties = event_of(llm)["properties"]
    assert properties["$ai_output_choices"] == [{"role": "assistant", "content": "Hi"}]
    assert properties["$ai_model"] == "gpt-4o-mini-2024-07-18"
    assert properties["$ai_output_tokens"] == 3
    assert properties["$ai_base_url"] == "http://localhost:1/v1"


def test_a_finish_reason_may_be_a_member_of_an_enum() -> None:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.response.finish_reason": "FinishReason.TOOL_CALLS"}
    assert event_of(chat)["properties"]["$ai_stop_reason"] == "tool_calls"


def test_tool_results_beside_their_message() -> None:
    llm = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "function",
        "llm.input_messages.0.function.0": '{"name": "weather", "content": "11 C", "call_id": "c1"}',
    }
    assert event_of(llm)["properties"]["$ai_input"] == [
        {"role": "tool", "content": "11 C", "tool_call_id": "c1", "name": "weather"}
    ]


def test_genkit_streams_and_failures() -> None:
    model = {"genkit:name": "openai/gpt-4o-mini", "genkit:type": "action", "genkit:metadata:subtype": "model"}
    chunks = {"message": {"role": "model", "content": [{"text": "Hi "}, {"text": "there"}]}, "custom": {"model": "m-1"}}
    properties = event_of(model | {"genkit:output": json.dumps(chunks)})["properties"]
    assert properties["$ai_output_choices"] == [{"role": "assistant", "content": "Hi there"}]
    assert properties["$ai_model"] == "m-1"
    error = {"error": {"status": "RESOURCE_EXHAUSTED", "message": "Error code: 429 - slow down"}}
    around = {"genkit:name": "generate", "genkit:type": "util", "genkit:state": "error"}
    properties = event_of(around | {"genkit:output": json.dumps(error)})["properties"]
    assert properties["$ai_error"] == "RESOURCE_EXHAUSTED: Error code: 429 - slow down"
    assert properties["$ai_http_status"] == 429


def test_the_name_of_an_object_is_no_answer() -> None:
    llm = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m",
        "output.value": "<groq.Stream object at 0x7f2c9a7f>",
    }
    properties = event_of(llm)["properties"]
    assert "$ai_output_choices" not in properties
    assert "output.value" not in properties
