"""OpenAI's chat completions, completions, embeddings and models, as their reference has them.

https://platform.openai.com/docs/api-reference. The responses API is in ``openai_responses``.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping

from starlette.responses import Response

from .scenarios import Scenario, ToolCall, Usage, embedding_for, scenario_for
from .wire import (
    CREATED,
    Handler,
    Json,
    all_text,
    dumps,
    error_reply,
    json_reply,
    new_id,
    pieces,
    sse_reply,
    text_of,
    vectors,
)

# The dated model that answers for the name that was asked.
DATED_MODELS: Mapping[str, str] = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "o4-mini": "o4-mini-2025-04-16",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
}
_MODELS = (*DATED_MODELS, "text-embedding-3-small", "text-embedding-3-large")
_DIMENSIONS: Mapping[str, int] = {"text-embedding-3-large": 3072}
_RPM = "requests per min (RPM)"
_SERVER_ERROR = "The server had an error while processing your request."
_ERRORS: Mapping[int, tuple[str, str, str | None, str | None]] = {
    # status: message, type, param, code
    400: (
        "Invalid value for 'temperature': expected a number between 0 and 2.",
        "invalid_request_error",
        "temperature",
        "invalid_value",
    ),
    401: (
        "Incorrect API key provided: sk-wrong.",
        "invalid_request_error",
        None,
        "invalid_api_key",
    ),
    429: (
        f"Rate limit reached for gpt-4o-mini in organization org-lab on {_RPM}: Limit 3, Used 3.",
        "requests",
        None,
        "rate_limit_exceeded",
    ),
    500: (_SERVER_ERROR, "server_error", None, None),
}


def chat(body: Json, _path: Mapping[str, str]) -> Response:
    """POST /v1/chat/completions"""
    messages = body.get("messages")
    if not body.get("model") or not messages:
        return missing("messages" if body.get("model") else "model")
    user, answered = _asked(messages)
    prompt = all_text(*(message.get("content") for message in messages))
    scenario = scenario_for(user, answered, prompt)
    if scenario.status is not None:
        return error(scenario.status)
    if body.get("stream"):
        return sse_reply(_chat_chunks(body, scenario), done="[DONE]")
    choices = [
        _choice(index, message=_message(scenario, answer), finish=scenario.finish)
        for index, answer in enumerate(scenario.choices(body.get("n") or 1))
    ]
    head = _head("chatcmpl-", "chat.completion", body["model"])
    return json_reply({**head, "choices": choices, "usage": chat_usage(scenario.usage)})


def _asked(messages: list[Json]) -> tuple[str, bool]:
    """The last user text, and whether tool results came after it."""
    answered = False
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message.get("content")), answered
        answered = answered or message.get("role") in ("tool", "function")
    return "", answered


def _head(prefix: str, kind: str, model: str) -> dict[str, Json]:
    return {
        "id": new_id(prefix),
        "object": kind,
        "created": CREATED,
        "model": DATED_MODELS.get(model, model),
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
    }


def _choice(index: int, finish: str | None, **content: Json) -> dict[str, Json]:
    return {"index": index, **content, "logprobs": None, "finish_reason": finish}


def _message(scenario: Scenario, answer: str) -> dict[str, Json]:
    silent = bool(scenario.tool_calls or scenario.refusal)
    message: dict[str, Json] = {
        "role": "assistant",
        "content": None if silent else answer,
        "refusal": scenario.refusal,
        "annotations": [],
    }
    if scenario.tool_calls:
        calls = enumerate(scenario.tool_calls)
        message["tool_calls"] = [_tool_call(call, index) for index, call in calls]
    return message


def call_id(call: ToolCall, index: int) -> str:
    """The id of a tool call: the same in every answer, so that scripts can refer to it."""
    return f"call_{call.name}{index}Xk29"


def _tool_call(call: ToolCall, index: int) -> dict[str, Json]:
    function = {"name": call.name, "arguments": dumps(call.arguments)}
    return {"id": call_id(call, index), "type": "function", "function": function}


def chat_usage(usage: Usage) -> dict[str, Json]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chat_chunks(body: Json, scenario: Scenario) -> Iterator[tuple[None, Json]]:
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    head = _head("chatcmpl-", "chat.completion.chunk", body["model"])
    if wants_usage:
        head["usage"] = None
    for index, answer in enumerate(scenario.choices(body.get("n") or 1)):
        for delta in _deltas(scenario, answer):
            yield None, {**head, "choices": [_choice(index, None, delta=delta)]}
        yield None, {**head, "choices": [_choice(index, scenario.finish, delta={})]}
    if wants_usage:
        # The usage has a chunk of its own that has no choices.
        yield None, {**head, "choices": [], "usage": chat_usage(scenario.usage)}


def _deltas(scenario: Scenario, answer: str) -> Iterator[dict[str, Json]]:
    opening = None if scenario.tool_calls or scenario.refusal else ""
    yield {"role": "assistant", "content": opening, "refusal": None}
    for index, call in enumerate(scenario.tool_calls):
        whole = _tool_call(call, index)
        opened = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": index, **whole, "function": opened}]}
        for piece in _halves(whole["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    if scenario.refusal:
        yield from ({"refusal": piece} for piece in pieces(scenario.refusal))
    elif not scenario.tool_calls:
        yield from ({"content": piece} for piece in pieces(answer))


def _halves(text: str) -> tuple[str, str]:
    """Arguments arrive cut in the middle of a word."""
    return text[: len(text) // 2], text[len(text) // 2 :]


def completions(body: Json, _path: Mapping[str, str]) -> Response:
    """POST /v1/completions, the old text completion"""
    if not body.get("model"):
        return missing("model")
    prompt = text_of(body.get("prompt"))
    scenario = scenario_for(prompt)
    if scenario.status is not None:
        return error(scenario.status)
    head = _head("cmpl-", "text_completion", body["model"])
    usage = chat_usage(scenario.usage)
    answers = scenario.choices(body.get("n") or 1)
    if not body.get("stream"):
        choices = [_choice(i, scenario.finish, text=answer) for i, answer in enumerate(answers)]
        return json_reply({**head, "choices": choices, "usage": usage})

    def chunks() -> Iterator[tuple[None, Json]]:
        for index, answer in enumerate(answers):
            for piece in pieces(answer):
                yield None, {**head, "choices": [_choice(index, None, text=piece)]}
            yield None, {**head, "choices": [_choice(index, scenario.finish, text="")]}
        if (body.get("stream_options") or {}).get("include_usage"):
            yield None, {**head, "choices": [], "usage": usage}

    return sse_reply(chunks(), done="[DONE]")


def embeddings(body: Json, _path: Mapping[str, str]) -> Response:
    """POST /v1/embeddings"""
    model, given = body.get("model"), body.get("input")
    if not model or not given:
        return missing("input" if model else "model")
    inputs, tokens = _inputs(given)
    scenario = embedding_for(inputs)
    for text in inputs:
        status = scenario_for(text).status
        if status is not None:
            return error(status)
    used = tokens or scenario.usage.input
    found = vectors(len(inputs), body.get("dimensions") or _DIMENSIONS.get(model, 1536))
    is_packed = body.get("encoding_format") == "base64"
    values = map(_packed, found) if is_packed else found
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(values)]
    usage = {"prompt_tokens": used, "total_tokens": used}
    return json_reply({"object": "list", "data": data, "model": model, "usage": usage})


def _inputs(given: Json) -> tuple[tuple[str, ...], int]:
    """The texts to embed, and their tokens if the app sent token numbers instead of text."""
    if isinstance(given, str):
        return (given,), 0
    if isinstance(given[0], int):
        return ("",), len(given)
    if isinstance(given[0], list):
        return ("",) * len(given), sum(map(len, given))
    return tuple(given), 0


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats, as the client of OpenAI asks for by default."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def models(_body: Json, path: Mapping[str, str]) -> Response:
    """GET /v1/models and /v1/models/{model}"""
    if "model" in path:
        return json_reply(_model(path["model"]))
    return json_reply({"object": "list", "data": [_model(name) for name in _MODELS]})


def _model(name: str) -> dict[str, Json]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}


def error(status: int) -> Response:
    message, kind, param, code = _ERRORS.get(status, _ERRORS[500])
    body = {"message": message, "type": kind, "param": param, "code": code}
    return error_reply(status, {"error": body}, {"x-request-id": new_id("req_")})


def missing(param: str) -> Response:
    message = f"Missing required parameter: '{param}'."
    code = "missing_required_parameter"
    body = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return json_reply({"error": body}, 400)


ROUTES: Mapping[str, Handler] = {
    "POST /v1/chat/completions": chat,
    "POST /openai/v1/chat/completions": chat,  # Groq
    "POST /v1/completions": completions,
    "POST /v1/embeddings": embeddings,
    "GET /v1/models": models,
    "GET /v1/models/{model:path}": models,
}
