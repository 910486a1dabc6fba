"""Token counts: recognised by the words in their names, and how each convention counts.

Libraries name one count in dozens of ways (``cache_read.input_tokens``, ``cachedInputTokens``, ``input_cached_tokens``,
``prompt_cache_hit_tokens``…), so a name is read word by word instead of being listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from otel_posthog._model import Json, Operation, Usage
from otel_posthog.conventions._attributes import Attributes, ConversionError, to_int
from otel_posthog.conventions._reprs import parse_literal

Field = str | tuple[str, str]  # a field of Usage, or modality and direction

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+[a-z]*")
_INPUT = frozenset(("input", "prompt"))
_OUTPUT = frozenset(("output", "completion", "candidates", "eval"))
_CACHE = frozenset(("cache", "cached"))
_WRITE = frozenset(("write", "written", "creation", "created", "ephemeral"))
_NOT_CACHED = frozenset(("no", "non", "miss", "uncached"))
_REASONING = frozenset(("reasoning", "thoughts", "thought", "thinking"))
_MODALITIES = ("audio", "image", "video", "text")
_MONEY = frozenset(("cost", "costs", "price", "prices", "discount"))
# Amounts that are not token counts (Genkit counts characters, images and files), and parts of counts without a field.
_OTHERS = _MONEY | frozenset(
    ("time", "duration", "latency", "per", "max", "budget", "limit", "prediction",
     "characters", "chars", "words", "seconds",
     "estimated", "images", "videos", "audios", "files", "documents", "pages",
     "messages", "requests", "calls", "steps", "unit", "units")
)  # fmt: skip


def field_of(name: str) -> Field | None:
    """The count that a name stands for: of an attribute, or a path in a usage object (``prompt_details.cached``)."""
    return _recognised(name)[0]


@lru_cache(maxsize=4096)
def _recognised(name: str) -> tuple[Field | None, int]:
    """The field and a rank: of two names for one count, the one with the lower rank wins."""
    words = {word.lower() for word in _WORD.findall(name)}
    rank = 2 * bool(words & {"details", "detail", "text"}) + bool(words & {"prompt", "completion"})
    return _field(words), rank + 4 * ("tokens" not in words and "token" not in words)


def _field(words: set[str]) -> Field | None:
    if {"web", "search"} <= words and not words & _MONEY:
        return "web_searches"
    if words & _OTHERS:
        return None
    modality = next((modality for modality in _MODALITIES if modality in words), None)
    if words & _NOT_CACHED and (words & _CACHE or "uncached" in words):
        return "uncached"
    if words & _CACHE or "ephemeral" in words:
        return _cache_field(words, modality)
    if words & _REASONING:
        return "reasoning"
    if "tool" in words:
        return "tool_prompt" if "prompt" in words else None  # Gemini's toolUsePromptTokenCount
    direction = "input" if words & _INPUT else "output" if words & _OUTPUT else None
    if modality is not None:
        return (modality, direction) if direction else None
    if "details" in words:
        return None
    return "total" if "total" in words else direction


def _cache_field(words: set[str], modality: str | None) -> Field | None:
    if words & _WRITE:
        return "cache_write_5m" if "5m" in words else "cache_write_1h" if "1h" in words else "cache_write"
    if modality == "audio":
        return "cache_read_audio"
    return "cache_read" if modality in (None, "text") else None


Counts = dict[Field, tuple[int, int]]  # rank and count, by field


def _add(counts: Counts, name: str, value: Any) -> bool:
    """Add a count by its name; ``False`` if the name is not that of a token count."""
    field, rank = _recognised(name)
    if field is None:
        return False
    try:
        count = to_int(value)
    except ConversionError:
        return False
    if field not in counts or rank < counts[field][0]:
        counts[field] = rank, count
    return True


def _add_object(counts: Counts, name: str, written: str) -> bool:
    """Add counts that are written as an object: ``gen_ai.usage.input_tokens_details``."""
    with suppress(ConversionError):
        details = parse_literal(written)
        if isinstance(details, dict):
            return sum(_add(counts, path, count) for path, count in _leaves(details, name)) > 0
    return False


def _usage(counts: Counts) -> Usage:
    found: dict[str, Any] = {field: count for field, (_, count) in counts.items() if isinstance(field, str)}
    tool_prompt = found.pop("tool_prompt", 0)
    if tool_prompt and "input" in found:  # Gemini bills it as input, and counts it apart
        found["input"] += tool_prompt
    lives = found.get("cache_write_5m", 0) + found.get("cache_write_1h", 0)
    if lives and not found.get("cache_write"):
        found["cache_write"] = lives  # where LangChain writes 0
    return Usage(
        **found, by_modality={field: count for field, (_, count) in counts.items() if isinstance(field, tuple)}
    )


def take_usage(attributes: Attributes, prefixes: tuple[str, ...]) -> Usage:
    """Take the counts from attributes that start with one of the prefixes; other values stay."""
    counts: Counts = {}
    left = attributes.left
    for name in [name for name in left if name.startswith(prefixes)]:
        value = left[name]
        if _add(counts, name, value) or (type(value) is str and value[:1] == "{" and _add_object(counts, name, value)):
            del left[name]
    return _usage(counts)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """The counts of a provider's usage object, and whether it holds the cache inside its input."""
    counts: Counts = {}
    for name, value in _leaves(usage, ""):
        _add(counts, name, value)
    found = _usage(counts)
    # Objects in OpenAI's shape (LiteLLM) may repeat Anthropic's names, but count the cache inside.
    found.cache_inside = "prompt_tokens" in usage or not any(name in usage for name in _OUTSIDE_NAMES)
    if found.total is not None and found.total == (found.input or 0) + (found.output or 0):
        found.cache_inside = True  # the total leaves no room for cache tokens outside the input
    return found


