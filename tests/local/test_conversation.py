"""Messages in the shapes that providers and instrumentations write."""

from __future__ import annotations

from typing import Any

import pytest

from otel_posthog.local.conversation import Block, conversation_of, question_of


def outline(blocks: list[Block]) -> list[tuple[Any, ...]]:
    return [(block.kind, block.name or block.value) for block in blocks]


def output(value: Any) -> list[tuple[Any, ...]]:
    talk = conversation_of({"$ai_output_choices": value})
    return [(message.role, *outline(message.blocks)) for message in talk.output]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hello", [("assistant", ("text", "hello"))]),
        ([{"role": "assistant", "content": "hello"}], [("assistant", ("text", "hello"))]),
        ([{"message": {"role": "model", "content": "hello"}}], [("assistant", ("text", "hello"))]),
        ([{"type": "text", "text": "hello"}], [("assistant", ("text", "hello"))]),
        ([{"role": "ai", "parts": [{"type": "text", "content": "hello"}]}], [("assistant", ("text", "hello"))]),
        ([{"role": "model", "parts": [{"text": "hello"}]}], [("assistant", ("text", "hello"))]),
        (
            [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}],
            [("assistant", ("call", "f"))],
        ),
        (
            [{"role": "assistant", "content": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}],
            [("assistant", ("call", "f"))],
        ),
        ([{"type": "function_call", "name": "f", "call_id": "1"}], [("assistant", ("call", "f"))]),
        ([{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}], [("assistant", ("call", "f"))]),
        (
            [{"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]}],
            [("assistant", ("reasoning", "hm"), ("text", "a"))],
        ),
        ([{"role": "assistant", "reasoning_content": "hm", "content": "a"}],
         [("assistant", ("reasoning", "hm"), ("text", "a"))]),
        ({"answer": 42}, [("assistant", ("json", {"answer": 42}))]),
        ([{"role": "assistant", "content": [{"type": "new", "x": 1}]}],
         [("assistant", ("json", {"type": "new", "x": 1}))]),
        ([None, 3], [("assistant", ("json", 3))]),
    ],
)  # fmt: skip
def test_a_message_is_read(value: Any, expected: list[Any]) -> None:
    assert output(value) == expected


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        ),
        (
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}]},
        ),
        (
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {}}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "42"}]},
        ),
        (
            {"type": "function_call", "id": "fc_9", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ),
    ],
    ids=["openai", "anthropic", "otel", "responses"],
)
def test_a_result_stands_with_the_call_of_its_id(call: dict[str, Any], result: dict[str, Any]) -> None:
    talk = conversation_of({"$ai_input": [{"role": "user", "content": "?"}, call, result]})
    assert [message.role for message in talk.input] == ["user", "assistant"]
    answer = talk.input[1].blocks[0].result
    assert answer is not None
    assert answer.value == "42"


def test_a_result_without_a_call_stays_where_it_is() -> None:
    talk = conversation_of({"$ai_input": [{"role": "tool", "tool_call_id": "c9", "content": "42"}]})
    assert [(m.role, m.blocks[0].kind, m.blocks[0].call_id) for m in talk.input] == [("tool", "result", "c9")]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" + "A" * 60}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo" + "A" * 60}},
        {"type": "image", "image": "data:image/png;base64,iVBORw0KGgo" + "A" * 60},
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo" + "A" * 60}},
        {"type": "blob", "mime_type": "image/png", "content": "iVBORw0KGgo" + "A" * 60},
    ],
)
def test_an_image_is_shown_where_its_bytes_are(part: dict[str, Any]) -> None:
    (message,) = conversation_of({"$ai_input": [{"role": "user", "content": [part]}]}).input
    assert message.blocks[0].media is not None
    assert message.blocks[0].media.source == "data:image/png;base64,iVBORw0KGgo" + "A" * 60


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/html", "image/png;x=1"])
def test_only_plain_image_formats_are_shown(kind: str) -> None:
    part = {"type": "image", "source": {"media_type": kind, "data": "A" * 60}}
    (message,) = conversation_of({"$ai_input": [{"role": "user", "content": [part]}]}).input
    assert message.blocks[0].media is not None
    assert message.blocks[0].media.source is None


def test_an_image_elsewhere_is_offered_and_not_loaded() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://evil.example/pixel.png"}}
    (message,) = conversation_of({"$ai_input": [{"role": "user", "content": [part]}]}).input
    media = message.blocks[0].media
    assert media is not None
    assert (media.source, media.link) == (None, "https://evil.example/pixel.png")


def test_a_script_address_is_no_link() -> None:
    part = {"type": "image_url", "image_url": {"url": "javascript:alert(1)"}}
    (message,) = conversation_of({"$ai_input": [{"role": "user", "content": [part]}]}).input
    assert message.blocks[0].media is not None
    assert message.blocks[0].media.link is None


def test_states_of_a_span_are_read_as_well() -> None:
    talk = conversation_of({"$ai_input_state": {"city": "Lisbon"}, "$ai_output_state": "sunny"})
    assert [(m.role, m.blocks[0].value) for m in (*talk.input, *talk.output)] == [
        ("input", {"city": "Lisbon"}),
        ("output", "sunny"),
    ]


def test_the_question_is_the_last_text_of_the_user() -> None:
    messages = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "a"},
                {"role": "user", "content": "  last\none "}, {"role": "assistant", "content": "b"}]  # fmt: skip
    assert question_of({"$ai_input": messages}) == "last one"


@pytest.mark.parametrize(
    "value", [0, True, [[["deep"]]], [{}], {"role": None}, [{"role": 7, "content": {"a": 1}}], "[", "{}"]
)
def test_no_value_is_an_error(value: Any) -> None:
    conversation_of({"$ai_input": value, "$ai_output_choices": value, "$ai_tools": value})
    question_of({"$ai_input": value})
