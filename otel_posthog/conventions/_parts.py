"""Neutral parts of messages, from the shapes of all providers.

One table, from the part's ``type`` (or, for providers that have none, from its only key) to a small function.
Shapes: OpenTelemetry GenAI 1.37+ (``text``, ``tool_call``, ``tool_call_response``, ``reasoning``, ``blob``, ``uri``,
``file``), OpenAI chat and responses, Anthropic, Gemini, Bedrock Converse, Vercel AI SDK, LangChain.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from otel_posthog._model import Json, Media, Other, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from otel_posthog.conventions._attributes import ConversionError
from otel_posthog.conventions._json import JsonObject, first, loads, string
from otel_posthog.conventions._media import media
from otel_posthog.conventions._placeholders import PLACEHOLDER_STARTS, is_placeholder
from otel_posthog.conventions._reprs import parse_literal


def decoded(arguments: Json) -> Json:
    """Tool arguments, decoded from JSON; incomplete JSON (a broken stream) stays a string."""
    if isinstance(arguments, str) and arguments[:2] in ('"{', '"['):  # encoded twice (OpenInference for Agno 0.1)
        try:
            arguments = loads(arguments)
        except ValueError:
            return arguments
    if isinstance(arguments, str) and arguments[:1] in ("{", "["):
        try:
            return loads(arguments)
        except ValueError:
            return arguments
    return arguments


def text_in(value: Json) -> str:
    """All text of a string, a part or a list of parts (summaries, contents)."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return text_in(first(value, "text", "content", "thinking", "summary"))
    if isinstance(value, list):
        return "\n".join(filter(None, map(text_in, value)))
    return ""


def tool_call(part: JsonObject, server: bool = False) -> Part:
    """A tool call: OpenAI nests it in ``function``, the others are flat."""
    call = part
    for nested in ("function", "function_call", "functionCall", "toolUse", "tool_call"):
        if isinstance(part.get(nested), dict):
            call = part[nested]
            break
    name = string(first(call, "name", "toolName", "tool_name"))
    if not name:
        return Other(part)
    arguments = first(call, "arguments", "args", "input", "parameters")
    id = first(part, "call_id", "id", "toolCallId", "tool_call_id") or first(call, "id", "toolUseId")
    server = server or part.get("providerExecuted") is True  # Vercel AI SDK
    return ToolCall(name, decoded(arguments), None if id is None else str(id), server)


def server_tool_call(part: JsonObject) -> Part:
    """A call of a tool that the provider runs: OpenTelemetry's part, and Anthropic's ``server_tool_use``."""
    call = part.get("server_tool_call")
    if not isinstance(call, dict):
        return tool_call(part, server=True)
    arguments = first(call, "arguments", "input")
    if arguments is None:
        arguments = {key: value for key, value in call.items() if key not in ("type", "name", "id")}
    name = string(first(part, "name")) or string(first(call, "name", "type"))
    id = first(part, "id") or call.get("id")
    return ToolCall(name, decoded(arguments), None if id is None else str(id), True) if name else Other(part)


_NO_ARGUMENTS = frozenset(
    ("type", "id", "call_id", "name", "status", "output", "outputs", "results", "result", "error")
)


def built_in_call(part: JsonObject) -> Part:
    """An item of OpenAI's responses API about a built-in tool: ``web_search_call``, ``code_interpreter_call``…"""
    kind = str(part["type"])
    arguments = first(part, "action", "arguments", "input")
    if arguments is None:
        arguments = {key: value for key, value in part.items() if key not in _NO_ARGUMENTS and value is not None}
    id = first(part, "call_id", "id")
    name = string(part.get("name")) or kind.removesuffix("_call")
    return ToolCall(name, decoded(arguments), None if id is None else str(id), kind in _SERVER_CALLS)


def tool_result(part: JsonObject) -> Part:
    """The result of a tool call."""
    answer = part
    for nested in ("toolResult", "functionResponse", "function_response", "tool_call_result"):
        if isinstance(part.get(nested), dict):
            answer = part[nested]
            break
    result = first(answer, "response", "result", "content", "output")
    origin = answer.get("origin")  # Haystack: the call that it answers
    call = origin if isinstance(origin, dict) else answer
    id = first(call, "tool_use_id", "toolUseId", "toolCallId", "tool_call_id", "call_id", "id")
    name = string(first(call, "name", "toolName", "tool_name"))
    return ToolResult(result_value(result), None if id is None else str(id), name)


