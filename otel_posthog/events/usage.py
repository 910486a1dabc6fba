"""Token counts as PostHog prices them.

The one rule for cache tokens: ``$ai_input_tokens`` counts what the provider's own API counts as input. For Anthropic
and Claude models that excludes cached tokens, for everybody else it includes them; this is also what PostHog's price
engine assumes, so that installs that do not know ``$ai_cache_reporting_exclusive`` price the same. Whenever cache
tokens are known, the flag says so explicitly.
"""

from __future__ import annotations

from otel_posthog.operation import Operation, Usage

Tokens = dict[str, int | bool]


def excludes_cache(provider: str | None, model: str | None) -> bool:
    """PostHog's own default: are cache tokens outside the input for this provider and model?"""
    return provider == "anthropic" or "claude" in (model or "").lower()


def token_properties(operation: Operation) -> Tokens:
    """The token properties of a generation or embedding; counts that nobody stated are absent."""
    usage = operation.usage
    if usage is None:
        return {}
    cache_write = usage.cache_write
    if cache_write is None and (usage.cache_write_5m is not None or usage.cache_write_1h is not None):
        cache_write = (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    counts: dict[str, int | bool | None] = {
        "$ai_input_tokens": usage.input,
        "$ai_output_tokens": output_tokens(usage),
        "$ai_total_tokens": usage.total,
        "$ai_cache_read_input_tokens": usage.cache_read,
        "$ai_cache_creation_input_tokens": cache_write,
        "$ai_cache_creation_5m_input_tokens": usage.cache_write_5m,
        "$ai_cache_creation_1h_input_tokens": usage.cache_write_1h,
        "$ai_cache_read_audio_tokens": usage.cache_read_audio,
        "$ai_reasoning_tokens": usage.reasoning,
        "$ai_web_search_count": usage.web_searches,
    }
    for (modality, direction), count in usage.by_modality.items():
        counts[f"$ai_{modality}_{direction}_tokens"] = count
    if usage.cache_read is not None or cache_write is not None:
        cached = (usage.cache_read or 0) + (cache_write or 0)
        exclusive = excludes_cache(operation.provider, operation.response_model or operation.request_model)
        counts["$ai_cache_reporting_exclusive"] = exclusive
        if usage.input is not None:
            # More cached than counted: whatever the convention says, the cache was not in there.
            inside = usage.cache_inside and cached <= usage.input
            whole = usage.input if inside else usage.input + cached
            counts["$ai_input_tokens"] = whole - cached if exclusive else whole
    return {name: count for name, count in counts.items() if count is not None}


def output_tokens(usage: Usage) -> int | None:
    """Output including reasoning, as every provider bills it.

    Gemini counts thoughts apart, and some instrumentations copy that: then the stated total only adds up with the
    reasoning on top, or there is more reasoning than output.
    """
    output, reasoning = usage.output, usage.reasoning
    if output is None or not reasoning:
        return output
    adds_up = usage.total is not None and usage.input is not None and usage.total == usage.input + output + reasoning
    return output + reasoning if adds_up or reasoning > output else output
