"""Readers that no recording covers, readers of a user's own, and what the registry decides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from otel_posthog import PostHogSpanExporter, PostHogSpanProcessor, Reader
from otel_posthog._model import Operation
from otel_posthog._spans import SpanView, view_of
from otel_posthog.conventions import READERS, reader_of
from otel_posthog.conventions._attributes import Attributes, to_str
from otel_posthog.local import LocalPostHog
from tests.support import recordings
from tests.support.events import events_of
from tests.support.made import made_span
from tests.support.truth import billed_input


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
    assert (properties["$ai_input_tokens"], properties["$ai_output_tokens"]) == (18, 19)
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
    return Operation(kind="generation", request_model=attributes.take(to_str, "acme.model"))


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

    exporter = PostHogSpanExporter("phc_test", posthog.url, readers=[Reader("acme", ACME.matches, broken)])
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


@pytest.mark.parametrize(
    ("provider", "said", "whole", "counts"),
    [
        ("anthropic.messages", {"anthropic": {"cacheReadInputTokens": 2048, "cacheCreationInputTokens": 0}}, 2310,
         {"cache_read_input_tokens": 2048}),
        ("vertex.anthropic.messages", {"anthropic": {"usage": {"input_tokens": 262, "cache_read_input_tokens": 2048,
         "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}}}, 2317,
         {"cache_read_input_tokens": 2048, "cache_creation_input_tokens": 7, "cache_creation_1h_input_tokens": 4}),
        ("openai.chat", {"openai": {"reasoningTokens": 192, "cachedPromptTokens": 20}}, 262,
         {"cache_read_input_tokens": 20, "reasoning_tokens": 192}),
        ("openai.chat", {"openai": "x", "other": {"usage": 3, "reasoningTokens": "?"}}, 262, {}),
    ],
)  # fmt: skip
def test_vercels_provider_metadata_has_the_details_of_usage(
    provider: str, said: dict[str, Any], whole: int, counts: dict[str, int]
) -> None:
    call = {"ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": provider, "ai.usage.promptTokens": 262}
    properties = event_of(call | {"ai.response.providerMetadata": json.dumps(said)})["properties"]
    assert billed_input(properties) == whole
    assert {name: properties[f"$ai_{name}"] for name in counts} == counts


def test_vercels_seventh_version_adds_to_the_genai_conventions() -> None:
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 2310,
        "ai.settings.context.userId": "user-1",
        "ai.settings.context.sessionId": "session-1",
        "ai.settings.context.plan": "pro",
        "ai.usage.inputTokenDetails.noCacheTokens": 262,
        "ai.usage.outputTokenDetails.reasoningTokens": 192,
        "ai.response.providerMetadata": json.dumps({"anthropic": {"usage": {"cache_read_input_tokens": 2048}}}),
    }
    event = event_of(chat)
    properties = event["properties"]
    assert (event["event"], event["distinct_id"]) == ("$ai_generation", "user-1")
    assert (properties["$ai_session_id"], properties["metadata"]["plan"]) == ("session-1", "pro")
    assert (billed_input(properties), properties["$ai_reasoning_tokens"]) == (2310, 192)


def test_vercels_wrapper_of_embeddings_has_all_their_texts() -> None:
    asked = {"ai.operationId": "ai.embedMany", "ai.values": ('"one"', '"two"'), "ai.embeddings": ("[0.1]", "[0.2]")}
    assert event_of(asked)["properties"]["$ai_input_state"] == ["one", "two"]


def traceloop(kind: str, given: Any = None, returned: Any = None, **more: str) -> dict[str, Any]:
    """The properties of a span of OpenLLMetry's."""
    attributes = {"traceloop.span.kind": kind, "traceloop.entity.name": "step", **more}
    for name, value in (("input", given), ("output", returned)):
        if value is not None:
            attributes[f"traceloop.entity.{name}"] = json.dumps(value)
    properties: dict[str, Any] = event_of(attributes, parent_id="00f067aa0ba902b7")["properties"]
    return properties


