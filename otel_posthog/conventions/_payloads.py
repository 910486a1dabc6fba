"""Requests and responses of provider APIs, which many instrumentations record as JSON.

OpenAI chat, completions, responses and embeddings; Anthropic messages; Gemini; Bedrock Converse; LangChain results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from otel_posthog._model import Cost, Json, Message, Operation
from otel_posthog.conventions._attributes import ConversionError, to_bool, to_int, to_number, to_str_list
from otel_posthog.conventions._json import first
from otel_posthog.conventions._langchain import read_generations
from otel_posthog.conventions._messages import holds_messages, messages_in, messages_of, structure_in, system_of
from otel_posthog.conventions._placeholders import is_placeholder
from otel_posthog.conventions._tools import tools_in, tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

_CONTENT_OF_REQUEST = ("messages", "input", "prompt", "contents", "content", "system", "instructions", "tools",
                       "functions", "system_instruction", "systemInstruction", "system_prompt", "config")  # fmt: skip

_SIGNS_OF_A_RESPONSE = frozenset(
    ("usage", "usage_metadata", "usageMetadata", "stop_reason", "stopReason", "finish_reason", "finishReason",
     "llm_output")
)  # fmt: skip
_ANSWER_LISTS = ("choices", "output", "candidates", "generations")

# Parameters by the names that providers give them.
_PARAMETER_NAMES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "temperature": ("temperature", to_number),
    "top_p": ("top_p", to_number),
    "topP": ("top_p", to_number),
    "top_k": ("top_k", to_number),
    "topK": ("top_k", to_number),
    "max_tokens": ("max_tokens", to_int),
    "maxTokens": ("max_tokens", to_int),
    "max_completion_tokens": ("max_tokens", to_int),
    "max_output_tokens": ("max_tokens", to_int),
    "maxOutputTokens": ("max_tokens", to_int),
    "max_tokens_to_sample": ("max_tokens", to_int),
    "frequency_penalty": ("frequency_penalty", to_number),
    "frequencyPenalty": ("frequency_penalty", to_number),
    "presence_penalty": ("presence_penalty", to_number),
    "presencePenalty": ("presence_penalty", to_number),
    "seed": ("seed", to_int),
    "stop": ("stop", to_str_list),
    "stop_sequences": ("stop", to_str_list),
    "stopSequences": ("stop", to_str_list),
    "n": ("n", to_int),
    "candidateCount": ("n", to_int),
    "dimensions": ("dimensions", to_int),
    "reasoning_effort": ("reasoning_effort", str),
    "service_tier": ("service_tier", str),
}
_NESTED_PARAMETERS = ("generationConfig", "generation_config", "inferenceConfig", "config", "options", "kwargs")
_KEPT_PARAMETERS = ("tool_choice", "parallel_tool_calls", "response_format", "reasoning", "thinking", "user",
                    "logprobs", "encoding_format", "metadata", "store", "text", "stream_options",
                    "response_mime_type")  # fmt: skip


def read_parameters(operation: Operation, parameters: Mapping[str, Any]) -> None:
    """Parse request parameters, model and streaming."""
    for name, value in parameters.items():
        if value is None or value == "" or is_placeholder(value):  # not set: the Mistral SDK; OpenInference for Portkey
            continue
        known = _PARAMETER_NAMES.get(name)
        if known is not None:
            try:
                operation.parameters.setdefault(known[0], known[1](value))
            except ConversionError:
                continue
        elif name in _KEPT_PARAMETERS:
            operation.parameters.setdefault(name, value)
    for nested in _NESTED_PARAMETERS:
        if isinstance(parameters.get(nested), Mapping):
            read_parameters(operation, parameters[nested])
    model = first(dict(parameters), "model", "model_name", "modelId", "model_id")
    if isinstance(model, str) and model:
        operation.request_model = operation.request_model or model
    base_url = parameters.get("base_url")
    if isinstance(base_url, str) and base_url:
        operation.base_url = operation.base_url or base_url
    if operation.streaming is None and parameters.get("stream") is not None:
        with suppress(ConversionError):
            operation.streaming = to_bool(parameters["stream"])


def read_request(operation: Operation, request: Json) -> None:
    """Parse a provider's request: messages, system prompt, tools, parameters."""
    if not isinstance(request, Mapping):
        if operation.input is None:
            operation.input = messages_of(request, "user")
        return
    read_parameters(operation, request)
    body = dict(request)
    if operation.tools is None:
        tools = tools_in(body)
        operation.tools = tools_of(tools) if tools is not None else None
    if operation.input is not None:
        return
    input = first(body, "messages", "input", "contents", "prompt", "content")
    if isinstance(input, list) and input and all(isinstance(item, list) for item in input):
        input = [message for batch in input for message in batch]  # LangChain groups messages by prompt
    found = messages_of(input, "user")
    config = body.get("config")
    names = ("system", "instructions", "system_instruction", "systemInstruction", "system_prompt")
    instructions = first({**(config if isinstance(config, Mapping) else {}), **body}, *names)
    system = system_of(instructions)
    if found is not None or system:
        operation.input = [*system, *(found or [])]


