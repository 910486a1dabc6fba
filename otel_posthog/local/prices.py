"""What PostHog charges for an event, by the rules of its price engine (ingestion sources, read in 2026).

Stated costs come first, then the event's own token prices, then a table of model prices. PostHog's table
is its own; this one is from the package `genai-prices`, so a cost from it is an estimate.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import lru_cache
from typing import Any, Literal

PRICED_EVENTS = frozenset({"$ai_generation", "$ai_embedding"})

Source = Literal["stated", "own prices", "price table"]

# Google counts thoughts beside the candidates of these models; everybody else counts them inside the output.
_REASONING_BESIDE_OUTPUT = re.compile(r"gemini-(2\.5|3(\.\d+)?)-")
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """USD. The parts are ``None`` where only a total is stated; ``model`` is the table's row."""

    total: float
    source: Source
    input: float | None = None
    output: float | None = None
    request: float | None = None
    web_search: float | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """USD for one token, request or search; ``None``: the engine's default applies."""

    prompt: float
    completion: float
    cache_read: float | None = None
    cache_write: float | None = None
    audio_input: float | None = None
    image_input: float | None = None
    audio_output: float | None = None
    image_output: float | None = None
    request: float = 0.0
    web_search: float = 0.0
    model: str | None = None


def cost_of(event: str, properties: dict[str, Any]) -> Cost | None:
    """The cost of a generation or an embedding; ``None`` if no price is known or it has no tokens."""
    if event not in PRICED_EVENTS:
        return None
    names = ("input", "output", "request", "web_search")
    first, second, request, search = stated = tuple(_number(properties, f"$ai_{name}_cost_usd") for name in names)
    total = _number(properties, "$ai_total_cost_usd")
    known = [value for value in stated if value is not None]
    if first and second:
        return Cost(sum(known) if total is None else total, "stated", first, second, request, search)
    computed = _computed(properties, request, search)
    if total is not None:
        if computed is None:
            return Cost(total, "stated", first, second, request, search)
        return Cost(total, "stated", computed.input, computed.output, computed.request, computed.web_search)
    if computed is not None:
        return computed
    return Cost(sum(known), "stated", first, second, request, search) if known else None


def is_exclusive(properties: dict[str, Any]) -> bool:
    """Whether the engine takes cache tokens for tokens outside the input."""
    said = properties.get("$ai_cache_reporting_exclusive")
    if isinstance(said, bool):
        return said
    if not is_anthropic(properties):
        return False
    if properties.get("$ai_provider") == "gateway" and properties.get("$ai_framework") == "vercel":
        cached = _tokens(properties, "cache_read_input") + _tokens(properties, "cache_creation_input")
        return _tokens(properties, "input") < cached
    return True


def is_anthropic(properties: dict[str, Any]) -> bool:
    """Whether the engine counts the event as Anthropic does."""
    model = str(properties.get("$ai_model") or "").lower()
    provider = str(properties.get("$ai_provider") or "").lower()
    return provider == "anthropic" or "anthropic" in model or model.startswith("claude")


def adds_reasoning(properties: dict[str, Any]) -> bool:
    """Whether the engine bills reasoning tokens on top of the output."""
    return _REASONING_BESIDE_OUTPUT.match(str(properties.get("$ai_model") or "").lower()) is not None


def fresh_input(properties: dict[str, Any]) -> float | None:
    """The input tokens that neither came from a cache nor were written to one."""
    tokens = _number(properties, "$ai_input_tokens")
    if tokens is None or is_exclusive(properties):
        return tokens
    return max(tokens - _tokens(properties, "cache_read_input") - _tokens(properties, "cache_creation_input"), 0.0)


def plain_output(properties: dict[str, Any]) -> float | None:
    """The output tokens that are not reasoning."""
    tokens = _number(properties, "$ai_output_tokens")
    if tokens is None or adds_reasoning(properties):
        return tokens
    return max(tokens - _tokens(properties, "reasoning"), 0.0)


@lru_cache(maxsize=1)
def table_version() -> str:
    """The name, version and newest price of the table, such as ``genai-prices 0.2.3, prices to 2026-11-02``."""
    from importlib.metadata import version

    starts = [
        start
        for provider in _snapshot().providers
        for model in provider.models
        for price in (model.prices if isinstance(model.prices, list) else [])
        if isinstance(start := getattr(price.constraint, "start_date", None), date) and start <= date.today()
    ]
    return f"genai-prices {version('genai-prices')}" + (f", prices to {max(starts)}" if starts else "")


def _computed(properties: dict[str, Any], request: float | None, web_search: float | None) -> Cost | None:
    rates, source = _rates(properties)
    if rates is None:
        return None
    has_tokens = any(_number(properties, f"$ai_{side}_tokens") is not None for side in ("input", "output"))
    searches = _number(properties, "$ai_web_search_count")
    if not has_tokens and not rates.request and not searches:
        return None
    input_cost, output_cost = _input_cost(properties, rates), _output_cost(properties, rates)
    if request is None:
        request = rates.request * _number_or(properties, "$ai_request_count", 1)
    if web_search is None:
        web_search = rates.web_search * (searches or 0)
    total = input_cost + output_cost + request + web_search
    return Cost(total, source, input_cost, output_cost, request, web_search, rates.model)


