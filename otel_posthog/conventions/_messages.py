"""Messages in the shapes that instrumentations write, as neutral messages.

``{"role", "content" | "parts", …}`` of OpenTelemetry, OpenAI, Anthropic, Gemini, Bedrock and Vercel; LangChain's
serialised messages; the items of OpenAI's responses API.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from otel_posthog._model import Json, Media, Message, Other, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from otel_posthog.conventions._attributes import ConversionError, parse_json
from otel_posthog.conventions._json import first, string
from otel_posthog.conventions._parts import is_part, part_of, parts_of, result_value, tool_call
from otel_posthog.conventions._recovery import json_prefix
from otel_posthog.conventions._reprs import repr_value

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
     "reasoning_content", "reasoning", "reasoning_details", "thinking", "audio", "name", "finish_reason",
     "finishReason", "stop_reason", "type", "index", "gen_ai.message.index", "event.name", "id", "status", "message",
     "lc", "kwargs", "data", "additional_kwargs", "response_metadata", "usage_metadata", "invalid_tool_calls",
     "tool_call_chunks", "example", "artifact", "annotations", "images")
)  # fmt: skip

_DICT = frozenset((dict,))

_SEMCONV_KEYS = frozenset(("role", "parts", "name", "finish_reason"))

_FINISH_KEYS = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")

_CONTENT_KEYS = frozenset(("content", "parts", "tool_calls", "toolCalls", "function_call", "refusal"))

# An object with one of these is a message even without a role.
_ANSWER_KEYS = frozenset(("content", "tool_calls", "function_call", "finish_reason"))


def role_of(role: Json, default: str) -> str:
    """PostHog's role for a role of any provider."""
    return _ROLES.get(role, role) if isinstance(role, str) and role and role != "unknown" else default


def message_of(value: Json, default_role: str = "user") -> Message | None:
    """A message from one JSON value; ``None`` if it is empty."""
    if type(value) is dict and (written := value.get("parts")) and type(written) is list:
        if value.keys() <= _SEMCONV_KEYS:
            # The conventions' own shape needs none of what follows.
            role, parts = role_of(value.get("role"), default_role), parts_of(written)
            if len(value) == 2 and "role" in value:
                return Message(role, parts)
            return Message(role, parts, string(value.get("name")), string(value.get("finish_reason")) or None)
    elif isinstance(value, (str, list)):
        parts = parts_of(value)
        return Message(default_role, parts) if parts else None
    elif not isinstance(value, Mapping):
        return None
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
    extra = {k: v for k, v in value.items() if k not in _MESSAGE_KEYS and v is not None and not k.startswith("gen_ai.")}
    for kept in ("annotations", "images"):
        if value.get(kept):
            extra[kept] = value[kept]
    finish = string(first(value, *_FINISH_KEYS))
    metadata = value.get("response_metadata")  # LangChain
    if finish is None and isinstance(metadata, Mapping):
        finish = string(first(dict(metadata), *_FINISH_KEYS))
    return Message(role, parts, string(value.get("name")), finish or None, extra)