def read_response(operation: Operation, response: Json) -> None:
    """Parse a provider's response: messages, model, id, finish reasons, usage."""
    if isinstance(response, list) and len(response) == 1 and _is_whole_answer(response[0]):
        response = response[0]
    if not isinstance(response, Mapping):
        if operation.output is None:
            operation.output = messages_of(response, "assistant")
        return
    body = dict(response)
    if "generations" in body:
        read_generations(operation, body["generations"])
        beside = first(body, "llm_output", "llmOutput")  # what the provider answered beside its generations
        body = {**(beside if isinstance(beside, Mapping) else {}), **body}
    model = first(body, "model", "model_version", "modelVersion", "model_name")
    if isinstance(model, str) and model:
        operation.response_model = operation.response_model or model
    identity = first(body, "id", "responseId", "response_id")
    # An item of OpenAI's responses API has an id of its own; Anthropic's message is the response, with its model.
    is_item = body.get("type") == "message" and "model" not in body
    if isinstance(identity, str) and identity and not is_item:
        operation.response_id = operation.response_id or identity
    answers = _answers(body)
    if operation.output is None:
        operation.output = answers
    if not operation.finish_reasons:
        reasons = [message.finish_reason for message in answers or () if message.finish_reason]
        reason = first(body, "stop_reason", "stopReason", "finish_reason", "finishReason")
        operation.finish_reasons = reasons or ([reason] if isinstance(reason, str) and reason else [])
    usage = first(body, "usage", "usage_metadata", "usageMetadata", "token_usage", "tokenUsage")
    if isinstance(usage, Mapping):
        merge_usage(operation, usage_of(usage))
        if operation.cost is None:
            operation.cost = _charged(usage.get("cost"))
    if operation.usage is not None and operation.usage.web_searches is None and _is_grounded(body):
        operation.usage.web_searches = 1


def _charged(cost: Json) -> Cost | None:
    """OpenRouter's ``usage.cost``, in US dollars."""
    with suppress(ConversionError):
        total = to_number(cost)
        return Cost(total=total) if total > 0 else None
    return None


def _is_grounded(body: dict[str, Any]) -> bool:
    """Whether Gemini searched the web, which it bills once per request."""
    candidates = body.get("candidates")
    for candidate in candidates if isinstance(candidates, list) else ():
        grounding = first(candidate, "groundingMetadata", "grounding_metadata") if isinstance(candidate, dict) else None
        if isinstance(grounding, Mapping) and first(dict(grounding), "webSearchQueries", "web_search_queries"):
            return True
    return False


def _is_whole_answer(value: Json) -> bool:
    return isinstance(value, Mapping) and any(isinstance(value.get(name), list) for name in _ANSWER_LISTS)


def _answers(body: dict[str, Any]) -> list[Message] | None:
    """The messages of a response, one per choice."""
    choices = first(body, "choices", "candidates", "generations")
    if isinstance(choices, list):
        flat = [item for choice in choices for item in (choice if isinstance(choice, list) else [choice])]
        return messages_of([_choice(choice) for choice in flat], "assistant")
    output = body.get("output")
    if isinstance(output, Mapping) and isinstance(output.get("message"), Mapping):  # Bedrock Converse
        return messages_of([output["message"]], "assistant")
    if isinstance(output, list):
        found = messages_of(output, "assistant")
        if found and all(message.role == "assistant" for message in found):
            # OpenAI's responses API returns reasoning, text and calls of one turn as items.
            return [Message("assistant", [part for message in found for part in message.parts])]
        return found
    if "role" in body or isinstance(body.get("content"), list) or _is_gemini(body.get("content")):
        return messages_of([{name: value for name, value in body.items() if name not in _BESIDE_MESSAGE}], "assistant")
    text = first(body, "text", "completion", "output_text", "response", "answer", "output", "content")
    return messages_of(text, "assistant") if isinstance(text, (str, list)) else None


# Fields of a response that are not a message, where the two are one object (Anthropic).
_BESIDE_MESSAGE = frozenset(
    ("model", "usage", "usage_metadata", "usageMetadata", "stop_sequence", "container", "context_management",
     "service_tier", "llm_output", "created", "object", "model_version", "modelVersion", "response_id", "responseId",
     "raw", "avg_logprobs", "grounding_metadata", "partial", "turn_complete", "interrupted", "custom_metadata")
)  # fmt: skip


def _is_gemini(content: Json) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("parts"), list)


def _choice(choice: Json) -> Json:
    """Gemini's candidates hold ``content``, completions ``text``, LangChain's generations ``message``."""
    if not isinstance(choice, Mapping):
        return choice
    content = choice.get("content")
    if isinstance(content, Mapping):
        return {**content, "role": "assistant", "finish_reason": first(dict(choice), "finishReason", "finish_reason")}
    if isinstance(choice.get("message"), Mapping):
        info = first(dict(choice), "generation_info", "generationInfo")
        reason = info.get("finish_reason") if isinstance(info, Mapping) else None
        return {**choice, "finish_reason": first(dict(choice), "finish_reason", "finishReason") or reason}
    if isinstance(choice.get("text"), str):
        return {"role": "assistant", "content": choice["text"], "finish_reason": choice.get("finish_reason")}
    return choice


def looks_like_response(value: Json) -> bool:
    """Whether a recorded output is a provider's answer, rather than an object that the model wrote."""
    if isinstance(value, list):
        return len(value) == 1 and _is_whole_answer(value[0])
    if not isinstance(value, Mapping):
        return False
    output = value.get("output")
    return (
        _is_whole_answer(value)
        or not _SIGNS_OF_A_RESPONSE.isdisjoint(value)
        or _is_gemini(value.get("content"))
        or (isinstance(output, Mapping) and isinstance(output.get("message"), Mapping))  # Bedrock Converse
        or holds_messages(dict(value))
    )


def read_output(operation: Operation, written: Any) -> None:
    """Parse a recorded output: a provider's response, messages, or the text that the model wrote."""
    value, whole = structure_in(written) if isinstance(written, str) else (written, True)
    operation.truncated = operation.truncated or not whole
    if looks_like_response(value):
        read_response(operation, value)
    operation.output = operation.output or messages_in(written, "assistant")[0]


def looks_like_request(value: Json) -> bool:
    """Whether a recorded input is a provider's request rather than a function's arguments."""
    return isinstance(value, Mapping) and any(name in value for name in _CONTENT_OF_REQUEST)
