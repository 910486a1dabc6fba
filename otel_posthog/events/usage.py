"""Token counts as PostHog prices them, so that its price is the provider's bill.

PostHog's price engine (nodejs/src/ingestion/ai/costs in https://github.com/PostHog/posthog, read in 2026) decides by
the provider and the model:

- Anthropic and Claude: cache tokens are outside ``$ai_input_tokens``, each with a price of its own.
- All others: cached tokens are inside. Cache writes have no price, so that outside they would be free.
- Gemini 2.5 and 3: ``$ai_reasoning_tokens`` are added to ``$ai_output_tokens``. For all others they are a part of it.

``$ai_cache_reporting_exclusive`` is set whenever cache tokens are known, and agrees with what the engine assumes
without it.
"""

from __future__ import annotations

import re

from otel_posthog._model import Operation, Usage

Tokens = dict[str, int | bool]

# As in the engine. Until July 2026 it looked at the bare name only, without what stands before the last "/".
_ADDS_REASONING = re.compile(r"^(?:.*/)?gemini-(?:2\.5-|3(?:\.\d+)?-)", re.IGNORECASE)


def excludes_cache(provider: str | None, model: str | None) -> bool:
    """Whether the engine takes cache tokens for tokens outside the input."""
    name = (model or "").lower()
    return provider == "anthropic" or "anthropic" in name or name.startswith("claude")


def token_properties(operation: Operation) -> Tokens:
    """The token properties of a generation or embedding; unknown counts are absent."""
    usage = operation.usage
    if usage is None:
        return {}
    model = operation.response_model or operation.request_model
    cache_write = usage.cache_write
    if cache_write is None and (usage.cache_write_5m is not None or usage.cache_write_1h is not None):
        cache_write = (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    output = usage.output
    if output is not None and usage.reasoning and not usage.reasoning_inside:
        output += usage.reasoning
    counts: dict[str, int | bool | None] = {
        "$ai_input_tokens": usage.input,
        "$ai_output_tokens": _billed_output(usage, output, model),
        "$ai_total_tokens": _total(usage, output),
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
    if not _is_all_text(usage, counts["$ai_output_tokens"]):
        counts.pop("$ai_text_output_tokens", None)
    if usage.cache_read is not None or cache_write is not None:
        cached = (usage.cache_read or 0) + (cache_write or 0)
        exclusive = excludes_cache(operation.provider, model)
        counts["$ai_cache_reporting_exclusive"] = exclusive
        if usage.input is not None:
            whole = usage.input if usage.cache_inside else usage.input + cached
            counts["$ai_input_tokens"] = whole - cached if exclusive else whole
    return {name: count for name, count in counts.items() if count is not None}


def _billed_output(usage: Usage, output: int | None, model: str | None) -> int | None:
    """Without the reasoning where the engine adds it."""
    if output is not None and usage.reasoning and _ADDS_REASONING.match(model or ""):
        return max(output - usage.reasoning, 0)
    return output


def _is_all_text(usage: Usage, output: int | bool | None) -> bool:
    """Whether text and the other modalities make up the output: the engine bills the text instead of it."""
    return output is None or output == sum(
        count for (_, direction), count in usage.by_modality.items() if direction == "output"
    )


def _total(usage: Usage, output: int | None) -> int | None:
    """The recorded total; one that was summed up without the reasoning, with it."""
    if usage.total is None or usage.input is None or usage.output is None or output is None:
        return usage.total
    if usage.total != usage.input + usage.output:
        return usage.total
    return usage.total + output - usage.output