def test_llama_indexs_embeddings_are_calls_although_their_span_is_a_workflow() -> None:
    call = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"}
    properties = traceloop("workflow", {"texts": ["one", "two"]}, [[0.1, 0.2], [0.3, 0.4]], **call)
    assert properties["$ai_model"] == "text-embedding-3-small"
    assert properties["$ai_input"] == ["one", "two"]
    assert "0.3" not in json.dumps(properties)
    inner = traceloop("task", {"query": "one"}, [0.1, 0.2])
    assert (inner["$ai_input_state"], "$ai_output_state" in inner) == ({"query": "one"}, False)


def test_llama_indexs_tools_are_known_by_what_they_return() -> None:
    returned = {"blocks": [], "tool_name": "get_weather", "raw_input": {}, "raw_output": "11 C", "is_error": False}
    properties = traceloop("task", {"kwargs": {"city": "Oslo"}}, returned)
    assert (properties["$ai_span_type"], properties["$ai_span_name"]) == ("tool", "get_weather")
    assert (properties["$ai_input_state"], properties["$ai_output_state"]) == ({"city": "Oslo"}, "11 C")


def serialised(name: str, **fields: Any) -> dict[str, Any]:
    """An object as LangChain writes it."""
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name], "kwargs": fields}


def envelope(**value: Any) -> dict[str, Any]:
    """What LangChain's callbacks got."""
    return {**value, "tags": ["seq:step:1"], "metadata": {"thread_id": "t"}, "kwargs": {"name": "step"}}


def test_langchains_envelopes_are_taken_off() -> None:
    properties = traceloop("task", envelope(inputs={"q": "Lake?"}), {"outputs": "Garda", "kwargs": {}})
    assert (properties["$ai_input_state"], properties["$ai_output_state"]) == ({"q": "Lake?"}, "Garda")
    answer = {"output": serialised("ToolMessage", content="11 C", type="tool"), "kwargs": {}}
    properties = traceloop("tool", envelope(input_str="{'city': 'Oslo'}", inputs={}), answer)
    assert (properties["$ai_input_state"], properties["$ai_output_state"]) == ({"city": "Oslo"}, "11 C")
    assert traceloop("tool", envelope(input_str="{broken"))["$ai_input_state"] == "{broken"


def test_langgraphs_states_are_the_last_messages() -> None:
    asked, said = {"role": "user", "content": "Lake?"}, {"role": "assistant", "content": "Garda"}
    answer = serialised("AIMessage", content="Garda", type="ai")
    state = {"messages": [serialised("HumanMessage", content="Lake?", type="human"), answer]}
    pair = envelope(inputs={"messages": [["user", "Lake?"]]})
    properties = traceloop("workflow", pair, {"outputs": state, "kwargs": {}})
    assert (properties["$ai_input_state"], properties["$ai_output_state"]) == ([asked], [said])
    command = [{"graph": None, "update": {"messages": [answer]}}]
    assert traceloop("task", None, {"outputs": command, "kwargs": {}})["$ai_output_state"] == [said]
    more = {"messages": [["user", "Lake?"]], "place": "Italy"}
    assert traceloop("workflow", envelope(inputs=more))["$ai_input_state"] == more


def test_crewais_tasks_are_not_named_after_what_they_say() -> None:
    crew = "opentelemetry.instrumentation.crewai.instrumentation"
    task = {"traceloop.span.kind": "task", "crewai.task.description": "Which lake?", "crewai.task.agent": "Guide",
            "traceloop.entity.output": "Garda"}  # fmt: skip
    properties = event_of(task, name="Which lake?.task", scope=crew)["properties"]
    assert properties["$ai_span_name"] == "Guide.task"
    assert (properties["$ai_input_state"], properties["$ai_output_state"]) == ("Which lake?", "Garda")
    del task["crewai.task.agent"]
    assert event_of(task, name="Which lake?.task", scope=crew)["properties"]["$ai_span_name"] == "task"
    whole = {"crewai.crew.name": "guides", "crewai.crew.result": "Garda", "gen_ai.operation.name": "invoke_agent"}
    properties = event_of(whole, name="crewai.workflow", scope=crew)["properties"]
    assert (properties["$ai_span_name"], properties["$ai_output_state"]) == ("guides", "Garda")


