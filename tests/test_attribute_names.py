"""Every attribute that a convention registers is read, or passes through under its own name, knowingly.

The lists are frozen: a name that a new version registers is added here, to one set or the other.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.events import events_of
from tests.support.made import made_span

MESSAGES = '[{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]'
TOOLS = '[{"type": "function", "name": "find"}]'

# https://github.com/open-telemetry/semantic-conventions-genai, model/gen-ai/registry.yaml, November 2026, and what
# semantic conventions 1.27 to 1.36 registered before.
SEMCONV: dict[str, Any] = {
    "gen_ai.completion": "Hi",
    "gen_ai.conversation.id": "c-1",
    "gen_ai.embeddings.dimension.count": 8,
    "gen_ai.input.messages": MESSAGES,
    "gen_ai.openai.request.response_format": "json_object",
    "gen_ai.openai.request.seed": 7,
    "gen_ai.openai.request.service_tier": "flex",
    "gen_ai.output.messages": MESSAGES,
    "gen_ai.output.type": "json",
    "gen_ai.prompt": "Hi",
    "gen_ai.prompt.name": "greeting",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.choice.count": 2,
    "gen_ai.request.encoding_formats": ("float",),
    "gen_ai.request.frequency_penalty": 0.5,
    "gen_ai.request.max_tokens": 7,
    "gen_ai.request.presence_penalty": 0.5,
    "gen_ai.request.seed": 7,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.stream": True,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_k": 7,
    "gen_ai.request.top_p": 0.5,
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.response.id": "r-1",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.time_to_first_chunk": 0.5,
    "gen_ai.system": "openai",
    "gen_ai.system_instructions": MESSAGES,
    "gen_ai.tool.definitions": TOOLS,
    "gen_ai.usage.audio.input_tokens": 7,
    "gen_ai.usage.audio.output_tokens": 7,
    "gen_ai.usage.cache_creation.input_tokens": 7,
    "gen_ai.usage.cache_read.input_tokens": 7,
    "gen_ai.usage.completion_tokens": 7,
    "gen_ai.usage.image.input_tokens": 7,
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 7,
    "gen_ai.usage.prompt_tokens": 7,
    "gen_ai.usage.reasoning.output_tokens": 7,
    "gen_ai.usage.text.input_tokens": 7,
    "gen_ai.usage.text.output_tokens": 7,
    "gen_ai.usage.video.input_tokens": 7,
}
# Of tools, agents, retrieval, memory and evaluations: a call of a model has no property for them.
SEMCONV_OF_OTHERS: dict[str, Any] = dict.fromkeys(
    (
        "gen_ai.agent.description",
        "gen_ai.agent.id",
        "gen_ai.agent.name",
        "gen_ai.agent.version",
        "gen_ai.data_source.id",
        "gen_ai.evaluation.explanation",
        "gen_ai.evaluation.name",
        "gen_ai.evaluation.score.label",
        "gen_ai.evaluation.score.value",
        "gen_ai.memory.query.text",
        "gen_ai.memory.record.count",
        "gen_ai.memory.record.id",
        "gen_ai.memory.records",
        "gen_ai.memory.store.id",
        "gen_ai.openai.response.service_tier",
        "gen_ai.openai.response.system_fingerprint",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        "gen_ai.token.type",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.id",
        "gen_ai.tool.call.result",
        "gen_ai.tool.description",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "gen_ai.workflow.name",
    ),
    "text",
)

# opentelemetry-semantic-conventions-ai 0.5.1, without those of vector stores.
OPENLLMETRY: dict[str, Any] = {
    "gen_ai.is_streaming": True,
    "gen_ai.openai.api_base": "https://api.openai.com/v1",
    "gen_ai.request.max_completion_tokens": 7,
    "gen_ai.request.n": 2,
    "gen_ai.request.reasoning_effort": "low",
    "gen_ai.request.reasoning_summary": "auto",
    "gen_ai.request.repetition_penalty": 0.5,
    "gen_ai.request.structured_output_schema": "{}",
    "gen_ai.response.finish_reason": "stop",
    "gen_ai.response.stop_reason": "stop",
    "gen_ai.usage.cache_creation_input_tokens": 7,
    "gen_ai.usage.cache_read_input_tokens": 7,
    "gen_ai.usage.reasoning_tokens": 7,
    "gen_ai.usage.total_tokens": 7,
    "gen_ai.user": "gardener-5",
    "llm.chat.stop_sequences": ("END",),
    "llm.frequency_penalty": 0.5,
    "llm.headers": "{}",
    "llm.is_streaming": True,
    "llm.presence_penalty": 0.5,
    "llm.request.reasoning_effort": "low",
    "llm.request.repetition_penalty": 0.5,
    "llm.request.functions.0.name": "find",
    "llm.response.finish_reason": "stop",
    "llm.response.stop_reason": "stop",
    "llm.top_k": 7,
    "llm.usage.reasoning_tokens": 7,
    "llm.usage.total_tokens": 7,
    "llm.user": "gardener-5",
    "traceloop.association.properties.user_id": "gardener-5",
    "traceloop.prompt.key": "greeting",
    "traceloop.prompt.version": 2,
}

# openinference-semantic-conventions 0.1.42.
OPENINFERENCE: dict[str, Any] = {
    "decision.model_name": "jev-1",
    "decision.provider": "typesafe",
    "decision.request.model_name": "jev-latest",
    "decision.response.model_name": "jev-1.2",
    "decision.system": "typesafe",
    "decision.token_count.input": 7,
    "decision.token_count.output": 7,
    "input.mime_type": "text/plain",
    "input.value": "Hi",
    "llm.choices.0.completion.text": "Hi",
    "llm.cost.completion": 0.5,
    "llm.cost.prompt": 0.5,
    "llm.cost.total": 0.5,
    "llm.finish_reason": "stop",
    "llm.input_messages.0.message.content": "Hi",
    "llm.invocation_parameters": "{}",
    "llm.output_messages.0.message.content": "Hi",
    "llm.prompt_template.version": "v2",
    "llm.prompts.0.prompt.text": "Hi",
    "llm.provider": "openai",
    "llm.request.model_name": "gpt-4o",
    "llm.response.model_name": "gpt-4o-2024-08-06",
    "llm.system": "openai",
    "llm.token_count.completion": 7,
    "llm.token_count.completion_details.audio": 7,
    "llm.token_count.completion_details.reasoning": 7,
    "llm.token_count.prompt": 7,
    "llm.token_count.prompt_details.audio": 7,
    "llm.token_count.prompt_details.cache_input": 7,
    "llm.token_count.prompt_details.cache_read": 7,
    "llm.token_count.prompt_details.cache_write": 7,
    "llm.token_count.total": 7,
    "llm.tools.0.tool.json_schema": '{"name": "find"}',
    "output.mime_type": "text/plain",
    "output.value": "Hi",
    "prompt.id": "greeting",
    "session.id": "s-1",
    "tag.tags": ("fruit",),
    "user.id": "gardener-5",
}

CALLS = {
    "semconv": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"},
    "openllmetry": {"llm.request.type": "chat", "gen_ai.request.model": "gpt-4o"},
    "openinference": {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"},
}
READ = [
    *(("semconv", name, value) for name, value in SEMCONV.items()),
    *(("openllmetry", name, value) for name, value in OPENLLMETRY.items()),
    *(("openinference", name, value) for name, value in OPENINFERENCE.items()),
]


def properties_with(convention: str, name: str, value: Any) -> dict[str, Any]:
    """The properties of a call that has one more attribute."""
    (event,) = events_of([made_span("call", {**CALLS[convention], name: value})])
    properties: dict[str, Any] = event["properties"]
    return properties


@pytest.mark.parametrize(("convention", "name", "value"), READ)
def test_a_registered_attribute_is_read(convention: str, name: str, value: Any) -> None:
    assert name not in properties_with(convention, name, value)


@pytest.mark.parametrize("name", SEMCONV_OF_OTHERS)
def test_an_attribute_of_other_spans_passes_through(name: str) -> None:
    assert properties_with("semconv", name, SEMCONV_OF_OTHERS[name])[name] == "text"
