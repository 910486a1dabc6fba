"""Comparing two records of a call: where they agree and where they differ."""

from __future__ import annotations

from otel_posthog._model import Operation, Text, Usage, last_user_text
from otel_posthog._trace import TracedSpan


def is_same_response(one: Operation, two: Operation) -> bool | None:
    """Whether the response ids are one; ``None`` if they cannot tell."""
    if not one.response_id or not two.response_id:
        return None
    if one.response_id == two.response_id:
        return True
    return False if _id_family(one.response_id) == _id_family(two.response_id) else None


def _id_family(response_id: str) -> str:
    """``chatcmpl`` of ``chatcmpl-9a``: ids of two families come from two systems and cannot be compared."""
    return response_id.replace("_", "-").partition("-")[0]


def compare(one: Operation, two: Operation) -> tuple[set[str], set[str]]:
    """Where two records of a call agree and where they differ; what one does not state is neither."""
    usage, other = one.usage or Usage(), two.usage or Usage()
    pairs = {
        "question": (last_user_text(one.input), last_user_text(two.input)),
        "answer": (_answer(one), _answer(two)),
        "output": (usage.output, other.output),
    }
    known = {name: a == b for name, (a, b) in pairs.items() if a is not None and b is not None}
    tokens, others = input_tokens(usage), input_tokens(other)
    if tokens is not None and others is not None:
        # A record that does not know the cache may count it in or not (Langtrace around the Anthropic SDK).
        known["input"] = abs(tokens - others) in (0, _cached_tokens(usage), _cached_tokens(other))
    return {name for name, same in known.items() if same}, {name for name, same in known.items() if not same}


def input_tokens(usage: Usage) -> int | None:
    """Input tokens with the cache, which some records count inside the input and others beside it."""
    if usage.input is None or usage.cache_inside:
        return usage.input
    return usage.input + _cached_tokens(usage)


def _cached_tokens(usage: Usage) -> int:
    return (usage.cache_read or 0) + (usage.cache_write or 0)


def _answer(operation: Operation) -> str | None:
    for message in reversed(operation.output or ()):
        if text := "\n".join(part.text for part in message.parts if isinstance(part, Text)):
            return text
    return None


def share_a_model(one: Operation, two: Operation) -> bool:
    """Whether they name the same model, with or without a route or a date; if one names none, the same provider."""
    models, others = (
        [model.rpartition("/")[2].lower() for model in (it.request_model, it.response_model) if model]
        for it in (one, two)
    )
    if not models or not others:
        return one.provider is None or two.provider is None or one.provider == two.provider
    return any(a in b or b in a for a in models for b in others)


def has_only_begun(traced: TracedSpan) -> bool:
    """Whether the record of a stream ended when the stream began, without words or numbers (MLflow)."""
    operation = traced.operation
    return (
        operation is not None
        and operation.streaming is True
        and not (operation.output or is_counted(operation) or operation.failure)
    )


def is_counted(operation: Operation) -> bool:
    return operation.usage is not None and operation.usage.input is not None


def is_empty(traced: TracedSpan) -> bool:
    """Whether the record of a call has neither words nor numbers nor a failure (streams of the Mistral SDK 1)."""
    operation = traced.operation
    return operation is not None and not (
        operation.input or operation.output or operation.failure or is_counted(operation)
    )
