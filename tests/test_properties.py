"""Every property that PostHog documents is reachable, and the docs say from where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.generate import TABLES, with_table
from otel_posthog.events.properties import CALL, COMMON, COMPUTED, SET_BY_APP, STATE
from tests.support.events import events_of
from tests.support.made import made_span

ROOT = Path(__file__).parents[1]

# One attribute (or more) that gives the property a value. Properties without a row are stated by the app itself.
MESSAGE = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}])
CALLED = json.dumps([{"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {}}]}])
GIVEN: dict[str, dict[str, Any]] = {
    "$ai_session_id": {"gen_ai.conversation.id": "c1"},
    "$ai_provider": {"gen_ai.provider.name": "openai"},
    "$ai_framework": {"ai.operationId": "ai.generateText.doGenerate"},
    "$ai_is_error": {"error.type": "timeout"},
    "$ai_error": {"error.type": "timeout"},
    "$ai_error_type": {"error.type": "timeout"},
    "$ai_http_status": {"http.response.status_code": 200},
    "$ai_base_url": {"server.address": "api.openai.com"},
    "$ai_request_url": {"url.full": "https://api.openai.com/v1/chat/completions"},
    "$ai_prompt_name": {"gen_ai.prompt.name": "greeting"},
    "$ai_prompt_version": {"gen_ai.prompt.version": 3},
    "$groups": {"posthog.groups": '{"company": "acme"}'},
    "tags": {"openinference.span.kind": "LLM", "tag.tags": ("a",)},
    "metadata": {"openinference.span.kind": "LLM", "metadata": '{"plan": "pro"}'},
    "$ai_content_truncated": {"gen_ai.input.messages": MESSAGE[:-2]},
    "$ai_model": {"gen_ai.request.model": "gpt-4o"},
    "$ai_response_id": {"gen_ai.response.id": "r1"},
    "$ai_input": {"gen_ai.input.messages": MESSAGE},
    "$ai_output_choices": {"gen_ai.output.messages": MESSAGE},
    "$ai_tools": {"gen_ai.tool.definitions": '[{"name": "f"}]'},
    "$ai_tools_called": {"gen_ai.output.messages": CALLED},
    "$ai_stop_reason": {"gen_ai.response.finish_reasons": ("stop",)},
    "$ai_temperature": {"gen_ai.request.temperature": 0.5},
    "$ai_max_tokens": {"gen_ai.request.max_tokens": 5},
    "$ai_stream": {"gen_ai.request.stream": True},
    "$ai_model_parameters": {"gen_ai.request.seed": 7},
    "$ai_time_to_first_token": {"gen_ai.response.time_to_first_chunk": 0.5},
    "$ai_input_cost_usd": {"gen_ai.cost.input_cost": 0.1},
    "$ai_output_cost_usd": {"gen_ai.cost.output_cost": 0.1},
    "$ai_total_cost_usd": {"operation.cost": 0.1},
    "$ai_input_tokens": {"gen_ai.usage.input_tokens": 1},
    "$ai_output_tokens": {"gen_ai.usage.output_tokens": 1},
    "$ai_total_tokens": {"gen_ai.usage.total_tokens": 2},
    "$ai_cache_read_input_tokens": {"gen_ai.usage.cache_read.input_tokens": 1},
    "$ai_cache_creation_input_tokens": {"gen_ai.usage.cache_creation.input_tokens": 1},
    "$ai_cache_creation_5m_input_tokens": {"anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 1},
    "$ai_cache_creation_1h_input_tokens": {"anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 1},
    "$ai_cache_reporting_exclusive": {"gen_ai.usage.cache_read.input_tokens": 1},
    "$ai_cache_read_audio_tokens": {"gen_ai.usage.audio.cache_read.input_tokens": 1},
    "$ai_reasoning_tokens": {"gen_ai.usage.reasoning.output_tokens": 1},
    "$ai_audio_input_tokens": {"gen_ai.usage.audio.input_tokens": 1},
    "$ai_image_input_tokens": {"gen_ai.usage.image.input_tokens": 1},
    "$ai_text_output_tokens": {"gen_ai.usage.text.output_tokens": 1},
    "$ai_web_search_count": {"gen_ai.usage.server_tool_use.web_search_requests": 1},
    "$ai_input_state": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": "{}"},
    "$ai_output_state": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": "24 C"},
    "$ai_span_type": {"gen_ai.operation.name": "execute_tool"},
}
ALL = [row.name for row in (*COMMON, *CALL, *STATE, *COMPUTED, *SET_BY_APP)]

# https://posthog.com/docs/llm-analytics/manual-capture
DOCUMENTED = [
    "$ai_trace_id",
    "$ai_session_id",
    "$ai_span_id",
    "$ai_span_name",
    "$ai_parent_id",
    "$ai_model",
    "$ai_provider",
    "$ai_input",
    "$ai_input_tokens",
    "$ai_output_tokens",
    "$ai_output_choices",
    "$ai_latency",
    "$ai_http_status",
    "$ai_base_url",
    "$ai_request_url",
    "$ai_is_error",
    "$ai_error",
    "$ai_input_cost_usd",
    "$ai_output_cost_usd",
    "$ai_request_cost_usd",
    "$ai_web_search_cost_usd",
    "$ai_total_cost_usd",
    "$ai_input_token_price",
    "$ai_output_token_price",
    "$ai_cache_read_token_price",
    "$ai_cache_write_token_price",
    "$ai_request_price",
    "$ai_request_count",
    "$ai_web_search_price",
    "$ai_web_search_count",
    "$ai_cache_read_input_tokens",
    "$ai_cache_creation_input_tokens",
    "$ai_temperature",
    "$ai_stream",
    "$ai_max_tokens",
    "$ai_tools",
    "$ai_time_to_first_token",
    "$ai_stop_reason",
    "$ai_reasoning_tokens",
    "$ai_cache_reporting_exclusive",
    "$ai_cache_creation_5m_input_tokens",
    "$ai_cache_creation_1h_input_tokens",
    "$ai_audio_input_tokens",
    "$ai_image_input_tokens",
    "$ai_text_output_tokens",
    "$ai_model_parameters",
    "$ai_lib",
    "$ai_lib_version",
    "$ai_framework",
    "$ai_prompt_name",
    "$ai_prompt_version",
    "$ai_ingestion_source",
    "$ai_input_state",
    "$ai_output_state",
    "$process_person_profile",
    "$groups",
    "$geoip_disable",
    "$lib",
    "$lib_version",
    "$session_id",
]


def properties_of(attributes: dict[str, Any]) -> dict[str, Any]:
    span = made_span("call", {"gen_ai.operation.name": "chat", **attributes}, parent_id="00f067aa0ba902b7")
    (event,) = events_of([span])
    properties: dict[str, Any] = event["properties"]
    return properties


@pytest.mark.parametrize("name", sorted({*ALL, *DOCUMENTED}))
def test_every_property_is_reachable(name: str) -> None:
    without, given = properties_of({}), GIVEN.get(name)
    if given is None and name not in without:
        given = {name: 1}  # stated by the app
    assert name in properties_of(given or {})
    if given is not None:
        assert name not in without or name == "$ai_span_type"


def test_the_table_names_every_property() -> None:
    table = (ROOT / "docs" / "properties.md").read_text()
    assert [name for name in {*ALL, *DOCUMENTED} if f"`{name}`" not in table] == []


@pytest.mark.parametrize(("path", "name", "table"), TABLES, ids=[name for _, name, _ in TABLES])
def test_generated_tables_are_current(path: Path, name: str, table: Callable[[], str]) -> None:
    assert with_table(path.read_text(), name, table()) == path.read_text(), "run `make docs`"