def _rates(properties: dict[str, Any]) -> tuple[Rates | None, Source]:
    prompt, completion = (_number(properties, f"$ai_{side}_token_price") for side in ("input", "output"))
    if prompt is not None and completion is not None:
        own = Rates(
            prompt,
            completion,
            _number(properties, "$ai_cache_read_token_price"),
            _number(properties, "$ai_cache_write_token_price"),
            request=_number_or(properties, "$ai_request_price", 0),
            web_search=_number_or(properties, "$ai_web_search_price", 0),
        )
        return own, "own prices"
    model, provider = properties.get("$ai_model"), properties.get("$ai_provider")
    if not isinstance(model, str) or not model:
        return None, "price table"
    return table_rates(model[:200], provider[:200] if isinstance(provider, str) else None), "price table"


def _input_cost(properties: dict[str, Any], rates: Rates) -> float:
    tokens = _tokens(properties, "input")
    read, write = _tokens(properties, "cache_read_input"), _tokens(properties, "cache_creation_input")
    anthropic, exclusive = is_anthropic(properties), is_exclusive(properties)
    cost = 0.0
    for modality, rate in (("audio", rates.audio_input), ("image", rates.image_input)):
        part = _tokens(properties, f"{modality}_input")
        if part and rate is not None:
            cost, tokens = cost + part * rate, tokens - part
    if not exclusive:
        tokens -= read + (write if anthropic else 0)
    cost += max(tokens, 0) * rates.prompt
    cost += read * _either(rates.cache_read, (0.1 if anthropic else 0.5) * rates.prompt)
    if anthropic:  # cache writes have a price of their own there only
        cost += write * _either(rates.cache_write, 1.25 * rates.prompt)
    return cost


def _output_cost(properties: dict[str, Any], rates: Rates) -> float:
    text = _number(properties, "$ai_text_output_tokens")
    tokens = _tokens(properties, "output") if text is None else text
    cost = 0.0
    for modality, rate in (("audio", rates.audio_output), ("image", rates.image_output)):
        part = _tokens(properties, f"{modality}_output")
        if part:
            cost += part * _either(rate, rates.completion)
            tokens -= part if text is None else 0
    if adds_reasoning(properties):
        tokens += _tokens(properties, "reasoning")
    return cost + max(tokens, 0) * rates.completion


@lru_cache(maxsize=4096)
def table_rates(model: str, provider: str | None) -> Rates | None:
    """The table's prices of a model: by its whole name, then without what stands before the last ``/``."""
    found = _find(model, provider)
    if found is None:
        return None
    prices = found.get_prices(datetime.now(timezone.utc))
    prompt, completion = _rate(prices, "input_mtok"), _rate(prices, "output_mtok")
    if prompt is None:
        return None
    return Rates(
        prompt,
        completion or 0.0,
        _rate(prices, "cache_read_mtok"),
        _rate(prices, "cache_write_mtok"),
        _rate(prices, "input_audio_mtok"),
        _rate(prices, "input_image_mtok"),
        _rate(prices, "output_audio_mtok"),
        _rate(prices, "output_image_mtok"),
        _rate(prices, "requests_kcount", 1000) or 0.0,
        _rate(prices, "web_searches_kcount", 1000) or 0.0,
        found.id,
    )


def _find(model: str, provider: str | None) -> Any:
    """The table's row: as the table matches names, else the longest of its names inside this one."""
    names = list(dict.fromkeys((model, model.rpartition("/")[2])))
    providers = list(dict.fromkeys((provider, provider and provider.replace("_", "-"), None)))
    for look in (_matching, _contained):
        for name in names:
            for hint in providers:
                try:
                    found = look(name, hint)
                except LookupError:
                    continue
                if found is not None:
                    return found
    return None


def _matching(name: str, provider: str | None) -> Any:
    return _snapshot().find_provider_model(name, None, provider, None)[1]


def _contained(name: str, provider: str | None) -> Any:
    models = _snapshot().find_provider(name.lower(), provider, None).models
    known = [model for model in models if model.id in name.lower()]
    return max(known, key=lambda model: len(model.id), default=None)


def _snapshot() -> Any:
    """The table as it came with the package. Imported late: it takes a quarter of a second."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _rate(prices: Any, name: str, per: int = _MILLION) -> float | None:
    """USD for one unit. Of a price in tiers the first: the engine has none."""
    price = getattr(prices, name, None)
    price = getattr(price, "base", price)
    return None if price is None else float(price) / per


def _number(properties: dict[str, Any], name: str) -> float | None:
    value = properties.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _number_or(properties: dict[str, Any], name: str, default: float) -> float:
    return _either(_number(properties, name), default)


def _tokens(properties: dict[str, Any], kind: str) -> float:
    return _number(properties, f"$ai_{kind}_tokens") or 0.0


def _either(value: float | None, default: float) -> float:
    return default if value is None else value