def test_genkits_wrappers_show_the_last_messages() -> None:
    message = {"role": "model", "content": [{"data": {"name": "Ada"}}]}
    asked = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": [{"text": "Who?"}]}]}
    wrapper = {"genkit:name": "generate", "genkit:type": "util", "genkit:input": json.dumps(asked)}
    properties = event_of(wrapper | {"genkit:output": json.dumps({"message": message})})["properties"]
    assert properties["$ai_input_state"] == [{"role": "user", "content": "Who?"}]
    assert properties["$ai_output_state"] == [{"role": "assistant", "content": '{"name":"Ada"}'}]
    render = {"genkit:name": "render", "genkit:type": "promptTemplate", "genkit:metadata:promptName": "who",
              "genkit:output": json.dumps(asked)}  # fmt: skip
    properties = event_of(render)["properties"]
    assert (properties["$ai_span_type"], properties["$ai_prompt_name"]) == ("prompt", "who")
    assert properties["$ai_output_state"] == [{"role": "user", "content": "Who?"}]


def test_genkit_keeps_the_providers_answer_under_raw() -> None:
    raw = {"id": "msg_1", "model": "claude-1", "usage": {"input_tokens": 262, "cache_read_input_tokens": 2048}}
    answer = {"message": {"role": "model", "content": [{"text": "Hi"}]}, "usage": {"inputTokens": 262}, "raw": raw}
    model = {"genkit:name": "anthropic/claude", "genkit:type": "action", "genkit:metadata:subtype": "model"}
    properties = event_of(model | {"genkit:output": json.dumps(answer)})["properties"]
    assert (properties["$ai_model"], properties["$ai_cache_read_input_tokens"]) == ("claude-1", 2048)
    assert billed_input(properties) == 2310


def test_genkits_exceptions_have_the_http_status_as_their_type() -> None:
    said = ("exception", {"exception.type": "429", "exception.message": "RESOURCE_EXHAUSTED: 429 slow down"})
    model = {"genkit:name": "openai/gpt-4o", "genkit:type": "action", "genkit:state": "error"}
    properties = event_of(model, status=StatusCode.ERROR, events=[said])["properties"]
    assert (properties["$ai_error"], properties["$ai_http_status"]) == ("RESOURCE_EXHAUSTED: 429 slow down", 429)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": {"type": "Buffer", "data": [137, 80, 78, 71]}, "mimeType": "image/png"},
        {"type": "file", "data": {"type": "Buffer", "data": [137, 80, 78, 71]}, "mediaType": "image/png"},
    ],
)
def test_nodes_buffers_are_their_bytes(part: dict[str, Any]) -> None:
    def shown(part: dict[str, Any]) -> Any:
        prompt = json.dumps([{"role": "user", "content": [part]}])
        call = {"ai.operationId": "ai.generateText.doGenerate", "ai.prompt.messages": prompt}
        (event,) = events_of([made_span(attributes=call)], keep_media=100)
        return event["properties"]["$ai_input"][0]["content"]

    assert shown(part) == [{"type": "image", "image": "data:image/png;base64,iVBORw=="}]
    key = "image" if "image" in part else "data"
    for bytes_ in ([256], [-1], ["x"], [None], "x"):
        broken = part | {key: {"type": "Buffer", "data": bytes_}}
        assert shown(broken) in ([broken], [{"type": "image", "image": "data:image/png;base64,x"}])


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("OpenAIRateLimitError('Error code: 429 - slow')Traceback (most recent call last):\n",
         "OpenAIRateLimitError: Error code: 429 - slow"),
        ("KeyError('a', 2)", "KeyError: a"),
        ("plain text (with more)", "Exception: plain text (with more)"),
        ("Thing(x=1)Traceback (", "Exception: Thing(x=1)"),
        ("Traceback (most", "Exception: Traceback (most"),
    ],
)  # fmt: skip
def test_langsmiths_failures_are_without_their_traceback(message: str, error: str) -> None:
    empty = {"generations": [[{"message": {"lc": 1, "id": ["AIMessage"], "kwargs": {"content": "", "type": "ai"}}}]]}
    llm = {"langsmith.span.kind": "llm", "gen_ai.completion": json.dumps(empty)}
    said = ("exception", {"exception.type": "Exception", "exception.message": message})
    properties = event_of(llm, status=StatusCode.ERROR, events=[said])["properties"]
    assert properties["$ai_error"] == error
    assert properties.get("$ai_http_status") == (429 if "429" in message else None)
    assert "$ai_output_choices" not in properties


