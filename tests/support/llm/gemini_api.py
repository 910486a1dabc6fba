"""Google's Gemini API: ``POST /v1beta/models/{model}:{method}``, and on Vertex AI's paths.

https://ai.google.dev/api/generate-content. Its ``candidatesTokenCount`` leaves out the thoughts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starlette.responses import Response

from .scenarios import Scenario, ToolCall, Usage, embedding_for, scenario_for
from .wire import (
    Handler,
    Json,
    all_text,
    error_reply,
    json_reply,
    new_id,
    pieces,
    sse_reply,
    text_of,
    vectors,
)

_FINISH_REASONS: Mapping[str, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",  # Gemini has no reason of its own for tool calls
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
_ERRORS: Mapping[int, tuple[int, str, str]] = {
    # asked: served, status, message
    400: (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    401: (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    429: (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    500: (500, "INTERNAL", "An internal error has occurred."),
    529: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}
_DIMENSIONS = 3072


def call(body: Json, path: Mapping[str, str]) -> Response:
    """Every method of a model; the method's name stands after a colon."""
    model, _, method = path["call"].rpartition(":")
    handler = _METHODS.get(method)
    if handler is None:
        return _error(404, "NOT_FOUND", f"Method {method!r} is not served here.")
    return handler(body, {**path, "model": model})


def _generate(body: Json, path: Mapping[str, str]) -> Response:
    scenario = _scenario(body)
    if scenario.status is not None:
        return _error(*_ERRORS[scenario.status])
    return json_reply(_whole(body, path["model"], scenario))


def _stream(body: Json, path: Mapping[str, str]) -> Response:
    scenario = _scenario(body)
    if scenario.status is not None:
        return _error(*_ERRORS[scenario.status])
    chunks = list(_chunks(_whole(body, path["model"], scenario)))
    if path.get("alt") == "sse":
        return sse_reply((None, chunk) for chunk in chunks)
    return json_reply(chunks)


def _count(body: Json, _path: Mapping[str, str]) -> Response:
    return json_reply({"totalTokens": _scenario(body).usage.input})


def _scenario(body: Json) -> Scenario:
    contents = body.get("contents") or []
    system = (body.get("systemInstruction") or {}).get("parts")
    prompt = all_text(system, *(content.get("parts") for content in contents))
    answered = False
    for content in reversed(contents):
        if content.get("role", "user") == "model":
            continue
        parts = content.get("parts") or []
        answered = answered or any("functionResponse" in part for part in parts)
        if text_of(parts):
            return scenario_for(text_of(parts), answered, prompt)
    return scenario_for("", answered, prompt)


def _whole(body: Json, model: str, scenario: Scenario) -> dict[str, Json]:
    config = body.get("generationConfig") or {}
    candidates = []
    for index, answer in enumerate(scenario.choices(config.get("candidateCount") or 1)):
        candidate: dict[str, Json] = {
            "finishReason": _FINISH_REASONS[scenario.finish],
            "index": index,
        }
        parts = list(_parts(config, scenario, answer))
        if parts:  # what a filter stopped has no content at all
            candidate["content"] = {"role": "model", "parts": parts}
        candidates.append(candidate)
    return {
        "candidates": candidates,
        "usageMetadata": _usage(scenario.usage),
        "modelVersion": model,
        "responseId": new_id("resp-", 16),
    }


def call_id(asked: ToolCall, index: int) -> str:
    """The id of a tool call: the same in every answer, so that scripts can refer to it."""
    return f"{asked.name}_{index}"


def _parts(config: Json, scenario: Scenario, answer: str) -> Iterator[dict[str, Json]]:
    thinking = config.get("thinkingConfig") or {}
    # Nested names arrive in either case, as JSON for protocol buffers allows.
    if scenario.thinking and (thinking.get("includeThoughts") or thinking.get("include_thoughts")):
        yield {"text": scenario.thinking, "thought": True}
    text = scenario.refusal or answer
    if text:
        yield {"text": text}
    for index, asked in enumerate(scenario.tool_calls):
        named = {"id": call_id(asked, index), "name": asked.name}
        yield {"functionCall": {**named, "args": dict(asked.arguments)}}


def _usage(usage: Usage) -> dict[str, Json]:
    counts: dict[str, Json] = {
        "promptTokenCount": usage.input,
        "totalTokenCount": usage.total,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
    }
    # A number that would be zero is not sent.
    if usage.output:
        counts["candidatesTokenCount"] = usage.output - usage.reasoning
    if usage.reasoning:
        counts["thoughtsTokenCount"] = usage.reasoning
    if usage.cache_read:
        counts["cachedContentTokenCount"] = usage.cache_read
        counts["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cache_read}]
    return counts


def _chunks(whole: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """The answer in pieces; only the last of each candidate says why it ended."""
    prompt = {"promptTokenCount": whole["usageMetadata"]["promptTokenCount"]}
    prompt["totalTokenCount"] = prompt["promptTokenCount"]
    for candidate in whole["candidates"]:
        index = candidate["index"]
        parts = list(_cut(candidate.get("content", {}).get("parts", [])))
        for part in parts[:-1]:
            begun = {"content": {"role": "model", "parts": [part]}, "index": index}
            yield {**whole, "candidates": [begun], "usageMetadata": prompt}
        last = {"finishReason": candidate["finishReason"], "index": index}
        if parts:
            last["content"] = {"role": "model", "parts": parts[-1:]}
        yield {**whole, "candidates": [last]}


def _cut(parts: list[Json]) -> Iterator[dict[str, Json]]:
    for part in parts:
        if "text" in part:
            yield from ({**part, "text": piece} for piece in pieces(part["text"]))
        else:
            yield part


def _embed_one(body: Json, _path: Mapping[str, str]) -> Response:
    return json_reply({"embedding": {"values": _values([body])[0]}})


def _embed_batch(body: Json, _path: Mapping[str, str]) -> Response:
    requests = body.get("requests") or []
    inputs = tuple(text_of((request.get("content") or {}).get("parts")) for request in requests)
    used = embedding_for(inputs).usage.input
    return json_reply(
        {
            "embeddings": [{"values": values} for values in _values(requests)],
            "usageMetadata": {"promptTokenCount": used, "totalTokenCount": used},
        }
    )


def _values(requests: list[Json]) -> list[list[float]]:
    dimensions = requests[0].get("outputDimensionality") if requests else None
    return vectors(len(requests), dimensions or _DIMENSIONS)


def _error(served: int, status: str, message: str) -> Response:
    return error_reply(served, {"error": {"code": served, "message": message, "status": status}})


_METHODS: Mapping[str, Handler] = {
    "generateContent": _generate,
    "streamGenerateContent": _stream,
    "countTokens": _count,
    "embedContent": _embed_one,
    "batchEmbedContents": _embed_batch,
}

_VERTEX = "/projects/{project}/locations/{location}/publishers/google"

ROUTES: Mapping[str, Handler] = {
    "POST /v1/models/{call:path}": call,
    "POST /v1beta/models/{call:path}": call,
    f"POST /v1{_VERTEX}/models/{{call:path}}": call,
    f"POST /v1beta1{_VERTEX}/models/{{call:path}}": call,
}
