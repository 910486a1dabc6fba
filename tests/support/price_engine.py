"""PostHog's price engine, as its ingestion has it (nodejs/src/ingestion/ai/costs in PostHog/posthog, July 2026).

What PostHog shows as the cost of a call is made from the event, so an event is right if this makes the provider's bill
of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ADDS_REASONING = re.compile(r"^(?:.*/)?gemini-(?:2\.5-|3(?:\.\d+)?-)")


@dataclass(frozen=True)
class Prices:
    """US dollars per token, per web search, per request. ``None``: the model has no price of its own for it."""

    prompt: float
    completion: float
    cache_read: float | None = None
    cache_write: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None
    image_input: float | None = None
    image_output: float | None = None
    web_search: float = 0.0
    request: float = 0.0


@dataclass(frozen=True)
class Bill:
    """US dollars."""

    input: float
    output: float
    web_search: float
    request: float
    total: float


def adds_reasoning(model: Any) -> bool:
    """Whether the model's reasoning is billed on top of its output."""
    return _ADDS_REASONING.match(str(model or "").lower()) is not None


def is_anthropic_style(properties: Mapping[str, Any]) -> bool:
    model = str(properties.get("$ai_model") or "").lower()
    return properties.get("$ai_provider") == "anthropic" or "anthropic" in model or model.startswith("claude")


def bill_of(properties: Mapping[str, Any], prices: Prices) -> Bill:
    """The cost of a generation or embedding."""
    web_search = _number(properties, "$ai_web_search_cost_usd")
    if web_search is None:
        web_search = _count(properties, "$ai_web_search_count") * prices.web_search
    request = _number(properties, "$ai_request_cost_usd")
    if request is None:
        request = (_number(properties, "$ai_request_count") or 1) * prices.request
    input, output = _number(properties, "$ai_input_cost_usd"), _number(properties, "$ai_output_cost_usd")
    if not (input and output):
        input, output = _input_cost(properties, prices), _output_cost(properties, prices)
    total = _number(properties, "$ai_total_cost_usd")
    return Bill(input, output, web_search, request, input + output + web_search + request if total is None else total)


def _input_cost(properties: Mapping[str, Any], prices: Prices) -> float:
    anthropic = is_anthropic_style(properties)
    exclusive = properties.get("$ai_cache_reporting_exclusive")
    if not isinstance(exclusive, bool):
        exclusive = anthropic
    read = _count(properties, "$ai_cache_read_input_tokens")
    write = _count(properties, "$ai_cache_creation_input_tokens") if anthropic else 0
    uncached = _count(properties, "$ai_input_tokens") - (0 if exclusive else read + write)
    cost = 0.0
    for modality, price in (("audio", prices.audio_input), ("image", prices.image_input)):
        if price is not None:
            count = _count(properties, f"$ai_{modality}_input_tokens")
            uncached -= count
            cost += count * price
    read_price = prices.cache_read if prices.cache_read is not None else prices.prompt * (0.1 if anthropic else 0.5)
    write_price = prices.cache_write if prices.cache_write is not None else prices.prompt * 1.25
    return cost + uncached * prices.prompt + read * read_price + write * write_price


def _output_cost(properties: Mapping[str, Any], prices: Prices) -> float:
    audio, image = (_count(properties, f"$ai_{modality}_output_tokens") for modality in ("audio", "image"))
    text = _number(properties, "$ai_text_output_tokens")
    if text is None:
        text = _count(properties, "$ai_output_tokens") - audio - image
    if adds_reasoning(properties.get("$ai_model")):
        text += _count(properties, "$ai_reasoning_tokens")
    audio_price = prices.completion if prices.audio_output is None else prices.audio_output
    image_price = prices.completion if prices.image_output is None else prices.image_output
    return text * prices.completion + audio * audio_price + image * image_price


def _number(properties: Mapping[str, Any], name: str) -> float | None:
    value = properties.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _count(properties: Mapping[str, Any], name: str) -> float:
    return _number(properties, name) or 0
