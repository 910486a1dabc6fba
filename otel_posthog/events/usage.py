"""Token counts as PostHog prices them.

The one rule for cache tokens: ``$ai_input_tokens`` counts what the provider's own API counts as input. For Anthropic
and Claude models that excludes cached tokens, for everybody else it includes them; this is also what PostHog's price
engine assumes, so that installs that do not know ``$ai_cache_reporting_exclusive`` price the same. Whenever cache
tokens are known, the flag says so explicitly.
"""

from __future__ import annotations

from otel_posthog._model import Operation, Usage

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
    output, reasoning = _output_and_reasoning(operation, usage)
    counts: dict[str, int | bool | None] = {
        "$ai_input_tokens": usage.input,
        "$ai_output_tokens": output,
        "$ai_total_tokens": _total(usage, output),
        "$ai_cache_read_input_tokens": usage.cache_read,
        "$ai_cache_creation_input_tokens": cache_write,
        "$ai_cache_creation_5m_input_tokens": usage.cache_write_5m,
        "$ai_cache_creation_1h_input_tokens": usage.cache_write_1h,
        "$ai_cache_read_audio_tokens": usage.cache_read_audio,
        "$ai_reasoning_tokens": reasoning,
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


def _output_and_reasoning(operation: Operation, usage: Usage) -> tuple[int | None, int | None]:
    """Output including reasoning, as every provider bills it, and the reasoning.

    Gemini counts thoughts apart, and some instrumentations copy that: then the stated total only adds up with the
    reasoning on top, or there is more reasoning than output. Others copy its output and its total alone.
    """
    output, reasoning, beyond = usage.output, usage.reasoning, _beyond_input_and_output(usage)
    if output is None:
        return output, reasoning
    if reasoning:
        outside = not usage.reasoning_inside or beyond == reasoning or reasoning > output
        return output + reasoning if outside else output, reasoning
    if beyond > 0 and operation.provider in ("gemini", "vertex_ai"):
        return output + beyond, beyond
    return output, reasoning


def _beyond_input_and_output(usage: Usage) -> int:
    if usage.total is None or usage.input is None or usage.output is None:
        return 0
    return usage.total - usage.input - usage.output


def _total(usage: Usage, output: int | None) -> int | None:
    """The stated total; one that was summed up without the reasoning, with it."""
    if usage.total is None or output is None or usage.output is None or _beyond_input_and_output(usage) != 0:
        return usage.total
    return usage.total + output - usage.output
