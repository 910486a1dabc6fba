"""LangChain's serialised results and states, which its instrumentations record as JSON.

Source: langchain-core 1.x for Python and JavaScript (``LLMResult``, ``AIMessage``), LangGraph 1.x.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog._model import Json, Operation
from otel_posthog.conventions._json import first, string
from otel_posthog.conventions._usage import merge_usage, usage_of

# Ids that providers give; LangChain gives messages ids of its own otherwise.
_RESPONSE_IDS = ("chatcmpl-", "resp_", "msg_", "gen-")
_CHUNK = "AIMessageChunk"  # the class of an answer that was put together from a stream


def read_generations(operation: Operation, generations: Json) -> None:
    """What the message of a result says of its call: usage, ids, model, the reason it ended and whether it streamed."""
    message = _first_message(generations)
    if message is None:
        return
    path, made = message.get("id"), message.get("kwargs", message.get("data"))
    fields: dict[str, Any] = dict(made) if isinstance(made, Mapping) else message
    if fields.get("type") == _CHUNK or (isinstance(path, list) and _CHUNK in path):
        operation.streaming = True
    counts = fields.get("usage_metadata")
    if isinstance(counts, Mapping):
        usage = usage_of(counts)
        usage.cache_inside = True  # for every provider
        merge_usage(operation, usage)
    for name in ("response_metadata", "additional_kwargs"):
        about = fields.get(name)
        if isinstance(about, Mapping):
            _read_response_metadata(operation, dict(about))
    identity = string(fields.get("id"))
    if operation.response_id is None and identity is not None and identity.startswith(_RESPONSE_IDS):
        operation.response_id = identity


def _first_message(generations: Json) -> dict[str, Any] | None:
    while isinstance(generations, list) and generations:
        generations = generations[0]
    message = generations.get("message") if isinstance(generations, Mapping) else None
    return dict(message) if isinstance(message, Mapping) else None


def _read_response_metadata(operation: Operation, about: dict[str, Any]) -> None:
    operation.response_model = operation.response_model or string(first(about, "model_name", "model"))
    operation.response_id = operation.response_id or string(about.get("id"))
    reason = string(first(about, "finish_reason", "stop_reason", "finishReason", "stopReason"))
    if reason and not operation.finish_reasons:
        operation.finish_reasons = [reason]


def messages_alone(state: Json) -> list[Json] | None:
    """LangGraph's ``{"messages": […]}`` or its command to add them; a message may be a pair of role and text."""
    if isinstance(state, list) and len(state) == 1 and isinstance(state[0], dict):
        state = state[0].get("update")
    if not isinstance(state, dict) or not isinstance(state.get("messages"), list):
        return None
    if any(value for name, value in state.items() if name != "messages"):
        return None
    return [_message_of_pair(message) for message in state["messages"]]


def _message_of_pair(message: Json) -> Json:
    if isinstance(message, list) and len(message) == 2 and isinstance(message[0], str):
        return {"role": message[0], "content": message[1]}
    return message


def content_of_message(value: Json) -> Json:
    """The constructor arguments of a serialised object; for a tool's message its content."""
    if not isinstance(value, dict) or "lc" not in value or not isinstance(value.get("kwargs"), dict):
        return value
    made: dict[str, Any] = value["kwargs"]
    if made.get("type") == "tool" or _class_of(value) == "ToolMessage":
        return made.get("content")
    return made if "messages" in made else {"messages": [value]} if "content" in made else value


def _class_of(value: dict[str, Any]) -> Json:
    path = value.get("id")
    return path[-1] if isinstance(path, list) and path else None
