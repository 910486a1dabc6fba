"""Messages in the shapes that instrumentations write, as neutral messages.

``{"role", "content" | "parts", …}`` of OpenTelemetry, OpenAI, Anthropic, Gemini, Bedrock and Vercel; LangChain's
serialised messages; the items of OpenAI's responses API; the legacy ``gen_ai.*.message`` events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_posthog._model import (
    Json,
    Media,
    Message,
    Other,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from otel_posthog._spans import EventView
from otel_posthog.conventions._attributes import parse_json, to_plain
from otel_posthog.conventions._parts import first, part_of, parts_of, result_value, string, tool_call

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "developer": "system",
    "function": "tool",
    "USER": "user",
    "CHATBOT": "assistant",
    "SYSTEM": "system",
    "TOOL": "tool",
}

_MESSAGE_KEYS = frozenset(
    ("role", "content", "parts", "tool_calls", "toolCalls", "tool_call_id", "toolCallId", "function_call", "refusal",
     "reasoning_content", "reasoning", "thinking", "audio", "name", "finish_reason", "finishReason", "stop_reason",
     "type", "index", "gen_ai.message.index", "event.name", "id", "status", "message", "lc", "kwargs", "data",
     "additional_kwargs", "response_metadata", "usage_metadata", "invalid_tool_calls", "example", "artifact",
     "annotations", "images")
)  # fmt: skip

_SEMCONV_KEYS = frozenset(("role", "parts", "name", "finish_reason"))

_FINISH_KEYS = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")

# Without a role, one of these makes an object a message all the same.
_ANSWER_KEYS = frozenset(("content", "tool_calls", "function_call", "finish_reason"))


def role_of(role: Json, default: str) -> str:
    """PostHog's role for a role of any provider."""
    return _ROLES.get(role, role) if isinstance(role, str) and role and role != "unknown" else default


def message_of(value: Json, default_role: str = "user") -> Message | None:
    """A message from one JSON value; ``None`` if there is nothing in it."""
    if isinstance(value, (str, list)):
        parts = parts_of(value)
        return Message(default_role, parts) if parts else None
    if not isinstance(value, Mapping):
        return None
    written = value.get("parts")
    if type(written) is list and written and value.keys() <= _SEMCONV_KEYS:
        # The conventions' own shape needs none of what follows.
        role, name, reason = value.get("role"), value.get("name"), value.get("finish_reason")
        return Message(role_of(role, default_role), parts_of(written), string(name), string(reason) or None)
    value = _unwrapped(dict(value))
    kind = value.get("type")
    if "role" not in value and "parts" not in value:
        if kind in ("human", "ai", "system", "tool", "function", "AIMessageChunk"):
            value["role"] = kind
        elif kind in ("function_call_output", "function_call", "reasoning", "tool_result"):
            part = part_of(value)
            role = "tool" if isinstance(part, ToolResult) else "assistant"
            return Message(role, [part]) if part is not None else None
        elif not _ANSWER_KEYS & value.keys():
            part = part_of(value)
            return Message(default_role, [part]) if part is not None else None
    role = role_of(value.get("role"), default_role)
    parts = _content_parts(value, role)
    extra = {k: v for k, v in value.items() if k not in _MESSAGE_KEYS and v is not None}
    for kept in ("annotations", "images"):
        if value.get(kept):
            extra[kept] = value[kept]
    finish = string(first(value, *_FINISH_KEYS))
    stated = value.get("response_metadata")  # LangChain
    if finish is None and isinstance(stated, Mapping):
        finish = string(first(dict(stated), *_FINISH_KEYS))
    return Message(role, parts, string(value.get("name")), finish or None, extra)


