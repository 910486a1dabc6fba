"""Token counts: what PostHog prices must equal what the provider bills."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_posthog._model import Operation, Usage
from otel_posthog.conventions._usage import field_of, settled, usage_of
from otel_posthog.events.usage import token_properties
from tests.support.events import events_of
from tests.support.made import made_span
from tests.support.truth import billed_input


def priced(usage: Usage, provider: str = "openai", model: str = "gpt-4o") -> dict[str, Any]:
    known = settled(usage, provider == "gemini")
    return token_properties(Operation(kind="generation", provider=provider, request_model=model, usage=known))


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize(("stated", "inside"), [(2310, True), (262, False)])
def test_the_billed_input_is_the_same_wherever_the_cache_was_counted(provider: str, stated: int, inside: bool) -> None:
    properties = priced(Usage(input=stated, cache_read=2048, cache_inside=inside), provider)
    assert billed_input(properties) == 2310
    assert properties["$ai_cache_read_input_tokens"] == 2048


@pytest.mark.parametrize(
    ("provider", "model", "exclusive"),
    [
        ("openai", "gpt-4o", False),
        ("gemini", "gemini-2.5-pro", False),
        ("anthropic", "claude-sonnet-4-5", True),
        ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("bedrock", "amazon.nova-lite-v1:0", False),
    ],
)
def test_the_flag_agrees_with_what_posthog_assumes(provider: str, model: str, exclusive: bool) -> None:
    properties = priced(Usage(input=2310, cache_read=2048), provider, model)
    assert properties["$ai_cache_reporting_exclusive"] is exclusive
    assert properties["$ai_input_tokens"] == (262 if exclusive else 2310)


def test_the_flag_is_set_for_zero_cached_tokens_and_absent_for_unknown() -> None:
    assert priced(Usage(input=10, cache_read=0))["$ai_cache_reporting_exclusive"] is False
    assert "$ai_cache_reporting_exclusive" not in priced(Usage(input=10))


def test_more_cached_than_counted_means_that_the_cache_is_outside() -> None:
    assert priced(Usage(input=262, cache_read=2048, cache_inside=True))["$ai_input_tokens"] == 2310


def test_cache_writes_add_up_from_their_lives() -> None:
    properties = priced(Usage(input=1890, cache_write_5m=1000, cache_write_1h=536))
    assert properties["$ai_cache_creation_input_tokens"] == 1536
    assert properties["$ai_cache_creation_5m_input_tokens"] == 1000
    assert properties["$ai_cache_creation_1h_input_tokens"] == 536


@pytest.mark.parametrize(
    ("usage", "output"),
    [
        (Usage(input=18, output=211, reasoning=192, total=229), 211),
        (Usage(input=18, output=19, reasoning=192, total=229), 211),
        (Usage(output=19, reasoning=192), 211),
        (Usage(output=211, reasoning=192), 211),
        (Usage(output=211), 211),
        (Usage(output=0, reasoning=0), 0),
    ],
)
def test_output_includes_reasoning(usage: Usage, output: int) -> None:
    assert priced(usage)["$ai_output_tokens"] == output


@pytest.mark.parametrize(
    ("stated", "input", "cached", "inside"),
    [
        ({"prompt_tokens": 2310, "prompt_tokens_details": {"cached_tokens": 2048}}, 2310, 2048, True),
        ({"input_tokens": 2310, "input_tokens_details": {"cached_tokens": 2048}}, 2310, 2048, True),
        ({"input_tokens": 262, "cache_read_input_tokens": 2048}, 262, 2048, False),
        ({"inputTokens": 262, "cacheReadInputTokens": 2048}, 262, 2048, False),
        ({"promptTokenCount": 2310, "cachedContentTokenCount": 2048}, 2310, 2048, True),
        ({"input": 2310, "output": 8, "total": 2318, "cache_read_input_tokens": 2048}, 2310, 2048, True),
        ({"prompt_tokens": 2310, "cache_read_input_tokens": 2048}, 2310, 2048, True),
    ],
    ids=["OpenAI chat", "OpenAI responses", "Anthropic", "Bedrock", "Gemini", "total without cache", "LiteLLM"],
)
def test_usage_objects_of_providers(stated: dict[str, Any], input: int, cached: int, inside: bool) -> None:
    usage = usage_of(stated)
    assert (usage.input, usage.cache_read, usage.cache_inside) == (input, cached, inside)


@pytest.mark.parametrize(
    ("attribute", "prop"),
    [
        ("gen_ai.usage.prompt_tokens", "$ai_input_tokens"),
        ("gen_ai.usage.completion_tokens", "$ai_output_tokens"),
        ("gen_ai.usage.cache_read_input_tokens", "$ai_cache_read_input_tokens"),
        ("gen_ai.usage.cache_write.input_tokens", "$ai_cache_creation_input_tokens"),
        ("gen_ai.usage.cache_creation.input_tokens", "$ai_cache_creation_input_tokens"),
        ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens", "$ai_cache_creation_1h_input_tokens"),
        ("gen_ai.usage.reasoning.output_tokens", "$ai_reasoning_tokens"),
        ("gen_ai.usage.reasoning_tokens", "$ai_reasoning_tokens"),
        ("gen_ai.usage.audio.input_tokens", "$ai_audio_input_tokens"),
        ("gen_ai.usage.image.input_tokens", "$ai_image_input_tokens"),
        ("gen_ai.usage.text.output_tokens", "$ai_text_output_tokens"),
    ],
)
@pytest.mark.parametrize("value", [7, 7.0, "7"])
def test_synonyms_and_forms_of_counts(attribute: str, prop: str, value: Any) -> None:
    (event,) = events_of([made_span(attributes={"gen_ai.operation.name": "chat", attribute: value})])
    assert event["properties"][prop] == 7


@pytest.mark.parametrize("value", [-1, 1.5, True, "many", float("nan"), float("inf")])
def test_what_is_no_count_is_absent(value: Any) -> None:
    (event,) = events_of([made_span(attributes={"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": value})])
    assert "$ai_input_tokens" not in event["properties"]


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input=18, output=211, total=229, reasoning=192),
        Usage(input=18, output=19, total=229, reasoning=192),
        Usage(input=18, output=19, total=229),
        Usage(input=18, output=19, total=37, reasoning=192),
    ],
)
def test_the_thoughts_of_gemini_are_beside_the_output_however_they_were_counted(usage: Usage) -> None:
    properties = priced(usage, "gemini", "gemini-2.5-pro")
    assert (properties["$ai_output_tokens"], properties["$ai_reasoning_tokens"]) == (19, 192)
    assert properties["$ai_total_tokens"] == 229


@pytest.mark.parametrize(
    ("model", "output"),
    [
        ("gemini-2.5-flash", 19),
        ("google/gemini-3-pro-preview", 19),
        ("gemini-3.1-flash", 19),
        ("gemini-2.0-flash-thinking", 211),
        ("o4-mini", 211),
    ],
)
def test_posthog_adds_the_reasoning_of_some_models_to_their_output(model: str, output: int) -> None:
    assert priced(Usage(output=211, reasoning=192), "x", model)["$ai_output_tokens"] == output


@pytest.mark.parametrize(
    ("counts", "input"),
    [
        ({"total": 2100}, 1200),  # 1200 + 100 + 800
        ({"total": 1300}, 400),
        ({"uncached": 1200}, 1200),
        ({"uncached": 400}, 400),
        ({}, 400),
    ],
)
def test_the_other_counts_show_whether_the_cache_is_inside(counts: dict[str, int], input: int) -> None:
    properties = priced(Usage(input=1200, output=100, cache_read=800, **counts), "anthropic", "claude-sonnet-4-5")
    assert properties["$ai_input_tokens"] == input


def test_cache_writes_of_other_models_are_inside_since_posthog_has_no_price_for_them() -> None:
    properties = priced(Usage(input=100, cache_read=800, cache_write=50, cache_inside=False), "qwen", "qwen3-max")
    assert (properties["$ai_input_tokens"], properties["$ai_cache_reporting_exclusive"]) == (950, False)


@pytest.mark.parametrize("text", [19, 211])
def test_text_output_is_sent_only_if_it_is_all_that_is_billed(text: int) -> None:
    properties = priced(Usage(output=211, reasoning=192, by_modality={("text", "output"): text}))
    assert properties.get("$ai_text_output_tokens") == (211 if text == 211 else None)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("gen_ai.usage.cache_read_tokens", "cache_read"),
        ("gen_ai.usage.input_cached_tokens", "cache_read"),
        ("gen_ai.usage.input_cache_read_tokens", "cache_read"),
        ("gen_ai.usage.cached_tokens", "cache_read"),
        ("gen_ai.usage.cached_prompt_text_tokens", "cache_read"),
        ("gen_ai.usage.prompt_cache_hit_tokens", "cache_read"),
        ("gen_ai.usage.prompt_cache_miss_tokens", "uncached"),
        ("ai.usage.inputTokenDetails.noCacheTokens", "uncached"),
        ("gen_ai.usage.cache_write_tokens", "cache_write"),
        ("input_cache_creation_5m", "cache_write_5m"),
        ("cache_creation.ephemeral_1h_input_tokens", "cache_write_1h"),
        ("cached_tokens_details.audio_tokens", "cache_read_audio"),
        ("llm.token_count.completion_details.reasoning", "reasoning"),
        ("thoughtsTokenCount", "reasoning"),
        ("prompt_eval_count", "input"),
        ("candidatesTokenCount", "output"),
        ("completion_tokens_details.audio_tokens", ("audio", "output")),
        ("server_tool_use.web_search_requests", "web_searches"),
        ("gen_ai.usage.cost", None),
        ("cache_discount", None),
        ("prompt_time", None),
        ("completion_tokens_details.accepted_prediction_tokens", None),
        ("gen_ai.usage.details.input_tokens", None),
    ],
)
def test_counts_are_recognised_by_the_words_of_their_names(name: str, field: Any) -> None:
    assert field_of(name) == field


def test_usage_by_modality_of_gemini() -> None:
    usage = usage_of(
        {
            "promptTokenCount": 110,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 10},
                {"modality": "AUDIO", "tokenCount": 100},
            ],
            "toolUsePromptTokenCount": 5,
        }
    )
    assert (usage.input, usage.by_modality) == (115, {("text", "input"): 10, ("audio", "input"): 100})


def test_fewer_thoughts_than_output_are_outside_where_the_convention_says_so() -> None:
    properties = priced(Usage(input=18, output=400, total=418, reasoning=192, reasoning_inside=False), "gemini")
    assert (properties["$ai_output_tokens"], properties["$ai_total_tokens"]) == (592, 610)


def test_a_total_that_does_not_add_up_is_nobodys_thoughts_elsewhere() -> None:
    properties = priced(Usage(input=18, output=19, total=229))
    assert (properties["$ai_output_tokens"], properties["$ai_total_tokens"]) == (19, 229)
    assert "$ai_reasoning_tokens" not in properties


def searches(attributes: dict[str, Any]) -> Any:
    call = {"openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 1}
    (event,) = events_of([made_span(attributes={**call, **attributes})])
    return event["properties"].get("$ai_web_search_count")


@pytest.mark.parametrize(
    ("response", "count"),
    [
        ({"content": [{"type": "server_tool_use", "name": "web_search", "input": {}}] * 2, "role": "assistant"}, 2),
        ({"usage": {"input_tokens": 1, "server_tool_use": {"web_search_requests": 3}}, "content": []}, 3),
        ({"output": [{"type": "web_search_call", "id": "w", "action": {}}, {"type": "message", "content": "x"}]}, 1),
        ({"choices": [{"message": {"content": "x", "annotations": [{"type": "url_citation"}] * 2}}]}, 1),
        (
            {"candidates": [{"content": {}, "groundingMetadata": {"webSearchQueries": ["a"]}}]},
            1,
        ),
        ({"choices": [{"message": {"content": "x", "tool_calls": [{"function": {"name": "web_search"}}]}}]}, None),
    ],
    ids=["Anthropic calls", "Anthropic usage", "OpenAI responses", "OpenAI chat", "Gemini", "the app's own tool"],
)
def test_web_searches_are_counted(response: dict[str, Any], count: int | None) -> None:
    assert searches({"output.value": json.dumps(response)}) == count


def test_the_cost_that_openrouter_charged() -> None:
    response = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1, "cost": 0.0012}}
    call = {"openinference.span.kind": "LLM", "llm.model_name": "m", "output.value": json.dumps(response)}
    (event,) = events_of([made_span(attributes=call)])
    assert event["properties"]["$ai_total_cost_usd"] == 0.0012