# Names used only by APIs that count the cache outside the input: Anthropic's, and Bedrock's Converse.
_OUTSIDE_NAMES = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
_LONGEST_PATH = 200  # characters of a path in a usage object


def _leaves(usage: Mapping[str, Any], path: str) -> Iterable[tuple[str, Json]]:
    for name, value in usage.items():
        below = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping):
            if len(path) < _LONGEST_PATH:
                yield from _leaves(value, below)
        elif isinstance(value, list):  # Gemini's promptTokensDetails: [{"modality": "TEXT", "tokenCount": 5}]
            for item in value:
                if isinstance(item, Mapping) and isinstance(item.get("modality"), str):
                    yield f"{below}.{item['modality'].lower()}", item.get("tokenCount", item.get("token_count"))
        else:
            yield below, value


@dataclass(frozen=True, slots=True)
class Accounting:
    """How instrumentations of a scope count, unless the total says otherwise."""

    scope: str  # start of its name
    cache_inside: bool = True
    reasoning_inside: bool = True


# Scopes that copy the provider's own numbers (recorded: botocore 0.66b2, OpenLIT 1.45, OpenLLMetry 0.62). All others
# count as the GenAI conventions say: cache inside the input, reasoning inside the output.
ACCOUNTING = (
    Accounting("opentelemetry.instrumentation.botocore", cache_inside=False),
    Accounting("opentelemetry.instrumentation.bedrock", cache_inside=False),
    Accounting("openlit.instrumentation.anthropic", cache_inside=False),
    Accounting("openlit.instrumentation.bedrock", cache_inside=False),
    Accounting("openlit.instrumentation.google", reasoning_inside=False),
    Accounting("openlit.instrumentation.vertexai", reasoning_inside=False),
)


@lru_cache(maxsize=1024)
def accounting_of(scope: str) -> Accounting:
    """The row of an instrumentation scope."""
    return next((row for row in ACCOUNTING if scope.startswith(row.scope)), Accounting(""))


COUNTS = tuple(field.name for field in fields(Usage) if field.default is None)


def merge_usage(operation: Operation, usage: Usage) -> None:
    """Add counts that are missing. If the input is known already, its own accounting stays."""
    known = operation.usage
    if known is None:
        operation.usage = usage
        return
    if known.input is None:
        known.cache_inside = usage.cache_inside
    for name in COUNTS:
        if getattr(known, name) is None:
            setattr(known, name, getattr(usage, name))
    for key, count in usage.by_modality.items():
        known.by_modality.setdefault(key, count)


def settled(usage: Usage, counts_thoughts_apart: bool) -> Usage:
    """The usage with the accounting that its own numbers show, which wins over the convention's rule.

    A total that only adds up with the cache or the reasoning on top shows that they are outside; so does a part that is
    larger than the whole. ``counts_thoughts_apart``: the provider does (Google), and some instrumentations copy its
    output and its total alone.
    """
    cached = (usage.cache_read or 0) + cache_write_of(usage)
    reasoning = usage.reasoning or 0
    cache_inside, reasoning_inside = usage.cache_inside, usage.reasoning_inside
    if usage.input is not None and cached:
        if usage.uncached is not None and usage.input in (usage.uncached, usage.uncached + cached):
            cache_inside = usage.input != usage.uncached
        elif cached > usage.input:
            cache_inside = False
    if usage.output is not None and reasoning > usage.output:
        reasoning_inside = False
    beyond = beyond_input_and_output(usage)
    if beyond > 0:
        if reasoning and beyond in (reasoning, reasoning + cached):
            reasoning_inside = False
        if cached and beyond in (cached, reasoning + cached):
            cache_inside = False
        if not usage.reasoning and counts_thoughts_apart and (thoughts := beyond - (0 if cache_inside else cached)) > 0:
            return replace(usage, cache_inside=cache_inside, reasoning=thoughts, reasoning_inside=False)
    if (cache_inside, reasoning_inside) == (usage.cache_inside, usage.reasoning_inside):
        return usage
    return replace(usage, cache_inside=cache_inside, reasoning_inside=reasoning_inside)


def beyond_input_and_output(usage: Usage) -> int:
    """By how much the total exceeds input plus output; 0 if a count is unknown."""
    if usage.total is None or usage.input is None or usage.output is None:
        return 0
    return usage.total - usage.input - usage.output


def cache_write_of(usage: Usage) -> int:
    """Tokens written to the cache, from their parts if only those are known."""
    if usage.cache_write is None:
        return (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    return usage.cache_write
