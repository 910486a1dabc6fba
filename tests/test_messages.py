"""Messages of every provider in PostHog's documented shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_posthog._model import Message, Reasoning, Text, Tool, ToolCall
from otel_posthog._spans import EventView
from otel_posthog.conventions._legacy import legacy_messages
from otel_posthog.conventions._messages import messages_in, messages_of
from otel_posthog.conventions._tools import tools_of
from otel_posthog.events.messages import posthog_messages, posthog_tools
from tests.support.events import events_of
from tests.support.made import made_span

PNG = "iVBORw0KGgo="
CALL = {"type": "function", "id": "c1", "function": {"name": "f", "arguments": {"x": 1}}}


def shaped(*messages: Any) -> list[Any]:
    return posthog_messages(messages_of(list(messages)) or [])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param({"role": "user", "content": "hi"}, {"role": "user", "content": "hi"}, id="text"),
        pytest.param("hi", {"role": "user", "content": "hi"}, id="bare text"),
        pytest.param({"role": "human", "content": "hi"}, {"role": "user", "content": "hi"}, id="LangChain role"),
        pytest.param({"role": "model", "parts": [{"text": "hi"}]}, {"role": "assistant", "content": "hi"}, id="Gemini"),
        pytest.param(
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            id="text parts",
        ),
        pytest.param(
            {"role": "user", "name": "Ada", "content": "hi", "custom": 1},
            {"role": "user", "content": "hi", "name": "Ada", "custom": 1},
            id="nothing is dropped",
        ),
        pytest.param(
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            id="refusal",
        ),
        pytest.param(
            {"role": "assistant", "parts": [{"type": "mystery", "x": 1}]},
            {"role": "assistant", "content": [{"type": "mystery", "x": 1}]},
            id="unknown part",
        ),
    ],
)
def test_texts(message: Any, expected: Any) -> None:
    assert shaped(message) == [expected]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function",
                                                  "function": {"name": "f", "arguments": '{"x": 1}'}}]},
            id="OpenAI chat",
        ),
        pytest.param({"type": "function_call", "call_id": "c1", "id": "fc_9", "name": "f", "arguments": '{"x": 1}'},
                     id="OpenAI responses"),
        pytest.param({"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f",
                                                        "input": {"x": 1}}]}, id="Anthropic"),
        pytest.param({"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "f",
                                                                    "input": {"x": 1}}}]}, id="Bedrock"),
        pytest.param({"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "f", "args": {"x": 1}}}]},
                     id="Gemini"),
        pytest.param({"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f",
                                                      "arguments": {"x": 1}}]}, id="OpenTelemetry"),
        pytest.param({"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "f",
                                                        "input": {"x": 1}}]}, id="Vercel"),
        pytest.param({"type": "ai", "data": {"content": "", "tool_calls": [{"id": "c1", "name": "f",
                                                                            "args": {"x": 1}}]}}, id="LangChain"),
    ],
)  # fmt: skip
def test_tool_calls(message: Any) -> None:
    assert shaped(message) == [{"role": "assistant", "content": [CALL]}]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"role": "tool", "tool_call_id": "c1", "content": "24 C"}, id="OpenAI chat"),
        pytest.param({"type": "function_call_output", "call_id": "c1", "output": "24 C"}, id="OpenAI responses"),
        pytest.param({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "24 C"}]},
                     id="Anthropic"),
        pytest.param({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1",
                                                   "content": [{"type": "text", "text": "24 C"}]}]},
                     id="Anthropic parts"),
        pytest.param({"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "24 C"}]}}]},
                     id="Bedrock"),
        pytest.param({"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "24 C"}]},
                     id="OpenTelemetry"),
        pytest.param({"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "24 C"}]},
                     id="OpenTelemetry 1.37"),
        pytest.param({"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1",
                                                   "output": {"type": "text", "value": "24 C"}}]}, id="Vercel"),
    ],
)  # fmt: skip
def test_tool_results(message: Any) -> None:
    assert shaped(message) == [{"role": "tool", "content": "24 C", "tool_call_id": "c1"}]


def test_an_anthropic_message_with_a_result_and_a_question_becomes_two() -> None:
    parts = [{"type": "tool_result", "tool_use_id": "c1", "content": "24 C"}, {"type": "text", "text": "And Oslo?"}]
    assert shaped({"role": "user", "content": parts}) == [
        {"role": "tool", "content": "24 C", "tool_call_id": "c1"},
        {"role": "user", "content": "And Oslo?"},
    ]


@pytest.mark.parametrize(
    "part",
    [
        pytest.param({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}, id="OpenAI chat"),
        pytest.param({"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}, id="OpenAI responses"),
        pytest.param({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                     id="Anthropic"),
        pytest.param({"inline_data": {"mime_type": "image/png", "data": PNG}}, id="Gemini"),
        pytest.param({"image": {"format": "png", "source": {"bytes": PNG}}}, id="Bedrock"),
        pytest.param({"type": "blob", "modality": "image", "mime_type": "image/png", "content": PNG},
                     id="OpenTelemetry"),
        pytest.param({"type": "image", "image": f"data:image/png;base64,{PNG}"}, id="Vercel"),
        pytest.param({"type": "image", "image": {"image": {"url": f"data:image/png;base64,{PNG}"}}},
                     id="OpenInference"),
    ],
)  # fmt: skip
def test_images(part: Any) -> None:
    (message,) = shaped({"role": "user", "content": [part]})
    assert message["content"] == [{"type": "image", "image": f"data:image/png;base64,{PNG}"}]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
         {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}),
        ({"type": "file", "file": {"file_id": "f1", "filename": "a.pdf"}},
         {"type": "file", "file": {"file_id": "f1", "filename": "a.pdf"}}),
        ({"type": "uri", "modality": "video", "mime_type": "video/mp4", "uri": "gs://b/v.mp4"},
         {"type": "file", "file": {"file_data": "gs://b/v.mp4", "mime_type": "video/mp4"}}),
        ({"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
         {"type": "file", "file": {"file_data": "https://x/y.pdf"}}),
        ({"type": "thinking", "thinking": "hm", "signature": "s"},
         {"type": "thinking", "thinking": "hm", "signature": "s"}),
        ({"type": "reasoning", "content": "hm"}, {"type": "thinking", "thinking": "hm"}),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
         {"type": "thinking", "thinking": "hm"}),
        ({"text": "hm", "thought": True}, {"type": "thinking", "thinking": "hm"}),
    ],
)  # fmt: skip
def test_other_parts(part: Any, expected: Any) -> None:
    (message,) = shaped({"role": "user", "content": [part]})
    assert message["content"] == [expected]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
        {"name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"function_declarations": [{"name": "f", "description": "d", "parameters": {"type": "object"}}]},
        {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}},
        {"type": "function", "name": "f", "description": "d", "inputSchema": {"type": "object"}},
    ],
    ids=["OpenAI chat", "OpenAI responses", "Anthropic", "Gemini", "Bedrock", "Vercel"],
)
def test_tools(tool: Any) -> None:
    expected = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    assert posthog_tools(tools_of([tool]) or []) == [expected]


def test_several_choices_stay_several() -> None:
    choices = [{"role": "assistant", "parts": [{"type": "text", "content": t}], "finish_reason": "stop"} for t in "ab"]
    (event,) = events_of(
        [made_span(attributes={"gen_ai.operation.name": "chat", "gen_ai.output.messages": json.dumps(choices)})]
    )
    assert event["properties"]["$ai_output_choices"] == [
        {"role": "assistant", "content": "a", "finish_reason": "stop"},
        {"role": "assistant", "content": "b", "finish_reason": "stop"},
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.prompt": '[{"role": "user", "content": "hi"}]'},
        {"gen_ai.prompt": "hi"},
        {"gen_ai.input.messages": ({"role": "user", "parts": ({"type": "text", "content": "hi"},)},)},
    ],
    ids=["deprecated, JSON", "deprecated, text", "structured"],
)
def test_input_messages_in_every_form(attributes: dict[str, Any]) -> None:
    from otel_posthog import conventions
    from otel_posthog._spans import view_of

    view = view_of(made_span(attributes={"gen_ai.operation.name": "chat"}))
    view.attributes = {"gen_ai.operation.name": "chat", **attributes}  # the SDK itself refuses structured values
    operation = conventions.parse_span(view)
    assert operation is not None
    assert posthog_messages(operation.input or []) == [{"role": "user", "content": "hi"}]


def test_messages_in_span_events() -> None:
    span = made_span(
        attributes={"gen_ai.operation.name": "chat"},
        events=[
            ("gen_ai.system.message", {"content": "Be brief."}),
            ("gen_ai.user.message", {"content": "hi"}),
            ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": '{"content": "hello"}'}),
        ],
    )
    (event,) = events_of([span])
    assert event["properties"]["$ai_input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert event["properties"]["$ai_output_choices"] == [
        {"role": "assistant", "content": "hello", "finish_reason": "stop"}
    ]


def test_content_events_of_the_first_generation() -> None:
    span = made_span(
        attributes={"gen_ai.operation.name": "chat"},
        events=[
            ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role": "user", "content": "hi"}]'}),
            ("gen_ai.content.completion", {"gen_ai.completion": '[{"role": "assistant", "content": "hello"}]'}),
        ],
    )
    (event,) = events_of([span])
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "hi"}]
    assert event["properties"]["$ai_output_choices"] == [{"role": "assistant", "content": "hello"}]


def test_details_event_fills_in_what_the_span_lacks() -> None:
    details = {"gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]'}
    span = made_span(
        attributes={"gen_ai.operation.name": "chat"},
        events=[("gen_ai.client.inference.operation.details", details)],
    )
    (event,) = events_of([span])
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    "text",
    [
        '{"plant": "fern", "height_cm": 31}',
        "[1, 2, 3]",
        '{"role": "admin", "name": "Ada"}',
        '[{"name": "a"}]',
    ],
)
def test_json_that_somebody_wrote_stays_the_text(text: str) -> None:
    assert messages_in(text, "assistant") == ([Message("assistant", [Text(text)])], True)


@pytest.mark.parametrize(
    "written",
    [
        '[{"role": "user", "content": "Hi"}]',
        '"[{\\"role\\": \\"user\\", \\"content\\": \\"Hi\\"}]"',
        "[{'role': 'user', 'content': 'Hi', 'name': None}]",
        ['{"role": "user", "content": "Hi"}'],
        ['[{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]'],
        '"Hi"',
        "Hi",
        '{"messages": [{"role": "user", "content": "Hi"}], "temperature": 0}',
        {"role": "user", "content": {"role": "user", "parts": [{"text": "Hi", "thought": None}]}},
    ],
)
def test_messages_however_they_are_encoded(written: Any) -> None:
    assert messages_in(written)[0] == [Message("user", [Text("Hi")])]


@pytest.mark.parametrize(
    "written", ["[]", "{}", [], '[{"role": "user", "content": "<elided>"}]', "[Scrubbed due to 'password']"]
)
def test_placeholders_are_no_content(written: Any) -> None:
    found = messages_in(written)[0]
    assert not any(message.parts for message in found or ())


@pytest.mark.parametrize(
    ("written", "call"),
    [
        (
            {
                "type": "server_tool_call",
                "id": "s",
                "name": "web_search",
                "server_tool_call": {"type": "x", "query": "q"},
            },
            ToolCall("web_search", {"query": "q"}, "s", server=True),
        ),
        (
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            ToolCall("web_search", {"query": "q"}, "s", server=True),
        ),
        (
            {"type": "web_search_call", "id": "s", "status": "completed", "action": {"query": "q"}},
            ToolCall("web_search", {"query": "q"}, "s", server=True),
        ),
        (
            {"type": "code_interpreter_call", "id": "s", "code": "1 + 1", "outputs": []},
            ToolCall("code_interpreter", {"code": "1 + 1"}, "s", server=True),
        ),
        ({"type": "custom_tool_call", "call_id": "s", "name": "f", "input": "x"}, ToolCall("f", "x", "s")),
    ],
)
def test_calls_of_built_in_tools(written: dict[str, Any], call: ToolCall) -> None:
    assert messages_of([written], "assistant") == [Message("assistant", [call])]


def test_reasoning_details_of_openrouter() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s"}, {"type": "reasoning.encrypted", "data": "e"}]
    assert messages_of([{"role": "assistant", "content": "Yes.", "reasoning_details": details}]) == [
        Message("assistant", [Reasoning("hm", "s"), Reasoning("", "e"), Text("Yes.")])
    ]


def test_chunks_of_a_stream_are_one_choice() -> None:
    chunks = [{"content": "The fern "}, {"content": "is green.", "finish_reason": "STOP"}]
    assert legacy_messages([EventView("gen_ai.choice", {}, chunk) for chunk in chunks])[1] == [
        Message("assistant", [Text("The fern is green.")], finish_reason="STOP")
    ]


@pytest.mark.parametrize(
    "written",
    [
        {"type": "object", "properties": {}},
        {"type": "function"},
        {"description": "d"},
    ],
)
def test_a_schema_without_a_name_is_no_tool(written: dict[str, Any]) -> None:
    assert tools_of([written]) is None


@pytest.mark.parametrize(
    "written",
    [
        '[{"name": "f", "parameters": {"type": "object"}}]',
        ['{"type": "function", "function": {"name": "f", "parameters": "{\\"type\\": \\"object\\"}"}}'],
        ['[{"name": "f", "input_schema": {"type": "object"}}]'],
    ],
)
def test_tool_definitions_that_are_json_texts(written: Any) -> None:
    assert tools_of(written) == [Tool("f", parameters={"type": "object"})]