def result_value(result: Json) -> Json:
    """A tool result without wrappers: a list of text parts becomes its text."""
    if isinstance(result, list) and result and all(is_text_part(item) for item in result):
        return "\n".join(text_in(item) for item in result)
    if isinstance(result, dict) and set(result) == {"type", "value"}:  # Vercel AI SDK 5: {"type": "text", "value": …}
        return result["value"]
    return result


def is_text_part(part: Json) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("type", "text") == "text"


def text_part(part: JsonObject) -> Part:
    value = first(part, "content", "text", "value")
    return _text_or_part(value) if isinstance(value, str) else Other(part)


def reasoning(part: JsonObject) -> Part:
    source = part.get("reasoningContent")
    if isinstance(source, dict):  # Bedrock Converse
        part = source["reasoningText"] if isinstance(source.get("reasoningText"), dict) else source
    written = first(part, "thinking", "content", "text", "summary", "reasoning")
    listed = decoded(written) if isinstance(written, str) and written.startswith('[{"') else written
    found = text_in(listed) or text_in(written)
    signature = string(first(part, "signature", "encrypted_content", "data"))
    return Reasoning(found, signature)


def refusal(part: JsonObject) -> Part:
    return Refusal(text_in(first(part, "refusal", "content", "text")))


_SERVER_CALLS = frozenset(("web_search_call", "file_search_call", "code_interpreter_call", "mcp_call"))

# Where each was seen: OpenTelemetry semconv gen-ai-input-messages.json; OpenAI API reference (chat, responses);
# Anthropic messages; Vercel AI SDK core types; LangChain content blocks.
_BY_TYPE: dict[str, Callable[[JsonObject], Part | None]] = {
    "text": text_part,
    "input_text": text_part,
    "output_text": text_part,
    "reasoning": reasoning,
    "thinking": reasoning,
    "redacted_thinking": reasoning,
    "refusal": refusal,
    "tool_call": tool_call,
    "tool_use": tool_call,
    "tool-call": tool_call,
    "function": tool_call,
    "function_call": tool_call,
    "server_tool_use": server_tool_call,
    "server_tool_call": server_tool_call,
    "mcp_tool_use": server_tool_call,
    "tool_call_response": tool_result,
    "tool_result": tool_result,
    "tool-result": tool_result,
    "function_call_output": tool_result,
    "image": media("image"),
    "image_url": media("image"),
    "image-url": media("image"),
    "input_image": media("image"),
    "audio": media("audio"),
    "input_audio": media("audio"),
    "audio-url": media("audio"),
    "video": media("video"),
    "video_url": media("video"),
    "video-url": media("video"),
    "file": media("file"),
    "input_file": media("file"),
    "document": media("file"),
    "document-url": media("file"),
    "binary": media("file"),
    "blob": media("file"),
    "uri": media("file"),
    "media": media("file"),
    "reasoning.text": reasoning,
    "reasoning.summary": reasoning,
    "reasoning.encrypted": reasoning,
    **dict.fromkeys(_SERVER_CALLS, built_in_call),
    **dict.fromkeys(("custom_tool_call", "computer_call", "local_shell_call", "shell_call"), built_in_call),
}

# Parts without a type: Gemini and Bedrock Converse name the only key after the kind.
_BY_KEY: dict[str, Callable[[JsonObject], Part | None]] = {
    "toolUse": tool_call,
    "functionCall": tool_call,
    "function_call": tool_call,
    "toolResult": tool_result,
    "functionResponse": tool_result,
    "function_response": tool_result,
    "tool_call": tool_call,
    "tool_call_result": tool_result,
    "reasoningContent": reasoning,
    "inlineData": media("image"),
    "inline_data": media("image"),
    "fileData": media("file"),
    "file_data": media("file"),
    "image": media("image"),
    "document": media("file"),
    "video": media("video"),
    "text": text_part,
}


_SPECIAL = frozenset(("", "{", *PLACEHOLDER_STARTS))  # first characters of texts that may be placeholders or parts


def part_of(value: Json) -> Part | None:
    """One part of a message; ``None`` for an empty one, or for a placeholder."""
    if type(value) is dict and value.get("type") == "text":
        text = value.get("content")
        if type(text) is str and text[:1] not in _SPECIAL:
            return Text(text)  # fast path: most parts are plain text
    part = _part(value)
    if isinstance(part, Text):
        return None if not part.text or is_placeholder(part.text) else part
    if isinstance(part, Reasoning) and not part.text and not part.signature:
        return None
    if isinstance(part, Other) and isinstance(part.value, dict) and _has_only_a_type(part.value):
        return None
    return part