CALL = {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2}


@pytest.mark.parametrize(
    ("kind", "attributes", "event"),
    [
        (SpanKind.CLIENT, {**CALL, "gen_ai.operation.name": "self_check_input"}, "$ai_generation"),
        (SpanKind.CLIENT, {**CALL, "gen_ai.operation.name": "embed_query"}, "$ai_embedding"),
        (SpanKind.INTERNAL, {**CALL, "gen_ai.operation.name": "run_agent"}, "$ai_trace"),
        (
            SpanKind.CLIENT,
            {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 3, "gen_ai.operation.name": "count_tokens"},
            "$ai_trace",
        ),
        (
            SpanKind.CLIENT,
            {"gen_ai.request.model": "m", "http.request.method": "POST", "url.full": "https://x.example/v1/messages"},
            "$ai_generation",
        ),
        (
            SpanKind.CLIENT,
            {
                "gen_ai.request.model": "m",
                "http.request.method": "POST",
                "url.full": "https://x.example/v1/messages/count_tokens",
            },
            "$ai_trace",
        ),
        (SpanKind.INTERNAL, {"gen_ai.request.model": "m", "gen_ai.input.messages": "Hi"}, "$ai_generation"),
    ],
)
def test_what_is_a_model_call(kind: SpanKind, attributes: dict[str, Any], event: str) -> None:
    assert event_of(attributes, name="call", kind=kind)["event"] == event


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "LLM", "llm.model_name": "m", "output.value": "{}"},
        {"langfuse.observation.type": "generation", "langfuse.observation.output": "{}"},
        {"llm.model": "m", "llm.completion": "{}"},
        {"gen_ai.operation.name": "chat", "gen_ai.output.messages": "{}"},
        {"gen_ai.operation.name": "chat", "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "{}"},
        {"ai.operationId": "ai.generateText.doGenerate", "ai.response.text": "{}"},
        {"mlflow.spanType": "LLM", "mlflow.spanOutputs": '"{}"'},
    ],
    ids=["OpenInference", "Langfuse", "llm.*", "semconv", "OpenLLMetry", "AI SDK", "MLflow"],
)
def test_a_structured_output_stays_the_text_that_the_model_wrote(attributes: dict[str, Any]) -> None:
    text = '{"answer": "42", "confidence": 0.9}'
    written = {name: json.dumps(text) if value == '"{}"' else text if value == "{}" else value
               for name, value in attributes.items()}  # fmt: skip
    (message,) = event_of(written)["properties"]["$ai_output_choices"]
    assert (message["role"], message["content"]) == ("assistant", text)


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "chat", "gen_ai.input.messages": "{}"},
        {"openinference.span.kind": "LLM", "llm.model_name": "m", "input.value": "{}"},
        {"langfuse.observation.type": "generation", "langfuse.observation.input": "{}"},
    ],
    ids=["semconv", "OpenInference", "Langfuse"],
)
def test_messages_that_a_limit_cut_are_said_to_be_cut(attributes: dict[str, Any]) -> None:
    cut = '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel'
    properties = event_of({name: cut if value == "{}" else value for name, value in attributes.items()})["properties"]
    assert properties["$ai_content_truncated"] is True
    assert properties["$ai_input"] == [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]


def test_counts_in_an_object() -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10}
    properties = event_of({**attributes, "gen_ai.usage.input_tokens_details": "{'cached_tokens': 8}"})["properties"]
    assert properties["$ai_cache_read_input_tokens"] == 8


def test_messages_with_roles_only_do_not_hide_the_content_of_events() -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": '[{"role": "user", "parts": []}]'}
    event = event_of(attributes, events=[("gen_ai.user.message", {"content": "Hi"})])
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("user", ["None", True, " ", ["ada"]])
def test_an_associated_user_that_is_no_id_costs_the_user_alone(user: Any) -> None:
    event = event_of({"traceloop.span.kind": "task", "traceloop.association.properties.user_id": user})
    assert event["event"] == "$ai_trace"


def test_the_remembered_reader_of_a_shape_is_that_of_each_of_its_spans() -> None:
    for name in recordings.NAMES:
        for span in recordings.spans(name):
            view = view_of(span)
            assert reader_of(view) is next((reader for reader in READERS if reader.matches(view)), None), name