def _unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The message inside LangChain's ``{"lc", "kwargs"}`` or ``{"type", "data"}``, or a choice's ``message``."""
    if isinstance(value.get("kwargs"), dict) and "lc" in value:
        identity = value.get("id")
        inner = dict(value["kwargs"])
        if "type" not in inner and isinstance(identity, list) and identity:
            inner["type"] = str(identity[-1]).removesuffix("Message").lower()
        return inner
    if isinstance(value.get("data"), dict) and "role" not in value:
        return {"type": value.get("type"), **value["data"]}
    message = value.get("message")
    if isinstance(message, Mapping):
        inner = _unwrapped(dict(message))
        return {**inner, "finish_reason": first(value, *_FINISH_KEYS)}
    return value


def _content_parts(value: dict[str, Any], role: str) -> list[Part]:
    """All that a message says, in order: thoughts, content, refusal, audio, tool calls."""
    parts: list[Part] = []
    thought = first(value, "reasoning_content", "reasoning", "thinking")
    if isinstance(thought, str) and thought:
        parts.append(Reasoning(thought))
    content = first(value, "parts", "content", "text") if value.get("parts") != [] else value.get("content")
    call_id = first(value, "tool_call_id", "toolCallId")
    if call_id is None and role == "tool":
        call_id = value.get("id")
    if role == "tool" and (call_id is not None or not isinstance(content, list)):
        listed = parts_of(content) if isinstance(content, list) else []
        if any(isinstance(part, ToolResult) for part in listed):
            return parts + listed
        name = string(value.get("name"))
        return [*parts, ToolResult(result_value(content), None if call_id is None else str(call_id), name)]
    parts += parts_of(content)
    if isinstance(value.get("refusal"), str) and value["refusal"]:
        parts.append(Refusal(value["refusal"]))
    audio = value.get("audio")
    if isinstance(audio, dict):
        transcript = string(audio.get("transcript"))
        if transcript:
            parts.append(Text(transcript))
        parts.append(Media("audio", data=string(audio.get("data")), file_id=string(audio.get("id"))))
    calls = first(value, "tool_calls", "toolCalls") or []
    if isinstance(value.get("function_call"), dict):
        calls = [*calls, value["function_call"]] if isinstance(calls, list) else [value["function_call"]]
    if isinstance(calls, list):
        said = {(p.id, p.name): p for p in parts if isinstance(p, ToolCall)}
        for call in calls:
            part = tool_call(call) if isinstance(call, dict) else Other(call)
            # LangChain repeats the calls that Anthropic content blocks already hold; of a stream only it has the whole.
            same = said.get((part.id, part.name)) if isinstance(part, ToolCall) else None
            if same is None:
                parts.append(part)
            elif isinstance(part, ToolCall):
                same.arguments = same.arguments or part.arguments
    return parts


def messages_of(value: Json, default_role: str = "user") -> list[Message] | None:
    """Messages from a list of them, one message or a bare text; ``None`` if there are none."""
    if value is None:
        return None
    items = value if isinstance(value, (list, tuple)) else [value]
    if items and all(isinstance(item, str) for item in items):
        return [Message(default_role, [Text(item)]) for item in items if item]
    found = [message for message in (message_of(item, default_role) for item in items) if message is not None]
    return found or None


def system_of(value: Json) -> list[Message]:
    """System instructions: a text, a list of parts, or a list of messages."""
    if isinstance(value, list) and value and all(isinstance(v, Mapping) and "role" in v for v in value):
        return messages_of(value, "system") or []
    parts = parts_of(value)
    return [Message("system", parts)] if parts else []


def tool_of(value: Json) -> Tool | None:
    """A tool definition: OpenAI chat, OpenAI responses, Anthropic, Gemini, Bedrock, Vercel, OpenTelemetry."""
    if not isinstance(value, Mapping):
        return Tool(value) if isinstance(value, str) and value else None
    for nested in ("function", "toolSpec"):
        if isinstance(value.get(nested), Mapping):
            value = value[nested]
    name = string(first(dict(value), "name", "type"))
    if not name:
        return None
    schema = first(
        dict(value), "parameters", "input_schema", "inputSchema", "parameters_json_schema", "parametersJsonSchema"
    )
    if isinstance(schema, dict) and set(schema) == {"json"}:  # Bedrock
        schema = schema["json"]
    known = ("name", "type", "description", "parameters", "input_schema", "inputSchema", "parameters_json_schema",
             "parametersJsonSchema")  # fmt: skip
    extra = {k: v for k, v in value.items() if k not in known and v is not None}
    return Tool(name, string(value.get("description")), schema, extra)


def tools_of(value: Json) -> list[Tool] | None:
    """Tool definitions from a list (Gemini groups them once more) or an object; ``None`` if there are none."""
    if isinstance(value, Mapping):
        value = first(dict(value), "tools", "function_declarations", "functionDeclarations", "functions") or [value]
    found: list[Tool] = []
    for item in value if isinstance(value, (list, tuple)) else ():
        declarations = (
            first(dict(item), "function_declarations", "functionDeclarations") if isinstance(item, Mapping) else None
        )
        for one in declarations if isinstance(declarations, list) else [item]:
            tool = tool_of(one)
            if tool is not None:
                found.append(tool)
    return found or None


# Legacy events (semconv up to 1.36): one event per message, the role in its name.
_LEGACY_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def legacy_messages(events: Sequence[EventView]) -> tuple[list[Message], list[Message]]:
    """Input and output messages from ``gen_ai.*.message`` and ``gen_ai.choice`` events.

    The content is in the body of log records and in the attributes of span events, there as JSON text.
    """
    given: list[Message] = []
    answered: list[Message] = []
    for event in events:
        role = _LEGACY_ROLES.get(event.name)
        if role is None and event.name != "gen_ai.choice":
            continue
        # Semantic Kernel writes through Python's logging, whose records have a text: JSON of the body.
        written = parse_json(event.body) if isinstance(event.body, str) else event.body
        body = to_plain(written) if isinstance(written, Mapping) else _event_body(event.attributes)
        if role is None:
            message = message_of(_choice(dict(body)), "assistant")
            if message is not None and (message.parts or message.finish_reason):
                answered.append(message)
        else:
            message = message_of({"role": role, **body}, role)
            if message is not None and message.parts and not _says_nothing(message):
                given.append(message)
    return given, answered


def _says_nothing(message: Message) -> bool:
    """An event of an instrumentation that does not capture content: roles and ids without a word."""
    return all(isinstance(p, ToolResult) and p.result is None for p in message.parts)


def _event_body(attributes: Mapping[str, Any]) -> dict[str, Any]:
    body = {k: parse_json(v) for k, v in attributes.items() if not k.startswith("gen_ai.") and k != "event.name"}
    # Semantic Kernel and the Azure SDK put the whole message, as JSON text, into this attribute.
    content = parse_json(attributes.get("gen_ai.event.content"))
    if isinstance(content, dict):
        body.update(content)
    elif content is not None:
        body["content"] = content
    return body


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    """A choice as a message: its ``message`` may be an object or bare text (Strands)."""
    message = body.pop("message", None)
    if isinstance(message, Mapping):
        return {"role": "assistant", **message, **{k: v for k, v in body.items() if k not in message}}
    if message is not None:
        body["content"] = message
    return {"role": "assistant", **body}
