"""The raw request of OpenInference spans, ``input.value``, which may say more than the flattened messages."""

from __future__ import annotations

import re
from typing import Any

from otel_posthog._model import Json, Message, Operation, ToolCall, ToolResult
from otel_posthog.conventions._indexed import listed
from otel_posthog.conventions._messages import messages_in, messages_of, structure_in
from otel_posthog.conventions._payloads import looks_like_request, read_request
from otel_posthog.conventions._tools import tools_in, tools_of

_CALLS = re.compile(r'"tool_calls": ?\[\{')


def is_fuller(request: str, flattened: list[Message]) -> bool:
    """Whether the raw request has a system prompt, tool calls or results that the flattened messages lack (Anthropic
    SDK for JavaScript 0.2, LangChain.js 4.1)."""
    has_system = any(message.role == "system" for message in flattened)
    parts = [part for message in flattened for part in message.parts]
    results = [part for part in parts if isinstance(part, ToolResult)]
    return (
        (not has_system and ('"system"' in request or '"instructions"' in request))
        or request.count('"tool_result"') > len(results)
        or ('"tool_call_id"' in request and any(result.id is None for result in results))
        or (
            '"tool_calls"' in request
            and not any(isinstance(part, ToolCall) for part in parts)
            and _CALLS.search(request) is not None
        )
    )


def take_fuller_input(operation: Operation, request: Json) -> None:
    """Take messages and tools from the raw request, where it has as many parts."""
    raw = Operation(operation.kind)
    if looks_like_request(request):
        read_request(raw, request)
    if size(raw.input) >= size(operation.input):
        operation.input = raw.input
    operation.tools = operation.tools or raw.tools


def size(messages: list[Message] | None) -> int:
    """The number of parts of all messages."""
    return sum(len(message.parts) for message in messages or ())


def read_input(operation: Operation, written: Any) -> None:
    """Parse a raw input that no attribute flattens: a request, messages or a text."""
    input, whole = structure_in(written) if isinstance(written, str) else (written, True)
    operation.truncated = not whole
    if looks_like_request(input):
        read_request(operation, input)
    elif operation.kind == "embedding" and isinstance(input, dict) and len(input) == 1:
        input = next(iter(input.values()))  # the arguments of the function that embeds: {"query": "…"}
        operation.input = messages_of(input) if isinstance(input, (str, list)) else None
    operation.input = operation.input or messages_in(written)[0]


def read_tools(operation: Operation, input: Json) -> None:
    """Take the tools of a raw request."""
    tools = tools_in(input) if isinstance(input, dict) else None
    operation.tools = tools_of([tool for tool in listed(tools) if isinstance(tool, dict)]) or operation.tools
