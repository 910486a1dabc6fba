"""Neutral messages in PostHog's documented shape.

``{"role", "content"}`` where content is a text or a list of parts: ``text``, ``image``, ``function`` (tool calls, with
decoded arguments), and, in the shapes that PostHog's UI renders, ``thinking``, ``refusal``,
``input_audio`` and ``file``. A tool's answer is a message of its own with role ``tool``, as in OpenAI's chat format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

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


def posthog_messages(messages: Iterable[Message]) -> list[Json]:
    """``$ai_input`` and ``$ai_output_choices``: a list of ``{role, content, …}``."""
    return [shaped for message in messages for shaped in _shape(message)]


def posthog_tools(tools: Iterable[Tool], content: bool = True) -> list[Json]:
    """``$ai_tools``: ``[{"type": "function", "function": {"name", "description", "parameters"}}]``.

    Without content only the names stay.
    """
    shaped: list[Json] = []
    for tool in tools:
        function: dict[str, Json] = {"name": tool.name}
        if content:
            if tool.description is not None:
                function["description"] = tool.description
            if tool.parameters is not None:
                function["parameters"] = tool.parameters
            function.update(tool.extra)
        shaped.append({"type": "function", "function": function})
    return shaped


def tools_called(messages: Iterable[Message]) -> list[str]:
    """The names of the tools that the messages call, in order."""
    return [part.name for message in messages for part in message.parts if isinstance(part, ToolCall)]


def _shape(message: Message) -> list[dict[str, Json]]:
    """One message; tool results that share a message with other parts (Anthropic) become messages of their own."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if not results:
        return [_with_extras(message, {"role": message.role, "content": _content(message.parts)})]
    shaped = [_tool_message(part) for part in results]
    rest = [part for part in message.parts if not isinstance(part, ToolResult)]
    if rest:
        role = "user" if message.role == "tool" else message.role
        return [*shaped, _with_extras(message, {"role": role, "content": _content(rest)})]
    _with_extras(message, shaped[0])
    return shaped


def _tool_message(part: ToolResult) -> dict[str, Json]:
    content = part.result
    if not isinstance(content, (str, list)):
        content = "" if content is None else _as_text(content)
    shaped: dict[str, Json] = {"role": "tool", "content": content}
    if part.id is not None:
        shaped["tool_call_id"] = part.id
    if part.name is not None:
        shaped["name"] = part.name
    return shaped


def _as_text(content: Json) -> Json:
    try:
        return orjson.dumps(content, default=str).decode()
    except Exception:  # JSON cannot hold it; it is encoded with the event, with that replaced
        return content


def _with_extras(message: Message, shaped: dict[str, Json]) -> dict[str, Json]:
    if message.name is not None:
        shaped["name"] = message.name
    if message.finish_reason is not None:
        shaped["finish_reason"] = message.finish_reason
    for key, value in message.extra.items():
        shaped.setdefault(key, value)
    return shaped


def _content(parts: Sequence[Part]) -> Json:
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [part_shape(part) for part in parts]


def part_shape(part: Part) -> Json:
    """One part in PostHog's shape."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, ToolCall):
        call: dict[str, Json] = {"type": "function"}
        if part.id is not None:
            call["id"] = part.id
        call["function"] = {"name": part.name, "arguments": part.arguments}
        return call
    if isinstance(part, Reasoning):
        thought: dict[str, Json] = {"type": "thinking", "thinking": part.text}
        if part.signature is not None:
            thought["signature"] = part.signature
        return thought
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Media):
        return _media(part)
    if isinstance(part, ToolResult):
        return _tool_message(part)
    return part.value if isinstance(part, Other) else None


def _media(part: Media) -> dict[str, Json]:
    """Images as ``image``, audio as OpenAI's ``input_audio``, everything else as OpenAI's ``file``."""
    mime_type = part.mime_type or ""
    is_image = part.modality == "image" or mime_type.startswith("image/")
    source = part.url
    if source is None and part.data is not None:
        source = f"data:{mime_type or ('image/png' if is_image else 'application/octet-stream')};base64,{part.data}"
    shaped: dict[str, Any]
    if is_image and source is not None:
        shaped = {"type": "image", "image": source}
    elif (part.modality == "audio" or mime_type.startswith("audio/")) and part.data is not None:
        shaped = {
            "type": "input_audio",
            "input_audio": {"data": part.data, "format": mime_type.rpartition("/")[2] or None},
        }
    else:
        file = {"file_id": part.file_id, "file_data": source, "filename": part.filename, "mime_type": part.mime_type}
        shaped = {"type": "file", "file": {key: value for key, value in file.items() if value is not None}}
    return {**shaped, **part.extra}