def _unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The message inside LangChain's ``{"lc", "kwargs"}`` or ``{"type", "data"}``, or a choice's ``message``."""
    if isinstance(value.get("kwargs"), dict) and "lc" in value:
        identity = value.get("id")
        inner = dict(value["kwargs"])
        if "type" not in inner and isinstance(identity, list) and identity:
            inner["type"] = str(identity[-1]).removesuffix("Chunk").removesuffix("Message").lower()
        return inner
    if isinstance(value.get("data"), dict) and "role" not in value:
        return {"type": value.get("type"), **value["data"]}
    message = value.get("message")
    if isinstance(message, Mapping):
        inner = _unwrapped(dict(message))
        return {**inner, "finish_reason": first(value, *_FINISH_KEYS)}
    return value


def _content_parts(value: dict[str, Any], role: str) -> list[Part]:
    """All parts of a message in order: reasoning, content, refusal, audio, tool calls."""
    parts: list[Part] = []
    thought = first(value, "reasoning_content", "reasoning", "thinking")
    if isinstance(thought, str) and thought:
        parts.append(Reasoning(thought))
    elif isinstance(value.get("reasoning_details"), list):  # OpenRouter
        parts += parts_of(value["reasoning_details"])
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
    if isinstance(calls, dict):  # OpenLIT 1.33
        calls = [calls]
    if isinstance(value.get("function_call"), dict):
        calls = [*calls, value["function_call"]] if isinstance(calls, list) else [value["function_call"]]
    if isinstance(calls, list):
        calls_by_id = {(p.id, p.name): p for p in parts if isinstance(p, ToolCall)}
        for call in calls:
            part = tool_call(call) if isinstance(call, dict) else Other(call)
            # LangChain repeats the calls of Anthropic content blocks; for streams only the repetition is complete.
            same = calls_by_id.get((part.id, part.name)) if isinstance(part, ToolCall) else None
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
    if items and isinstance(items[0], str) and all(isinstance(item, str) for item in items):
        items = [message for item in items for message in _decoded(item)]
    found = [message for item in items if (message := message_of(item, default_role)) is not None]
    return found or None


def _decoded(text: str) -> list[Json]:
    """The messages that are JSON in one of several texts (Mistral SDK 2.0), or the text."""
    value = parse_json(text)
    return [text] if not holds_messages(value) else value if isinstance(value, list) else [value]


def holds_messages(value: Json) -> bool:
    """Whether a decoded JSON text is a message, a part, or a list of them, rather than a text that happens to be JSON,
    such as a structured output."""
    if isinstance(value, list):
        return bool(value) and _DICT.issuperset(map(type, value)) and holds_messages(value[0])
    if not isinstance(value, dict):
        return False
    if type(value.get("role")) is str and ("content" in value or "parts" in value):
        return True
    if is_part(value) or ("lc" in value and "kwargs" in value):
        return True
    names = value.keys()
    if isinstance(value.get("role"), str):
        is_known = value["role"] in _ROLES or value["role"] in _ROLES.values()
        return not _CONTENT_KEYS.isdisjoint(names) or (is_known and names <= _MESSAGE_KEYS)
    if isinstance(value.get("message"), dict) and "finish_reason" in names:  # a choice of chat completions (Laminar)
        return holds_messages(value["message"])
    nested = any(isinstance(value.get(name), dict) for name in ("message", "data"))  # a choice, LangChain
    return (nested or not _CONTENT_KEYS.isdisjoint(names)) and names <= _MESSAGE_KEYS


def messages_in(written: Any, default_role: str = "user") -> tuple[list[Message] | None, bool]:
    """Messages from the raw value of an attribute, and whether it is complete: attribute limits truncate values.

    Text that is JSON but not messages, such as structured output, becomes one message unchanged.
    """
    if not isinstance(written, str):
        return messages_of(written, default_role), True
    value, whole = structure_in(written)
    if isinstance(value, dict) and isinstance(value.get("messages"), list):  # the whole request
        value = value["messages"]
    if isinstance(value, (list, dict)) and not value:
        return None, whole
    if isinstance(value, str) or holds_messages(value) or _is_list_of_texts(value):
        return messages_of(value, default_role), whole
    return messages_of(written, default_role), whole


def _is_list_of_texts(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def structure_in(written: str) -> tuple[Json, bool]:
    """Decode text that is JSON, possibly encoded twice, or a Python ``repr``; other text is returned unchanged. Also
    whether it was complete."""
    value, whole = json_prefix(written)
    if isinstance(value, str) and value is not written and value[:1] in ("[", "{"):  # encoded twice
        value, whole = json_prefix(value)
    if value is written and written.startswith(("[{'", "{'", "['")):
        with suppress(ConversionError):
            return repr_value(written), True
    return value, whole


def system_of(value: Json) -> list[Message]:
    """System instructions: a text, a list of parts, or a list of messages."""
    if isinstance(value, list) and value and all(isinstance(v, Mapping) and "role" in v for v in value):
        return messages_of(value, "system") or []
    parts = parts_of(value)
    return [Message("system", parts)] if parts else []