def _part(value: Json) -> Part | None:
    if isinstance(value, str):
        return Text(value) if value else None
    if not isinstance(value, dict):
        return None if value is None else Other(value)
    kind = value.get("type")
    reader = _BY_TYPE.get(kind) if isinstance(kind, str) else None
    if reader is None and kind is None:
        if value.get("thought") is True and isinstance(value.get("text"), str):  # Gemini's thoughts
            return Reasoning(value["text"])
        reader = next((_BY_KEY[key] for key in value if key in _BY_KEY and value[key] is not None), None)
    if reader is None and isinstance(value.get("text"), str):
        reader = text_part
    return reader(value) if reader is not None else Other(value)


def _has_only_a_type(part: JsonObject) -> bool:
    return all(value is None or name == "type" for name, value in part.items())


def is_part(value: Json) -> bool:
    """Whether a JSON value has the shape of a part."""
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if isinstance(kind, str):
        return kind in _BY_TYPE
    return len(value) == 1 and not _BY_KEY.keys().isdisjoint(value)


# Parts without a type that some instrumentations write as text, as JSON or as a ``repr``.
_WRITTEN_AS_TEXT = ("reasoningContent", "function_call", "function_response", "inline_data", "file_data", "toolUse",
                    "toolResult")  # fmt: skip
_TEXT_OF_PART = re.compile(rf"""\{{['"](?:{"|".join(_WRITTEN_AS_TEXT)})['"]: ?\{{""")
_TEXT_OF_CALL = re.compile(r"""\{.*['"]type['"]: ?['"]tool_use['"].*\}\Z""", re.DOTALL)


def _text_or_part(text: str) -> Part:
    if text[:1] == "{" and (_TEXT_OF_PART.match(text) or _TEXT_OF_CALL.match(text)):
        try:
            value = parse_literal(text)
        except ConversionError:
            return Text(text)
        if isinstance(value, dict) and (len(value) == 1 or value.get("type") == "tool_use"):
            return part_of(value) or Text(text)
    return Text(text)


def append_part(parts: list[Part], part: Part) -> None:
    """Append a part of a stream, joining consecutive text."""
    if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text + part.text)
    else:
        parts.append(part)


def _add_arguments(parts: list[Part], piece: JsonObject) -> None:
    """LangChain leaves the pieces of Anthropic's streamed arguments behind the call that they belong to."""
    call = parts[-1] if parts else None
    written = piece.get("input", piece.get("partial_json"))
    if isinstance(call, ToolCall) and isinstance(written, str) and (not call.arguments or type(call.arguments) is str):
        call.arguments = decoded((call.arguments or "") + written)


def parts_of(content: Json) -> list[Part]:
    """The parts of a message's content: a text, a part, a list of both, or JSON text of such a list."""
    if isinstance(content, str) and content.startswith('[{"'):
        # OpenLLMetry and LangChain write a list of parts as JSON text.
        try:
            written = loads(content)
        except ValueError:
            written = None
        if isinstance(written, list) and all(map(is_part, written)):
            content = written
    if isinstance(content, dict) and isinstance(content.get("parts"), list) and "type" not in content:  # Gemini
        content = content["parts"]
    if type(content) is list and len(content) == 1:
        part = part_of(content[0])
        return [] if part is None else _with_transcript(part) if type(part) is Media else [part]
    parts: list[Part] = []
    for item in content if isinstance(content, (list, tuple)) else (content,):
        if type(item) is dict and item.get("type") == "input_json_delta":
            _add_arguments(parts, item)
            continue
        part = part_of(item)
        if isinstance(part, ToolCall) and part.id:
            same = next((p for p in parts if isinstance(p, ToolCall) and (p.id, p.name) == (part.id, part.name)), None)
            if same is not None:  # OpenLLMetry's LangChain writes a call as text and as a call
                same.arguments = same.arguments or part.arguments
                continue
        if type(part) is Media:
            parts += _with_transcript(part)
        elif part is not None:
            parts.append(part)
    return parts


def _with_transcript(media: Media) -> list[Part]:
    """Audio after the text of what is said in it, if that is known."""
    transcript = media.extra.pop("transcript", None)
    return [Text(transcript), media] if transcript else [media]
