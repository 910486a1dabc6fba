"""A generation's messages as a person reads them, whatever shape they were sent in.

Understood shapes: PostHog's own, OpenAI chat and responses, Anthropic, Gemini, LangChain, the Vercel
AI SDK and OpenTelemetry's `parts`. What nothing here knows becomes a block of JSON, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from otel_posthog.local.media import MEDIA_TYPES, Media, media_of

Kind = Literal["text", "reasoning", "call", "result", "media", "json"]

_ROLES = {
    "human": "user",
    "model": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "instructions": "system",
    "context": "system",
    "function": "tool",
}
TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text"})
_REASONING = frozenset({"thinking", "reasoning", "redacted_thinking"})
_CALLS = frozenset(
    {"function", "tool_use", "tool_call", "tool-call", "function_call", "server_tool_use", "server_tool_call",
     "custom_tool_call"}
)  # fmt: skip
_RESULTS = frozenset(
    {"tool_result", "tool-result", "tool_call_response", "server_tool_call_response", "function_response",
     "function_call_output", "custom_tool_call_output", "web_search_tool_result"}
)  # fmt: skip
_DEEPEST = 20  # parts inside parts


@dataclass(slots=True)
class Block:
    """A piece of a message. ``pointer`` is the JSON pointer of its value in the event's properties.

    A call's ``result`` is the block that answers it, if the conversation holds one.
    """

    kind: Kind
    value: Any = None
    pointer: str = ""
    name: str | None = None
    call_id: str | None = None
    media: Media | None = None
    result: Block | None = None


@dataclass(slots=True)
class Message:
    role: str
    blocks: list[Block] = field(default_factory=list)
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str
    parameters: Any


@dataclass(frozen=True, slots=True)
class Conversation:
    """What went in and what came out. Tool results are moved to the calls that they answer."""

    input: list[Message]
    output: list[Message]
    tools: list[Tool]


def conversation_of(properties: dict[str, Any]) -> Conversation:
    """Read the messages and tools of an event; of a span or trace what went in and what came out."""
    into = _first_of(properties, ("$ai_input", "user"), ("$ai_input_state", "input"))
    if properties.get("$ai_instructions"):
        into = [*_messages(properties["$ai_instructions"], "/$ai_instructions", "system"), *into]
    out = _first_of(
        properties, ("$ai_output_choices", "assistant"), ("$ai_output", "assistant"), ("$ai_output_state", "output")
    )
    _pair(into, out)
    return Conversation(
        [message for message in into if message.blocks],
        [message for message in out if message.blocks],
        list(_tools(properties.get("$ai_tools"))),
    )


def question_of(properties: dict[str, Any], length: int = 160) -> str | None:
    """The beginning of what was asked: the last text of the user, else the first input."""
    value = properties.get("$ai_input") or properties.get("$ai_input_state")
    if isinstance(value, list) and value:
        asked = [item for item in value if isinstance(item, dict) and item.get("role") in ("user", "human")]
        value = asked[-1:] or value[:1]
    for message in _messages(value, "", "user"):
        for block in message.blocks:
            if block.kind == "text" and str(block.value).strip():
                return " ".join(str(block.value)[: 4 * length].split())[:length]
    return None


def _first_of(properties: dict[str, Any], *names: tuple[str, str]) -> list[Message]:
    """The messages of the first property that is set; with each goes the role of messages without one."""
    for name, role in names:
        if properties.get(name) not in (None, "", []):
            return _messages(properties[name], f"/{name}", role)
    return []


def _messages(value: Any, pointer: str, role: str) -> list[Message]:
    if value is None or value == "" or value == []:
        return []
    if isinstance(value, str):
        parsed = parse_json(value)
        if not isinstance(parsed, list | dict):
            return [Message(role, [Block("text", value, pointer)], pointer)]
        value = parsed
        if isinstance(value, dict) and not _is_message(value):
            return [Message(role, [Block("json", value, pointer)], pointer)]
    if isinstance(value, list):
        if role in ("input", "output") and not any(isinstance(item, dict) and _is_message(item) for item in value):
            return [Message(role, [Block("json", value, pointer)], pointer)]  # a state is any JSON
        if value and all(isinstance(item, dict) and "role" not in item and _is_part(item) for item in value):
            return [Message(role, _parts(value, pointer), pointer)]
        return [_message(item, f"{pointer}/{index}", role) for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in ("messages", "choices"):
            if isinstance(value.get(key), list):
                return _messages(value[key], f"{pointer}/{key}", role)
    return [_message(value, pointer, role)]


def _is_message(value: dict[str, Any]) -> bool:
    return any(key in value for key in ("role", "content", "parts", "messages", "choices", "message"))


def _is_part(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    return kind in TEXT_PARTS or (kind in _CALLS and kind not in ("function_call", "custom_tool_call"))


def _message(item: Any, pointer: str, role: str) -> Message:
    if not isinstance(item, dict):
        return Message(role, _parts(item, pointer), pointer)
    if isinstance(item.get("message"), dict):
        return _message(item["message"], f"{pointer}/message", role)
    if item.get("type") in _CALLS | _RESULTS | _REASONING and "role" not in item:
        kind = "tool" if item["type"] in _RESULTS else "assistant"
        return Message(kind, _part(item, pointer), pointer)
    role = _role(item.get("role") or (item.get("type") if item.get("type") in _ROLES else None) or role)
    blocks = [
        Block("reasoning", item[key], f"{pointer}/{key}")
        for key in ("reasoning_content", "reasoning", "thinking")
        if isinstance(item.get(key), str) and item[key]
    ]
    content = [
        block
        for key in ("content", "parts", "text", "refusal")
        if key in item
        for block in _parts(item[key], f"{pointer}/{key}")
    ]
    call_id = item.get("tool_call_id") or item.get("call_id")
    if role == "tool" and content and not any(block.kind == "result" for block in content):
        name = item.get("name")
        content = [Block("result", item.get("content"), f"{pointer}/content", _or_none(name), _or_none(call_id))]
    blocks += content
    calls = item.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else []):
        blocks.append(_call(call, f"{pointer}/tool_calls/{index}"))
    if isinstance(item.get("function_call"), dict):
        blocks.append(_call(item["function_call"], f"{pointer}/function_call"))
    known = {"role", "type", "content", "parts", "text", "tool_calls", "finish_reason", "id", "name", "status"}
    if not blocks and ("role" not in item or set(item) - known):
        blocks = [Block("json", item, pointer)]
    return Message(role, blocks, pointer)


def _role(value: Any) -> str:
    role = str(value).lower()[:40]
    return _ROLES.get(role, role)


def _parts(value: Any, pointer: str, depth: int = 0) -> list[Block]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [Block("text", value, pointer)]
    if isinstance(value, list) and depth < _DEEPEST:
        return [
            block
            for index, item in enumerate(value)
            for block in (_part(item, f"{pointer}/{index}") if isinstance(item, dict) else
                          _parts(item, f"{pointer}/{index}", depth + 1))
        ]  # fmt: skip
    if isinstance(value, dict):
        return _part(value, pointer)
    return [Block("json", value, pointer)]


def _part(part: dict[str, Any], pointer: str) -> list[Block]:
    kind = part.get("type")
    if kind in _CALLS or isinstance(part.get("functionCall"), dict):
        return [_call(part, pointer)]
    if kind in _RESULTS or isinstance(part.get("functionResponse"), dict):
        return [_result(part, pointer)]
    if kind in _REASONING:
        return [_reasoning(part, pointer)]
    if kind in TEXT_PARTS or (kind is None and isinstance(part.get("text"), str)):
        for key in ("text", "content", "refusal"):
            if isinstance(part.get(key), str):
                return [Block("text", part[key], f"{pointer}/{key}")] if part[key] else []
    if kind in MEDIA_TYPES or any(key in part for key in ("inlineData", "inline_data", "fileData", "file_data")):
        return [Block("media", part, pointer, media=media_of(part))]
    return [Block("json", part, pointer)]


def _reasoning(part: dict[str, Any], pointer: str) -> Block:
    for key in ("thinking", "reasoning", "text", "content"):
        if isinstance(part.get(key), str) and part[key]:
            return Block("reasoning", part[key], f"{pointer}/{key}")
    summary = part.get("summary")
    if isinstance(summary, list):
        texts = [item["text"] for item in summary if isinstance(item, dict) and isinstance(item.get("text"), str)]
        if texts:
            return Block("reasoning", "\n\n".join(texts), pointer)
    return Block("json", part, pointer)


def _call(call: Any, pointer: str) -> Block:
    if not isinstance(call, dict):
        return Block("json", call, pointer)
    inner: dict[str, Any] = next(
        (call[key] for key in ("function", "functionCall") if isinstance(call.get(key), dict)), call
    )
    arguments = next(
        (inner[key] for key in ("arguments", "input", "args", "parameters") if inner.get(key) is not None), None
    )
    name = inner.get("name") or call.get("toolName") or call.get("name")
    call_id = call.get("id") or call.get("call_id") or call.get("toolCallId") or inner.get("id")
    if call.get("type") in ("function_call", "custom_tool_call") and call.get("call_id"):
        call_id = call["call_id"]  # the item's own id is another one
    return Block("call", parse_json(arguments), pointer, _or_none(name), _or_none(call_id))


def _result(part: dict[str, Any], pointer: str) -> Block:
    inner = part["functionResponse"] if isinstance(part.get("functionResponse"), dict) else part
    key = next((key for key in ("content", "output", "result", "response") if inner.get(key) is not None), None)
    ids = ("tool_use_id", "tool_call_id", "toolCallId", "call_id", "id")
    call_id = next((inner[name] for name in ids if inner.get(name)), None)
    name = inner.get("name") or inner.get("toolName")
    at = pointer if inner is not part or key is None else f"{pointer}/{key}"
    return Block("result", None if key is None else inner[key], at, _or_none(name), _or_none(call_id))


def _pair(into: list[Message], out: list[Message]) -> None:
    """Give each call the result with its id, and take that result out of its message."""
    calls = {
        block.call_id: block
        for message in (*into, *out)
        for block in message.blocks
        if block.kind == "call" and block.call_id
    }
    for message in into:
        for block in list(message.blocks):
            call = calls.get(block.call_id or "")
            if block.kind == "result" and call is not None and call.result is None:
                call.result = block
                block.name = block.name or call.name
                message.blocks.remove(block)


def _tools(value: Any) -> Iterator[Tool]:
    value = parse_json(value)
    for item in value if isinstance(value, list) else []:
        if not isinstance(item, dict):
            continue
        inner = item["function"] if isinstance(item.get("function"), dict) else item
        declarations = inner.get("functionDeclarations") or inner.get("function_declarations")
        if isinstance(declarations, list):
            yield from _tools(declarations)
            continue
        keys = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema")
        parameters = next((inner[key] for key in keys if inner.get(key)), None)
        name = inner.get("name") or inner.get("type") or "tool"
        yield Tool(str(name)[:200], str(inner.get("description") or ""), parameters)


def parse_json(value: Any) -> Any:
    """A text that holds a JSON object or list as that; anything else as it is."""
    if isinstance(value, str) and value[:1] in "{[" and value[-1:] in "}]":
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _or_none(value: Any) -> str | None:
    return None if value in (None, "") else str(value)[:200]
