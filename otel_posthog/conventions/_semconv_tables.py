"""The tables of OpenTelemetry's GenAI conventions: attribute names, generation by generation.

Sources: semantic conventions 1.27 and later, "GenAI attributes"; vendor names as the libraries named write them. The
GenAI names of ``opentelemetry.semconv`` are marked as deprecated there (they moved to a repository of their own) and
differ between the versions that we support, so they stand here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_posthog._model import Kind
from otel_posthog.conventions._attributes import (
    index_of,
    parse_json,
    to_bool,
    to_id,
    to_int,
    to_number,
    to_str,
    to_str_list,
)

# gen_ai.operation.name (spec: gen-ai-spans.md, gen-ai-agent-spans.md; the others as libraries write them)
KINDS: dict[str, Kind] = {
    "chat": "generation",
    "text_completion": "generation",
    "generate_content": "generation",
    "generate_live_content": "generation",
    "completion": "generation",  # OpenLLMetry llm.request.type
    "acompletion": "generation",  # LiteLLM
    "responses": "generation",
    "aresponses": "generation",
    "message": "generation",
    "embeddings": "embedding",
    "embedding": "embedding",
    "aembedding": "embedding",
    "embed_content": "embedding",
    "embed": "embedding",  # Langtrace
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "chain",
    "execute_task": "chain",
    "agent_step": "chain",  # AI SDK 7
    "plan": "chain",
    "search_memory": "retrieval",
    "retrieval": "retrieval",
    "retrieve": "retrieval",
    "vectordb": "retrieval",
    "rerank": "rerank",
    "evaluation": "evaluation",
    "guardrail": "guardrail",
}

# parameter -> (conversion, attributes). Spec: "GenAI request attributes"; vendor ones from openai and botocore.
PARAMETERS: tuple[tuple[str, Callable[[Any], Any], tuple[str, ...]], ...] = (
    ("temperature", to_number, ("gen_ai.request.temperature",)),
    ("top_p", to_number, ("gen_ai.request.top_p", "llm.request.top_p")),
    ("top_k", to_number, ("gen_ai.request.top_k", "llm.top_k")),
    ("max_tokens", to_int, ("gen_ai.request.max_tokens", "gen_ai.request.max_output_tokens",
                             "gen_ai.request.max_completion_tokens")),
    ("frequency_penalty", to_number, ("gen_ai.request.frequency_penalty", "llm.frequency_penalty")),
    ("presence_penalty", to_number, ("gen_ai.request.presence_penalty", "llm.presence_penalty")),
    ("repetition_penalty", to_number, ("gen_ai.request.repetition_penalty", "llm.request.repetition_penalty")),
    ("seed", to_int, ("gen_ai.request.seed", "gen_ai.openai.request.seed")),
    ("stop", to_str_list, ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences")),
    ("n", to_int, ("gen_ai.request.choice.count", "gen_ai.request.n")),
    ("encoding_formats", to_str_list, ("gen_ai.request.encoding_formats",)),
    ("dimensions", to_int, ("gen_ai.embeddings.dimension.count", "gen_ai.request.dimensions")),
    ("output_type", to_str, ("gen_ai.output.type",)),
    ("response_format", parse_json, ("gen_ai.openai.request.response_format", "gen_ai.request.response_format",
                                "gen_ai.request.structured_output_schema")),
    ("reasoning_effort", to_str, ("gen_ai.request.reasoning_effort", "gen_ai.openai.request.reasoning_effort",
                                "gen_ai.request.reasoning.effort", "gen_ai.request.reasoning.level",
                                "llm.request.reasoning_effort")),
    ("reasoning_summary", to_str, ("gen_ai.request.reasoning_summary",)),
    ("service_tier", to_str, ("gen_ai.openai.request.service_tier", "openai.request.service_tier")),
    ("tool_choice", parse_json, ("gen_ai.request.tool_choice",)),
)  # fmt: skip

# Messages and tools. After the conventions' own names: semconv 1.27, Sentry's AI spans, embeddings of Langtrace,
# Cloudflare's AI Gateway.
INPUTS = ("gen_ai.input.messages", "gen_ai.prompt", "gen_ai.request.messages", "gen_ai.embeddings.input",
          "gen_ai.request.embedding_inputs", "gen_ai.prompt_json")  # fmt: skip
OUTPUTS = ("gen_ai.output.messages", "gen_ai.completion", "gen_ai.response.text", "gen_ai.completion_json")
PROVIDERS = ("gen_ai.provider.name", "gen_ai.system", "gen_ai.model.provider")
FINISH_REASONS = ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "gen_ai.response.stop_reason",
                  "anthropic.message.stop_reason", "llm.response.finish_reason",
                  "llm.response.stop_reason")  # fmt: skip
# Seconds to the first chunk; the last: AgentOps.
FIRST_TOKEN = ("gen_ai.response.time_to_first_chunk", "gen_ai.response.time_to_first_token",
               "gen_ai.client.operation.time_to_first_chunk", "gen_ai.streaming.time_to_first_token")  # fmt: skip
INSTRUCTIONS = ("gen_ai.system_instructions", "gen_ai.agent.instructions", "instructions")  # the last: Langtrace
TOOLS = ("gen_ai.tool.definitions", "gen_ai.request.tools", "gen_ai.request.available_tools")

# Names of token counts start with one of these; ._usage tells them apart.
USAGE_PREFIXES = ("gen_ai.usage.", "llm.usage.", "anthropic.usage.")
USAGE_OBJECTS = ("mirascope.response.usage", "gen_ai.usage", "gen_ai.response.usage")
OTHER_TOTALS = ("mistral_ai.request.total_tokens", "gen_ai.client.token.usage")

# The attribute with the name of the tool, agent or workflow, which replaces the span's name.
ACTORS: dict[Kind, str] = {"tool": "gen_ai.tool.name", "agent": "gen_ai.agent.name", "chain": "gen_ai.workflow.name"}

COST: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("gen_ai.cost.input_cost", "gen_ai.usage.cost.input", "gen_ai.usage.input_cost")),
    ("output", ("gen_ai.cost.output_cost", "gen_ai.usage.cost.output", "gen_ai.usage.output_cost")),
    (
        "total",
        (
            "operation.cost",
            "gen_ai.cost.total_cost",
            "gen_ai.usage.cost",
            "gen_ai.usage.cost.total",
            "gen_ai.usage.total_cost",
        ),
    ),
)

# field of the operation -> attributes, without those that depend on others.
CALL: tuple[tuple[str, Callable[[Any], Any], tuple[str, ...]], ...] = (
    ("request_model", to_str, ("gen_ai.request.model",)),
    ("response_model", to_str, ("gen_ai.response.model",)),
    ("response_id", to_id, ("gen_ai.response.id", "gen_ai.response_id")),  # the latter: Langtrace
    ("base_url", to_str, ("gen_ai.openai.api_base", "gen_ai.request.base_url")),
    ("streaming", to_bool, ("gen_ai.request.stream", "gen_ai.is_streaming", "gen_ai.request.is_stream",
                            "gen_ai.request.streaming", "gen_ai.response.streaming", "llm.is_streaming")),
    ("prompt_name", to_str, ("gen_ai.prompt.name",)),
    ("prompt_version", parse_json, ("gen_ai.prompt.version",)),
)  # fmt: skip

# Both tables at once, so that a span's attributes are looked through once.
CALL_INDEX = index_of(
    *((("field", field), convert, names) for field, convert, names in CALL),
    *((("parameter", field), convert, names) for field, convert, names in PARAMETERS),
)
COST_INDEX = index_of(*((field, to_number, names) for field, names in COST))
